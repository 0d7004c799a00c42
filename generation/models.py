"""A request for pictures, and the pictures."""

from __future__ import annotations

from typing import Any, Self

from django.db import models
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils.text import slugify
from django.utils.translation import gettext_lazy as _

from generation.words import WordsField
from shoesai.models import Blob, Job, Owned, OwnedQuerySet, SeedField
from training.models import BaseModel, Checkpoint, Dataset, DatasetVersion


class Generation(Owned):
    """One request, kept as it was asked, so that any picture can be made again."""

    job = models.OneToOneField(Job, on_delete=models.CASCADE, related_name="generation")
    base_model = models.ForeignKey(BaseModel, on_delete=models.PROTECT, related_name="+")
    # What the caller named: "starter", or "<run>/checkpoint-150"; kept even if the checkpoint goes away.
    model_name = models.CharField(max_length=200)
    prompt = models.TextField()
    negative_prompt = models.TextField(blank=True)
    num_images = models.PositiveSmallIntegerField()
    num_inference_steps = models.PositiveSmallIntegerField()
    guidance_scale = models.FloatField()
    seed = SeedField()
    width = models.PositiveSmallIntegerField()
    height = models.PositiveSmallIntegerField()
    scheduler = models.CharField(max_length=40)
    template = models.TextField(blank=True, help_text=_("The prompt as typed, where it had {a|b} variations."))
    # img2img: the picture that it starts from, and how far it may go from it (0 keeps it, 1 ignores it).
    reference = models.ForeignKey(Blob, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    reference_image = models.ForeignKey(
        "GeneratedImage", on_delete=models.SET_NULL, null=True, blank=True, related_name="variations",
        help_text=_("Where the reference is a picture of the gallery."),
    )  # fmt: skip
    strength = models.FloatField(null=True, blank=True)
    engine = models.JSONField(default=dict, blank=True, help_text=_("Device, precision and versions that made it."))
    spec_version = models.PositiveSmallIntegerField(default=1)

    class Meta:
        indexes = [models.Index(fields=["owner", "-created_at", "-id"], name="generation_of_owner")]

    def __str__(self) -> str:
        return self.prompt[:60]

    @property
    def first_seed(self) -> int:
        return int(self.seed)

    def extra_loras(self) -> list[GenerationLora]:
        """Without the model's own checkpoint, which its name tells already."""
        return [lora for lora in self.loras.all() if lora.position or lora.checkpoint.name != self.model_name]


class Upload(Owned):
    """A picture that its owner brought along as a reference. It opens the blob to them alone, for a while.

    What a generation was made with stays with it (`Generation.reference`); see `generation.references`.
    """

    blob = models.ForeignKey(Blob, on_delete=models.PROTECT, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["owner", "blob"], name="one_upload_per_owner")]

    def __str__(self) -> str:
        return f"{self.owner}: {self.blob}"


class GenerationLora(models.Model):
    generation = models.ForeignKey(Generation, on_delete=models.CASCADE, related_name="loras")
    checkpoint = models.ForeignKey(Checkpoint, on_delete=models.PROTECT, related_name="uses")
    weight = models.FloatField(default=1.0)
    position = models.PositiveSmallIntegerField()

    class Meta:
        ordering = ["position"]
        constraints = [models.UniqueConstraint(fields=["generation", "position"], name="lora_position")]


class Shelf(Owned):
    """The pictures of one owner, for one team, made with the same settings: the gallery's unit of counting.

    There are few shelves beside the pictures, and each knows how many it holds, so that facets with their counts cost
    one small query however many pictures there are. `generation.shelves` keeps the numbers true.
    """

    key = models.CharField(max_length=64, unique=True, help_text=_("SHA-256 of what is the same on it."))
    # A shelf goes with what it is named after; pictures that stand on it forbid that.
    base_model = models.ForeignKey(BaseModel, on_delete=models.CASCADE, related_name="+")
    checkpoint = models.ForeignKey(Checkpoint, on_delete=models.CASCADE, null=True, blank=True, related_name="+")
    dataset = models.ForeignKey(Dataset, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    scheduler = models.CharField(max_length=40)
    num_inference_steps = models.PositiveSmallIntegerField()
    width = models.PositiveSmallIntegerField()
    height = models.PositiveSmallIntegerField()
    images = models.PositiveIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.base_model} {self.width} × {self.height} ({self.images})"


class Stack(models.Model):
    """The pictures of a generation that were made on one day, on one shelf, with their prompt as the index reads it.

    Searches count stacks instead of pictures. The integer key is the row number of SQLite's FTS5 table; a migration
    that changes this table on SQLite must make the index's triggers again (see migration 0006).
    """

    generation = models.ForeignKey(Generation, on_delete=models.CASCADE, related_name="stacks")
    shelf = models.ForeignKey(Shelf, on_delete=models.CASCADE, related_name="stacks")
    words = WordsField()
    images = models.PositiveIntegerField(default=0)
    day = models.DateField(help_text=_("In the site's time zone."))

    class Meta:
        constraints = [models.UniqueConstraint(fields=["generation", "shelf", "day"], name="one_stack_per_day")]
        indexes = [models.Index(fields=["day", "shelf", "images"], name="stack_of_day")]  # holds all that is counted

    def __str__(self) -> str:
        return f"{self.words[:40]} ({self.images})"


class GeneratedImageQuerySet(OwnedQuerySet):
    def visible_to(self, user: Any) -> Self:
        """On a shelf that the user may see. What is in the trash stands on none."""
        return self.on(Shelf.objects.visible_to(user))

    def on(self, shelves: QuerySet[Shelf]) -> Self:
        """EXISTS and not IN, from which SQLite would fetch every picture of every shelf and sort them all."""
        return self.filter(Exists(shelves.filter(pk=OuterRef("shelf"))))

    def in_trash_of(self, user: Any) -> Self:
        return self.filter(owner=user, trashed_at__isnull=False)


class View(models.TextChoices):
    """Product views, as shops name them."""

    SIDE = "side", _("Side")
    LATERAL = "lateral", _("Outer side")
    MEDIAL = "medial", _("Inner side")
    THREE_QUARTER = "three-quarter", _("Three-quarter")
    FRONT = "front", _("Front")
    HEEL = "heel", _("Heel")
    TOP = "top", _("Top")
    SOLE = "sole", _("Sole")
    DETAIL = "detail", _("Detail")
    PAIR = "pair", _("Pair")


class GeneratedImage(Owned):
    """One picture. `UNIQUE(generation, seq)` makes doubles impossible when a job is run again after a crash.

    `team` is whom its owner shares it with, null where it is private.
    """

    generation = models.ForeignKey(Generation, on_delete=models.CASCADE, related_name="images")
    seq = models.PositiveSmallIntegerField()
    seed = SeedField()
    blob = models.ForeignKey(Blob, on_delete=models.PROTECT, related_name="+")
    thumbnail = models.ForeignKey(Blob, on_delete=models.PROTECT, related_name="+")
    width = models.PositiveSmallIntegerField()
    height = models.PositiveSmallIntegerField()
    colour = models.CharField(max_length=7, help_text=_("Mean colour, shown until the thumbnail has loaded."))
    seconds = models.FloatField(default=0)
    shelf = models.ForeignKey(Shelf, on_delete=models.RESTRICT, null=True, related_name="+")
    trashed_at = models.DateTimeField(null=True, blank=True)
    # A picture that was mended from another one of the same generation; its seq lies behind those that were asked for.
    parent = models.ForeignKey("self", on_delete=models.SET_NULL, null=True, blank=True, related_name="mended")
    mending = models.JSONField(null=True, blank=True, help_text=_("What was done to its parent."))
    sku = models.CharField(max_length=64, blank=True, help_text=_("The article that it shows."))
    view = models.CharField(max_length=16, choices=View.choices, blank=True)

    objects = GeneratedImageQuerySet.as_manager()  # type: ignore[misc]  # stricter than Owned's

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["generation", "seq"], name="one_image_per_seq"),
            models.CheckConstraint(
                condition=Q(shelf__isnull=True, trashed_at__isnull=False)
                | Q(shelf__isnull=False, trashed_at__isnull=True),
                name="image_is_on_a_shelf_or_in_the_trash",
            ),
        ]
        indexes = [
            models.Index(fields=["-created_at", "-id", "shelf"], name="image_newest"),  # walked without the rows
            models.Index(fields=["shelf", "-created_at", "-id"], name="image_on_shelf"),
            models.Index(fields=["owner", "trashed_at"], name="image_in_trash", condition=Q(trashed_at__isnull=False)),
            models.Index(fields=["seed"], name="image_seed"),
            models.Index(fields=["sku"], name="image_sku", condition=~Q(sku="")),
        ]

    def __str__(self) -> str:
        return f"{self.generation.prompt[:40]} · {self.seed}"

    @property
    def seed_number(self) -> int:
        return int(self.seed)

    def file_name(self, suffix: str = "png") -> str:
        """What a download is called: `<prompt-slug>_<seed>.png`."""
        return f"{slugify(self.generation.prompt)[:60].strip('-') or 'picture'}_{self.seed_number}.{suffix}"


class Preset(Owned):
    """Settings of the Generate form under a name; `team` is set where it is shared."""

    name = models.CharField(max_length=120)
    settings = models.JSONField(default=dict, help_text=_("Field of the form → value."))

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["owner", "name"], name="preset_name_per_owner")]

    def __str__(self) -> str:
        return self.name


class Recreation(Owned):
    """A picture made again from its recipe, and how near the second one came."""

    class Verdict(models.TextChoices):
        IDENTICAL = "identical", _("Byte-identical")
        CLOSE = "close", _("Within tolerance")
        DIFFERENT = "different", _("Different")

    image = models.ForeignKey(GeneratedImage, on_delete=models.CASCADE, related_name="recreations")
    job = models.OneToOneField(Job, on_delete=models.CASCADE, related_name="recreation")
    verdict = models.CharField(max_length=16, choices=Verdict.choices, blank=True)
    max_difference = models.PositiveSmallIntegerField(null=True, help_text=_("Of one channel of one pixel, of 255."))
    mean_difference = models.FloatField(null=True)
    reasons = models.JSONField(default=list, help_text=_("What is not as it was: versions, device, weights."))
    # Kept only where it is different, so that a page can show both.
    blob = models.ForeignKey(Blob, on_delete=models.PROTECT, null=True, blank=True, related_name="+")

    class Meta:
        ordering = ["-created_at"]


class Expansion(Owned):
    """Generated pictures for a dataset's draft: prompts × pictures per prompt × variants per picture.

    `settings` are what `generation.expansion.PictureSettings` says, `augment` is an AugmentSpec, `loras` are
    {"checkpoint", "name", "sha256", "weight"}. `depth` is what its pictures have: one more than what the model learned
    from.
    """

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="expansions")
    draft = models.ForeignKey(DatasetVersion, on_delete=models.SET_NULL, null=True, related_name="+")
    job = models.OneToOneField(Job, on_delete=models.CASCADE, related_name="expansion")
    base_model = models.ForeignKey(BaseModel, on_delete=models.PROTECT, related_name="+")
    model_name = models.CharField(max_length=200)
    loras = models.JSONField(default=list)
    depth = models.PositiveSmallIntegerField(default=1)
    prompts = models.JSONField()
    images_per_prompt = models.PositiveSmallIntegerField()
    augmentations_per_image = models.PositiveSmallIntegerField()
    settings = models.JSONField()
    augment = models.JSONField()
    seed = SeedField()

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.dataset} × {self.model_name}"

    @property
    def units(self) -> int:
        """Pictures that are wanted from the model."""
        return len(self.prompts) * self.images_per_prompt


class ExpansionTry(models.Model):
    """One picture that was made for an expansion: taken, or refused with the reasons.

    `seq` counts through all prompts. `UNIQUE(expansion, seq, attempt)` makes doubles impossible when the job is run
    again after a crash. A refused picture leaves a small copy to look at; a taken one is the photo of `sha256`.
    """

    expansion = models.ForeignKey(Expansion, on_delete=models.CASCADE, related_name="tries")
    seq = models.PositiveIntegerField()
    attempt = models.PositiveSmallIntegerField()
    seed = SeedField()
    accepted = models.BooleanField()
    reasons = models.JSONField(default=list)
    sha256 = models.CharField(max_length=64, blank=True)
    preview = models.BinaryField(null=True, blank=True)

    class Meta:
        ordering = ["seq", "attempt"]
        constraints = [models.UniqueConstraint(fields=["expansion", "seq", "attempt"], name="one_try_per_attempt")]

    def __str__(self) -> str:
        return f"{self.seq}.{self.attempt}: {', '.join(self.reasons) or 'taken'}"
