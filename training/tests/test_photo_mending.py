"""Mended photos have their fault no more, and nothing else has happened to them; what would go wrong is refused."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Final

import numpy as np
import pytest
from PIL import Image, ImageFilter

from shoesai.photo_checks import ciede2000, pixels, rgb_to_lab, segment_shoe
from shoesai.photo_mending import LONGEST, CannotMend, levelled, reframed, whitened
from training.datasets.judging import photo_faults
from training.datasets.measuring import look_at
from training.tests import photos_for_doctor as photos
from training.tests.photos_for_doctor import WORLDS, Rng, photographed, scene_of

SIDE: Final = 192
MANY: Final = 10
MENDED: Final = 0.9  # of those that are not refused
TAKEN: Final = 0.4  # of the planted ones: refusing everything would be easy
SAME_COLOUR: Final = 3.0  # CIEDE2000: a difference that nobody sees without laying both side by side

Mend = Callable[[Image.Image], Image.Image]
Plant = Callable[[Image.Image, Rng], Image.Image]
MENDS: Final[dict[str, tuple[Plant, Mend]]] = {
    "background": (photos.on_other_background, whitened),
    "small_in_frame": (photos.small_in_frame, reframed),
    "off_centre": (photos.off_centre, reframed),
    "underexposed": (photos.underexposed, levelled),
}


def held_against(picture: Image.Image) -> set[str]:
    return {kind for kind, _detail in photo_faults(look_at(picture).measures)}


@cache
def good_photos(world: str) -> tuple[Image.Image, ...]:
    rng = np.random.default_rng(1)
    return tuple(WORLDS[world](rng, SIDE)[0] for _ in range(MANY))


def inside_of_shoe(good: Image.Image) -> np.ndarray:
    """Without its rim."""
    mask = Image.fromarray((segment_shoe(pixels(good)) * 255).astype(np.uint8))
    return np.asarray(mask.filter(ImageFilter.MinFilter(7))) > 0


def colour_difference(before: Image.Image, after: Image.Image, where: np.ndarray) -> float:
    """Mean over the pixels, so that a part that was lost counts."""
    first, second = (rgb_to_lab(pixels(picture)[where]) for picture in (before, after))
    return float(ciede2000(first, second).mean())


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("fault", MENDS)
def test_a_mended_photo_has_its_fault_no_more(fault: str, world: str) -> None:
    plant, mend = MENDS[fault]
    rng = np.random.default_rng(3)
    planted = [bad for good in good_photos(world) if fault in held_against(bad := plant(good, rng))]
    left, taken = 0, 0
    for picture in planted:
        try:
            found = held_against(mend(picture))
        except CannotMend:
            continue
        taken += 1
        left += fault in found
    assert taken >= TAKEN * len(planted)
    assert taken - left >= MENDED * taken


@pytest.mark.parametrize("world", WORLDS)
def test_putting_white_behind_it_leaves_the_shoe_its_colour(world: str) -> None:
    rng = np.random.default_rng(4)
    for number, good in enumerate(good_photos(world)):
        bad = photos.on_other_background(good, rng)
        try:
            mended = whitened(bad)
        except CannotMend:
            continue
        assert colour_difference(bad, mended, inside_of_shoe(good)) < SAME_COLOUR, number


@pytest.mark.parametrize("mend", [whitened, levelled], ids=["whitened", "levelled"])
@pytest.mark.parametrize("world", WORLDS)
def test_a_good_photo_stays_practically_what_it_is(world: str, mend: Mend) -> None:
    for good in good_photos(world)[:5]:
        mended = mend(good)
        away = np.abs(pixels(mended).astype(int) - pixels(good).astype(int))
        assert mended.size == good.size
        assert away.mean() < 4 and np.percentile(away, 99) < 20, (away.mean(), np.percentile(away, 99))
        assert colour_difference(good, mended, inside_of_shoe(good)) < SAME_COLOUR


@pytest.mark.parametrize("world", WORLDS)
def test_a_good_photo_that_is_centred_again_is_still_good(world: str) -> None:
    for good in good_photos(world)[:5]:
        before, after = look_at(good).measures, look_at(reframed(good)).measures
        assert photo_faults(after) == []
        assert abs(after.fill - 0.82) < 0.06
        assert max(abs(after.offset_x), abs(after.offset_y)) < 0.03
        assert (after.width, after.height) == (before.width, before.height)


def test_a_shoe_that_drowns_in_black_on_bright_paper_is_brought_up() -> None:
    values = pixels(good_photos("photographic")[0]).astype(float)
    shoe = segment_shoe(values.astype(np.uint8))[..., None]
    drowned = Image.fromarray(np.where(shoe, 3 + values * 0.03, values).astype(np.uint8))
    assert held_against(drowned) == {"underexposed"}
    assert held_against(levelled(drowned)) == set()


def test_a_giant_comes_back_at_four_times_what_models_learn_from() -> None:
    giant = good_photos("drawn")[0].resize((LONGEST + 200, LONGEST + 100))
    assert max(whitened(giant).size) == LONGEST


# --- refused ------------------------------------------------------------------------------------------------
def on(level: np.ndarray | float, seed: int = 1) -> Image.Image:
    """A photographed shoe before a backdrop of that level in 0..1, [side, side] or one number."""
    rng = np.random.default_rng(seed)
    backdrop = np.broadcast_to(np.asarray(level, dtype=float), (SIDE, SIDE))[..., None] * np.ones(3)
    return photographed(scene_of(rng, SIDE), rng, backdrop)


def stripes() -> np.ndarray:
    rows, columns = np.mgrid[0:SIDE, 0:SIDE]
    return 0.5 + 0.4 * ((rows // 12 + columns // 12) % 2)


def pale_on_grey() -> Image.Image:
    """A shoe of which only seams and speckles differ from the paper."""
    rng = np.random.default_rng(9)
    values = np.full((SIDE, SIDE, 3), 200.0) + rng.normal(0, 1, (SIDE, SIDE, 3))
    speckled = rng.random((SIDE // 4, SIDE // 4)) < 0.35
    rows, columns = np.mgrid[0:SIDE, 0:SIDE] / SIDE - 0.5
    shoe = (np.abs(rows) < 0.2) & (np.abs(columns) < 0.35) & speckled.repeat(4, 0).repeat(4, 1)
    return Image.fromarray(np.where(shoe[..., None], 180, values).astype(np.uint8))


def small() -> Image.Image:
    good = good_photos("drawn")[0]
    paper = Image.new("RGB", good.size, "white")
    paper.paste(good.resize((SIDE // 5,) * 2), (SIDE // 3, SIDE // 3))
    return paper


def cut() -> Image.Image:
    return photos.cut_off(good_photos("photographic")[0], np.random.default_rng(2))


def empty() -> Image.Image:
    return photos.no_subject(good_photos("drawn")[0], np.random.default_rng(1))


REFUSED: Final[dict[str, tuple[Mend, Callable[[], Image.Image], str]]] = {
    "a pattern, white": (whitened, lambda: on(stripes()), "patterned"),
    "a pattern, centred": (reframed, lambda: on(stripes()), "patterned"),
    "black paper": (whitened, lambda: on(0.12), "background is too dark"),
    "no shoe, white": (whitened, empty, "No shoe was found"),
    "no shoe, centred": (reframed, empty, "No shoe was found"),
    "of its background's colour": (whitened, pale_on_grey, "nearly the colour of its background"),
    "cut off": (reframed, cut, "leaves the picture"),
    "tiny": (reframed, small, "too small"),
    "night": (levelled, lambda: Image.eval(good_photos("drawn")[0], lambda value: value // 8), "too dark"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_done_well_is_refused_with_the_reason(name: str) -> None:
    mend, make, words = REFUSED[name]
    with pytest.raises(CannotMend, match=words):
        mend(make())
