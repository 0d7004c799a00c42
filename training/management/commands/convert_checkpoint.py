"""Checkpoints as whole pipelines, each with its LoRA fused into the base."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from shoesai import terminal
from shoesai.models import User
from shoesai.terminal import DataCommand
from training.management.lora_source import checkpoint_named
from training.management.pipelines import add_precision_flag, described, refuse_to_replace, write_pipeline
from training.models import Checkpoint, TrainingRun


class Command(DataCommand):
    help = (
        "Writes a checkpoint as a diffusers folder of its own, its LoRA fused into the base model. With --all every"
        " checkpoint of a run, each into a folder checkpoint-N below --out."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("checkpoint", nargs="?", metavar="RUN/checkpoint-N")
        parser.add_argument("--all", metavar="RUN", help="Every checkpoint of this run.")
        parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="Where the pipeline goes.")
        add_precision_flag(parser)
        parser.add_argument("--dry-run", action="store_true", help="Say what would be written, and write nothing.")
        super().add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        user = self.user(options)
        wanted = _wanted(user, options)
        for destination in wanted.values():
            refuse_to_replace(destination)
        for checkpoint, destination in wanted.items():
            if not options["dry_run"]:
                write_pipeline(user, checkpoint, destination, options["precision"], options["verbosity"] == 0)
            if not options["json"]:
                self.stdout.write(str(destination))
        if options["json"]:
            rows = [described(each, destination, options["precision"]) for each, destination in wanted.items()]
            self.print_json({"pipelines": rows, "dry_run": options["dry_run"]})


def _wanted(user: User, options: dict[str, Any]) -> dict[Checkpoint, Path]:
    if bool(options["checkpoint"]) == bool(options["all"]):
        raise CommandError("Give one checkpoint, as RUN/checkpoint-N, or --all RUN.", returncode=terminal.USAGE)
    if options["checkpoint"]:
        return {checkpoint_named(user, options["checkpoint"], "RUN/checkpoint-N"): options["out"]}
    run = TrainingRun.objects.visible_to(user).filter(name=options["all"]).first()
    if run is None:
        raise CommandError(f"--all: there is no run named {options['all']!r}.", returncode=terminal.NOT_FOUND)
    checkpoints = run.checkpoints.select_related("run__base_model").order_by("step")
    if not checkpoints:
        raise CommandError(f"--all: {run.name} has no checkpoint yet.", returncode=terminal.NOT_FOUND)
    return {checkpoint: options["out"] / f"checkpoint-{checkpoint.step}" for checkpoint in checkpoints}
