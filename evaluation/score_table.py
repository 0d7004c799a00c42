"""An evaluation as a table for the terminal: a row for each metric, a column for each subject, intervals beside."""

from __future__ import annotations

from rich.table import Table

from evaluation.metrics import METRICS
from evaluation.run_models import EvaluationRun, Score


def table_of(evaluation: EvaluationRun, title: str) -> Table:
    """Metrics that nobody has a value of are left out; the report says why they have none."""
    subjects = list(evaluation.subjects.select_related("checkpoint").prefetch_related("scores"))
    table = Table(title=title)
    table.add_column("95 % interval in brackets")
    for subject in subjects:
        table.add_column(subject.short, justify="right")
    for name, metric in METRICS.items():
        scores = [subject.score(name) for subject in subjects]
        if any(score and score.value is not None for score in scores):
            table.add_row(str(metric.label), *[_cell(score, metric.digits) for score in scores])
    return table


def _cell(score: Score | None, digits: int) -> str:
    if score is None or score.value is None:
        return "–"
    if score.low is None or score.high is None:
        return f"{score.value:.{digits}f}"
    return f"{score.value:.{digits}f} ({score.low:.{digits}f} to {score.high:.{digits}f})"
