"""A run's results as a folder, in the layout of the scripts that this product grew from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from shoesai import terminal
from shoesai.terminal import DataCommand
from training.management.pipelines import FINAL, add_precision_flag, refuse_to_replace, write_final_pipeline
from training.models import TrainingRun
from training.outputs import output_files, write_outputs


class Command(DataCommand):
    help = (
        "Writes checkpoints/, validation/, lora_weights/ (the last checkpoint), final_pipeline/ (it again, fused into"
        " its base model), spec.json and metrics.jsonl. Files of an earlier export are replaced, others stay."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("run", metavar="RUN")
        parser.add_argument("--to", required=True, type=Path, metavar="DIR")
        parser.add_argument("--no-final-pipeline", action="store_true", help="It is as large as the base model.")
        add_precision_flag(parser)
        parser.add_argument("--dry-run", action="store_true", help="Say what would be written, and write nothing.")
        super().add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        user = self.user(options)
        run = TrainingRun.objects.visible_to(user).filter(name=options["run"]).first()
        if run is None:
            raise CommandError(f"RUN: there is no run named {options['run']!r}.", returncode=terminal.NOT_FOUND)
        folder = options["to"]
        with_pipeline = not options["no_final_pipeline"] and run.checkpoints.exists()
        if with_pipeline:
            refuse_to_replace(folder / FINAL)
        if options["dry_run"]:
            written = [name for name, _ in output_files(run)]
        else:
            written = [path.relative_to(folder).as_posix() for path in _write(run, folder)]
        if with_pipeline:
            written.append(f"{FINAL}/")
            if not options["dry_run"]:
                write_final_pipeline(run, folder, options["precision"], options["verbosity"] == 0, user)
        self._print(run, folder, written, options)

    def _print(self, run: TrainingRun, folder: Path, written: list[str], options: dict[str, Any]) -> None:
        if options["json"]:
            known = {"run": run.name, "folder": str(folder), "files": written, "dry_run": options["dry_run"]}
            self.print_json(known)
            return
        for name in written:
            self.stdout.write(str(folder / name))


def _write(run: TrainingRun, folder: Path) -> list[Path]:
    try:
        return write_outputs(run, folder)
    except OSError as error:
        raise CommandError(f"--to: {folder}: {error.strerror}.", returncode=terminal.FAILED) from error
