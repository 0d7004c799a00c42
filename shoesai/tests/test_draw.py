"""The drawings: the same every time, different where they should be, and white where a catalogue is."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pytest

from shoesai import photo_checks
from shoesai.starter import draw
from shoesai.starter.draw import Shoe

SHOE = Shoe("loafers", "black", "leather", "black", "white")


def test_the_same_seed_draws_the_same_picture() -> None:
    assert draw.draw(SHOE, 7) == draw.draw(SHOE, 7)
    assert draw.draw(SHOE, 7) != draw.draw(SHOE, 8)


@pytest.mark.parametrize("kind", draw.TYPES)
def test_every_type_is_drawn_with_every_material_and_view(kind: str) -> None:
    for material, view in product(draw.MATERIALS, draw.VIEWS):
        picture = draw.draw(Shoe(kind, "red", material, "gum", "mint", "left", view), 3)
        assert (picture.size, picture.mode) == ((128, 128), "RGB")
        assert 0.05 < photo_checks.segment_shoe(picture).mean() < 0.6


def test_the_types_have_different_silhouettes() -> None:
    masks = {t: photo_checks.segment_shoe(draw.draw_catalogue(Shoe(t, "red", "leather", "black", "white"), 1))
             for t in draw.TYPES}  # fmt: skip
    for first, second in combinations(draw.TYPES, 2):
        both, either = masks[first] & masks[second], masks[first] | masks[second]
        assert both.sum() / either.sum() < 0.93, (first, second)


def test_left_and_right_are_mirrored() -> None:
    right = np.asarray(draw.draw_catalogue(SHOE, 1)).astype(int)
    left = np.asarray(draw.draw_catalogue(Shoe(*[*_values(SHOE)[:5], "left"]), 1)).astype(int)
    assert np.abs(right[:, ::-1] - left).mean() < np.abs(right - left).mean()


def test_a_catalogue_picture_is_white_and_centred() -> None:
    rng = np.random.default_rng(0)
    for seed in range(20):
        picture = draw.draw_catalogue(draw.random_shoe(rng, colour="blue", sole="black"), seed)
        rgb = np.asarray(picture)
        assert rgb[photo_checks.border_band(128, 128)].min() >= 245
        rows, columns = np.nonzero(rgb.min(-1) < 225)
        assert abs((columns.min() + columns.max()) / 2 - 64) < 4
        assert abs((rows.min() + rows.max()) / 2 - 64) < 6


def test_only_one_background_in_six_is_white() -> None:
    rng = np.random.default_rng(1)
    shoes = [draw.random_shoe(rng) for _ in range(240)]
    white = [photo_checks.is_white_background(draw.draw(s, i)) for i, s in enumerate(shoes)]
    assert white == [s.background == "white" for s in shoes]


def test_fixed_attributes_stay_fixed() -> None:
    rng = np.random.default_rng(2)
    assert {draw.random_shoe(rng, type="sandals").type for _ in range(9)} == {"sandals"}


def test_a_caption_says_type_and_colour_and_the_background_only_when_asked() -> None:
    rng = np.random.default_rng(3)
    for _ in range(200):
        shoe = draw.random_shoe(rng)
        text = draw.caption(shoe, rng).lower()
        assert shoe.colour in text
        assert draw.SINGULAR[shoe.type] in text
        assert f"{shoe.background} background" in text
        assert "background" not in draw.caption(shoe, rng, mention_background=False)


def test_captions_use_the_catalogues_own_phrase() -> None:
    rng = np.random.default_rng(4)
    captions = {draw.caption(SHOE, rng) for _ in range(2000)}
    phrase = "A professional product photo of black leather loafers on white background"
    assert f"{phrase}, high quality, product photography" in captions
    assert len(captions) > 1000


def test_about_a_tenth_of_the_combinations_is_held_out_for_good() -> None:
    every = [Shoe(t, c, "leather", "white", b) for t, c, b in product(draw.TYPES, draw.COLOURS, draw.BACKGROUNDS)]
    held = [s for s in every if draw.is_held_out(s)]
    assert 0.07 < len(held) / len(every) < 0.13
    assert draw.is_held_out(held[0]) == draw.is_held_out(
        Shoe(held[0].type, held[0].colour, "mesh", "gum", held[0].background)
    )
    digest = sorted(f"{s.type}/{s.colour}/{s.background}" for s in held)
    assert digest[0] == "ankle boots/brown/white"  # the committed weights were trained without it


def test_the_colours_are_well_apart() -> None:
    for palette in (draw.COLOURS, draw.BACKGROUNDS):
        lab = photo_checks.rgb_to_lab(np.array(list(palette.values())))
        gaps = [photo_checks.ciede2000(a[None], b[None])[0] for a, b in combinations(lab, 2)]
        assert min(gaps) > 9


def _values(shoe: Shoe) -> list[str]:
    return [shoe.type, shoe.colour, shoe.material, shoe.sole, shoe.background]
