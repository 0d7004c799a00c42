"""A request for pictures, and the pictures."""

from __future__ import annotations

from django.db import models
from django.utils.text import slugify
from django.utils.translation import gettext_lazy as _

from shoesai.models import Blob, Job, Owned, SeedField
from training.models import BaseModel, Checkpoint


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
    spec_version = models.PositiveSmallIntegerField(default=1)

    def __str__(self) -> str:
        return self.prompt[:60]

    @property
    def first_seed(self) -> int:
        return int(self.seed)


class GenerationLora(models.Model):
    generation = models.ForeignKey(Generation, on_delete=models.CASCADE, related_name="loras")
    checkpoint = models.ForeignKey(Checkpoint, on_delete=models.PROTECT, related_name="uses")
    weight = models.FloatField(default=1.0)
    position = models.PositiveSmallIntegerField()

    class Meta:
        ordering = ["position"]
        constraints = [models.UniqueConstraint(fields=["generation", "position"], name="lora_position")]


class GeneratedImage(Owned):
    """One picture. `UNIQUE(generation, seq)` makes doubles impossible when a job is run again after a crash."""

    generation = models.ForeignKey(Generation, on_delete=models.CASCADE, related_name="images")
    seq = models.PositiveSmallIntegerField()
    seed = SeedField()
    blob = models.ForeignKey(Blob, on_delete=models.PROTECT, related_name="+")
    thumbnail = models.ForeignKey(Blob, on_delete=models.PROTECT, related_name="+")
    width = models.PositiveSmallIntegerField()
    height = models.PositiveSmallIntegerField()
    colour = models.CharField(max_length=7, help_text=_("Mean colour, shown until the thumbnail has loaded."))
    seconds = models.FloatField(default=0)

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [models.UniqueConstraint(fields=["generation", "seq"], name="one_image_per_seq")]
        indexes = [
            models.Index(fields=["owner", "-created_at", "-id"], name="image_of_owner"),
            models.Index(fields=["team", "-created_at", "-id"], name="image_of_team"),
        ]

    def __str__(self) -> str:
        return f"{self.generation.prompt[:40]} · {self.seed}"

    @property
    def seed_number(self) -> int:
        return int(self.seed)

    def file_name(self, suffix: str = "png") -> str:
        """What a download is called: `<prompt-slug>_<seed>.png`."""
        return f"{slugify(self.generation.prompt)[:60].strip('-') or 'picture'}_{self.seed_number}.{suffix}"
