"""How often the doctor is right: faults planted at random strengths in photos of two worlds, and photos without any.

The seeds here were not used while thresholds were chosen. Every part is told by itself, so that one that is found
always does not hide one that is found seldom.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from shoesai.starter import draw
from training.datasets import caption_words
from training.datasets.alike import groups_of_alike
from training.datasets.judging import contradiction, distances, photo_faults
from training.datasets.measuring import look_at
from training.tests.photos_for_doctor import FAULTS, SIDE, WORLDS, Rng, nearly_same

FOUND, FALSE = 0.95, 0.05
ANOTHER_COLOUR = 28.0  # CIEDE2000 from the shoe's colour to every shade of the one that is planted in its caption


def rng_of(*seed: int) -> Rng:
    return np.random.default_rng([20261126, *seed])


def kinds_in(picture: Image.Image) -> set[str]:
    return {kind for kind, _detail in photo_faults(look_at(picture).measures, usual_side=SIDE)}


def share_found(world: str, kind: str, number: int, seed: int) -> float:
    found = 0
    for place in range(number):
        rng = rng_of(seed, place)
        picture, _caption, _colour = WORLDS[world](rng)
        found += kind in kinds_in(FAULTS[kind](picture, rng))
    return found / number


def share_of_false_alarms(world: str, number: int, seed: int) -> float:
    return sum(bool(kinds_in(WORLDS[world](rng_of(seed, place))[0])) for place in range(number)) / number


def captioned(world: str, number: int, seed: int) -> Iterator[tuple[bool, bool]]:
    """For each photo: whether its true caption, and one with another colour, is said to contradict it."""
    for place in range(number):
        rng = rng_of(seed, place)
        picture, caption, colour = WORLDS[world](rng)
        measures = look_at(picture).measures
        wrong = caption.replace(colour, another_than(colour, rng), 1)
        yield tuple(contradiction(caption_words.read(text), measures) is not None for text in (caption, wrong))  # type: ignore[misc]


def another_than(colour: str, rng: Rng) -> str:
    """One that nobody would call the shoe's: red for orange is a matter of taste, red for green is a mistake."""
    away = distances(draw.COLOURS[colour])
    return str(rng.choice([name for name in draw.COLOURS if away[name] >= ANOTHER_COLOUR]))


def different_shoes(world: str, number: int, rng: Rng) -> list[Image.Image]:
    """No two of one type, colour, view and facing: those are one product to the eye, whatever their material."""
    if world != "drawn":  # each has a silhouette of its own
        return [WORLDS[world](rng)[0] for _ in range(number)]
    shoes: dict[tuple[str, ...], draw.Shoe] = {}
    while len(shoes) < number:
        shoe = draw.random_shoe(rng, background="white")
        shoes.setdefault((shoe.type, shoe.colour, shoe.view, shoe.facing), shoe)
    return [draw.draw_catalogue(shoe, int(rng.integers(2**31)), SIDE) for shoe in shoes.values()]


def nearly_same_found(world: str, number: int, seed: int) -> tuple[float, float]:
    """Of a set in which every second photo has a near-duplicate: pairs found, and photos in a false group."""
    rng = rng_of(seed)
    pictures = different_shoes(world, number, rng)
    copies = {place: nearly_same(pictures[place], rng) for place in range(0, number, 2)}
    looked = [look_at(picture) for picture in [*pictures, *copies.values()]]
    groups = groups_of_alike([each.phash for each in looked], [each.small_copy for each in looked])
    pairs = {(place, number + index) for index, place in enumerate(copies)}
    together = {(one, other) for group in groups for one in group for other in group if one < other}
    false = {place for pair in together - pairs for place in pair}
    return len(pairs & together) / len(pairs), len(false) / len(looked)


# --- quick: both worlds together ------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", FAULTS)
def test_a_planted_fault_is_found(kind: str) -> None:
    assert np.mean([share_found(world, kind, 12, seed=1) for world in WORLDS]) >= FOUND


def test_photos_without_a_fault_are_left_alone() -> None:
    assert np.mean([share_of_false_alarms(world, 30, seed=2) for world in WORLDS]) < FALSE


def test_a_caption_with_another_colour_is_found_and_a_true_one_left_alone() -> None:
    told = [pair for world in WORLDS for pair in captioned(world, 20, seed=3)]
    assert np.mean([wrong for _true, wrong in told]) >= FOUND
    assert np.mean([true for true, _wrong in told]) < FALSE


# --- slow: many, each world by itself ---------------------------------------------------------------------------------
@pytest.mark.slow
@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("kind", FAULTS)
def test_of_a_hundred_planted_faults_nearly_all_are_found(world: str, kind: str) -> None:
    assert share_found(world, kind, 100, seed=11) >= FOUND


@pytest.mark.slow
@pytest.mark.parametrize("world", WORLDS)
def test_of_three_hundred_good_photos_and_captions_few_are_suspected(world: str) -> None:
    assert share_of_false_alarms(world, 300, seed=12) < FALSE
    told = list(captioned(world, 200, seed=13))
    assert np.mean([wrong for _true, wrong in told]) >= FOUND
    assert np.mean([true for true, _wrong in told]) < FALSE


@pytest.mark.slow
@pytest.mark.parametrize("world", WORLDS)
def test_near_duplicates_among_a_hundred_and_fifty_photos(world: str) -> None:
    found, false = nearly_same_found(world, 100, seed=14)
    assert found >= FOUND
    assert false < FALSE
