"""The court sits: all checkpoints of a run are judged, the best is pinned, and looked at a second time.

The second look is on prompts and seeds that nobody chose on; its numbers are told beside those of the last checkpoint.
"""

from __future__ import annotations

from typing import Any, Final

from django.utils import timezone

from evaluation.court import RULE, Decided, decide, sentence_of
from evaluation.run_models import EvaluationRun, Subject, Verdict
from evaluation.services import Settings, evaluate_checkpoints
from shoesai.models import User
from training.models import Checkpoint, TrainingRun

PURPOSE: Final = EvaluationRun.Purpose


def request_sitting(user: User, run: TrainingRun, settings: Settings | None = None) -> EvaluationRun:
    """Over every checkpoint that the run has now. Raises EvaluationProblem and QuotaReached."""
    checkpoints = list(run.checkpoints.order_by("step"))
    return evaluate_checkpoints(user, run, checkpoints, settings, purpose=PURPOSE.COURT)


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
    verdict, _created = Verdict.objects.update_or_create(
        run=evaluation.run,
        defaults={
            "evaluation": evaluation,
            "checkpoint": decided.best.checkpoint if decided.best else None,
            "sentence": sentence_of(decided, judged),
            "rejected": _rejected(decided),
            "second_look": {},
            "at": timezone.now(),
        },
    )
    if decided.best and decided.best.checkpoint_id:
        Checkpoint.objects.filter(pk=decided.best.checkpoint_id).update(pinned=True)
    return verdict


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
