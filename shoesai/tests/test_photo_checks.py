"""The checks that read pictures: right on drawn photos, or worth nothing on generated ones."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageFilter

from shoesai import photo_checks as checks
from shoesai.starter import draw

DRAWN = 150


@pytest.fixture(scope="module")
def photos() -> list[tuple[draw.Shoe, Image.Image]]:
    rng = np.random.default_rng(11)
    shoes = [draw.random_shoe(rng) for _ in range(DRAWN)]
    return [(shoe, draw.draw(shoe, seed)) for seed, shoe in enumerate(shoes)]


Photos = list[tuple[draw.Shoe, Image.Image]]


def test_it_names_the_colour_of_drawn_shoes(photos: Photos) -> None:
    right = [checks.nearest_colour_name(checks.shoe_colour(p), draw.COLOURS) == s.colour for s, p in photos]
    assert np.mean(right) >= 0.97


def test_it_names_the_background_of_drawn_photos(photos: Photos) -> None:
    assert np.mean([checks.background_colour_name(p, draw.BACKGROUNDS) == s.background for s, p in photos]) >= 0.97


def test_it_still_names_colours_when_the_picture_is_soft_and_noisy(photos: Photos) -> None:
    rng = np.random.default_rng(12)
    right = []
    for shoe, photo in photos:
        soft = np.asarray(photo.filter(ImageFilter.GaussianBlur(1.2))).astype(float)
        noisy = np.clip(soft + rng.normal(0, 4, soft.shape), 0, 255).astype(np.uint8)
        right.append(checks.nearest_colour_name(checks.shoe_colour(noisy), draw.COLOURS) == shoe.colour)
    assert np.mean(right) >= 0.95


def test_the_mask_finds_a_plain_square() -> None:
    picture = np.full((100, 100, 3), 250, np.uint8)
    picture[30:70, 20:80] = (30, 60, 200)
    mask = checks.segment_shoe(picture)
    assert mask[31:69, 21:79].all()
    assert mask.sum() < 40 * 60 * 1.15


def test_an_empty_picture_has_an_empty_mask_and_the_backgrounds_colour() -> None:
    empty = np.full((64, 64, 3), 200, np.uint8)
    assert not checks.segment_shoe(empty).any()
    assert checks.shoe_colour(empty) == (200, 200, 200)


@pytest.mark.parametrize(("grey", "white"), [(255, True), (240, True), (239, False), (0, False)])
def test_white_means_240_in_every_channel(grey: int, white: bool) -> None:
    assert checks.is_white_background(np.full((50, 50, 3), grey, np.uint8)) is white


def test_white_needs_95_percent_of_the_border_and_nothing_of_the_inside() -> None:
    picture = np.full((100, 100, 3), 255, np.uint8)
    picture[5:95, 5:95] = 0
    assert checks.white_border_share(picture) == 1.0
    band = np.argwhere(checks.border_band(100, 100))
    for row, column in band[: round(len(band) * 0.06)]:
        picture[row, column] = (255, 255, 200)
    assert not checks.is_white_background(picture)


@pytest.mark.parametrize(
    ("first", "second", "difference"),
    [  # from the test data of Sharma, Wu and Dalal
        ((50.0, 2.6772, -79.7751), (50.0, 0.0, -82.7485), 2.0425),
        ((50.0, -1.0, 2.0), (50.0, 0.0, 0.0), 2.3669),
        ((50.0, 2.5, 0.0), (56.0, -27.0, -3.0), 31.9030),
        ((2.0776, 0.0795, -1.1350), (0.9033, -0.0636, -0.5514), 0.9082),
        ((90.8027, -2.0831, 1.4410), (91.1528, -1.6435, 0.0447), 1.4441),
    ],
)
def test_colour_difference_matches_the_published_values(
    first: tuple[float, ...], second: tuple[float, ...], difference: float
) -> None:
    assert checks.ciede2000(np.array([first]), np.array([second]))[0] == pytest.approx(difference, abs=1e-4)


def test_lab_of_known_colours() -> None:
    assert checks.rgb_to_lab(np.array([255, 255, 255])) == pytest.approx([100, 0, 0], abs=0.02)
    assert checks.rgb_to_lab(np.array([255, 0, 0])) == pytest.approx([53.24, 80.09, 67.20], abs=0.02)
