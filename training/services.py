"""Starting a training, following its job, and keeping what comes out."""

from __future__ import annotations

import re
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

from shoesai import files
from shoesai.engine.specs import TrainSpec
from shoesai.jobs import queue
from shoesai.models import Job, User
from training.models import BaseModel, Checkpoint, DatasetVersion, TrainingMetric, TrainingRun, ValidationImage

SAFETENSORS = "application/x-safetensors"
_RUN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,119}")


class TrainingProblem(Exception):
    """A training that cannot start: names what disagrees."""


def is_run_name(name: str) -> bool:
    return bool(_RUN_NAME.fullmatch(name))


def check_new_run(name: str) -> None:
    """Raises TrainingProblem when no new run can have this name."""
    if not is_run_name(name):
        raise TrainingProblem(f"name: {name!r} must be letters, digits, '.', '_' or '-', at most 120 of them.")
    if TrainingRun.objects.filter(name=name).exists():
        raise _name_taken(name)


def _name_taken(name: str) -> TrainingProblem:
    return TrainingProblem(f"name: there is a run named {name!r} already; choose another.")


def start_training(
    *, user: User, name: str, dataset_version: DatasetVersion, base_model: BaseModel, spec: TrainSpec
) -> TrainingRun:
    """Creates the run and queues its first job, both or neither. Raises TrainingProblem and queue.QueueFull."""
    check_new_run(name)
    if not dataset_version.photo_count:
        raise TrainingProblem("dataset: this version has no photos to learn from.")
    try:
        with transaction.atomic():
            run = TrainingRun.objects.create(
                owner=user,
                team=user.home_team(),
                name=name,
                base_model=base_model,
                family=base_model.family,
                dataset_version=dataset_version,
                spec=spec.to_dict(),
            )
            _queue_stretch(run)
    except IntegrityError as error:  # somebody else took the name in this moment
        raise _name_taken(name) from error
    return run


def resume_training(run: TrainingRun) -> Job:
    """A new job that goes on from the last kept state of a paused, failed or cancelled run."""
    with transaction.atomic():
        run = TrainingRun.objects.select_for_update().get(pk=run.pk)  # two who resume at once make one job
        if run.state not in (TrainingRun.State.PAUSED, TrainingRun.State.FAILED, TrainingRun.State.CANCELLED):
            state = run.get_state_display().lower()
            raise TrainingProblem(f"{run.name} is {state}; only a stopped run can be resumed.")
        return _queue_stretch(run)


def _queue_stretch(run: TrainingRun) -> Job:
    job = queue.enqueue(owner=run.owner, team=run.team, kind="train", spec={"run": str(run.pk)})
    run.jobs.add(job)
    return job


_STATE_OF_RUN = {
    Job.State.QUEUED: TrainingRun.State.QUEUED,
    Job.State.RUNNING: TrainingRun.State.RUNNING,
    Job.State.SUCCEEDED: TrainingRun.State.SUCCEEDED,
    Job.State.FAILED: TrainingRun.State.FAILED,
    Job.State.CANCELLED: TrainingRun.State.CANCELLED,
}


def follow_job(job: Job) -> None:
    """The run's state is its newest job's state. Hooked in `shoesai.jobs.kinds`."""
    finished = {"finished_at": timezone.now()} if job.state in Job.FINAL else {}
    TrainingRun.objects.filter(pk=job.spec["run"]).update(state=_STATE_OF_RUN[Job.State(job.state)], **finished)


# --- keeping what came out; each call belongs inside `claim.committing()` ---------------------------------------
def keep_state(run: TrainingRun, step: int, data: bytes) -> None:
    run.resume_blob = files.publish(data, SAFETENSORS)
    run.resume_step = step
    run.save(update_fields=["resume_blob", "resume_step"])


def keep_checkpoint(run: TrainingRun, step: int, data: bytes, rank: int, lora_alpha: float) -> Checkpoint:
    checkpoint, _ = Checkpoint.objects.get_or_create(
        run=run,
        step=step,
        defaults={
            "family": run.family,
            "blob": files.publish(data, SAFETENSORS),
            "rank": rank,
            "lora_alpha": lora_alpha,
        },
    )
    return checkpoint


def add_train_seconds(run: TrainingRun, seconds: float) -> None:
    TrainingRun.objects.filter(pk=run.pk).update(train_seconds=F("train_seconds") + seconds)


def keep_metric(run: TrainingRun, event: dict[str, Any]) -> None:
    TrainingMetric.objects.update_or_create(
        run=run,
        step=event["step"],
        defaults={key: event[key] for key in ("loss", "learning_rate", "grad_norm")},
    )


def keep_validation_image(run: TrainingRun, event: dict[str, Any], png: bytes) -> None:
    ValidationImage.objects.update_or_create(
        run=run,
        step=event["step"],
        seq=event["seq"],
        defaults={"prompt": event["prompt"], "seed": event["seed"], "blob": files.publish(png, "image/png")},
    )
