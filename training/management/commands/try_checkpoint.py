"""A quick look at a checkpoint: one picture without it and one with it, from the same seed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from django.core.management.base import CommandError, CommandParser
from PIL import Image

from shoesai import terminal
from shoesai.engine.specs import MAX_SEED
from shoesai.jobs import queue
from shoesai.models import User
from shoesai.terminal import DataCommand
from training import work
from training.management.lora_source import checkpoint_named
from training.models import Checkpoint, TrainingRun
from training.outputs import write_whole

PROMPT = "product photo of a shoe"
MAX_PROMPT = 2000


class Command(DataCommand):
    help = "Draws one picture by the bare base model and one with the checkpoint, with the same prompt and seed."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("checkpoint", metavar="RUN/checkpoint-N")
        parser.add_argument("--prompt", help="Default: the run's first validation prompt.")
        parser.add_argument("--seed", type=int, default=42, help="[42]")
        parser.add_argument("--steps", type=int, default=20, help="Of denoising, 1 to 150. [20]")
        parser.add_argument("--out", required=True, type=Path, metavar="DIR")
        parser.add_argument("--dry-run", action="store_true", help="Say what would be drawn, and draw nothing.")
        super().add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        user = self.user(options)
        checkpoint = checkpoint_named(user, options["checkpoint"], "RUN/checkpoint-N")
        wish = _wish(checkpoint, options)
        known = {"checkpoint": checkpoint.name, **wish}
        if not options["dry_run"]:
            known |= _draw(user, checkpoint, wish, options["out"], quiet=options["verbosity"] == 0)
        if options["json"]:
            self.print_json(known | {"dry_run": options["dry_run"]})
        elif options["dry_run"]:
            self.stdout.write(f"{checkpoint.name}: {wish['prompt']}")
        else:
            for name in ("without", "with"):
                self.stdout.write(known[name])


def _wish(checkpoint: Checkpoint, options: dict[str, Any]) -> dict[str, Any]:
    prompt = _default_prompt(checkpoint.run) if options["prompt"] is None else options["prompt"].strip()
    if not prompt or len(prompt) > MAX_PROMPT:
        raise CommandError(f"--prompt: must have 1 to {MAX_PROMPT} characters.", returncode=terminal.USAGE)
    for name, value, most in (("seed", options["seed"], MAX_SEED), ("steps", options["steps"], 150)):
        least = 1 if name == "steps" else 0
        if not least <= value <= most:
            raise CommandError(f"--{name}: must be between {least} and {most}.", returncode=terminal.USAGE)
    return {"prompt": prompt, "seed": options["seed"], "steps": options["steps"]}


def _default_prompt(run: TrainingRun) -> str:
    prompts, words = run.spec.get("validation_prompts"), run.spec.get("trigger_words")
    return prompts[0] if prompts else f"{words}, {PROMPT}" if words else PROMPT


def _draw(
    user: User, checkpoint: Checkpoint, wish: dict[str, Any], folder: Path, *, quiet: bool
) -> dict[str, Any]:
    stem = f"{checkpoint.name.replace('/', '_')}_seed{wish['seed']}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        job = queue.enqueue(
            owner=user,
            team=user.home_team(),
            kind="try_checkpoint",
            spec={"checkpoint": str(checkpoint.pk), **wish},
        )
    except queue.QueueFull as error:
        raise CommandError(str(error), returncode=terminal.TRY_LATER) from error
    except OSError as error:
        raise CommandError(f"--out: {folder}: {error.strerror}.", returncode=terminal.USAGE) from error
    try:
        job = terminal.finished(job, f"Trying {checkpoint.name}", quiet=quiet)
        made = {name: (work.folder_of(job) / f"{name}.png").read_bytes() for name in ("without", "with")}
        paths = {name: write_whole(folder / f"{stem}_{name}.png", data) for name, data in made.items()}
    except OSError as error:
        raise CommandError(f"--out: {folder}: {error.strerror}.", returncode=terminal.FAILED) from error
    finally:
        work.forget(job)
    difference = _difference(paths["without"], paths["with"])
    return {**{name: str(path) for name, path in paths.items()}, "difference": difference, **job.result}


def _difference(one: Path, other: Path) -> float:
    """The mean over all pixels and channels, of 255."""
    with Image.open(one) as first, Image.open(other) as second:
        pixels = [np.asarray(picture.convert("RGB"), np.float32) for picture in (first, second)]
    return round(float(np.abs(pixels[0] - pixels[1]).mean()), 3)
