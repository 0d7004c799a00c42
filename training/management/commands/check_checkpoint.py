"""Is this LoRA whole, what does it say of itself, and does it load?"""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from shoesai import files, terminal
from shoesai.engine.lora_formats import lora_files
from shoesai.jobs import queue
from shoesai.models import Job, User
from shoesai.terminal import DataCommand
from training.base_models import UnknownBaseModel, find_base_model
from training.imports import check_fits_base, facts_of, first_fitting_base, fitting_bases
from training.management.lora_source import LoraSource, add_source, find_source, lora_problems_of
from training.models import BaseModel
from training.results import SAFETENSORS


class Command(DataCommand):
    help = (
        "Judges a LoRA file or a checkpoint: format, rank, alpha, scale, family, tensors, which base models it fits;"
        " then loads it in the engine and tells how much it changes what the UNet says."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        add_source(parser)
        parser.add_argument("--base", default="", help="Load it on this one. Default: its own, or one it fits.")
        super().add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        user = self.user(options)
        source = find_source(user, options["source"])
        base = _base_for(source, options["base"])
        facts = facts_of(source.lora) | {
            "fits": [each.name for each in fitting_bases(source.lora)],
            "base_model": base.name,
        }
        loaded = _load(user, source, base, quiet=options["verbosity"] == 0)
        facts |= {"loads": True, "change": loaded["change"], "output": loaded["output"]}
        if options["json"]:
            self.print_json({"checked": source.name, **facts})
            return
        for name, value in {"checked": source.name, **facts}.items():
            self.stdout.write(f"{name:12} {', '.join(map(str, value)) if isinstance(value, list) else value}")
        if not loaded["change"]:
            terminal.say("It changes nothing: its matrices B are all zero, as before the first step of a training.")


def _base_for(source: LoraSource, name: str) -> BaseModel:
    try:
        with lora_problems_of(source.name):
            if name:
                base = find_base_model(name)
            elif source.checkpoint:
                base = source.checkpoint.run.base_model
            else:
                base = first_fitting_base(source.lora)
            check_fits_base(source.lora, base)
            return base
    except UnknownBaseModel as error:
        raise CommandError(f"--base: {error}", returncode=terminal.NOT_FOUND) from error


def _load(user: User, source: LoraSource, base: BaseModel, *, quiet: bool) -> dict[str, Any]:
    """In the engine, from the store of bytes, so that any worker can; a file is forgotten again afterwards."""
    if source.checkpoint:
        return _checked(user, base, source.checkpoint.blob_id, quiet=quiet).result
    with lora_problems_of(source.name):
        (data,) = lora_files(source.lora, "diffusers").values()
    blob = files.publish(data, SAFETENSORS)
    try:
        return _checked(user, base, blob.sha256, quiet=quiet).result
    finally:
        files.discard(blob.sha256)


def _checked(user: User, base: BaseModel, sha256: str, *, quiet: bool) -> Job:
    try:
        job = queue.enqueue(
            owner=user,
            team=user.home_team(),
            kind="check_lora",
            spec={"base_model": str(base.pk), "blob": sha256},
        )
    except queue.QueueFull as error:
        raise CommandError(str(error), returncode=terminal.TRY_LATER) from error
    return terminal.finished(job, "Loading the LoRA", quiet=quiet)
