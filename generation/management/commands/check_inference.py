"""Makes one picture with a base model through the queue, and looks whether it is one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from django.core.management.base import CommandError, CommandParser
from PIL import Image

from generation import limits
from generation.models import Generation
from generation.services import GenerationRequest, InvalidRequest, request_generation
from shoesai import files, terminal
from shoesai.jobs.queue import QuotaReached
from shoesai.models import User
from shoesai.terminal import DataCommand
from training.base_models import UnknownBaseModel, find_base_model
from training.models import BaseModel
from training.outputs import write_whole

PROMPT = "A professional product photo of brown leather casual shoes on white background, high quality"
FLAT = 2.0  # of 255: what computes NaN comes out black, and a VAE that overflows comes out grey


class Command(DataCommand):
    help = (
        "Makes one picture with a base model through the queue and checks that it is one: its size, and that it is not"
        " one flat colour. Says seconds and device, and leaves nothing behind."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--base", default="starter", help="A base model's name, or the hub's for it.")
        parser.add_argument("--prompt", default=PROMPT)
        parser.add_argument("--steps", type=int, default=10, help=f"{limits.NUM_INFERENCE_STEPS}. Default: 10.")
        parser.add_argument("--seed", type=int, default=42)
        parser.add_argument("--out", type=Path, metavar="FILE.png", help="Also write the picture there.")
        super().add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        base = _base(options["base"])
        started = time.monotonic()
        generation = _request(self.user(options), base, options)
        try:
            job = terminal.finished(generation.job, "Making one picture", quiet=options["verbosity"] == 0)
            image = generation.images.select_related("blob").get()
            png = files.read(image.blob)
            figures = {
                "base_model": base.name,
                "device": job.result.get("device", ""),
                "width": image.width,
                "height": image.height,
                "seed": image.seed_number,
                "steps": options["steps"],
                "seconds": round(image.seconds, 3),
                "total_seconds": round(time.monotonic() - started, 2),
                "problems": list(problems_of(png, base.resolution)),
            }
        finally:
            _tidy(generation)
        if options["out"]:
            _write(options["out"], png)
        self._print(figures, options)

    def _print(self, figures: dict[str, Any], options: dict[str, Any]) -> None:
        if options["json"]:
            self.print_json(figures)
        else:
            self.stdout.write(
                f"{figures['base_model']} on {figures['device']}: {figures['width']} × {figures['height']} in"
                f" {figures['seconds']} s; {figures['total_seconds']} s with the queue and the engine's start"
            )
        if figures["problems"]:
            raise CommandError(" ".join(figures["problems"]), returncode=terminal.FAILED)


def problems_of(png: bytes, side: int) -> Iterator[str]:
    """What keeps these bytes from being a picture of this side."""
    with Image.open(BytesIO(png)) as picture:
        values = np.asarray(picture.convert("RGB"), dtype=np.float32)
    if values.shape != (side, side, 3):
        yield f"The picture is {values.shape[1]} × {values.shape[0]}, not {side} × {side}."
    if values.std() < FLAT:
        yield (
            f"The picture is one flat colour (mean {values.mean():.0f} of 255): the model computes no numbers."
            " Its weights may be damaged, or this device may be too imprecise for it; SHOESAI_DEVICE=cpu tells."
        )


def _base(name: str) -> BaseModel:
    try:
        return find_base_model(name)
    except UnknownBaseModel as error:
        raise CommandError(f"--base: {error}", returncode=terminal.NOT_FOUND) from error


def _request(user: User, base: BaseModel, options: dict[str, Any]) -> Generation:
    try:
        return request_generation(
            user=user,
            request=GenerationRequest(
                prompt=options["prompt"],
                model_name=base.name,
                seed=options["seed"],
                num_inference_steps=options["steps"],
            ),
        )
    except InvalidRequest as error:
        raise CommandError(str(error), returncode=terminal.USAGE) from error
    except QuotaReached as error:
        raise CommandError(str(error), returncode=terminal.TRY_LATER) from error


def _tidy(generation: Generation) -> None:
    """Nobody wants the check's picture in the gallery."""
    kept = [sha256 for image in generation.images.all() for sha256 in (image.blob_id, image.thumbnail_id)]
    generation.job.delete()
    for sha256 in kept:
        files.discard(sha256)


def _write(path: Path, png: bytes) -> None:
    try:
        write_whole(path, png)
    except OSError as error:
        raise CommandError(f"--out: {path}: {error.strerror}.", returncode=terminal.USAGE) from error
