"""Requests for trainings, and what a run tells of itself, as JSON."""

from __future__ import annotations

from typing import Any, TypedDict

from django.urls import reverse
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from shoesai.engine.specs import (
    LORA_TARGETS,
    LR_SCHEDULERS,
    MAX_RANK,
    MAX_SEED,
    MAX_TRAIN_STEPS,
    MAX_VALIDATION_PROMPTS,
)
from shoesai.serializers import REQUIRED, JobError, JobSerializer, Number, StrictSerializer, Text, WholeNumber
from training import recipe
from training.models import Checkpoint, RunEvent, TrainingMetric, TrainingRun, ValidationLoss
from training.plan import PRESETS
from training.run_requests import RunRequest
from training.standing import newest_job_of, step_of, total_of

MAX_NAME = 120
MAX_MODEL_NAME = 200
MAX_TEXT = 2000
MAX_FLOAT = 1_000_000.0


# --- reading ------------------------------------------------------------------------------------------------
class Flag(serializers.BooleanField):
    """`1` and `"yes"` are no booleans."""

    default_error_messages: dict[str, Any] = {**REQUIRED, "invalid": _("must be true or false.")}  # type: ignore[misc]

    def to_internal_value(self, data: Any) -> bool:
        if type(data) is not bool:
            self.fail("invalid")
        return data


@extend_schema_field({"type": "integer", "minimum": 0, "maximum": MAX_SEED})
class Seed(WholeNumber):
    def __init__(self, **options: Any) -> None:
        super().__init__(0, MAX_SEED, **options)


@extend_schema_field({"type": "integer", "minimum": 64, "maximum": 2048, "multipleOf": 8})
class Side(WholeNumber):
    def __init__(self, **options: Any) -> None:
        super().__init__(64, 2048, step=8, **options)


class OneOf(serializers.ChoiceField):
    def __init__(self, choices: Any, **options: Any) -> None:
        allowed = format_lazy(_("must be one of {names}."), names=", ".join(choices))
        super().__init__(choices, error_messages={**REQUIRED, "invalid_choice": allowed}, **options)


# Where the type of a setting's default says too little. What TrainSpec allows is narrower; it says so itself.
_LOWEST_ONE = dict.fromkeys(
    ("train_batch_size", "gradient_accumulation_steps", "max_train_steps", "checkpointing_steps", "lora_alpha"),
    (1, MAX_TRAIN_STEPS),
)
_WHOLE = {**_LOWEST_ONE, "rank": (1, MAX_RANK)}
_SHARES = ("learning_rate", "adam_beta1", "adam_beta2", "adam_weight_decay", "noise_offset", "caption_dropout",
           "unmasked_weight", "validation_fraction")  # fmt: skip
_SPECIAL: dict[str, Any] = {"resolution": Side, "seed": Seed}


def setting_field(name: str) -> serializers.Field:
    """By the type of its default, so that a new setting of TrainSpec needs nothing here."""
    default = recipe.DEFAULTS[name]
    options: dict[str, Any] = {"required": False, "help_text": str(recipe.words_for(name).help)}
    if name in _SPECIAL:
        return _SPECIAL[name](**options)
    if name == "lr_scheduler":
        return OneOf(LR_SCHEDULERS, **options)
    if isinstance(default, tuple):
        return _list_field(name, options)
    if isinstance(default, bool):
        return Flag(**options)
    if isinstance(default, int):
        return WholeNumber(*_WHOLE.get(name, (0, MAX_TRAIN_STEPS)), **options)
    if isinstance(default, float):
        return Number(0, 1 if name in _SHARES else MAX_FLOAT, **options)
    return Text(MAX_TEXT, allow_blank=True, **options)


def _list_field(name: str, options: dict[str, Any]) -> serializers.ListField:
    children: dict[str, Any] = {"lora_targets": OneOf(LORA_TARGETS), "validation_seeds": Seed()}
    most = len(LORA_TARGETS) if name == "lora_targets" else MAX_VALIDATION_PROMPTS
    too_many = format_lazy(_("takes at most {most}."), most=most)
    messages = {**REQUIRED, "not_a_list": _("must be a list."), "max_length": too_many}
    child = children.get(name) or Text(MAX_TEXT)
    return serializers.ListField(child=child, max_length=most, error_messages=messages, **options)


class RunRequestSerializer(StrictSerializer):
    """A new run. Beside these, every setting of the recipe is a field of its own name."""

    name = Text(MAX_NAME, help_text="Letters, digits, '.', '_' and '-'; no other run may have it.")
    dataset = Text(
        MAX_NAME, required=False,
        help_text="A dataset's name, for its latest version, or a version's id. Left out: that of `parent`.",
    )  # fmt: skip
    base_model = Text(
        MAX_MODEL_NAME, required=False,
        help_text="A base model's name from GET /api/models. Left out: that of `parent`, else `starter`.",
    )  # fmt: skip
    parent = serializers.UUIDField(  # type: ignore[assignment]  # a field of DRF's own name, which it allows
        required=False,
        error_messages={**REQUIRED, "invalid": _("must be the id of a run.")},
        help_text="A run whose recipe is the beginning; what the request says goes before it.",
    )
    preset = OneOf(list(PRESETS), required=False, help_text="A recipe to begin with; not together with `parent`.")
    notify = Flag(default=False, help_text="Send me an e-mail when it ends.")
    court = OneOf(
        TrainingRun.Court.values,
        default=TrainingRun.Court.NEVER,
        help_text="`judge`: each checkpoint is evaluated on the way and the best is pinned; `stop`: and the training"
        " ends when it no longer improves.",
    )

    def get_fields(self) -> dict[str, Any]:
        return {**super().get_fields(), **{name: setting_field(name) for name in recipe.in_order()}}

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "parent" in attrs and "preset" in attrs:
            raise serializers.ValidationError({"preset": _("cannot go with `parent`; both are where a recipe begins.")})
        if "parent" not in attrs and "dataset" not in attrs:
            raise serializers.ValidationError({"dataset": REQUIRED["required"]})
        return attrs

    def to_request(self) -> RunRequest:
        given = dict(self.validated_data)
        settings = {name: given.pop(name) for name in list(given) if name in recipe.DEFAULTS}
        return RunRequest(**given, settings=settings)


# --- answering ----------------------------------------------------------------------------------------------
class BaseOfRun(TypedDict):
    name: str
    family: str
    sha256: str


class DatasetOfRun(TypedDict):
    name: str
    version: int
    version_id: str
    content_hash: str
    photos: int


class BestCheckpoint(TypedDict):
    name: str
    step: int
    validation_loss: float


class RunLinks(TypedDict):
    metrics: str
    events: str
    page: str


class CheckpointOfRun(TypedDict):
    id: str
    name: str
    step: int
    validation_loss: float | None
    best: bool
    pinned: bool
    rank: int
    lora_alpha: float
    sha256: str
    size: int
    url: str
    file: str


class RunRowSerializer(serializers.ModelSerializer):
    """For rows of `with_standing`."""

    url = serializers.SerializerMethodField()
    pausing = serializers.BooleanField(source="pause_requested", help_text="It will be paused after the step at hand.")
    step = serializers.SerializerMethodField(help_text="The last complete step.")
    total = serializers.SerializerMethodField(help_text="How many it is to have; 0 for what was found in a folder.")
    base_model = serializers.CharField(source="base_model.name")
    dataset = serializers.SerializerMethodField(help_text="Null for what was found in a folder.")
    best_checkpoint = serializers.SerializerMethodField(help_text="The one with the lowest validation loss.")
    owner = serializers.CharField(source="owner.username")

    class Meta:
        model = TrainingRun
        fields: list[str] = [
            "id", "url", "name", "state", "pausing", "step", "total", "family", "base_model", "dataset",
            "best_checkpoint", "owner", "created_at", "finished_at",
        ]  # fmt: skip
        read_only_fields = fields

    def get_url(self, run: TrainingRun) -> str:
        return reverse("api-run", args=[run.pk])

    def get_step(self, run: TrainingRun) -> int:
        return step_of(run)

    def get_total(self, run: TrainingRun) -> int:
        return total_of(run)

    def get_dataset(self, run: TrainingRun) -> str | None:
        return run.dataset_version.dataset.name if run.dataset_version else None

    def get_best_checkpoint(self, run: TrainingRun) -> BestCheckpoint | None:
        step, loss = run.best_step, run.best_loss  # type: ignore[attr-defined]
        if step is None:
            return None
        return {"name": f"{run.name}/checkpoint-{step}", "step": step, "validation_loss": loss}


class RunSerializer(RunRowSerializer):
    """Everything needed to know where a run stands and to make it again."""

    base_model = serializers.SerializerMethodField()  # type: ignore[assignment]
    dataset = serializers.SerializerMethodField(help_text="Null for what was found in a folder.")
    spec = serializers.DictField(help_text="The recipe, as it was when the run was queued.")
    engine = serializers.DictField(help_text="Device, precision and versions of the last stretch.")
    resume_step = serializers.IntegerField(help_text="Where it would go on; 0 is the beginning.")
    parent = serializers.UUIDField(  # type: ignore[assignment]
        source="parent_id", allow_null=True, help_text="The run it was cloned from."
    )
    checkpoints = serializers.SerializerMethodField()
    job = serializers.SerializerMethodField(help_text="The newest; a run has one for each stretch between pauses.")
    error = serializers.SerializerMethodField(help_text="Why the newest job failed.")
    links = serializers.SerializerMethodField()

    class Meta:
        model = TrainingRun
        fields: list[str] = [
            *RunRowSerializer.Meta.fields, "resume_step", "spec", "engine", "checkpoints", "parent", "notify", "court",
            "train_seconds", "job", "error", "links",
        ]  # fmt: skip
        read_only_fields = fields

    def get_base_model(self, run: TrainingRun) -> BaseOfRun:
        base = run.base_model
        return {"name": base.name, "family": base.family, "sha256": base.sha256}

    def get_dataset(self, run: TrainingRun) -> DatasetOfRun | None:  # type: ignore[override]
        version = run.dataset_version
        if version is None:
            return None
        return {
            "name": version.dataset.name,
            "version": version.number,
            "version_id": str(version.pk),
            "content_hash": version.content_hash,
            "photos": version.photo_count,
        }

    def get_checkpoints(self, run: TrainingRun) -> list[CheckpointOfRun]:
        rows = run.checkpoints.select_related("blob").order_by("step")
        return [self._checkpoint(run, row) for row in rows]

    @staticmethod
    def _checkpoint(run: TrainingRun, checkpoint: Checkpoint) -> CheckpointOfRun:
        return {
            "id": str(checkpoint.pk),
            "name": f"{run.name}/checkpoint-{checkpoint.step}",
            "step": checkpoint.step,
            "validation_loss": checkpoint.validation_loss,
            "best": checkpoint.step == run.best_step,  # type: ignore[attr-defined]
            "pinned": checkpoint.pinned,
            "rank": checkpoint.rank,
            "lora_alpha": checkpoint.lora_alpha,
            "sha256": checkpoint.blob_id,
            "size": checkpoint.blob.size,
            "url": reverse("api-model", args=[checkpoint.pk]),
            "file": reverse("api-checkpoint-file", args=[checkpoint.pk]),
        }

    @extend_schema_field(JobSerializer(allow_null=True))
    def get_job(self, run: TrainingRun) -> dict[str, Any] | None:
        job = newest_job_of(run)
        return dict(JobSerializer(job).data) if job else None

    def get_error(self, run: TrainingRun) -> JobError | None:
        job = newest_job_of(run)
        failed = job and run.state == TrainingRun.State.FAILED
        return {"code": job.error_code, "text": job.error_text} if job and failed else None

    def get_links(self, run: TrainingRun) -> RunLinks:
        return {
            "metrics": reverse("api-run-metrics", args=[run.pk]),
            "events": reverse("api-run-events", args=[run.pk]),
            "page": reverse("training-run", args=[run.pk]),
        }


class RunListSerializer(serializers.Serializer):
    runs = RunRowSerializer(many=True)
    next = serializers.CharField(allow_null=True, help_text="Where the next page is; null on the last one.")


class MetricSerializer(serializers.ModelSerializer):
    class Meta:
        model = TrainingMetric
        fields = ["step", "loss", "learning_rate", "grad_norm", "seconds", "memory_bytes"]
        read_only_fields = fields


class ValidationLossSerializer(serializers.ModelSerializer):
    class Meta:
        model = ValidationLoss
        fields = ["step", "loss", "photos"]
        read_only_fields = fields


class MetricsSerializer(serializers.Serializer):
    metrics = MetricSerializer(many=True, help_text="Means over the steps since the point before.")
    validation_losses = ValidationLossSerializer(many=True, help_text="All of them, step 0 being the bare base.")
    since = serializers.IntegerField(help_text="What to ask with for the points after these.")


class EventSerializer(serializers.ModelSerializer):
    class Meta:
        model = RunEvent
        fields = ["id", "at", "step", "message"]
        read_only_fields = fields


class EventsSerializer(serializers.Serializer):
    events = EventSerializer(many=True)
    after = serializers.IntegerField(help_text="What to ask with for the lines after these.")
