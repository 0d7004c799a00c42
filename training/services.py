"""Starting, pausing, resuming, cancelling, deleting a training, and following its jobs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.db import IntegrityError
from django.db.models import Count, ProtectedError
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from shoesai import files
from shoesai.engine.specs import TrainSpec
from shoesai.jobs import lifeline, queue
from shoesai.models import Job, User
from training import notices, results
from training.models import BaseModel, DatasetVersion, TrainingRun
from training.signals import run_succeeded

STEPPED_ASIDE = "Stepped aside for other work"
_RUN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,119}")


class TrainingProblem(Exception):
    """A training that cannot start: names what disagrees."""


class WrongState(TrainingProblem):
    """What is asked of a run is not possible in the state that it is in."""


def is_run_name(name: str) -> bool:
    return bool(_RUN_NAME.fullmatch(name))


def check_new_run(name: str) -> None:
    """Raises TrainingProblem when no new run can have this name."""
    if not is_run_name(name):
        words = _("'%(name)s' must be letters, digits, '.', '_' or '-', at most 120 of them.")
        raise TrainingProblem("name: " + words % {"name": name})
    if TrainingRun.objects.filter(name=name).exists():
        raise _name_taken(name)


def _name_taken(name: str) -> TrainingProblem:
    words = _("there is a run named '%(name)s' already; choose another.")
    return TrainingProblem("name: " + words % {"name": name})


def start_training(
    *,
    user: User,
    name: str,
    dataset_version: DatasetVersion,
    base_model: BaseModel,
    spec: TrainSpec,
    notify: bool = False,
    court: str = TrainingRun.Court.NEVER,
    parent: TrainingRun | None = None,
    idempotency_key: str | None = None,
    request_digest: str = "",
) -> TrainingRun:
    """Creates the run and queues its first job, both or neither.

    `parent` is the run whose settings were cloned; `notify` sends its owner an e-mail when it ends; `court` says
    whether its checkpoints are judged on the way. The same
    idempotency key with the same digest returns the run that it made the first time. Raises TrainingProblem,
    queue.QueueFull and queue.KeyReused.
    """
    try:
        with queue.accepting(user):
            earlier = queue.job_for_key(user, idempotency_key, request_digest)
            if earlier:
                return earlier.training_runs.get()
            check_new_run(name)
            if not dataset_version.photo_count:
                raise TrainingProblem("dataset: " + _("this version has no photos to learn from."))
            run = TrainingRun.objects.create(
                owner=user,
                team=user.home_team(),
                name=name,
                base_model=base_model,
                family=base_model.family,
                dataset_version=dataset_version,
                spec=spec.to_dict(),
                notify=notify,
                court=court,
                parent=parent,
            )
            _queue_stretch(run, idempotency_key, request_digest)
    except IntegrityError as error:  # somebody else took the name in this moment
        raise _name_taken(name) from error
    return run


def resume_training(run: TrainingRun) -> Job:
    """A new job that goes on from the last kept state of a paused, failed or cancelled run.

    Raises WrongState and queue.QueueFull.
    """
    with _locked(run) as run:
        if not run.is_resumable:
            raise WrongState(_("%(run)s is %(state)s; only a stopped run can be resumed.") % _standing(run))
        return _queue_stretch(run)


def pause_training(run: TrainingRun) -> None:
    """Keeps the state after the step at hand and frees the device; `resume_training` goes on exactly there.

    Raises WrongState.
    """
    with _locked(run) as run:
        if not run.is_live:
            words = _("%(run)s is %(state)s; only a run that waits or trains can be paused.")
            raise WrongState(words % _standing(run))
        _stop(run, pause=True)


def cancel_training(run: TrainingRun) -> None:
    """Stops it. Checkpoints and the last state are kept, so a change of mind can still resume it. Raises WrongState."""
    with _locked(run) as run:
        if run.is_live:
            _stop(run, pause=False)
        elif run.state == TrainingRun.State.PAUSED:
            _end(run, TrainingRun.State.CANCELLED)
        else:
            raise WrongState(_("%(run)s is %(state)s; there is nothing to cancel.") % _standing(run))


def settle_training(run: TrainingRun) -> bool:
    """Ends it as a success before its last step; False where it has ended already."""
    with _locked(run) as run:
        if not run.is_live:
            return False
        run.settled = True
        run.save(update_fields=["settled"])
        _stop(run, pause=False)
    return True


def delete_run(run: TrainingRun) -> None:
    """The run with its checkpoints, states, curves, pictures and jobs, and their bytes. Raises WrongState."""
    with _locked(run) as run:
        list(run.checkpoints.select_for_update(of=("self",)))  # nobody begins a picture with one of them meanwhile
        if refusal := why_not_deleted(run):
            raise WrongState(refusal)
        bytes_of_run = results.bytes_of(run)
        try:
            Job.objects.filter(training_runs=run).delete()
            run.delete()
        except ProtectedError as error:  # some other part of the studio holds on to a checkpoint
            words = _("%(run)s cannot be deleted: its checkpoints are in use.")
            raise WrongState(words % {"run": run.name}) from error
        for sha256 in bytes_of_run:
            files.discard(sha256)


def why_not_deleted(run: TrainingRun) -> str:
    """Why this run must stay; empty when it may go."""
    if run.is_live:
        return _("%(run)s is %(state)s; cancel it before you delete it.") % _standing(run)
    if requests := run.checkpoints.aggregate(count=Count("uses__generation", distinct=True))["count"]:
        words = ngettext(
            "%(run)s cannot be deleted: %(count)d request for pictures was made with its checkpoints and could not be"
            " repeated.",
            "%(run)s cannot be deleted: %(count)d requests for pictures were made with its checkpoints and could not be"
            " repeated.",
            requests,
        )
        return words % {"run": run.name, "count": requests}
    return ""


def may_act(run: TrainingRun, user: User) -> bool:
    """Team members see a run; its owner and staff stop it and let it go on."""
    return run.owner_id == user.pk or user.is_staff


@contextmanager
def _locked(run: TrainingRun) -> Iterator[TrainingRun]:
    """The row as it is now, and nobody else's until the end: two who resume at once make one job.

    Owner, then jobs, then run: new jobs come under the owner's lock, and a worker that reports a change holds its job
    when it comes for the run (`follow_job`). In another order the two would wait for each other for ever.
    """
    with queue.accepting(run.owner):
        list(Job.objects.select_for_update(of=("self",)).filter(training_runs=run).values_list("pk"))
        locked = TrainingRun.objects.select_for_update(of=("self",)).filter(pk=run.pk).first()
        if locked is None:
            raise WrongState(_("%(run)s has been deleted.") % {"run": run.name})
        yield locked


def _standing(run: TrainingRun) -> dict[str, str]:
    return {"run": run.name, "state": _("being paused") if run.pause_requested else run.get_state_display().lower()}


def _stop(run: TrainingRun, *, pause: bool) -> None:
    """The run follows when its job has ended, which may take the worker a moment. The last wish counts."""
    run.pause_requested = pause
    run.save(update_fields=["pause_requested"])
    job = run.newest_job()
    if not (job and queue.request_cancel(job)):  # no job will ever report: it was removed
        _end(run, _stopped(run))


def _end(run: TrainingRun, state: TrainingRun.State) -> None:
    run.state, run.pause_requested, run.finished_at = state, False, timezone.now()
    run.save(update_fields=["state", "pause_requested", "finished_at"])
    results.note(run, _words_of_the_end(run), step=run.resume_step)


def _queue_stretch(run: TrainingRun, idempotency_key: str | None = None, request_digest: str = "") -> Job:
    job = queue.enqueue(
        owner=run.owner,
        team=run.team,
        kind="train",
        spec={"run": str(run.pk)},
        idempotency_key=idempotency_key,
        request_digest=request_digest,
    )
    run.jobs.add(job)
    step = run.resume_step
    results.note(run, f"Queued to go on from step {step}." if step else "Queued.", step=step or None)
    return job


# --- what a job's changes mean for its run ------------------------------------------------------------------------
_STATE_OF_RUN = {
    Job.State.QUEUED: TrainingRun.State.QUEUED,
    Job.State.RUNNING: TrainingRun.State.RUNNING,
    Job.State.SUCCEEDED: TrainingRun.State.SUCCEEDED,
    Job.State.FAILED: TrainingRun.State.FAILED,
    Job.State.CANCELLED: TrainingRun.State.CANCELLED,
}


def follow_job(job: Job) -> None:
    """The run's state is its newest job's state. Hooked in `shoesai.jobs.kinds`; news heard twice changes nothing."""
    run = TrainingRun.objects.select_for_update(of=("self",)).filter(pk=job.spec["run"]).first()
    if run is None:  # deleted meanwhile
        return
    before, after = run.state, _state_after(run, job)
    if after == before or (job.state in Job.FINAL and not run.is_live):
        return
    run.state = after
    run.finished_at = timezone.now() if job.state in Job.FINAL else None
    run.pause_requested = run.pause_requested and job.is_live
    run.save(update_fields=["state", "finished_at", "pause_requested"])
    _tell(run, job, before)
    if run.state == TrainingRun.State.SUCCEEDED:
        results.forget_states(run)
        run_succeeded.send(TrainingRun, run=run)
    if run.notify and run.state in (TrainingRun.State.SUCCEEDED, TrainingRun.State.FAILED):
        notices.send_end_of_run(run, job)


def _state_after(run: TrainingRun, job: Job) -> str:
    """A job that was cancelled to pause its run leaves it paused, one whose run is settled has succeeded."""
    return _stopped(run) if job.state == Job.State.CANCELLED else _STATE_OF_RUN[Job.State(job.state)]


def _stopped(run: TrainingRun) -> TrainingRun.State:
    if run.pause_requested:
        return TrainingRun.State.PAUSED
    return TrainingRun.State.SUCCEEDED if run.settled else TrainingRun.State.CANCELLED


def _tell(run: TrainingRun, job: Job, before: str) -> None:
    """In the log. Beginnings are told by the engine (`results.keep_beginning`), the queue by `_queue_stretch`."""
    if run.state == TrainingRun.State.FAILED:
        results.note(run, f"Failed ({job.error_code}): {job.error_text}", step=run.resume_step)
    elif job.state in Job.FINAL:
        results.note(run, _words_of_the_end(run), step=run.resume_step)
    elif run.state == TrainingRun.State.QUEUED and before == TrainingRun.State.RUNNING:
        _tell_of_the_way_back(run, job)


def _tell_of_the_way_back(run: TrainingRun, job: Job) -> None:
    """A training may step aside every few seconds for hours, so that has one line, which counts."""
    step = run.resume_step
    goes_on = f"goes on exactly from step {step}" if step else "begins again"
    if job.progress_message:  # `Claim.lose` says why
        of_all = f"{job.lost_attempts} of at most {settings.JOB_MAX_LOST_ATTEMPTS} times"
        results.note(run, f"{job.progress_message} ({of_all}); {goes_on}.", step=step)
    elif lifeline.draining():
        results.note(run, f"The worker was stopped; {goes_on} when there is one again.", step=step)
    else:
        times = job.attempts - job.lost_attempts
        often = "" if times == 1 else f" {times} times by now"
        results.note_instead(run, STEPPED_ASIDE, f"{often}; {goes_on}.", step=step)


def _words_of_the_end(run: TrainingRun) -> str:
    """For the log, so in English whatever language its reader has; `shoesai.sentences` translates when it is shown."""
    if run.state == TrainingRun.State.SUCCEEDED:
        return "Succeeded."
    kept = f"what was learned up to step {run.resume_step} is kept" if run.resume_step else "it had not begun to learn"
    return f"{run.state.capitalize()}; {kept}."
