"""Starting, pausing, resuming, cancelling a training, and following its jobs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import IntegrityError, transaction
from django.utils import timezone

from shoesai.engine.specs import TrainSpec
from shoesai.jobs import queue
from shoesai.models import Job, User
from training import notices, results
from training.models import BaseModel, DatasetVersion, TrainingRun

_RUN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,119}")


class TrainingProblem(Exception):
    """A training that cannot start: names what disagrees."""


def is_run_name(name: str) -> bool:
    return bool(_RUN_NAME.fullmatch(name))


def check_new_run(name: str) -> None:
    """Raises TrainingProblem when no new run can have this name."""
    if not is_run_name(name):
        raise TrainingProblem(f"name: {name!r} must be letters, digits, '.', '_' or '-', at most 120 of them.")
    if TrainingRun.objects.filter(name=name).exists():
        raise _name_taken(name)


def _name_taken(name: str) -> TrainingProblem:
    return TrainingProblem(f"name: there is a run named {name!r} already; choose another.")


def start_training(
    *,
    user: User,
    name: str,
    dataset_version: DatasetVersion,
    base_model: BaseModel,
    spec: TrainSpec,
    notify: bool = False,
    parent: TrainingRun | None = None,
) -> TrainingRun:
    """Creates the run and queues its first job, both or neither. Raises TrainingProblem and queue.QueueFull.

    `parent` is the run whose settings were cloned; `notify` sends its owner an e-mail when it ends.
    """
    check_new_run(name)
    if not dataset_version.photo_count:
        raise TrainingProblem("dataset: this version has no photos to learn from.")
    try:
        with transaction.atomic():
            run = TrainingRun.objects.create(
                owner=user,
                team=user.home_team(),
                name=name,
                base_model=base_model,
                family=base_model.family,
                dataset_version=dataset_version,
                spec=spec.to_dict(),
                notify=notify,
                parent=parent,
            )
            _queue_stretch(run)
    except IntegrityError as error:  # somebody else took the name in this moment
        raise _name_taken(name) from error
    return run


def resume_training(run: TrainingRun) -> Job:
    """A new job that goes on from the last kept state of a paused, failed or cancelled run."""
    with _locked(run) as run:
        if not run.is_resumable:
            raise TrainingProblem(f"{run.name} is {_in_words(run)}; only a stopped run can be resumed.")
        return _queue_stretch(run)


def pause_training(run: TrainingRun) -> None:
    """Keeps the state after the step at hand and frees the device; `resume_training` goes on exactly there."""
    with _locked(run) as run:
        if not run.is_live:
            raise TrainingProblem(f"{run.name} is {_in_words(run)}; only a run that waits or trains can be paused.")
        _stop(run, pause=True)


def cancel_training(run: TrainingRun) -> None:
    """Stops it. Checkpoints and the last state are kept, so a change of mind can still resume it."""
    with _locked(run) as run:
        if run.state == TrainingRun.State.PAUSED:
            run.state = TrainingRun.State.CANCELLED
            run.save(update_fields=["state"])
            results.note(run, "Cancelled.")
        elif run.is_live:
            _stop(run, pause=False)
        else:
            raise TrainingProblem(f"{run.name} is {_in_words(run)}; there is nothing to cancel.")


@contextmanager
def _locked(run: TrainingRun) -> Iterator[TrainingRun]:
    """The row as it is now, and nobody else's until the end: two who resume at once make one job."""
    with transaction.atomic():
        yield TrainingRun.objects.select_for_update().get(pk=run.pk)


def _in_words(run: TrainingRun) -> str:
    return str(run.get_state_display()).lower()


def _stop(run: TrainingRun, *, pause: bool) -> None:
    run.pause_requested = pause
    run.save(update_fields=["pause_requested"])
    job = run.newest_job()
    if job:
        queue.request_cancel(job)


def _queue_stretch(run: TrainingRun) -> Job:
    run.pause_requested = False
    run.save(update_fields=["pause_requested"])
    job = queue.enqueue(owner=run.owner, team=run.team, kind="train", spec={"run": str(run.pk)})
    run.jobs.add(job)
    return job


_STATE_OF_RUN = {
    Job.State.QUEUED: TrainingRun.State.QUEUED,
    Job.State.RUNNING: TrainingRun.State.RUNNING,
    Job.State.SUCCEEDED: TrainingRun.State.SUCCEEDED,
    Job.State.FAILED: TrainingRun.State.FAILED,
    Job.State.CANCELLED: TrainingRun.State.CANCELLED,
}


def follow_job(job: Job) -> None:
    """The run's state is its newest job's state. Hooked in `shoesai.jobs.kinds`."""
    run = TrainingRun.objects.select_for_update().filter(pk=job.spec["run"]).first()
    if run is None:  # deleted meanwhile
        return
    before, run.state = run.state, _STATE_OF_RUN[Job.State(job.state)]
    if job.state == Job.State.CANCELLED and run.pause_requested:
        run.state = TrainingRun.State.PAUSED
    run.finished_at = timezone.now() if job.state in Job.FINAL else None
    run.save(update_fields=["state", "finished_at"])
    results.note(run, _what_happened(run, job, before))
    if run.state == TrainingRun.State.SUCCEEDED:
        results.forget_states(run)
    if run.notify and run.state in (TrainingRun.State.SUCCEEDED, TrainingRun.State.FAILED):
        notices.send_end_of_run(run, job)


def _what_happened(run: TrainingRun, job: Job, before: str) -> str:
    step = run.resume_step
    if run.state == TrainingRun.State.QUEUED:
        if before == TrainingRun.State.RUNNING:
            return f"Stepped aside after step {step}; goes on from there as soon as it can."
        return f"Queued to go on from step {step}." if step else "Queued."
    if run.state == TrainingRun.State.RUNNING:
        return "A worker has taken it."
    if run.state == TrainingRun.State.FAILED:
        return f"Failed ({job.error_code}): {job.error_text}"
    if run.state in (TrainingRun.State.PAUSED, TrainingRun.State.CANCELLED):
        return f"{run.get_state_display()}; what was learned up to step {step} is kept."
    return f"{run.get_state_display()}."
