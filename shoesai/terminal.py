"""Talking to a person at a terminal: data goes to stdout, everything human to stderr.

Shared by our commands and by the demo. Following a job reads the job table, so it works whichever machine
runs the job.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Protocol

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connections
from django.utils import timezone
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from shoesai.accounts import acting_user
from shoesai.health import lane_is_alive
from shoesai.jobs import lifeline, queue
from shoesai.jobs.queue import Claim
from shoesai.jobs.supervisor import worker_is_gone
from shoesai.jobs.tasks import run_here
from shoesai.models import Job, User

FAILED, USAGE, NOT_FOUND, INVALID_DATA, TRY_LATER, STOPPED = 1, 2, 3, 4, 75, 130
EXIT_CODES = (
    "Exit codes: 0 done, 1 failed, 2 usage, 3 not found, 4 invalid data, 75 the queue is full, 130 stopped."
    " Data goes to stdout, everything else to stderr."
)
POLL_SECONDS = 0.3
PLAIN_LINE_SECONDS = 10.0
NOBODY_CLAIMS_SECONDS = 2.0  # a worker takes a job within tenths of a second
WORKER_BUSY_SECONDS = 15.0  # a worker that showed life lately gets this long
SPEED_SECONDS = 3600.0  # a step of a full-size training on a CPU takes minutes; its speed is seen over several


class DataCommand(BaseCommand):
    """A command with data on stdout: --user, --json, and the exit codes in its help."""

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        return super().create_parser(prog_name, subcommand, epilog=EXIT_CODES, **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--user", help="Act for this user; default: the only staff user, else `local`.")
        parser.add_argument("--json", action="store_true", help="Print one JSON object on stdout.")

    def execute(self, *args: Any, **options: Any) -> str | None:
        require_text(options)
        try:
            return super().execute(*args, **options)
        except KeyboardInterrupt as interrupt:
            raise CommandError("Stopped.", returncode=STOPPED) from interrupt

    def user(self, options: dict[str, Any]) -> User:
        return acting_user(options["user"])

    def print_json(self, data: dict[str, Any]) -> None:
        self.stdout.write(json.dumps(data, indent=2))


def require_text(options: dict[str, Any]) -> None:
    """Raises CommandError for an argument that is no text: the shell hands any bytes through."""
    for name, value in options.items():
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str) and any("\ud800" <= character <= "\udfff" for character in text):
                raise CommandError(f"--{name.replace('_', '-')}: is not UTF-8 text.", returncode=USAGE)


def say(text: str = "") -> None:
    """Words for the person, on stderr."""
    console().print(text, markup=False, highlight=False, soft_wrap=True)


def console() -> Console:
    """Made anew each time, because tests and pipes change what stderr is. NO_COLOR is honoured by rich."""
    return Console(stderr=True)


# --- progress -----------------------------------------------------------------------------------------------
class View(Protocol):
    def show(self, done: int, total: int, message: str) -> None: ...


@contextmanager
def progress(what: str, *, quiet: bool = False) -> Iterator[View]:
    """A bar on a terminal, a plain line every ten seconds in a log, nothing when quiet."""
    out = console()
    if quiet:
        yield _Silence()
    elif out.is_terminal:
        with _bar(out) as bar:
            yield _Bar(bar, bar.add_task(what, total=None, message=""))
    else:
        yield _Lines(what)


def _bar(out: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        _Speed(),
        TextColumn("{task.fields[message]}", markup=False),
        console=out,
        speed_estimate_period=SPEED_SECONDS,
    )


class _Speed(ProgressColumn):
    """Steps a second, or seconds a step."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        if not speed:
            return Text("")
        return Text(f"{speed:.1f}/s" if speed > 1 else f"{1 / speed:.1f} s each")


class _Bar:
    def __init__(self, bar: Progress, task: TaskID) -> None:
        self._bar, self._task = bar, task

    def show(self, done: int, total: int, message: str) -> None:
        self._bar.update(self._task, completed=done, total=total or None, message=message)


class _Lines:
    def __init__(self, what: str) -> None:
        self._what = what
        self._said = ""
        self._at = float("-inf")

    def show(self, done: int, total: int, message: str) -> None:
        now = time.monotonic()
        ended = total > 0 and done >= total
        if not (total or message):
            return
        if now - self._at < PLAIN_LINE_SECONDS and not (ended or not total):
            return
        line = f"{self._what}: {done}/{total} {message}" if total else f"{self._what}: {message}"
        if line != self._said:
            self._said, self._at = line, now
            say(line.rstrip())


class _Silence:
    def show(self, done: int, total: int, message: str) -> None:
        pass


# --- following a job ----------------------------------------------------------------------------------------
def follow(
    job: Job, what: str, *, quiet: bool = False, timeout: float = float("inf"), only_watch: bool = False
) -> Job:
    """Shows a job until it has ended or `timeout` seconds have passed, and returns it as it was then.

    A worker does the job; where none runs, this process does, unless it should `only_watch`. Ctrl-C asks the job to
    stop and goes on watching (a training keeps its state first); a second one raises KeyboardInterrupt. A job that
    this process does goes back into the queue on SIGTERM, and CommandError is raised then.
    """
    deadline = time.monotonic() + timeout
    asked_to_stop = False
    waiting = _Waiting(job.lane)
    with progress(what, quiet=quiet) as view:
        while True:
            try:
                job = Job.objects.defer("preview", "spec").get(pk=job.pk)
                view.show(_steps_done(job), job.progress_total, _message(job))
                if not job.is_live or time.monotonic() > deadline:
                    return job
                if not only_watch:
                    waiting.look_at(job)
                if lifeline.draining() and not waiting.works_here:
                    raise CommandError("Asked to end: what was done is kept, the rest waits.", returncode=STOPPED)
                time.sleep(POLL_SECONDS)
            except KeyboardInterrupt:
                if asked_to_stop:
                    raise
                asked_to_stop = True
                queue.request_cancel(job)
                say("Stopping at the next safe point; Ctrl-C again stops watching.")


def finished(
    job: Job, what: str, *, quiet: bool = False, timeout: float = float("inf"), only_watch: bool = False
) -> Job:
    """Follows a job to success. Raises CommandError with the exit code for every other end."""
    try:
        job = follow(job, what, quiet=quiet, timeout=timeout, only_watch=only_watch)
    except KeyboardInterrupt as interrupt:
        raise CommandError("Stopped watching; the job was asked to stop.", returncode=STOPPED) from interrupt
    if job.state == Job.State.CANCELLED:
        raise CommandError("Stopped.", returncode=STOPPED)
    if job.state == Job.State.FAILED:
        raise CommandError(f"{what.strip()} failed ({job.error_code}): {job.error_text}", returncode=FAILED)
    if job.is_live:
        queue.request_cancel(job)
        raise CommandError(f"{what.strip()} did not end within {timeout:.0f} s.", returncode=FAILED)
    return job


def _steps_done(job: Job) -> int:
    """The last steps of a job may end it before they were reported."""
    return job.progress_total if job.state == Job.State.SUCCEEDED else job.progress_step


def _message(job: Job) -> str:
    if job.state == Job.State.QUEUED:
        before = queue.position(job)
        return f"waiting, {before} before it" if before else "waiting for the worker"
    return job.progress_message if job.state == Job.State.RUNNING else job.get_state_display().lower()


class _Waiting:
    """Waits for a worker to take the job, and has this process do it when there is none."""

    def __init__(self, lane: str) -> None:
        self._since = time.monotonic()
        self._patience = WORKER_BUSY_SECONDS if lane_is_alive(lane) else NOBODY_CLAIMS_SECONDS
        self._work: threading.Thread | None = None

    @property
    def works_here(self) -> bool:
        return self._work is not None and self._work.is_alive()

    def look_at(self, job: Job) -> None:
        if job.state == Job.State.RUNNING and worker_is_gone(job.lease_owner):
            Claim(job, job.fence).lose("its worker process is gone")  # without a worker there is no sweeper either
        if job.state != Job.State.QUEUED or self.works_here or somebody_works(job.lane):
            self._since = time.monotonic()
        elif time.monotonic() - self._since > self._patience and not lifeline.draining():
            self._since = time.monotonic()
            say("No worker runs here, so this command does the work itself.")
            lifeline.drain_on_signals()
            self._work = threading.Thread(target=_do, args=(job,), daemon=True)
            self._work.start()


def _do(job: Job) -> None:
    try:
        run_here(job)
    finally:
        connections.close_all()  # of this thread


def somebody_works(lane: str) -> bool:
    """A job of this lane is running and its heart beats."""
    recently = timezone.now() - timedelta(seconds=60)
    return Job.objects.filter(lane=lane, state=Job.State.RUNNING, heartbeat_at__gt=recently).exists()
