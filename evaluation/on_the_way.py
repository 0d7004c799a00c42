"""The court while a run trains: it sits after each checkpoint where the run asks for it, and may end the training.

A sitting is better-priority work in the training's own lane, so the training steps aside for it and goes on afterwards.
Pictures and features of earlier checkpoints are kept, so each sitting makes those of one checkpoint. The second look is
left to the sitting at the end: whoever looks at the second suite at every checkpoint has chosen on it, too.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final
from uuid import UUID

from django.db import transaction

from evaluation.run_models import EvaluationRun, Verdict
from evaluation.services import EvaluationProblem, Settings, forget
from evaluation.sittings import request_second_look, request_sitting
from shoesai.jobs.queue import QuotaReached
from shoesai.models import Job
from training import results
from training.models import Checkpoint, TrainingRun
from training.services import WrongState, settle_training

PATIENCE: Final = 3  # checkpoints after the best one
STEPS: Final = 30  # of each picture


# --- asked by what a training tells (see evaluation/apps.py) ------------------------------------------------------
def follow_training(sender: Any, run: TrainingRun, **told: Any) -> None:
    """Asks for a sitting as soon as what is told is committed: asking takes locks that come before the training's."""
    if run.court != TrainingRun.Court.NEVER:
        transaction.on_commit(partial(sit, run.pk))


def sit(run_id: UUID) -> None:
    """Over all checkpoints that there are now, unless a sitting is at hand that will do.

    Where the last sitting has seen the last checkpoint of a run that has ended, only the second look is left.
    """
    run = TrainingRun.objects.select_related("owner", "base_model", "dataset_version").filter(pk=run_id).first()
    newest = run.checkpoints.order_by("-step").first() if run else None
    if run is None or newest is None:
        return
    at_hand = _sittings(run).filter(job__state__in=Job.LIVE)
    if (at_hand if run.is_live else at_hand.filter(subjects__checkpoint=newest)).exists():
        return
    judged = Verdict.objects.filter(run=run, evaluation__subjects__checkpoint=newest).first()
    try:
        if judged and not run.is_live:
            request_second_look(run.owner, judged, settings_of(run))
            return
        request_sitting(run.owner, run, settings_of(run), on_the_way=True)
    except (EvaluationProblem, QuotaReached) as problem:
        results.note(run, f"The court could not sit: {problem}")


def settings_of(run: TrainingRun) -> Settings:
    """Guided as the run's own validation pictures are."""
    return Settings(guidance_scale=run.spec.get("validation_guidance_scale"), num_inference_steps=STEPS)


def _sittings(run: TrainingRun) -> Any:
    return EvaluationRun.objects.filter(run=run, purpose=EvaluationRun.Purpose.COURT, settings__on_the_way=True)


# --- its end ------------------------------------------------------------------------------------------------------
def tell(evaluation: EvaluationRun, verdict: Verdict) -> None:
    """In the run's log; earlier sittings of this kind say nothing any more. Call it inside `claim.committing()`."""
    judged, best = verdict.sentence["judged"], verdict.checkpoint
    words = f"The court: step {best.step} is the best of {judged}." if best else "The court: no checkpoint is fit yet."
    results.note(verdict.run, words, step=best.step if best else None)
    for earlier in _sittings(verdict.run).exclude(pk=evaluation.pk).filter(finished_at__isnull=False):
        forget(earlier)


def settle(verdict: Verdict) -> bool:
    """Ends a training whose best checkpoint has PATIENCE later ones that are no better. True where it did."""
    run, best = TrainingRun.objects.get(pk=verdict.run_id), verdict.checkpoint
    if run.court != TrainingRun.Court.STOP or not run.is_live or best is None:
        return False
    later = _later_than(best)
    if later < PATIENCE:
        return False
    words = f"The court ends the training: of {later} later checkpoints none is better than step {best.step}."
    results.note(run, words, step=best.step)
    try:
        return settle_training(run)
    except WrongState:  # deleted in this moment
        return False


def _later_than(best: Checkpoint) -> int:
    """How many checkpoints came after it; some may have been tidied away meanwhile."""
    newest = best.run.checkpoints.order_by("-step").values_list("step", flat=True)[0]
    every = int(best.run.spec.get("checkpointing_steps") or 1)
    return (newest - best.step) // every
