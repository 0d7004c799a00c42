"""Evaluations and what they have measured.

A *subject* is what is judged: a checkpoint, a bare base model, a folder, or pictures of the gallery. Pictures of a
suite belong to no evaluation but to what made them (`made_by`), so the same question is never asked twice.
"""

from __future__ import annotations

from typing import Any

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from generation.expansion_checks import REASONS
from generation.models import GeneratedImage
from shoesai.models import Blob, Job, Owned
from training.models import BaseModel, Checkpoint, DatasetVersion, TrainingRun


class EvaluationRun(Owned):
    """One comparison: its subjects are judged on the same suite, against the same photos, with the same extractors."""

    class Purpose(models.TextChoices):
        COMPARISON = "comparison", _("Comparison")
        COURT = "court", _("Checkpoint court")
        SECOND_LOOK = "second_look", _("Second look")
        PICTURES = "pictures", _("Pictures")

    name = models.CharField(max_length=160)
    purpose = models.CharField(max_length=16, choices=Purpose.choices, default=Purpose.COMPARISON)
    job = models.OneToOneField(Job, on_delete=models.SET_NULL, null=True, blank=True, related_name="evaluation")
    run = models.ForeignKey(
        TrainingRun, on_delete=models.CASCADE, null=True, blank=True, related_name="evaluations",
        help_text=_("Whose checkpoints are judged."),
    )  # fmt: skip
    dataset_version = models.ForeignKey(
        DatasetVersion, on_delete=models.SET_NULL, null=True, blank=True, related_name="+",
        help_text=_("Its held-out photos are the reference, the others what may have been copied."),
    )  # fmt: skip
    suite = models.JSONField(default=dict, blank=True)
    suite_sha256 = models.CharField(max_length=64, blank=True)
    settings = models.JSONField(default=dict, blank=True, help_text=_("The EvaluateSpec, and folders for a folder's."))
    targets = models.CharField(max_length=16, default="prototype", help_text=_("A row of evaluation/targets.py."))
    extractors = models.JSONField(default=list, blank=True)
    problems = models.JSONField(default=list, blank=True, help_text=_("What could not be judged, and warnings."))
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return self.name


class Subject(models.Model):
    class Kind(models.TextChoices):
        BASE = "base", _("Base model")
        CHECKPOINT = "checkpoint", _("Checkpoint")
        FOLDER = "folder", _("Folder")
        PICTURES = "pictures", _("Pictures")

    evaluation = models.ForeignKey(EvaluationRun, on_delete=models.CASCADE, related_name="subjects")
    position = models.PositiveSmallIntegerField()
    kind = models.CharField(max_length=16, choices=Kind.choices)
    label = models.CharField(max_length=200)
    checkpoint = models.ForeignKey(Checkpoint, on_delete=models.CASCADE, null=True, blank=True, related_name="judged")
    base_model = models.ForeignKey(BaseModel, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    made_by = models.CharField(max_length=64, blank=True, help_text=_("Hash of model, weights and suite."))
    is_scored = models.BooleanField(default=False, help_text=_("Whoever takes the job over goes on with the next."))

    class Meta:
        ordering = ["evaluation", "position"]
        constraints = [models.UniqueConstraint(fields=["evaluation", "position"], name="subject_position")]

    def __str__(self) -> str:
        return self.label

    @property
    def short(self) -> str:
        """Among checkpoints of one run its name says nothing."""
        return str(_("step %(step)d")) % {"step": self.checkpoint.step} if self.checkpoint else self.label

    def score(self, metric: str) -> Score | None:
        return next((score for score in self.scores.all() if score.metric == metric), None)


class SuiteImage(models.Model):
    """A picture that was made for a suite; kept for whoever asks the same of the same model."""

    made_by = models.CharField(max_length=64)
    seq = models.PositiveIntegerField()
    prompt = models.TextField()
    seed = models.BigIntegerField()
    blob = models.ForeignKey(Blob, on_delete=models.PROTECT, related_name="+")
    checks = models.JSONField(default=list, blank=True, help_text=_("Kinds of faults; none is a pass."))
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["made_by", "seq"]
        constraints = [models.UniqueConstraint(fields=["made_by", "seq"], name="suite_image_once")]


class Score(models.Model):
    """One number with everything that one must know to compare it: never across extractors."""

    subject = models.ForeignKey(Subject, on_delete=models.CASCADE, related_name="scores")
    metric = models.CharField(max_length=32)
    value = models.FloatField(null=True, blank=True)
    low = models.FloatField(null=True, blank=True)
    high = models.FloatField(null=True, blank=True)
    n = models.PositiveIntegerField()
    n_reference = models.PositiveIntegerField(default=0)
    extractor = models.CharField(max_length=64, blank=True)
    extractor_sha256 = models.CharField(max_length=64, blank=True)
    indicative = models.BooleanField(default=False)
    reason = models.TextField(blank=True, help_text=_("Why there is no value, or why it is only indicative."))
    seed = models.PositiveIntegerField(default=0)
    detail = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering = ["subject", "metric"]
        constraints = [models.UniqueConstraint(fields=["subject", "metric"], name="one_score_per_metric")]

    def __str__(self) -> str:
        return f"{self.metric} {self.value}"


class ImageScore(models.Model):
    """What was measured on one picture of a subject. `nearest` is the photo it resembles most, with how much."""

    subject = models.ForeignKey(Subject, on_delete=models.CASCADE, related_name="image_scores")
    seq = models.PositiveIntegerField()
    blob = models.ForeignKey(Blob, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    image = models.ForeignKey(
        GeneratedImage, on_delete=models.SET_NULL, null=True, blank=True, related_name="+",
        help_text=_("Where it is one of the gallery's."),
    )  # fmt: skip
    file_name = models.CharField(max_length=400, blank=True)
    prompt = models.TextField(blank=True)
    clip_score = models.FloatField(null=True, blank=True)
    nearest = models.ForeignKey(Blob, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    nearest_name = models.CharField(max_length=400, blank=True)
    similarity = models.FloatField(null=True, blank=True)
    copied = models.BooleanField(default=False, help_text=_("Nearer to that photo than any other photo is."))
    checks = models.JSONField(default=list, blank=True)

    class Meta:
        ordering = ["subject", "seq"]
        constraints = [models.UniqueConstraint(fields=["subject", "seq"], name="image_score_once")]

    @property
    def passes(self) -> bool:
        return not self.checks

    @property
    def fault_words(self) -> str:
        return ", ".join(str(REASONS[kind]) for kind in self.checks if kind in REASONS)


class Verdict(models.Model):
    """What the court says of a run: which checkpoint, why, and how it fared on the suite that nobody had looked at."""

    run = models.OneToOneField(TrainingRun, on_delete=models.CASCADE, related_name="verdict")
    evaluation = models.ForeignKey(EvaluationRun, on_delete=models.CASCADE, related_name="verdicts")
    checkpoint = models.ForeignKey(Checkpoint, on_delete=models.CASCADE, null=True, blank=True, related_name="verdicts")
    pinned_it = models.BooleanField(default=False, help_text=_("The court's own pin, which it may take back."))
    sentence: Any = models.JSONField(default=dict, help_text=_("Code and numbers; words are made for the reader."))
    rejected = models.JSONField(default=list, blank=True, help_text=_("Checkpoint and the gate that it failed."))
    second_look = models.JSONField(default=dict, blank=True)
    at = models.DateTimeField(default=timezone.now)
