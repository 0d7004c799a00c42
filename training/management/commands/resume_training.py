"""Goes on with a run that was paused, stopped or failed, exactly where its kept state is."""

from __future__ import annotations

import re
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import transaction

from shoesai import terminal
from shoesai.jobs.queue import QueueFull
from shoesai.terminal import DataCommand
from training.management.following import (
    add_following_flags,
    checkpoint_names,
    described,
    follow_run,
    make_folder,
    run_of,
)
from training.models import TrainingRun
from training.services import TrainingProblem, resume_training


class Command(DataCommand):
    help = (
        "Goes on with a run that was paused, cancelled or failed, with the settings it was started with, exactly where"
        " its kept state is. A run that waits or trains already is only followed."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("run", metavar="RUN", help="The run's name.")
        parser.add_argument(
            "--from", dest="from_", metavar="checkpoint-N", help="Refused unless the kept state is of this step."
        )
        parser.add_argument("--dry-run", action="store_true", help="Say where it would go on; change nothing.")
        add_following_flags(parser)
        super().add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        run = run_of(self.user(options), options["run"])
        if options["from_"] and (run.is_resumable or run.is_live):  # else it cannot be resumed at all, and is told so
            _check_state(run, options["from_"])
        make_folder(None if options["dry_run"] else options["output_dir"])
        try:
            self._queue(run, options)
        except TrainingProblem as error:
            raise CommandError(str(error), returncode=terminal.USAGE) from error
        except QueueFull as error:
            raise CommandError(str(error), returncode=terminal.TRY_LATER) from error
        if options["dry_run"]:
            self._say_where(run, options)
        else:
            self._follow(run, options)

    def _queue(self, run: TrainingRun, options: dict[str, Any]) -> None:
        if run.is_live and not options["no_follow"]:
            terminal.say(f"{run.name} is {str(run.get_state_display()).lower()} already; this follows it.")
            return
        with transaction.atomic():
            resume_training(run)
            transaction.set_rollback(options["dry_run"])
        terminal.say(f"{run.name} goes on from step {run.resume_step} with the settings it was started with.")

    def _say_where(self, run: TrainingRun, options: dict[str, Any]) -> None:
        steps = run.spec.get("max_train_steps")
        if options["json"]:
            self.print_json({"run": run.name, "state": run.state, "step": run.resume_step, "max_train_steps": steps})
        else:
            self.stdout.write(f"{run.name}: step {run.resume_step} of {steps}")

    def _follow(self, run: TrainingRun, options: dict[str, Any]) -> None:
        job = follow_run(run, options)
        if options["json"]:
            self.print_json(described(run, job, options["output_dir"]))
        else:
            for name in checkpoint_names(run) or [run.name]:
                self.stdout.write(name)


def _check_state(run: TrainingRun, wanted: str) -> None:
    """The first product's script was told a checkpoint; here the kept state decides, so another one is a mistake."""
    match = re.fullmatch(r"(?:checkpoint-)?(\d{1,9})", wanted)
    if match is None:
        raise CommandError(f"--from: {wanted!r} is not checkpoint-N.", returncode=terminal.USAGE)
    kept = run.resume_step
    if int(match[1]) != kept:
        there = f"the kept state is of step {kept}" if kept else "no state is kept, so it begins at step 0"
        raise CommandError(f"--from: {run.name} cannot go on from {wanted}: {there}.", returncode=terminal.USAGE)
