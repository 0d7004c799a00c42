"""Photos to learn from, models to start from, runs, and the checkpoints that come out."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any, Self

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from shoesai.models import Blob, Job, Owned, OwnedQuerySet, SeedField, User
from shoesai.sentences import said
from training.datasets.models import (
    AcceptedFinding,
    Dataset,
    DatasetImport,
    DatasetVersion,
    DraftEdit,
    Finding,
    Photo,
    PhotoMeasure,
)

__all__ = [
    "AcceptedFinding", "BaseModel", "Checkpoint", "Dataset", "DatasetImport", "DatasetVersion", "DraftEdit", "Family",
    "Finding", "Photo", "PhotoMeasure", "RunEvent", "TrainingMetric", "TrainingRun", "TrainingState", "ValidationImage",
    "ValidationLoss",
]  # fmt: skip

STARTER_WEIGHTS = Path(settings.BASE_DIR) / "shoesai" / "starter" / "weights" / "sd"


class Family(models.TextChoices):
    """LoRAs fit base models of their own family only."""

    STARTER = "starter", _("Starter")
    SD15 = "sd15", _("Stable Diffusion 1.5")
    SDXL = "sdxl", _("Stable Diffusion XL")


class BaseModel(models.Model):
    """A Stable Diffusion model to start from. Only staff add them; they are never loaded with remote code."""

    class Format(models.TextChoices):
        BUILTIN = "builtin", _("Part of this repository")
        DIFFUSERS = "diffusers", _("Diffusers folder")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.SlugField(max_length=120, unique=True)
    title = models.CharField(max_length=120)
    family = models.CharField(max_length=16, choices=Family.choices)
    format = models.CharField(max_length=16, choices=Format.choices, default=Format.DIFFUSERS)
    location = models.CharField(max_length=500, blank=True, help_text=_("A folder below MODELS_DIR."))
    sha256 = models.CharField(max_length=64, blank=True)
    source = models.CharField(max_length=500, blank=True, help_text=_("A hub id with its revision, or a file's name."))
    guidance_scale = models.FloatField(
        default=7.5, help_text=_("What suits this model when a request names none.")
    )
    resolution = models.PositiveIntegerField(default=512)
    license_note = models.TextField(blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return said(self.title)

    def clean(self) -> None:
        if self.resolution % 8:
            raise ValidationError({"resolution": _("A multiple of 8.")})
        root = Path(settings.MODELS_DIR).resolve()
        inside = self.location and root in (root / self.location).resolve().parents
        if self.format == self.Format.DIFFUSERS and not inside:
            raise ValidationError({"location": _("The name of a folder below MODELS_DIR.")})

    @property
    def path(self) -> Path:
        """Where the worker finds the folder. Never shown outside the machine."""
        if self.format == self.Format.BUILTIN:
            return STARTER_WEIGHTS
        return Path(settings.MODELS_DIR) / self.location


class TrainingRunQuerySet(OwnedQuerySet):
    def visible_to(self, user: Any) -> Self:
        """Also what was found in MODELS_DIR: the operator put it there for everybody, like a base model."""
        if not user.is_authenticated:
            return self.none()
        mine = Q(owner=user) | Q(team__in=user.teams.all())
        return self.filter(mine | Q(shared=True))


class TrainingRun(Owned):
    """A training with a life of its own; it has one Job for each stretch between pauses."""

    class Court(models.TextChoices):
        NEVER = "never", _("No; I ask for it when I want to")
        JUDGE = "judge", _("Judge after each checkpoint, and pin the best")
        STOP = "stop", _("Judge, and end the training when it no longer improves")

    class State(models.TextChoices):
        QUEUED = "queued", _("Queued")
        RUNNING = "running", _("Running")
        PAUSED = "paused", _("Paused")
        SUCCEEDED = "succeeded", _("Succeeded")
        FAILED = "failed", _("Failed")
        CANCELLED = "cancelled", _("Cancelled")
        IMPORTED = "imported", _("Imported")

    name = models.CharField(
        max_length=120, unique=True, help_text=_("First half of the model name, as in run/checkpoint-500.")
    )
    base_model = models.ForeignKey(BaseModel, on_delete=models.PROTECT, related_name="runs")
    family = models.CharField(max_length=16, choices=Family.choices)
    dataset_version = models.ForeignKey(
        DatasetVersion, on_delete=models.PROTECT, null=True, blank=True, related_name="runs"
    )
    spec = models.JSONField(default=dict, help_text=_("The TrainSpec, as it was when the run was queued."))
    state = models.CharField(max_length=16, choices=State.choices, default=State.QUEUED)
    shared = models.BooleanField(default=False, help_text=_("Found in MODELS_DIR, so everybody may use it."))
    pause_requested = models.BooleanField(default=False, help_text=_("Its job was cancelled to pause the run."))
    settled = models.BooleanField(default=False, help_text=_("It was ended before its last step, as a success."))
    court = models.CharField(
        max_length=8, choices=Court.choices, default=Court.NEVER,
        help_text=_("Whether checkpoints are judged on the way."),
    )  # fmt: skip
    notify = models.BooleanField(default=False, help_text=_("Send the owner an e-mail when it ends."))
    parent = models.ForeignKey(
        "self", on_delete=models.SET_NULL, null=True, blank=True, related_name="clones", help_text=_("Cloned from.")
    )
    engine = models.JSONField(default=dict, blank=True, help_text=_("Device, precision and versions that ran it."))
    jobs: models.ManyToManyField = models.ManyToManyField(Job, related_name="training_runs", blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    train_seconds = models.FloatField(default=0)

    objects = TrainingRunQuerySet.as_manager()  # type: ignore[misc]  # wider than Owned's

    LIVE = (State.QUEUED, State.RUNNING)
    RESUMABLE = (State.PAUSED, State.FAILED, State.CANCELLED)

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return self.name

    @property
    def is_live(self) -> bool:
        return self.state in self.LIVE

    @property
    def is_resumable(self) -> bool:
        return self.state in self.RESUMABLE

    @property
    def resume_step(self) -> int:
        """Where it would go on: the step of the newest kept state."""
        newest = self.states.order_by("-step").first()
        return newest.step if newest else 0

    def newest_job(self) -> Job | None:
        return self.jobs.order_by("-created_at").first()

    def best_checkpoint(self) -> Checkpoint | None:
        """The lowest loss on photos that the run has never learned from."""
        return self.checkpoints.filter(validation_loss__isnull=False).order_by("validation_loss", "step").first()


class TrainingState(models.Model):
    """What a run resumes from: weights, optimizer, scaler, random states and position in one safetensors file.

    The newest two are kept, so that a damaged one costs some steps and not the run.
    """

    run = models.ForeignKey(TrainingRun, on_delete=models.CASCADE, related_name="states")
    step = models.PositiveIntegerField()
    blob = models.ForeignKey(Blob, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-step"]
        constraints = [models.UniqueConstraint(fields=["run", "step"], name="one_state_per_step")]


class RunEvent(models.Model):
    """One line of a run's log, in words for people."""

    run = models.ForeignKey(TrainingRun, on_delete=models.CASCADE, related_name="events")
    at = models.DateTimeField(default=timezone.now)
    step = models.PositiveIntegerField(null=True, blank=True)
    message = models.TextField()

    class Meta:
        ordering = ["at", "id"]

    def __str__(self) -> str:
        return self.message


class TrainingMetric(models.Model):
    """One point of the loss curve: means over the optimizer steps since the point before."""

    run = models.ForeignKey(TrainingRun, on_delete=models.CASCADE, related_name="metrics")
    step = models.PositiveIntegerField()
    loss = models.FloatField()
    learning_rate = models.FloatField()
    grad_norm = models.FloatField()
    seconds = models.FloatField(null=True, blank=True, help_text=_("For one optimizer step."))
    memory_bytes = models.BigIntegerField(null=True, blank=True, help_text=_("The most that the engine has held."))

    class Meta:
        ordering = ["step"]
        constraints = [models.UniqueConstraint(fields=["run", "step"], name="one_metric_per_step")]


class ValidationLoss(models.Model):
    """Loss on the held-out photos, at the same timesteps and with the same noise each time. Step 0 is the base."""

    run = models.ForeignKey(TrainingRun, on_delete=models.CASCADE, related_name="validation_losses")
    step = models.PositiveIntegerField()
    loss = models.FloatField()
    photos = models.PositiveIntegerField()

    class Meta:
        ordering = ["step"]
        constraints = [models.UniqueConstraint(fields=["run", "step"], name="one_validation_loss_per_step")]


class ValidationImage(models.Model):
    """The same prompt with the same seed at one step of a run."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    run = models.ForeignKey(TrainingRun, on_delete=models.CASCADE, related_name="validation_images")
    step = models.PositiveIntegerField()
    seq = models.PositiveIntegerField()
    prompt = models.TextField()
    seed = SeedField()
    blob = models.ForeignKey(Blob, on_delete=models.PROTECT, related_name="+")

    class Meta:
        ordering = ["step", "seq"]
        constraints = [models.UniqueConstraint(fields=["run", "step", "seq"], name="one_validation_image")]


class CheckpointQuerySet(models.QuerySet):
    def visible_to(self, user: User) -> CheckpointQuerySet:
        return self.filter(run__in=TrainingRun.objects.visible_to(user))


class Checkpoint(models.Model):
    """A LoRA that can be used: one safetensors file that says its alpha.

    Ours are in diffusers form, an imported one may be in kohya's.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    run = models.ForeignKey(TrainingRun, on_delete=models.CASCADE, related_name="checkpoints")
    step = models.PositiveIntegerField()
    family = models.CharField(max_length=16, choices=Family.choices)
    blob = models.ForeignKey(Blob, on_delete=models.PROTECT, related_name="+")
    rank = models.PositiveIntegerField()
    lora_alpha = models.FloatField()
    validation_loss = models.FloatField(null=True, blank=True)
    pinned = models.BooleanField(default=False, help_text=_("Never tidied away."))
    created_at = models.DateTimeField(default=timezone.now)

    objects = CheckpointQuerySet.as_manager()

    class Meta:
        ordering = ["run", "step"]
        constraints = [models.UniqueConstraint(fields=["run", "step"], name="one_checkpoint_per_step")]

    def __str__(self) -> str:
        return self.name

    @property
    def name(self) -> str:
        return f"{self.run.name}/checkpoint-{self.step}"
