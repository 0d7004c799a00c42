"""What is measured on one picture, on pictures of which it is known."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from PIL import Image, ImageFilter

from shoesai import photo_checks
from shoesai.photo_checks import Measures, measure
from shoesai.starter import draw
from shoesai.starter.draw import Shoe

SHOE = Shoe("sneakers", "red", "leather", "black", "white")


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    return draw.draw_catalogue(SHOE, 3, 192)


def block(left: int, top: int, right: int, bottom: int, size: tuple[int, int] = (200, 160)) -> Image.Image:
    picture = Image.new("RGB", size, (252, 252, 252))
    picture.paste((40, 60, 160), (left, top, right, bottom))
    return picture


def test_the_place_of_the_shoe_in_fractions() -> None:
    found = measure(block(20, 40, 120, 80))
    assert found.fill == pytest.approx(0.5, abs=0.03)
    assert (found.offset_x, found.offset_y) == pytest.approx((70 / 200 - 0.5, 60 / 160 - 0.5), abs=0.02)
    assert found.subject == pytest.approx(4000 / 32000, abs=0.02)


@pytest.mark.parametrize(
    ("box", "edge", "stretch"),
    [((0, 40, 90, 80), "left", 0.25), ((110, 40, 200, 80), "right", 0.25), ((60, 0, 110, 70), "top", 0.25),
     ((60, 90, 110, 160), "bottom", 0.25)],
)  # fmt: skip
def test_the_edge_that_cuts_the_shoe_and_no_other(box: tuple[int, int, int, int], edge: str, stretch: float) -> None:
    found = measure(block(*box))
    for each in ("left", "right", "top", "bottom"):
        touched = getattr(found, f"touches_{each}")
        assert touched == (pytest.approx(stretch, abs=0.04) if each == edge else 0.0)


@pytest.mark.parametrize("radius", [1.5, 2.5, 4.0])
def test_edges_are_as_wide_as_they_were_blurred_whatever_the_contrast(photo: Image.Image, radius: float) -> None:
    """The edge of a Gaussian of radius r rises by its whole height over r·√(2π) pixels at its steepest."""
    soft = photo.filter(ImageFilter.GaussianBlur(radius))
    pale = Image.blend(soft, Image.new("RGB", soft.size, "white"), 0.5)
    assert measure(soft).edge_width == pytest.approx(2.507 * radius, rel=0.4)
    assert measure(pale).edge_width == pytest.approx(measure(soft).edge_width, rel=0.15)


def test_blur_by_motion_shows_although_one_direction_stays_sharp(photo: Image.Image) -> None:
    moved = np.asarray(photo, dtype=np.float64)
    moved = np.mean([np.roll(moved, shift, axis=1) for shift in range(-4, 5)], axis=0)
    assert measure(moved.astype(np.uint8)).edge_width > 2 * measure(photo).edge_width


def test_light_is_told_by_the_brightest_and_by_what_is_lost_in_the_shoe(photo: Image.Image) -> None:
    dark, burnt = photo.point(lambda value: value * 0.3), photo.point(lambda value: min(255, value * 6))
    assert measure(photo).brightest > 0.95 > 0.4 > measure(dark).brightest
    assert measure(photo).burnt < 0.1 < 0.3 < measure(burnt).burnt


def test_the_background_is_told_without_the_shoe_that_touches_it() -> None:
    assert measure(block(0, 20, 100, 140)).border_white == 1.0
    assert measure(Image.new("RGB", (100, 100), (220, 215, 200))).border_white == 0.0


def test_a_patterned_background_is_rough_and_a_gradient_is_not() -> None:
    slope = np.broadcast_to(np.linspace(180, 250, 120)[:, None, None], (120, 120, 3)).astype(np.uint8)
    stripes = np.broadcast_to(np.where(np.arange(120) // 6 % 2, 90, 210)[:, None, None], (120, 120, 3)).astype(np.uint8)
    assert measure(slope).border_roughness < 0.02 < 0.1 < measure(stripes).border_roughness


def test_an_empty_picture_has_no_subject() -> None:
    found = measure(np.full((64, 64, 3), 250, np.uint8))
    assert (found.subject, found.fill, found.edge_width, found.burnt) == (0.0, 0.0, 0.0, 0.0)


@pytest.mark.parametrize("size", [(16, 16), (17, 120), (300, 40)])
def test_every_size_that_can_be_imported_is_measured(size: tuple[int, int]) -> None:
    found = measure(Image.effect_noise(size, 60).convert("RGB"))
    assert (found.width, found.height) == size
    numbers = [getattr(found, field.name) for field in fields(Measures) if field.name != "facing"]
    assert all(np.isfinite(number).all() for number in numbers)


def test_the_hash_of_a_photo_bears_recompression_and_size_and_not_another_shape(photo: Image.Image) -> None:
    smaller = photo.resize((96, 96)).filter(ImageFilter.GaussianBlur(0.7))
    other = draw.draw_catalogue(Shoe("ankle boots", "red", "leather", "black", "white"), 3, 192)
    mine = photo_checks.phash(photo)
    assert 0 <= mine < 2**64
    assert photo_checks.hamming(mine, photo_checks.phash(smaller)) <= 6
    assert photo_checks.hamming(mine, photo_checks.phash(other)) >= 14


def test_the_small_copy_tells_colours_apart_where_the_hash_cannot(photo: Image.Image) -> None:
    blue = draw.draw_catalogue(Shoe("sneakers", "blue", "leather", "black", "white"), 3, 192)
    first, second = (photo_checks.small_copy(each).astype(int) for each in (photo, blue))
    assert photo_checks.hamming(photo_checks.phash(photo), photo_checks.phash(blue)) <= 10
    assert np.abs(first - second).mean() > 8


def test_the_margins_are_what_lies_between_shoe_and_edge() -> None:
    found = measure(block(20, 40, 120, 80))
    margins = (found.margin_left, found.margin_top, found.margin_right, found.margin_bottom)
    assert margins == pytest.approx((20 / 200, 40 / 160, 80 / 200, 80 / 160), abs=0.02)


def test_shoes_that_stand_apart_are_counted_and_a_bright_seam_divides_none() -> None:
    pair = block(10, 60, 90, 100)
    pair.paste((40, 60, 160), (110, 60, 190, 100))
    seam = block(40, 40, 160, 110)
    seam.paste((252, 252, 252), (40, 80, 160, 84))
    assert [measure(each).shoes for each in (block(40, 40, 160, 110), pair, seam)] == [1, 2, 1]
    assert measure(np.full((64, 64, 3), 250, np.uint8)).shoes == 0


def test_a_toe_points_where_the_outline_is_low(photo: Image.Image) -> None:
    assert measure(photo).facing == "right"
    assert measure(photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT)).facing == "left"
    assert measure(block(40, 40, 160, 110)).facing == "unsure"


@pytest.mark.parametrize("degrees", [-20, -8, 0, 8, 20])
def test_the_tilt_is_that_of_the_sole(degrees: float) -> None:
    sole = block(30, 70, 170, 90).rotate(-degrees, Image.Resampling.BICUBIC, fillcolor=(252, 252, 252))
    assert measure(sole).tilt == pytest.approx(degrees, abs=1.5)


@pytest.mark.parametrize(
    ("level", "pure", "white"), [(255, 1.0, 1.0), (254, 0.0, 1.0), (245, 0.0, 1.0), (244, 0.0, 0.0)]
)
def test_paper_is_measured_at_its_true_values(level: int, pure: float, white: float) -> None:
    picture = Image.new("RGB", (600, 600), (level,) * 3)
    picture.paste((40, 60, 160), (150, 200, 450, 400))
    found = measure(picture)
    assert (found.paper_pure, found.paper_white) == (pure, white)
    assert found.paper_deviation == found.paper_deviation_most == pytest.approx((255 - level) / 255)


def test_a_soft_shadow_is_no_fault_of_the_paper(photo: Image.Image) -> None:
    assert measure(photo).paper_white > 0.99
