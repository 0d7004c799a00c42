"""Writes a base model of true size with random weights: for trying out everything but the pictures."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from shoesai import terminal
from shoesai.engine.specs import PRECISIONS
from shoesai.terminal import DataCommand
from training.base_models import RANDOM, NewBase
from training.management.adding import add_and_follow, add_common_flags


class Command(DataCommand):
    help = (
        "Writes the full-size architecture of a family with seeded random weights and registers it as a base model:"
        " training, conversion and generation run at true size and cost, without a download. Its pictures are noise."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--random", action="store_true", help="Required: says that the weights mean nothing.")
        parser.add_argument("--name", help="Default: the family with -random, as in sd15-random.")
        parser.add_argument("--seed", type=int, default=0, help="The same seed gives the same bytes. [0]")
        parser.add_argument("--precision", choices=PRECISIONS, default="fp16", help="Of the files. [fp16]")
        add_common_flags(parser)
        super().add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        if not options["random"]:
            text = "Give --random: this command makes random weights. For real ones there is add_base_model."
            raise CommandError(text, returncode=terminal.USAGE)
        family, seed, precision = options["family"], options["seed"], options["precision"]
        new = NewBase(
            name=options["name"] or f"{family}-random",
            family=family,
            how=RANDOM,
            origin=f"random weights, seed {seed}, {precision}",
            title=options["title"] or f"{family} with random weights",
            license_note="MIT, random numbers made by this project.",
            seed=seed,
            precision=precision,
        )
        add_and_follow(self, self.user(options), new, options)
