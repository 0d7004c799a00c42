"""An evaluation as a report that programs read; page, HTML, text and grid show the same numbers."""

from __future__ import annotations

from typing import Any

from evaluation.metrics import METRICS
from evaluation.run_models import EvaluationRun, Score, Subject
from evaluation.targets import Outcome, judged

VERSION = 1
TOLD = ("value", "low", "high", "n", "n_reference", "extractor", "extractor_sha256", "indicative", "reason", "seed")


def report_of(evaluation: EvaluationRun) -> dict[str, Any]:
    subjects = list(evaluation.subjects.prefetch_related("scores"))
    return {
        "version": VERSION,
        "id": str(evaluation.pk),
        "name": evaluation.name,
        "purpose": evaluation.purpose,
        "created_at": evaluation.created_at.isoformat(),
        "finished_at": evaluation.finished_at.isoformat() if evaluation.finished_at else None,
        "suite": evaluation.suite,
        "suite_sha256": evaluation.suite_sha256,
        "extractors": evaluation.extractors,
        "targets": evaluation.targets,
        "problems": evaluation.problems,
        "subjects": [_subject(evaluation, subject) for subject in subjects],
    }


def _subject(evaluation: EvaluationRun, subject: Subject) -> dict[str, Any]:
    scores = list(subject.scores.all())
    rows = judged(evaluation.targets, scores)
    return {
        "label": subject.label,
        "kind": subject.kind,
        "checkpoint": str(subject.checkpoint_id) if subject.checkpoint_id else None,
        "metrics": {score.metric: told(score) for score in scores},
        "targets": [
            {"metric": row.target.metric, "target": row.target.bound, "acceptable": row.target.acceptable,
             "verdict": row.verdict}
            for row in rows
        ],
        "verdict": verdict_of([row.verdict for row in rows]),
    }  # fmt: skip


def told(score: Score) -> dict[str, Any]:
    row = {name: getattr(score, name) for name in TOLD}
    band = METRICS[score.metric].band(score.value, score.extractor) if score.value is not None else None
    return {**row, "band": str(band.label) if band else None, "detail": score.detail}


def verdict_of(verdicts: list[Outcome]) -> str:
    """Of a whole set: "approved", "acceptable", "missed", or "open" where not every target could be decided."""
    if Outcome.MISSED in verdicts:
        return "missed"
    if any(verdict not in (Outcome.REACHED, Outcome.ACCEPTABLE) for verdict in verdicts):
        return "open"
    return "acceptable" if Outcome.ACCEPTABLE in verdicts else "approved"
