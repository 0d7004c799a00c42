"""What a run's page tells: numbers, curves, pictures across time, checkpoints, log. One query for each."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.db.models import Max, QuerySet
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from shoesai.models import Job, User
from shoesai.numbers import grouped
from training import charts, recipe
from training.charts import Chart, Curve
from training.models import Checkpoint, RunEvent, TrainingMetric, TrainingRun, ValidationImage, ValidationLoss
from training.services import may_act

LOG_LINES = 200
TABLE_ROWS = 40
RECENT_POINTS = 20

# What to try, by the error's code.
REMEDIES: dict[str, Promise] = {
    "out_of_memory": gettext_lazy(
        "Clone it with a smaller batch and more accumulation, gradient checkpointing on, or a lower resolution."
    ),
    "nan": gettext_lazy(
        "A clone with a lower learning rate or a longer warm-up often gets through; a broken photo in the dataset can"
        " be the cause, too."
    ),
    "bad_state": gettext_lazy("Clone it: a clone begins anew from the base model."),
    "bad_spec": gettext_lazy("Clone it and change the setting that is named."),
    "bad_weights": gettext_lazy("Ask whoever runs this site to look at the base model."),
    "worker_lost": gettext_lazy("Often memory ran out. Resume it, or clone it with a smaller batch."),
    "system": gettext_lazy("Ask whoever runs this site; then resume it."),
}
# What the engine tells of itself; versions of libraries go under their own names.
ENGINE_WORDS: dict[str, Promise] = {
    "device": gettext_lazy("device"),
    "precision": gettext_lazy("precision"),
    "photos": gettext_lazy("photos"),
    "held_out": gettext_lazy("held out"),
    "trainable_parameters": gettext_lazy("trainable parameters"),
    "total_parameters": gettext_lazy("parameters in all"),
    "processes": gettext_lazy("processes"),
}
ANY_REMEDY = gettext_lazy("Resume it; if it fails again, whoever runs this site finds the details in the worker's log.")


def runs_of(user: User) -> QuerySet[TrainingRun]:
    """Every run that this user may see, with what its page names."""
    return TrainingRun.objects.visible_to(user).select_related("base_model", "dataset_version__dataset", "owner")


def clonable_by(user: User) -> QuerySet[TrainingRun]:
    """Those whose settings and photos a new run can begin with."""
    return runs_of(user).filter(dataset_version__isnull=False)


@dataclass
class StripRow:
    """One prompt with one seed; a picture or a gap for each of the strip's steps."""

    prompt: str
    seed: int
    images: list[ValidationImage | None]


@dataclass(frozen=True)
class Stretch:
    """One job of a run."""

    number: int
    job: Job

    @property
    def seconds(self) -> float | None:
        if self.job.started_at is None or self.job.finished_at is None:
            return None
        return (self.job.finished_at - self.job.started_at).total_seconds()


@dataclass
class RunView:
    run: TrainingRun
    user: User

    # --- rows ---------------------------------------------------------------------------------------------------
    @cached_property
    def metrics(self) -> list[TrainingMetric]:
        return list(self.run.metrics.order_by("step"))

    @cached_property
    def validation_losses(self) -> list[ValidationLoss]:
        return list(self.run.validation_losses.order_by("step"))

    @cached_property
    def checkpoints(self) -> list[Checkpoint]:
        checkpoints = list(self.run.checkpoints.select_related("blob").order_by("step"))
        for checkpoint in checkpoints:
            checkpoint.run = self.run  # its name is asked for often
        return checkpoints

    @cached_property
    def jobs(self) -> list[Job]:
        """One for each stretch between pauses, oldest first."""
        return list(self.run.jobs.defer("preview", "spec").order_by("created_at"))

    @property
    def stretches(self) -> list[Stretch]:
        return [Stretch(number, job) for number, job in enumerate(self.jobs, start=1)]

    @cached_property
    def log(self) -> list[RunEvent]:
        """The last LOG_LINES, newest last."""
        return list(self.run.events.order_by("-at", "-id")[:LOG_LINES])[::-1]

    @cached_property
    def clones(self) -> list[TrainingRun]:
        return list(self.run.clones.filter(pk__in=TrainingRun.objects.visible_to(self.user)).order_by("created_at"))

    @cached_property
    def parent(self) -> TrainingRun | None:
        """The run it was cloned from, if this user may see that."""
        return TrainingRun.objects.visible_to(self.user).filter(pk=self.run.parent_id).first()

    # --- where it stands ----------------------------------------------------------------------------------------
    @property
    def job(self) -> Job | None:
        return self.jobs[-1] if self.jobs else None

    @property
    def is_running(self) -> bool:
        return self.run.state == TrainingRun.State.RUNNING

    @property
    def is_stopping(self) -> bool:
        return bool(self.run.is_live and self.job and self.job.cancel_requested)

    @property
    def total(self) -> int:
        return int(self.run.spec.get("max_train_steps") or 0)

    @cached_property
    def step(self) -> int:
        """A running job knows best: after a crash it goes on from an earlier step than the curve has reached."""
        if self.is_running and self.job and self.job.progress_total:
            return self.job.progress_step
        return self.reached

    @cached_property
    def reached(self) -> int:
        steps = [rows[-1].step for rows in (self.metrics, self.checkpoints) if rows]
        return max(steps, default=0)

    @cached_property
    def resume_step(self) -> int:
        return self.run.resume_step

    @cached_property
    def loss(self) -> float | None:
        return self.smooth_loss[-1][1] if self.smooth_loss else None

    @cached_property
    def seconds_per_step(self) -> float | None:
        """The middle of the last few: a pause for a checkpoint between them does not count."""
        recent = [metric.seconds for metric in self.metrics[-RECENT_POINTS:] if metric.seconds]
        return statistics.median(recent) if recent else None

    @cached_property
    def seconds_left(self) -> float | None:
        """For the steps alone, and no longer than the run may take."""
        if not self.is_running or self.seconds_per_step is None or not self.total:
            return None
        left = (self.total - self.step) * self.seconds_per_step
        limit = float(self.run.spec.get("max_train_minutes") or 0) * 60
        return min(left, max(0.0, limit - self.seconds_trained)) if limit else left

    @cached_property
    def seconds_trained(self) -> float:
        """Of all stretches; the one at hand has been added to the row up to the last state that was kept."""
        started = self.job.started_at if self.is_running and self.job else None
        if started is None:
            return self.run.train_seconds
        kept = self.run.states.filter(created_at__gt=started).aggregate(last=Max("created_at"))["last"]
        return self.run.train_seconds + (timezone.now() - (kept or started)).total_seconds()

    @cached_property
    def memory_bytes(self) -> int | None:
        return max((metric.memory_bytes for metric in self.metrics if metric.memory_bytes), default=None)

    @cached_property
    def best_validation(self) -> ValidationLoss | None:
        return min(self.validation_losses, key=lambda row: (row.loss, row.step), default=None)

    @cached_property
    def best_checkpoint(self) -> Checkpoint | None:
        measured = [checkpoint for checkpoint in self.checkpoints if checkpoint.validation_loss is not None]
        return min(measured, key=lambda row: (row.validation_loss, row.step), default=None)

    @property
    def remedy(self) -> str:
        return str(REMEDIES.get(self.job.error_code if self.job else "", ANY_REMEDY))

    # --- who may do what ----------------------------------------------------------------------------------------
    @property
    def may_act(self) -> bool:
        return may_act(self.run, self.user)

    @property
    def can_pause(self) -> bool:
        return self.may_act and self.run.is_live and not self.is_stopping

    @property
    def can_resume(self) -> bool:
        return self.may_act and self.run.is_resumable

    @property
    def can_cancel(self) -> bool:
        return self.can_pause or (self.may_act and self.run.state == TrainingRun.State.PAUSED)

    # --- curves -------------------------------------------------------------------------------------------------
    @cached_property
    def raw_loss(self) -> list[tuple[float, float]]:
        return [(metric.step, metric.loss) for metric in self.metrics]

    @cached_property
    def smooth_loss(self) -> list[tuple[float, float]]:
        return charts.smoothed(self.raw_loss, charts.smoothing_span(self.raw_loss))

    @cached_property
    def validation_loss(self) -> list[tuple[float, float]]:
        return [(row.step, row.loss) for row in self.validation_losses]

    @cached_property
    def last_x(self) -> int:
        """A living run's curves leave room for what is to come."""
        return self.total if self.run.is_live else self.reached

    @cached_property
    def loss_chart(self) -> Chart | None:
        return charts.draw(
            _("Loss"),
            [
                Curve(_("each point"), "raw", self.raw_loss, faint=True),
                Curve(_("smoothed"), "smooth", self.smooth_loss),
                Curve(_("held-out photos"), "validation", self.validation_loss, dotted=True),
            ],
            last_x=self.last_x,
            marks=[(each.step, _("Checkpoint %(step)s") % {"step": each.step}) for each in self.checkpoints],
        )

    @cached_property
    def small_charts(self) -> list[Chart]:
        rates = [(metric.step, metric.learning_rate) for metric in self.metrics]
        norms = [(metric.step, metric.grad_norm) for metric in self.metrics]
        validation = Curve(_("held-out photos"), "validation", self.validation_loss, dotted=True)
        drawn = [
            charts.draw(_("Validation loss"), [validation], last_x=self.last_x),
            charts.draw(_("Learning rate"), [Curve(_("rate"), "smooth", rates)], last_x=self.last_x, from_zero=True),
            charts.draw(
                _("Gradient norm"),
                [
                    Curve(_("each point"), "raw", norms, faint=True),
                    Curve(_("smoothed"), "smooth", charts.smoothed(norms, charts.smoothing_span(norms))),
                ],
                last_x=self.last_x,
                from_zero=True,
            ),
        ]
        return [chart for chart in drawn if chart]

    @cached_property
    def table(self) -> list[dict[str, Any]]:
        """The curves as rows, for those who do not see them: some points, and all that were validated."""
        every = max(1, -(-len(self.metrics) // TABLE_ROWS))
        smooth, validated = dict(self.smooth_loss), {row.step: row.loss for row in self.validation_losses}
        rows: dict[int, dict[str, Any]] = {step: {"step": step} for step in validated}
        for metric in [*self.metrics[::every], *self.metrics[-1:]]:
            rows[metric.step] = {"step": metric.step, "metric": metric, "smooth": smooth[metric.step]}
        return [{**rows[step], "validation": validated.get(step)} for step in sorted(rows)]

    # --- pictures -----------------------------------------------------------------------------------------------
    @cached_property
    def images(self) -> list[ValidationImage]:
        return list(self.run.validation_images.order_by("step", "seq"))

    @cached_property
    def strip_steps(self) -> list[int]:
        return sorted({image.step for image in self.images})

    @cached_property
    def strip(self) -> list[StripRow]:
        """Rows are prompts, columns are `strip_steps`."""
        found = {(image.seq, image.step): image for image in self.images}
        firsts = {image.seq: image for image in reversed(self.images)}
        return [
            StripRow(firsts[seq].prompt, firsts[seq].seed, [found.get((seq, step)) for step in self.strip_steps])
            for seq in sorted(firsts)
        ]

    # --- what it was made from ----------------------------------------------------------------------------------
    @cached_property
    def settings(self) -> list[tuple[Promise, list[recipe.Setting]]]:
        return recipe.in_groups(self.run.spec) if self.run.spec else []

    @cached_property
    def changed_settings(self) -> int:
        return sum(setting.is_changed for _title, group in self.settings for setting in group)

    @cached_property
    def engine(self) -> list[tuple[str, str]]:
        """Device, precision and versions, as the engine told them."""
        return [
            (
                str(ENGINE_WORDS.get(key) or key.replace("_", " ")),
                grouped(value) if type(value) is int else recipe.shown(value),
            )
            for key, value in self.run.engine.items()
        ]
