"""Where runs stand, for lists: the same two queries however many there are."""

from __future__ import annotations

from django.db.models import OuterRef, Prefetch, QuerySet, Subquery

from shoesai.models import Job
from training.models import Checkpoint, TrainingMetric, TrainingRun


def with_standing(runs: QuerySet[TrainingRun]) -> QuerySet[TrainingRun]:
    """Annotates `best_step`, `best_loss` and what `step_of` and `newest_job_of` read."""
    metrics = TrainingMetric.objects.filter(run=OuterRef("pk")).order_by("-step")
    checkpoints = Checkpoint.objects.filter(run=OuterRef("pk")).order_by("-step")
    measured = checkpoints.filter(validation_loss__isnull=False).order_by("validation_loss", "step")
    jobs = Job.objects.defer("preview", "spec", "result").order_by("created_at")
    return runs.annotate(
        curve_step=Subquery(metrics.values("step")[:1]),
        kept_step=Subquery(checkpoints.values("step")[:1]),
        best_step=Subquery(measured.values("step")[:1]),
        best_loss=Subquery(measured.values("validation_loss")[:1]),
    ).prefetch_related(Prefetch("jobs", jobs, to_attr="stretches"))


def newest_job_of(run: TrainingRun) -> Job | None:
    stretches: list[Job] = run.stretches  # type: ignore[attr-defined]  # of `with_standing`
    return stretches[-1] if stretches else None


def step_of(run: TrainingRun) -> int:
    """The last complete step. A running job knows best: after a crash it trains again what the curve has already."""
    job = newest_job_of(run)
    if run.state == TrainingRun.State.RUNNING and job and job.progress_total:
        return job.progress_step
    return max(run.curve_step or 0, run.kept_step or 0)  # type: ignore[attr-defined]


def total_of(run: TrainingRun) -> int:
    """How many steps it is to have; 0 for what was found in a folder."""
    return int(run.spec.get("max_train_steps") or 0)
