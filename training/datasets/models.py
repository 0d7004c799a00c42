"""Datasets, their versions and photos, and what the workshop knows of them.

A version is a draft until it is frozen, and never changes afterwards. What is known of a picture hangs on its bytes
(`PhotoMeasure`, `AcceptedFinding`), so that it holds in every version that has it.
"""

from __future__ import annotations

import uuid
from typing import Self

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Exists, F, OuterRef, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from shoesai.models import Blob, Job, Owned, User
from training.datasets.finding_words import words_of
from training.datasets.findings import KINDS


class Dataset(Owned):
    """Its owner's alone until it is shared with a team."""

    name = models.CharField(max_length=120)
    description = models.TextField(blank=True)
    trigger_words = models.CharField(
        max_length=120, blank=True, help_text=_("Stand at the beginning of every caption that a template writes.")
    )
    synthetic_cap = models.FloatField(
        default=0.5,
        validators=[MinValueValidator(0), MaxValueValidator(1)],
        help_text=_("How much of a version may be generated, 0 to 1."),
    )

    class Meta:
        constraints = [models.UniqueConstraint(fields=["owner", "name"], name="dataset_name_per_owner")]

    def __str__(self) -> str:
        return self.name

    def latest(self) -> DatasetVersion | None:
        """The newest that can be trained on."""
        return self.versions.frozen().order_by("-number").first()

    def draft(self) -> DatasetVersion | None:
        return self.versions.drafts().first()


class VersionQuerySet(models.QuerySet):
    def frozen(self) -> Self:
        return self.filter(frozen_at__isnull=False)

    def drafts(self) -> Self:
        return self.filter(frozen_at__isnull=True)


class DatasetVersion(models.Model):
    """Immutable once it is frozen; before that it is its dataset's only draft.

    The hash covers image bytes, captions and split in order, and the licence note, so a run can prove what it learned
    from. A draft has none.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()
    content_hash = models.CharField(max_length=64, blank=True)
    photo_count = models.PositiveIntegerField(default=0)
    licence_note = models.TextField(blank=True, help_text=_("Whose photos these are, and what may be done with them."))
    created_at = models.DateTimeField(default=timezone.now)
    frozen_at = models.DateTimeField(null=True, blank=True, default=timezone.now)
    checked_at = models.DateTimeField(null=True, blank=True, help_text=_("When the doctor last looked at all of it."))

    objects = VersionQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["dataset", "number"], name="dataset_version_number"),
            models.UniqueConstraint(
                fields=["dataset"], condition=Q(frozen_at__isnull=True), name="one_draft_per_dataset"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.dataset.name} v{self.number}"

    @property
    def is_draft(self) -> bool:
        return self.frozen_at is None


class PhotoQuerySet(models.QuerySet):
    def present(self) -> Self:
        """Without what was taken out of the draft and can still be put back."""
        return self.filter(removed=False)


class Photo(models.Model):
    """One picture with its caption in one version. `blob` is the working copy: upright sRGB on white, without metadata.

    `parent` is the picture that this one was made from, a photo of the same version. `depth` counts how often a model
    stands between it and a camera: 0 for photos and what augmentation makes of them.
    """

    class Origin(models.TextChoices):
        IMPORTED = "imported", _("Photo")
        AUGMENTED = "augmented", _("Augmented")
        GENERATED = "generated", _("Generated")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    version = models.ForeignKey(DatasetVersion, on_delete=models.CASCADE, related_name="photos")
    position = models.PositiveIntegerField()
    file_name = models.CharField(max_length=255)
    caption = models.TextField(blank=True)
    said_type = models.CharField(max_length=40, blank=True, help_text=_("What the caption names, as it was last read."))
    said_colour = models.CharField(max_length=40, blank=True)
    said_view = models.CharField(max_length=40, blank=True)
    proposal = models.TextField(blank=True, help_text=_("A caption that a model proposes and nobody has accepted."))
    blob = models.ForeignKey(Blob, on_delete=models.PROTECT, related_name="+")
    original = models.ForeignKey(Blob, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    held_out = models.BooleanField(default=False, help_text=_("Never learned from; measured on."))
    removed = models.BooleanField(default=False)
    origin = models.CharField(max_length=16, choices=Origin.choices, default=Origin.IMPORTED)
    depth = models.PositiveSmallIntegerField(default=0)
    parent = models.ForeignKey(Blob, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    recipe = models.JSONField(default=dict, blank=True, help_text=_("How it was augmented or generated."))
    extra = models.JSONField(default=dict, blank=True, help_text=_("Other columns that came with it."))

    objects = PhotoQuerySet.as_manager()

    class Meta:
        ordering = ["position"]
        constraints = [models.UniqueConstraint(fields=["version", "position"], name="photo_position")]
        indexes = [models.Index(fields=["version", "blob"], name="photo_of_blob")]

    def __str__(self) -> str:
        return self.file_name


class PhotoMeasure(models.Model):
    """What was measured on one working copy, by the measures' version `edition`. `phash` is 64 bits in hex."""

    blob = models.OneToOneField(Blob, on_delete=models.CASCADE, primary_key=True, related_name="measure")
    edition = models.PositiveSmallIntegerField()
    phash = models.CharField(max_length=16)
    values = models.JSONField()

    def __str__(self) -> str:
        return f"measures of {self.blob_id[:12]}"


class FindingQuerySet(models.QuerySet):
    def current(self) -> Self:
        """Without what is about a picture or a caption that the photo no longer has, or about a photo taken out; and
        without groups of which only one photo is left.
        """
        return self.filter(*_STILL_SO).filter(Q(group=None) | Exists(_others_of_group()))

    def waiting(self) -> Self:
        return self.current().filter(accepted=False)


_STILL_SO = (
    Q(photo=None) | Q(photo__removed=False),
    Q(blob=None) | Q(blob=F("photo__blob")),
    Q(caption=None) | Q(caption=F("photo__caption")),
)


def _others_of_group() -> models.QuerySet[Finding]:
    same = {name: OuterRef(name) for name in ("version", "kind", "group")}
    return Finding.objects.filter(*_STILL_SO, **same).exclude(pk=OuterRef("pk"))


class Finding(models.Model):
    """What the doctor holds against a photo, or against a version as a whole (then without photo).

    `blob` and `caption` are what was looked at: when the photo gets others, nobody knows whether it still holds.
    """

    version = models.ForeignKey(DatasetVersion, on_delete=models.CASCADE, related_name="findings")
    photo = models.ForeignKey(Photo, on_delete=models.CASCADE, null=True, blank=True, related_name="findings")
    kind = models.CharField(max_length=32)
    blob = models.ForeignKey(Blob, on_delete=models.CASCADE, null=True, blank=True, related_name="+")
    caption = models.TextField(null=True, blank=True)
    group = models.PositiveIntegerField(null=True, blank=True, help_text=_("Photos that belong together."))
    detail = models.JSONField(default=dict, blank=True)
    accepted = models.BooleanField(default=False)

    objects = FindingQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(fields=["version", "kind"], name="finding_of_kind")]

    def __str__(self) -> str:
        return self.kind

    @property
    def label(self) -> str:
        return str(KINDS[self.kind].label)

    @property
    def words(self) -> str:
        """The numbers behind it as a sentence; empty where the label says everything."""
        return words_of(self.kind, self.detail)

    @property
    def is_best(self) -> bool:
        """Of its group."""
        return self.detail.get("best") == str(self.photo_id)


class AcceptedFinding(models.Model):
    """Somebody has looked and said that it is fine, for this picture in every version of the dataset."""

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="accepted_findings")
    blob = models.ForeignKey(Blob, on_delete=models.CASCADE, null=True, blank=True, related_name="+")
    kind = models.CharField(max_length=32)
    user = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["dataset", "blob", "kind"], name="accepted_once"),
            models.UniqueConstraint(
                fields=["dataset", "kind"], condition=Q(blob__isnull=True), name="accepted_once_for_all"
            ),
        ]


class DraftEdit(models.Model):
    """One step of a draft's history: photo id → field → [before, after]. Undone ones stay until the next edit."""

    version = models.ForeignKey(DatasetVersion, on_delete=models.CASCADE, related_name="edits")
    user = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    at = models.DateTimeField(default=timezone.now)
    verb = models.CharField(max_length=32)
    changes = models.JSONField()
    photo_count = models.PositiveIntegerField()
    undone = models.BooleanField(default=False)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.verb} ({self.photo_count})"


class DatasetImport(Owned):
    """Files on their way into a dataset's draft; they wait in `folder` until the job has read them.

    `report` is {"images", "captions", "problems": [{"file", "problem"}]} when it is done.
    """

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="imports")
    job = models.OneToOneField(Job, on_delete=models.SET_NULL, null=True, blank=True, related_name="dataset_import")
    source = models.CharField(max_length=255, blank=True, help_text=_("What its owner calls it: a ZIP's name."))
    report = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return self.source or str(self.pk)[:8]
