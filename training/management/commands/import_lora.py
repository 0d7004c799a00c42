"""A LoRA that another tool made, into the catalogue."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from shoesai import terminal
from shoesai.terminal import DataCommand
from training.base_models import UnknownBaseModel
from training.imports import Incoming, facts_of, import_lora, look_at
from training.management.lora_source import lora_problems_of
from training.services import TrainingProblem


class Command(DataCommand):
    help = (
        "Registers a LoRA as NAME/checkpoint-N, for you and your team. It may be a .safetensors file in diffusers or"
        " kohya form, or a PEFT folder; it is refused, with the reason, unless it fits a base model exactly."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("path", metavar="FILE_OR_PEFT_FOLDER", type=Path)
        parser.add_argument("--name", required=True, help="The run's name here.")
        parser.add_argument("--base", default="", help="The base model it is for. Default: the first that it fits.")
        parser.add_argument("--step", type=int, help="After how many steps. Default: what the file says, else 0.")
        parser.add_argument("--trigger-words", default="", help="For prompts. Default: what the file says.")
        parser.add_argument("--dry-run", action="store_true", help="Judge it, and register nothing.")
        super().add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        user = self.user(options)
        incoming = _judged(options)
        known = _described(incoming)
        if not options["dry_run"]:
            try:
                checkpoint = import_lora(user, incoming)
            except TrainingProblem as error:
                raise CommandError(str(error), returncode=terminal.USAGE) from error
            known |= {"id": str(checkpoint.pk)}
        if options["json"]:
            self.print_json(known | {"dry_run": options["dry_run"]})
        else:
            self.stdout.write(incoming.model_name)


def _judged(options: dict[str, Any]) -> Incoming:
    path = options["path"].expanduser()
    if not path.exists():
        raise CommandError(f"FILE_OR_PEFT_FOLDER: there is no {path}.", returncode=terminal.NOT_FOUND)
    try:
        with lora_problems_of(path.name):
            return look_at(
                path,
                options["name"],
                base_name=options["base"],
                step=options["step"],
                trigger_words=options["trigger_words"],
            )
    except UnknownBaseModel as error:
        raise CommandError(f"--base: {error}", returncode=terminal.NOT_FOUND) from error
    except TrainingProblem as error:
        raise CommandError(f"--{error}".replace("trigger_words", "trigger-words"), returncode=terminal.USAGE) from error


def _described(incoming: Incoming) -> dict[str, Any]:
    return {
        "model": incoming.model_name,
        "run": incoming.name,
        "step": incoming.step,
        "base_model": incoming.base.name,
        "trigger_words": incoming.trigger_words,
        **facts_of(incoming.lora),
    }
