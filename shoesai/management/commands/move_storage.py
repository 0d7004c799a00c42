"""Moves photos, pictures, models and cache to another disk, and goes on with a training there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from shoesai import moving, terminal
from shoesai.jobs.queue import Claim, QueueFull
from shoesai.jobs.supervisor import worker_is_gone
from shoesai.jobs.tasks import only_runner
from shoesai.management.smoke import worker_answers
from shoesai.models import Job
from shoesai.moving import Damaged, Move, MoveProblem, Part, Tally
from shoesai.terminal import DataCommand
from training.management.following import described, follow_run, run_of
from training.models import TrainingRun
from training.plan import in_megabytes
from training.services import TrainingProblem, resume_training

WORKER_ANSWERS_SECONDS = 3.0
MIB = 2**20


class Command(DataCommand):
    help = (
        "Moves blobs/, models/ and cache/ of the data folder to another disk: copies, verifies every hash, puts links"
        " in their place, and then deletes the old copies. Interrupted, it is run again and goes on. Stop"
        " `manage.py serve` and `worker` before. The database stays where it is."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("destination", metavar="DEST", type=Path, help="A new or empty folder on the other disk.")
        parser.add_argument("--resume", metavar="RUN", help="Afterwards go on with this run, and follow it.")
        parser.add_argument("--dry-run", action="store_true", help="Say what would be moved; write nothing.")
        super().add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        run = run_of(self.user(options), options["resume"], "--resume") if options["resume"] else None
        if run:
            _check_resumable(run)
        try:
            parts = moving.parts_for(options["destination"])
            if not options["dry_run"]:
                _refuse_while_jobs_run()
            to_do = {part.name: moving.size_of(part) for part in parts}
            _check_space(parts, to_do)
            left = [str(part.path.resolve()) for part in parts if part.path.is_symlink() and not part.is_switched]
            moved = to_do if options["dry_run"] else self._move(parts, to_do, options)
        except Damaged as problem:
            raise CommandError(str(problem), returncode=terminal.INVALID_DATA) from problem
        except MoveProblem as problem:
            raise CommandError(str(problem), returncode=terminal.USAGE) from problem
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            text = f"{where}{error.strerror}. Nothing is lost; run this again."
            raise CommandError(text, returncode=terminal.FAILED) from error
        told = {**_told(parts, moved), "dry_run": options["dry_run"], "left": left, "run": None}
        if run and not options["dry_run"]:
            told["run"] = self._resume(run, options)
        self._print(told, options)

    def _move(self, parts: list[Part], to_do: dict[str, Tally], options: dict[str, Any]) -> dict[str, Tally]:
        if worker_answers(WORKER_ANSWERS_SECONDS):
            raise MoveProblem("A worker is running; stop it (and `manage.py serve`), then run this again.")
        total = sum(tally.bytes for tally in to_do.values())
        with _nobody_works(), terminal.progress("Moving, MiB", quiet=options["verbosity"] == 0) as view:
            done = 0

            def tell(count: int) -> None:
                nonlocal done
                done = min(done + count, total)
                view.show(done // MIB, max(1, total // MIB), "")

            move = Move(parts, tell)
            move.run()
        return move.done

    def _resume(self, run: TrainingRun, options: dict[str, Any]) -> dict[str, Any]:
        try:
            if not run.is_live:
                resume_training(run)
        except TrainingProblem as error:
            raise CommandError(str(error), returncode=terminal.USAGE) from error
        except QueueFull as error:
            raise CommandError(str(error), returncode=terminal.TRY_LATER) from error
        job = follow_run(run, {**options, "no_follow": False, "output_dir": None})
        return described(run, job, None)

    def _print(self, told: dict[str, Any], options: dict[str, Any]) -> None:
        if options["json"]:
            self.print_json(told)
            return
        copied = "to copy" if told["dry_run"] else "copied"
        for name, part in told["parts"].items():
            self.stdout.write(
                f"{name:8} {part['files']} files, {in_megabytes(part['bytes'])}; {copied}"
                f" {part['copied_files']}, {in_megabytes(part['copied_bytes'])}"
            )
        for folder in told["left"]:
            terminal.say(f"{folder} was linked to and is left as it is; delete it when nobody else needs it.")


def _check_resumable(run: TrainingRun) -> None:
    """Said before gigabytes are moved."""
    if not (run.is_resumable or run.is_live):
        state = str(run.get_state_display()).lower()
        raise CommandError(f"--resume: {run.name} is {state}; there is nothing to resume.", returncode=terminal.USAGE)


def _refuse_while_jobs_run() -> None:
    """Also those of other machines. One whose process was killed goes back into the queue, as a worker would do it."""
    busy = 0
    for job in Job.objects.filter(state=Job.State.RUNNING):
        if worker_is_gone(job.lease_owner):
            Claim(job, job.fence).lose("its worker process is gone")
        else:
            busy += 1
    if busy:
        raise MoveProblem(f"Jobs are running: {busy}. Wait for them, or pause or cancel them; stop the worker.")


def _check_space(parts: list[Part], to_do: dict[str, Tally]) -> None:
    needed = sum(tally.copied_bytes for tally in to_do.values())
    free = moving.free_bytes(parts[0].target.parent.absolute())
    if needed > free:
        raise MoveProblem(f"{in_megabytes(needed)} have to be copied, and {in_megabytes(free)} are free there.")


@contextmanager
def _nobody_works() -> Iterator[None]:
    """No worker of this machine takes a job meanwhile, also one that is started now."""
    with ExitStack() as stack:
        if not all(stack.enter_context(only_runner(lane)) for lane in settings.JOB_LANES):
            raise MoveProblem("A worker is in the middle of a job; stop it, then run this again.")
        yield


def _told(parts: list[Part], tallies: dict[str, Tally]) -> dict[str, Any]:
    return {
        "destination": os.fspath(parts[0].target.parent),
        "parts": {name: vars(tally) for name, tally in tallies.items()},
        "files": sum(tally.files for tally in tallies.values()),
        "bytes": sum(tally.bytes for tally in tallies.values()),
        "copied_files": sum(tally.copied_files for tally in tallies.values()),
    }
