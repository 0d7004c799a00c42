"""How often verdicts are right: faults planted at random strengths in photos of two worlds, and photos without any.

The seeds here were not used while thresholds were chosen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from PIL import Image

from evaluation.photo_facts import facts_of
from evaluation.profiles import AMAZON_MAIN, HOUSE, PROFILES
from evaluation.tests.photos_with_faults import another_colour, facing_right, side_view, tilted, two_shoes
from evaluation.verdicts import broken_rules
from shoesai.photo_checks import measure
from training.tests.photos_for_doctor import WORLDS, Rng, cut_off, off_centre, on_other_background, small_in_frame

FOUND, FALSE = 0.95, 0.05
# fault → what plants it, and the fact that tells it
FAULTS: dict[str, tuple[Callable[[Image.Image, Rng], Image.Image], str]] = {
    "two shoes": (two_shoes, "shoes"),
    "facing right": (facing_right, "facing"),
    "tilted": (tilted, "aslant"),
    "grey or tinted background": (on_other_background, "paper_white"),
    "off centre": (off_centre, "off_centre"),
    "cut off": (cut_off, "touching"),
    "small in the frame": (small_in_frame, "fill"),
}
OF_SIZE = {"longer_side", "paper_pure", "fill"}  # of Amazon: these worlds are small, and their white is not pure


def rng_of(*seed: int) -> Rng:
    return np.random.default_rng([20261127, *seed])


def told(picture: Image.Image, prompt: str) -> set[str]:
    """The facts that break a rule of the house or, save its own numbers, of Amazon."""
    facts = facts_of(measure(picture), prompt)
    house = {HOUSE.rules[row["rule"]].fact for row in broken_rules(HOUSE, facts)}
    amazon = {AMAZON_MAIN.rules[row["rule"]].fact for row in broken_rules(AMAZON_MAIN, facts)}
    return house | (amazon - OF_SIZE)


def pictures(world: str, number: int, seed: int) -> Iterator[tuple[Image.Image, str, str, Rng]]:
    for place in range(number):
        rng = rng_of(seed, place)
        yield *side_view(world, rng), rng


def found(world: str, fault: str, number: int, seed: int) -> float:
    plant, fact = FAULTS[fault]
    rows = pictures(world, number, seed)
    return float(np.mean([fact in told(plant(photo, rng), said) for photo, said, _colour, rng in rows]))


def wrong_colours_found(world: str, number: int, seed: int) -> float:
    rows = pictures(world, number, seed)
    return float(np.mean(["wrong_colour" in told(photo, another_colour(said, c, rng)) for photo, said, c, rng in rows]))


def false_alarms(world: str, number: int, seed: int) -> float:
    return float(np.mean([bool(told(photo, said)) for photo, said, _colour, _rng in pictures(world, number, seed)]))


# --- quick: both worlds together ------------------------------------------------------------------------------------
@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(fault: str) -> None:
    assert np.mean([found(world, fault, 6, seed=1) for world in WORLDS]) >= FOUND


def test_a_prompt_that_asks_for_another_colour_is_found() -> None:
    assert np.mean([wrong_colours_found(world, 6, seed=2) for world in WORLDS]) >= FOUND


def test_good_pictures_are_left_alone() -> None:
    assert np.mean([false_alarms(world, 12, seed=3) for world in WORLDS]) < FALSE


def test_a_good_large_picture_on_pure_white_passes_every_channel() -> None:
    picture = Image.new("RGB", (1500, 1500), "white")
    rng = rng_of(4)
    shoe, prompt, _colour = side_view("drawn", rng)
    box = Image.eval(shoe.convert("L"), lambda value: 255 * (value < 250)).getbbox()
    assert box
    part = shoe.crop(box)
    height = round(1400 * part.height / part.width)
    picture.paste(part.resize((1400, height), Image.Resampling.LANCZOS), (50, (1500 - height) // 2))
    picture = picture.point(lambda value: 255 if value >= 245 else value)
    facts = facts_of(measure(picture), prompt, ai_marked=True) | {"edge_width": 2.5}  # enlarged, which blurs
    broken = {name: broken_rules(profile, facts) for name, profile in PROFILES.items()}
    assert broken == {name: [] for name in PROFILES}


# --- slow: many, each world by itself ---------------------------------------------------------------------------------
@pytest.mark.slow
@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("fault", FAULTS)
def test_of_a_hundred_planted_faults_nearly_all_are_found(world: str, fault: str) -> None:
    assert found(world, fault, 100, seed=11) >= FOUND


@pytest.mark.slow
@pytest.mark.parametrize("world", WORLDS)
def test_of_many_good_pictures_few_are_suspected(world: str) -> None:
    assert wrong_colours_found(world, 100, seed=12) >= FOUND
    assert false_alarms(world, 200, seed=13) < FALSE
