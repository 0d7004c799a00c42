"""Keeping what comes out of a run, and tidying what nobody needs any more.

Each call belongs inside `claim.committing()`: an old state goes in the transaction that keeps the new one.
"""

from __future__ import annotations

from typing import Any

from django.db.models import F, ProtectedError

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


def keep_state(run: TrainingRun, step: int, data: bytes) -> None:
    blob = files.publish(data, SAFETENSORS)
    TrainingState.objects.update_or_create(run=run, step=step, defaults={"blob": blob})
    forget_states(run, keep=STATES_KEPT)


def forget_states(run: TrainingRun, *, keep: int = 0) -> None:
    for state in list(run.states.order_by("-step")[keep:]):
        state.delete()
        files.discard(state.blob_id)


def keep_checkpoint(run: TrainingRun, event: dict[str, Any], data: bytes) -> Checkpoint:
    checkpoint, _ = Checkpoint.objects.get_or_create(
        run=run,
        step=event["step"],
        defaults={
            "family": run.family,
            "blob": files.publish(data, SAFETENSORS),
            "rank": event["rank"],
            "lora_alpha": event["lora_alpha"],
            "validation_loss": event.get("validation_loss"),
        },
    )
    tidy_checkpoints(run)
    return checkpoint


def tidy_checkpoints(run: TrainingRun) -> None:
    """Best, last two and milestones stay, and so does what a person pinned or a picture was made with."""
    checkpoints = list(run.checkpoints.order_by("step"))
    best = run.best_checkpoint()
    for before, checkpoint in zip([None, *checkpoints], checkpoints[:-LAST_KEPT], strict=False):
        if checkpoint == best or checkpoint.pinned or _is_milestone(run, checkpoint, before):
            continue
        try:
            checkpoint.delete()
        except ProtectedError:
            continue
        files.discard(checkpoint.blob_id)
        note(run, f"Checkpoint {checkpoint.step} was tidied away: not the best, no milestone.", step=checkpoint.step)


def _is_milestone(run: TrainingRun, checkpoint: Checkpoint, before: Checkpoint | None) -> bool:
    """The first checkpoint at or after each multiple of `milestone_steps`; all of them when that is 0."""
    every = int(run.spec.get("milestone_steps", 0))
    earlier = before.step if before else 0
    return not every or checkpoint.step // every > earlier // every


def keep_beginning(run: TrainingRun, event: dict[str, Any]) -> None:
    """Where and on how much a stretch trains, for the record."""
    run.engine = {key: value for key, value in event.items() if key not in ("event", "job", "step")}
    run.save(update_fields=["engine"])
    learned, unseen = event["photos"], event["held_out"]
    note(run, f"Training from step {event['step']} on {event['device']} ({event['precision']}): {learned} photos to"
              f" learn from, {unseen} held out.", step=event["step"])  # fmt: skip


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
    ValidationImage.objects.update_or_create(
        run=run,
        step=event["step"],
        seq=event["seq"],
        defaults={"prompt": event["prompt"], "seed": event["seed"], "blob": files.publish(png, "image/png")},
    )


def note(run: TrainingRun, message: str, *, step: int | None = None) -> None:
    RunEvent.objects.create(run=run, step=step, message=message)


def add_train_seconds(run: TrainingRun, seconds: float) -> None:
    TrainingRun.objects.filter(pk=run.pk).update(train_seconds=F("train_seconds") + seconds)
