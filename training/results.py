"""Keeping what comes out of a run, and tidying what nobody needs any more.

Each call belongs inside `claim.committing()`: an old state goes in the transaction that keeps the new one. Called
twice with the same, each leaves the same rows.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db.models import F, Model, ProtectedError, QuerySet

from shoesai import files
from training.models import (
    Checkpoint,
    RunEvent,
    TrainingMetric,
    TrainingRun,
    TrainingState,
    ValidationImage,
    ValidationLoss,
)

SAFETENSORS = "application/x-safetensors"
STATES_KEPT = 2
LAST_KEPT = 2


# --- states -----------------------------------------------------------------------------------------------------
def keep_state(run: TrainingRun, step: int, data: bytes) -> None:
    """States of later steps go: whoever trains at this step again has passed them over as damaged."""
    _keep_bytes(run.states, {"step": step}, files.publish(data, SAFETENSORS).pk)
    _forget(run.states.filter(step__gt=step))
    forget_states(run, keep=STATES_KEPT)


def forget_states(run: TrainingRun, *, keep: int = 0) -> None:
    _forget(run.states.order_by("-step")[keep:])


def _forget(states: Iterable[TrainingState]) -> None:
    for state in list(states):
        state.delete()
        files.discard(state.blob_id)


# --- checkpoints ------------------------------------------------------------------------------------------------
def keep_checkpoint(run: TrainingRun, event: dict[str, Any], data: bytes) -> Checkpoint:
    """The first one of a step stays: a picture may have been made with it before the run went back."""
    blob = files.publish(data, SAFETENSORS)
    checkpoint, _ = run.checkpoints.get_or_create(
        step=event["step"],
        defaults={
            "family": run.family,
            "blob": blob,
            "rank": event["rank"],
            "lora_alpha": event["lora_alpha"],
            "validation_loss": event.get("validation_loss"),
        },
    )
    if checkpoint.blob_id != blob.pk:
        files.discard(blob.pk)
    tidy_checkpoints(run)
    return checkpoint


def tidy_checkpoints(run: TrainingRun) -> None:
    """Best, last two and milestones stay, and so does what a person pinned or a picture was made with."""
    # Locked, so that nobody begins a picture with one of them before the end of this transaction.
    checkpoints = list(run.checkpoints.select_for_update(of=("self",)).order_by("step"))
    best = run.best_checkpoint()
    every = int(run.spec.get("milestone_steps", 0))
    befores = [0, *(checkpoint.step for checkpoint in checkpoints)]
    for before, checkpoint in zip(befores, checkpoints[:-LAST_KEPT], strict=False):
        if checkpoint == best or checkpoint.pinned or is_milestone(checkpoint.step, before, every):
            continue
        try:
            checkpoint.delete()
        except ProtectedError:
            continue
        files.discard(checkpoint.blob_id)
        note(run, f"Checkpoint {checkpoint.step} was tidied away: not the best, no milestone.", step=checkpoint.step)


def is_milestone(step: int, before: int, every: int) -> bool:
    """The first checkpoint at or after each multiple of `every`, the one before it being of step `before` (0: none);
    all of them when `every` is 0."""
    return not every or step // every > before // every


# --- what the engine tells --------------------------------------------------------------------------------------
def keep_beginning(run: TrainingRun, event: dict[str, Any]) -> None:
    """Where and on how much a stretch trains, for the record."""
    run.engine = {key: value for key, value in event.items() if key not in ("event", "job", "step")}
    run.save(update_fields=["engine"])
    photos = f"{event['photos']} photos to learn from, {event['held_out']} held out"
    note(run, f"Training on {event['device']} ({event['precision']}): {photos}.", step=event["step"])


def keep_metric(run: TrainingRun, event: dict[str, Any]) -> None:
    fields = ("loss", "learning_rate", "grad_norm", "seconds", "memory_bytes")
    TrainingMetric.objects.update_or_create(
        run=run, step=event["step"], defaults={key: event[key] for key in fields if key in event}
    )


def keep_validation_loss(run: TrainingRun, event: dict[str, Any]) -> None:
    ValidationLoss.objects.update_or_create(
        run=run, step=event["step"], defaults={"loss": event["loss"], "photos": event["photos"]}
    )


def keep_validation_image(run: TrainingRun, event: dict[str, Any], png: bytes) -> None:
    place = {"step": event["step"], "seq": event["seq"]}
    recipe = {"prompt": event["prompt"], "seed": event["seed"]}
    _keep_bytes(run.validation_images, place, files.publish(png, "image/png").pk, **recipe)


def _keep_bytes(rows: Any, place: dict[str, int], sha256: str, **fields: Any) -> None:
    """The row at this place now has these bytes; those that it had before go, unless others have them too."""
    old = rows.filter(**place).values_list("blob_id", flat=True).first()
    rows.update_or_create(**place, defaults={"blob_id": sha256, **fields})
    if old and old != sha256:
        files.discard(old)


def add_train_seconds(run: TrainingRun, seconds: float) -> None:
    TrainingRun.objects.filter(pk=run.pk).update(train_seconds=F("train_seconds") + seconds)


# --- the log ----------------------------------------------------------------------------------------------------
def note(run: TrainingRun, message: str, *, step: int | None = None) -> None:
    """One line. What this stretch has said already is not said again each time that it has stepped aside."""
    if not _of_this_stretch(run).filter(message=message).exists():
        RunEvent.objects.create(run=run, step=step, message=message)


def note_instead(run: TrainingRun, beginning: str, rest: str, *, step: int | None = None) -> None:
    """In place of the line of this stretch that begins like this."""
    _of_this_stretch(run).filter(message__startswith=beginning).delete()
    note(run, beginning + rest, step=step)


def _of_this_stretch(run: TrainingRun) -> QuerySet[RunEvent]:
    """Since the run was queued or resumed."""
    job = run.newest_job()
    return run.events.filter(at__gte=job.created_at) if job else run.events.all()


# --- the end of a run -------------------------------------------------------------------------------------------
def bytes_of(run: TrainingRun) -> set[str]:
    """The blobs of everything that came out of it."""
    kept: tuple[type[Model], ...] = (TrainingState, Checkpoint, ValidationImage)
    return {blob for model in kept for blob in model._default_manager.filter(run=run).values_list("blob_id", flat=True)}
