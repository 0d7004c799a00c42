"""The runs, to look at: state, loss, checkpoints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from shoesai.auth import caller
from training.models import Checkpoint, TrainingMetric, TrainingRun

RUNS_SHOWN = 50
SPARK_WIDTH, SPARK_HEIGHT, SPARK_POINTS = 160, 32, 80
LIVE = (TrainingRun.State.QUEUED, TrainingRun.State.RUNNING)


@dataclass(frozen=True)
class RunRow:
    run: TrainingRun
    step: int
    total: int
    loss: float | None
    spark: str
    checkpoints: Sequence[Checkpoint]

    @property
    def is_live(self) -> bool:
        return self.run.state in LIVE


@login_required
@require_safe
def runs(request: HttpRequest) -> HttpResponse:
    visible = TrainingRun.objects.visible_to(caller(request)).select_related(
        "base_model", "dataset_version__dataset", "owner"
    )
    rows = [_row(run) for run in visible.prefetch_related("checkpoints", "metrics")[:RUNS_SHOWN]]
    template = "training/_runs.html" if getattr(request, "htmx", False) else "training/runs.html"
    return render(request, template, {"rows": rows, "live": any(row.is_live for row in rows)})


def _row(run: TrainingRun) -> RunRow:
    metrics = list(run.metrics.all())
    checkpoints = list(run.checkpoints.all())
    steps = [checkpoint.step for checkpoint in checkpoints] + [metric.step for metric in metrics[-1:]]
    return RunRow(
        run=run,
        step=max(steps, default=0),
        total=int(run.spec.get("max_train_steps") or 0),
        loss=metrics[-1].loss if metrics else None,
        spark=sparkline(metrics),
        checkpoints=checkpoints,
    )


def sparkline(metrics: Sequence[TrainingMetric]) -> str:
    """Points of an SVG polyline: mean loss over at most SPARK_POINTS stretches of the run."""
    if len(metrics) < 2:
        return ""
    width = max(1, -(-len(metrics) // SPARK_POINTS))
    stretches = [metrics[start : start + width] for start in range(0, len(metrics), width)]
    values = [sum(metric.loss for metric in stretch) / len(stretch) for stretch in stretches]
    low, high = min(values), max(values)
    spread = (high - low) or 1.0
    last = max(1, len(values) - 1)
    return " ".join(
        f"{index * SPARK_WIDTH / last:.1f},{1 + (SPARK_HEIGHT - 2) * (high - value) / spread:.1f}"
        for index, value in enumerate(values)
    )
