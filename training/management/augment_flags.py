"""The settings of an augmentation as flags of a command, named like the fields of AugmentSpec."""

from __future__ import annotations

import argparse
from typing import Any

from django.core.management.base import CommandError, CommandParser

from shoesai import terminal
from shoesai.engine.specs import (
    AUGMENT_RECIPES,
    MAX_CROP,
    MAX_HUE,
    MAX_JITTER,
    MAX_ROTATION,
    AugmentSpec,
    SpecError,
)

FLAGS = {
    "rotation": f"product: degrees to each side, 0 to {MAX_ROTATION:g}.",
    "brightness": f"product: how far to each side, 0 to {MAX_JITTER:g}.",
    "contrast": f"product: as brightness, 0 to {MAX_JITTER:g}.",
    "saturation": f"product: as brightness, 0 to {MAX_JITTER:g}.",
    "hue": f"product: of the colour circle, 0 to {MAX_HUE:g}.",
    "flip": "product: probability of mirroring, 0 to 1; captions that name a side keep their photos from it.",
    "crop": f"product: of each side around the shoe, 0 to {MAX_CROP:g}.",
}


def add_augment_flags(parser: CommandParser) -> None:
    product = AugmentSpec()
    parser.add_argument("--recipe", choices=AUGMENT_RECIPES, default=product.recipe, help="Default: product.")
    parser.add_argument("--variants", type=int, help="Of each photo. Default: 5, and every angle of the rotations.")
    parser.add_argument("--angles", type=_angles, help="rotations: degrees. Default: -5,5,-10,10,-15,15.",
                        metavar="A,B,…")  # fmt: skip
    for name, words in FLAGS.items():
        parser.add_argument(f"--{name}", type=float, help=f"{words} Default: {getattr(product, name):g}.")
    parser.add_argument("--output-size", type=int, help="Pixels of the shorter side. Default: 0, as the photo is.")
    parser.add_argument("--seed", type=int, help=f"Default: {product.seed}.")


def spec_of(options: dict[str, Any]) -> AugmentSpec:
    """Raises CommandError that names the flag and the reason."""
    names = ("recipe", "variants", "angles", *FLAGS, "output_size", "seed")
    given = {name: options[name] for name in names if options[name] is not None}
    if given["recipe"] == "rotations":
        given.setdefault("variants", len(given.get("angles", AugmentSpec.angles)))
    try:
        return AugmentSpec.from_dict(given)
    except SpecError as error:
        flag = error.field_name.partition("[")[0].replace("_", "-")
        raise CommandError(f"--{flag} {error.message}.", returncode=terminal.USAGE) from error


def _angles(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of degrees like -5,5") from None
