"""Pictures from the terminal: the same request as the portal's and the API's, answered with PNG files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from generation import limits
from generation.management.flags import lora_choice, whole
from generation.models import Generation
from generation.references import keep_reference
from generation.schedulers import DEFAULT, SCHEDULERS
from generation.services import GenerationRequest, InvalidRequest, request_generation
from shoesai import files, terminal
from shoesai.jobs.queue import QuotaReached
from shoesai.models import User
from shoesai.pictures import NotAPicture
from shoesai.terminal import DataCommand
from training.catalogue import UnknownModel, find_model
from training.outputs import write_whole

_OPTION_OF_FIELD = {
    "model_name": "--model",
    "num_inference_steps": "--steps",
    "guidance_scale": "--guidance",
    "loras": "--lora",
}


class Command(DataCommand):
    help = "Makes pictures and writes them into a folder; prints one path a line."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--prompt", required=True)
        parser.add_argument("--negative-prompt", default="")
        parser.add_argument("--model", default="starter", help="A base model, or <run>/checkpoint-150.")
        parser.add_argument("--num-images", type=whole, default=1, help=f"{limits.NUM_IMAGES}")
        parser.add_argument(
            "--seed", type=whole, help="Of the first; the next has seed + 1. Default: random."
        )
        parser.add_argument("--steps", type=whole, default=50, help=f"{limits.NUM_INFERENCE_STEPS}. Default: 50.")
        parser.add_argument("--guidance", type=float, help=f"{limits.GUIDANCE_SCALE}. Default: the model's own.")
        parser.add_argument("--scheduler", default=DEFAULT, choices=list(SCHEDULERS))
        parser.add_argument("--width", type=whole, help="A multiple of 8. Default: the model's own.")
        parser.add_argument("--height", type=whole)
        parser.add_argument(
            "--lora", type=lora_choice, action="append", default=[], metavar="NAME:WEIGHT", help="Can be repeated."
        )
        parser.add_argument("--reference", type=Path, metavar="FILE", help="A picture to start from: PNG, JPEG, WebP.")
        parser.add_argument(
            "--strength", type=float,
            help=f"How far to go from it, {limits.STRENGTH}; 1 ignores it. Default: {limits.DEFAULT_STRENGTH}.",
        )  # fmt: skip
        parser.add_argument("--out", type=Path, default=Path(), help="The folder. Default: this one.")
        super().add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        user = self.user(options)
        try:
            find_model(user, options["model"])
            options["out"].mkdir(parents=True, exist_ok=True)
            request = _request(options, reference=_keep(user, options["reference"]))
            generation = request_generation(user=user, request=request)
        except UnknownModel as error:
            raise CommandError(f"--model: {error}", returncode=terminal.NOT_FOUND) from error
        except OSError as error:
            raise CommandError(
                f"--out: {options['out']}: {error.strerror}.", returncode=terminal.USAGE
            ) from error
        except InvalidRequest as error:
            raise CommandError(_in_options(error), returncode=terminal.USAGE) from error
        except QuotaReached as error:
            raise CommandError(str(error), returncode=terminal.TRY_LATER) from error
        terminal.finished(generation.job, "Generating", quiet=options["verbosity"] == 0)
        self._print(generation, write_pictures(generation, options["out"]), options)

    def _print(self, generation: Generation, paths: list[Path], options: dict[str, Any]) -> None:
        if not options["json"]:
            for path in paths:
                self.stdout.write(str(path))
            return
        images = generation.images.order_by("seq")
        self.print_json(
            {
                "job": str(generation.job_id),
                "model": generation.model_name,
                "prompt": generation.prompt,
                "seed": generation.first_seed,
                "images": [
                    {"path": str(path), "seed": image.seed_number, "seconds": round(image.seconds, 3)}
                    for path, image in zip(paths, images, strict=True)
                ],
            }
        )


def write_pictures(generation: Generation, folder: Path) -> list[Path]:
    """`<model>_<seed>.png`; another picture that has this name already is not overwritten."""
    stem = re.sub(r"[^A-Za-z0-9._-]+", "_", generation.model_name)
    paths = []
    for image in generation.images.select_related("blob").order_by("seq"):
        data = files.read(image.blob)
        path, number = folder / f"{stem}_{image.seed_number}.png", 1
        while path.exists() and not (path.is_file() and path.read_bytes() == data):
            number += 1
            path = folder / f"{stem}_{image.seed_number}_{number}.png"
        paths.append(write_whole(path, data))
    return paths


def _keep(user: User, path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        with path.open("rb") as file:
            return keep_reference(user, file).pk
    except NotAPicture as error:
        raise CommandError(f"--reference: {path} {error}", returncode=terminal.INVALID_DATA) from error
    except OSError as error:
        raise CommandError(f"--reference: {path}: {error.strerror}.", returncode=terminal.NOT_FOUND) from error


def _request(options: dict[str, Any], reference: str | None) -> GenerationRequest:
    return GenerationRequest(
        prompt=options["prompt"],
        model_name=options["model"],
        negative_prompt=options["negative_prompt"],
        num_images=options["num_images"],
        num_inference_steps=options["steps"],
        guidance_scale=options["guidance"],
        seed=options["seed"],
        width=options["width"],
        height=options["height"],
        scheduler=options["scheduler"],
        loras=tuple(options["lora"]),
        reference=reference,
        strength=options["strength"],
    )


def _in_options(error: InvalidRequest) -> str:
    """The service speaks of fields, this command of options."""
    return "\n".join(
        f"{_OPTION_OF_FIELD.get(name, '--' + name.replace('_', '-'))} {text}"
        for name, text in error.errors.items()
    )
