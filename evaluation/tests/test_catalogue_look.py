"""White background and right colour, read from the pixels of drawn shoes whose truth is known."""

from __future__ import annotations

import numpy as np
from PIL import Image

from evaluation.catalogue_look import catalogue_look
from shoesai.starter import draw


def drawn(background: str, colour: str, seed: int) -> tuple[Image.Image, str]:
    shoe = draw.random_shoe(np.random.default_rng(seed), background=background, colour=colour)
    return draw.draw(shoe, seed=seed), colour


def test_catalogue_photos_are_white_and_have_their_colour() -> None:
    rng = np.random.default_rng(0)
    shoes = [draw.random_shoe(rng, background="white") for _ in range(48)]
    pictures = [(draw.draw_catalogue(shoe, seed=seed), shoe.colour) for seed, shoe in enumerate(shoes)]
    look = catalogue_look(pictures, draw.COLOURS)
    assert look.pictures == 48 and look.white_share == 1.0 and look.colour_share >= 0.95


def test_coloured_backgrounds_are_not_white() -> None:
    backgrounds = [name for name in draw.BACKGROUNDS if name != "white"]
    pictures = [drawn(name, "red", seed) for seed, name in enumerate(backgrounds * 4)]
    assert catalogue_look(pictures, draw.COLOURS).white_share == 0.0


def test_a_picture_of_the_wrong_colour_counts_as_wrong() -> None:
    picture, _ = drawn("white", "red", 1)
    assert catalogue_look([(picture, "green")], draw.COLOURS).colour_share == 0.0
