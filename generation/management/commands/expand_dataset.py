"""Generated pictures and their variants for a dataset, into its draft: prompts × pictures × variants."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from generation import limits
from generation.expansion import (
    AUGMENTATIONS_PER_IMAGE,
    IMAGES_PER_PROMPT,
    ExpansionRequest,
    request_expansion,
)
from generation.expansion_prompts import BadPrompts, read_prompts
from generation.management.flags import lora_choice, whole
from generation.schedulers import DEFAULT, SCHEDULERS
from generation.services import GenerationRequest, InvalidRequest
from shoesai import terminal
from shoesai.jobs.queue import QuotaReached
from shoesai.terminal import DataCommand
from training.catalogue import UnknownModel, find_model
from training.management.dataset_named import dataset_named

_OPTION_OF_FIELD = {
    "model_name": "--model",
    "num_inference_steps": "--steps",
    "guidance_scale": "--guidance",
    "loras": "--lora",
    "dataset": "NAME",
}


class Command(DataCommand):
    help = (
        "Expands a dataset with generated pictures that pass its checks, and variants of them. A job that was stopped"
        " goes on where it was."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", metavar="NAME", nargs="?", help="The dataset; may be left out where there is one.")
        parser.add_argument("--prompts", type=Path, required=True, metavar="FILE", help="One a line; # is a comment.")
        parser.add_argument("--images-per-prompt", type=whole, default=4, help=f"{IMAGES_PER_PROMPT}. Default: 4.")
        parser.add_argument(
            "--augmentations-per-image", type=whole, default=5, help=f"{AUGMENTATIONS_PER_IMAGE}. Default: 5."
        )
        parser.add_argument("--model", default="starter", help="A base model, or <run>/checkpoint-150.")
        parser.add_argument("--negative-prompt", default="")
        parser.add_argument("--seed", type=whole, help="Of the first picture. Default: random.")
        parser.add_argument("--steps", type=whole, default=50, help=f"{limits.NUM_INFERENCE_STEPS}. Default: 50.")
        parser.add_argument("--guidance", type=float, help=f"{limits.GUIDANCE_SCALE}. Default: the model's own.")
        parser.add_argument("--scheduler", default=DEFAULT, choices=list(SCHEDULERS))
        parser.add_argument("--width", type=whole, help="A multiple of 8. Default: the model's own.")
        parser.add_argument("--height", type=whole)
        parser.add_argument(
            "--lora", type=lora_choice, action="append", default=[], metavar="NAME:WEIGHT", help="Can be repeated."
        )
        super().add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        user = self.user(options)
        dataset = dataset_named(user, options["name"])
        request = ExpansionRequest(
            dataset=dataset,
            prompts=_prompts(options["prompts"]),
            images_per_prompt=options["images_per_prompt"],
            augmentations_per_image=options["augmentations_per_image"],
            pictures=_pictures(options),
        )
        try:
            find_model(user, options["model"])
            expansion = request_expansion(user=user, request=request)
        except UnknownModel as error:
            raise CommandError(f"--model: {error}", returncode=terminal.NOT_FOUND) from error
        except InvalidRequest as error:
            raise CommandError(_in_options(error), returncode=terminal.USAGE) from error
        except QuotaReached as error:
            raise CommandError(str(error), returncode=terminal.TRY_LATER) from error
        job = terminal.finished(expansion.job, f"Expanding {dataset.name}", quiet=options["verbosity"] == 0)
        if options["json"]:
            told = {"dataset": dataset.name, "job": str(job.pk), "model": expansion.model_name, "seed": expansion.seed}
            self.print_json({**told, **job.result})
            return
        result = job.result
        self.stdout.write(
            f"{dataset.name}: {result['images_generated']} generated and {result['images_augmented']} augmented of"
            f" {result['total_prompts']} prompts, {result['total_images']} in all; {result['images_rejected']} refused"
        )


def _prompts(path: Path) -> list[str]:
    try:
        return read_prompts(path.read_bytes())
    except OSError as error:
        raise CommandError(f"--prompts: {path}: {error.strerror}.", returncode=terminal.NOT_FOUND) from error
    except BadPrompts as error:
        lines = "\n".join(f"{path}: {line}" for line in error.lines)
        raise CommandError(f"--prompts: nothing was made.\n{lines}", returncode=terminal.INVALID_DATA) from error


def _pictures(options: dict[str, Any]) -> GenerationRequest:
    return GenerationRequest(
        prompt="",
        model_name=options["model"],
        negative_prompt=options["negative_prompt"],
        num_inference_steps=options["steps"],
        guidance_scale=options["guidance"],
        seed=options["seed"],
        width=options["width"],
        height=options["height"],
        scheduler=options["scheduler"],
        loras=tuple(options["lora"]),
    )


def _in_options(error: InvalidRequest) -> str:
    return "\n".join(
        f"{_OPTION_OF_FIELD.get(name, '--' + name.replace('_', '-'))} {text}" for name, text in error.errors.items()
    )
