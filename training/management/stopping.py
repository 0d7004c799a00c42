"""What pause_training and cancel_training have in common: ask, and wait until it has happened."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import transaction

from shoesai import terminal
from shoesai.terminal import DataCommand
from training.management.following import run_of
from training.models import TrainingRun
from training.services import TrainingProblem

PATIENCE_SECONDS = 120.0  # one micro-step of a full-size model on a CPU, and its state on the disk


class StoppingCommand(DataCommand):
    """`stop` is the service; it raises TrainingProblem when there is nothing to stop."""

    def stop(self, run: TrainingRun) -> None:
        raise NotImplementedError

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("run", metavar="RUN", help="The run's name.")
        parser.add_argument("--no-follow", action="store_true", help="Ask and return, without waiting.")
        parser.add_argument("--dry-run", action="store_true", help="Only say whether it could be asked.")
        super().add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        run = run_of(self.user(options), options["run"])
        try:
            with transaction.atomic():
                self.stop(run)
                transaction.set_rollback(options["dry_run"])
        except TrainingProblem as error:
            raise CommandError(str(error), returncode=terminal.USAGE) from error
        job = run.newest_job()
        if job and not (options["no_follow"] or options["dry_run"]):
            quiet = options["verbosity"] == 0
            job = terminal.follow(job, f"Stopping {run.name}", quiet=quiet, timeout=PATIENCE_SECONDS, only_watch=True)
            if job.is_live:
                raise CommandError(
                    f"{run.name} was asked to stop, but has not within {PATIENCE_SECONDS:.0f} s; is a worker running?",
                    returncode=terminal.FAILED,
                )
        run.refresh_from_db()
        if options["json"]:
            self.print_json({"run": run.name, "state": run.state, "step": run.resume_step})
        else:
            self.stdout.write(f"{run.name}: {str(run.get_state_display()).lower()}, kept up to step {run.resume_step}")
