"""The court sits: all checkpoints of a run are judged, the best is pinned, and looked at a second time.

The second look is on prompts and seeds that nobody chose on; its numbers are told beside those of the last checkpoint.
"""

from __future__ import annotations

from typing import Any, Final

from django.utils import timezone

from evaluation.court import RULE, Decided, decide, sentence_of
from evaluation.run_models import EvaluationRun, Subject, Verdict
from evaluation.services import MOST_CHECKPOINTS, Settings, evaluate_checkpoints
from shoesai.models import User
from training.models import Checkpoint, TrainingRun

PURPOSE: Final = EvaluationRun.Purpose


def request_sitting(
    user: User, run: TrainingRun, settings: Settings | None = None, *, on_the_way: bool = False
) -> EvaluationRun:
    """Over every checkpoint that the run has now, the newest MOST_CHECKPOINTS beside the one that was the best.

    Raises EvaluationProblem and QuotaReached.
    """
    return evaluate_checkpoints(
        user, run, _judged_of(run), settings, purpose=PURPOSE.COURT, on_the_way=on_the_way
    )


def _judged_of(run: TrainingRun) -> list[Checkpoint]:
    """All, or of very many the newest and the one that was the best until now."""
    checkpoints = list(run.checkpoints.order_by("step"))
    older, newest = checkpoints[: 1 - MOST_CHECKPOINTS], checkpoints[1 - MOST_CHECKPOINTS :]
    best = Verdict.objects.filter(run=run).values_list("checkpoint", flat=True).first()
    if len(checkpoints) <= MOST_CHECKPOINTS:
        return checkpoints
    return [checkpoint for checkpoint in older if checkpoint.pk == best] + newest


def conclude(evaluation: EvaluationRun) -> Verdict | None:
    """Decides from the scores, pins the best, and writes down why; the same again changes nothing.

    None for an evaluation that is no court's. Call it inside `claim.committing()`.
    """
    if evaluation.purpose == PURPOSE.SECOND_LOOK:
        _keep_second_look(evaluation)
        return None
    if evaluation.purpose != PURPOSE.COURT or evaluation.run is None:
        return None
    base, *judged = list(evaluation.subjects.select_related("checkpoint").prefetch_related("scores"))
    decided = decide(base, judged)
    best = decided.best.checkpoint if decided.best else None
    pinned_it = _pin(evaluation.run, best)
    verdict, _created = Verdict.objects.update_or_create(
        run=evaluation.run,
        defaults={
            "evaluation": evaluation,
            "checkpoint": best,
            "pinned_it": pinned_it,
            "sentence": sentence_of(decided, judged),
            "rejected": _rejected(decided),
            "second_look": {},
            "at": timezone.now(),
        },
    )
    return verdict


def _pin(run: TrainingRun, best: Checkpoint | None) -> bool:
    """Whether the court has pinned it. Its earlier pin is taken back, a person's never."""
    before = Verdict.objects.filter(run=run).first()
    if before and before.pinned_it and before.checkpoint != best:
        run.checkpoints.filter(verdicts=before).update(pinned=False)
    if best is None:
        return False
    newly = Checkpoint.objects.filter(pk=best.pk, pinned=False).update(pinned=True) > 0
    return newly or (before is not None and before.checkpoint == best and before.pinned_it)


def _rejected(decided: Decided) -> list[dict[str, Any]]:
    return [
        {"label": each.subject.label, "gate": each.gate, "value": each.value, "limit": each.limit}
        for each in decided.rejected
    ]


# --- the second look --------------------------------------------------------------------------------------------
def request_second_look(user: User, verdict: Verdict, settings: Settings) -> EvaluationRun | None:
    """Of the best and the last one; None where nothing was chosen."""
    last = verdict.run.checkpoints.order_by("-step").first()
    if verdict.checkpoint is None or last is None:
        return None
    both = [verdict.checkpoint] if verdict.checkpoint == last else [verdict.checkpoint, last]
    second = Settings(**{**settings.__dict__, "second_suite": True})
    return evaluate_checkpoints(user, verdict.run, both, second, purpose=PURPOSE.SECOND_LOOK)


def _keep_second_look(evaluation: EvaluationRun) -> None:
    """Numbers of base, best and last on the suite that nobody had looked at."""
    subjects = list(evaluation.subjects.prefetch_related("scores"))
    Verdict.objects.filter(run=evaluation.run).update(
        second_look={"evaluation": str(evaluation.pk), "subjects": [_told(subject) for subject in subjects]}
    )


def _told(subject: Subject) -> dict[str, Any]:
    scores = [(metric, subject.score(metric)) for metric in (*RULE, "copy_risk")]
    return {
        "label": subject.label,
        "values": {
            metric: {"value": score.value, "low": score.low, "high": score.high}
            for metric, score in scores
            if score and score.value is not None
        },
    }
