"""How long a step takes and how much memory it holds: measured by the engine on the device that will train."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from shoesai.engine.specs import TrainSpec
from shoesai.jobs import queue
from shoesai.models import Job, User
from training.models import BaseModel

KIND = "measure_training"
# What a step's time and memory depend on; the rest of a recipe (learning rate, seed, ...) may differ.
DECIDING = ("resolution", "train_batch_size", "rank", "lora_targets", "gradient_checkpointing")

MEASURED = (
    "trainable_parameters",
    "total_parameters",
    "device",
    "precision",
    "estimated_seconds_per_step",
    "estimated_memory_bytes",
    "device_memory_bytes",
)


def request_measurement(user: User, base: BaseModel, spec: TrainSpec) -> Job:
    """Queues a few steps on made-up data. Raises queue.QueueFull."""
    return queue.enqueue(
        owner=user,
        team=user.home_team(),
        kind=KIND,
        spec={"base_model": str(base.pk), "train": spec.to_dict(), "measured": _what_is_measured(base, spec)},
    )


def newest_measurement(base: BaseModel, spec: TrainSpec) -> dict[str, Any] | None:
    """What the engine said last about this base with these settings, for the accumulation of `spec`; None if never."""
    job = (
        Job.objects.filter(kind=KIND, state=Job.State.SUCCEEDED, spec__measured=_what_is_measured(base, spec))
        .order_by("-finished_at")
        .first()
    )
    return measurement_of(job, spec) if job else None


def measurement_of(job: Job, spec: TrainSpec) -> dict[str, Any]:
    """A finished measurement's figures; its time was that of its own number of accumulated batches."""
    accumulated = job.spec["train"]["gradient_accumulation_steps"]
    seconds = job.result["estimated_seconds_per_step"] * spec.gradient_accumulation_steps / accumulated
    return {**job.result, "estimated_seconds_per_step": round(seconds, 4)}


def _what_is_measured(base: BaseModel, spec: TrainSpec) -> str:
    settings = {name: getattr(spec, name) for name in DECIDING}
    return hashlib.sha256(json.dumps([base.sha256 or str(base.pk), settings], sort_keys=True).encode()).hexdigest()
