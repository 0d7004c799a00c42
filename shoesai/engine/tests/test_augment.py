"""Variants of a product photo: what is drawn, what stays as it is, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from shoesai.engine import augment
from shoesai.engine.operations import perform
from shoesai.engine.progress import Stopped
from shoesai.engine.specs import AugmentInputs, AugmentSpec, AugmentUnit, SpecError

WHITE = (255, 255, 255)
SHA = "ab" * 32


def photo(
    size: tuple[int, int] = (96, 80), ground: Any = WHITE, shoe: tuple[int, int, int, int] = (16, 40, 80, 60)
) -> Image.Image:
    """A brown shoe with a red toe, so that one sees which way it points."""
    picture = Image.new("RGB", size, ground)
    drawing = ImageDraw.Draw(picture)
    drawing.rectangle(shoe, fill=(120, 80, 40))
    drawing.rectangle((shoe[2] - 12, *shoe[1:]), fill=(200, 20, 20))
    return picture


def unit(variant: int = 1, sha256: str = SHA, *, may_flip: bool = True) -> AugmentUnit:
    return AugmentUnit("", sha256, variant, may_flip)


def varied(spec: AugmentSpec, picture: Image.Image | None = None, variant: int = 1) -> Image.Image:
    made = augment.vary(picture or photo(), spec, unit(variant)).picture
    assert made
    return made


def pixels(picture: Image.Image) -> Any:
    return np.asarray(picture).astype(int)


def corners(picture: Image.Image) -> set[Any]:
    width, height = picture.size
    return {picture.getpixel((x, y)) for x in (0, width - 1) for y in (0, height - 1)}


ONLY_LIGHT = AugmentSpec(rotation=0.0, flip=0.0)


# --- rotations --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("size", [(96, 80), (64, 128)])
def test_rotations_keep_the_size_and_fill_the_corners_with_white(size: tuple[int, int]) -> None:
    picture = photo(size, shoe=(16, 40, 48, 60))
    for variant in range(1, 7):
        turned = varied(AugmentSpec(recipe="rotations", variants=6), picture, variant)
        assert turned.size == size
        assert corners(turned) == {WHITE}
        assert turned.tobytes() != picture.tobytes()


def test_a_rotation_turns_as_pillows_does() -> None:
    """The seed says img.rotate(angle, fillcolor=white)."""
    turned = varied(AugmentSpec(recipe="rotations", variants=1, angles=(10.0,)))
    theirs = photo().rotate(10, Image.Resampling.BICUBIC, fillcolor=WHITE)
    assert np.abs(pixels(turned) - pixels(theirs)).mean() < 1


def test_each_variant_of_the_rotations_is_the_next_angle() -> None:
    spec = AugmentSpec(recipe="rotations", variants=6)
    angles = [augment.vary(photo(), spec, unit(variant)).drawn["angle"] for variant in range(1, 7)]
    assert sorted(angles) == [-15, -10, -5, 5, 10, 15]


def test_the_corners_get_the_colour_of_a_background_that_is_not_white() -> None:
    cream = (236, 224, 200)
    turned = varied(AugmentSpec(recipe="rotations", variants=1, angles=(15.0,)), photo(ground=cream))
    assert corners(turned) == {cream}


def busy() -> Image.Image:
    chance = np.random.default_rng(1)
    return Image.fromarray(chance.integers(0, 255, (80, 96, 3), dtype=np.uint8))


def test_a_photo_on_a_busy_background_is_not_turned_and_the_reason_is_told() -> None:
    rotations = augment.vary(busy(), AugmentSpec(recipe="rotations"), unit())
    assert rotations.picture is None
    assert "wedges" in rotations.reason
    product = augment.vary(busy(), AugmentSpec(), unit())
    assert product.picture is not None
    assert product.drawn["angle"] == 0


def test_a_rotation_makes_a_large_shoe_smaller_rather_than_cut_it() -> None:
    wide = photo(shoe=(3, 10, 92, 70))
    variant = augment.vary(wide, AugmentSpec(recipe="rotations", variants=1, angles=(15.0,)), unit())
    assert variant.drawn["scale"] < 1
    assert variant.picture
    edge = pixels(variant.picture)
    assert min(edge[0].min(), edge[-1].min(), edge[:, 0].min(), edge[:, -1].min()) > 230


# --- light ------------------------------------------------------------------------------------------------------
def test_a_white_background_stays_white_and_the_shoe_changes() -> None:
    for variant in range(1, 9):
        lit = varied(ONLY_LIGHT, variant=variant)
        assert (pixels(lit)[:30] == 255).all()
        assert lit.tobytes() != photo().tobytes()


def test_light_changes_by_no_more_than_was_asked_for() -> None:
    darkest = brightest = 1.0
    for variant in range(1, 21):
        drawn = augment.draw(AugmentSpec(), unit(variant))
        for name in ("brightness", "contrast", "saturation"):
            assert 0.9 <= drawn[name] <= 1.1
        assert abs(drawn["hue"]) <= 0.02
        assert abs(drawn["angle"]) <= 15
        darkest, brightest = min(darkest, drawn["brightness"]), max(brightest, drawn["brightness"])
    assert darkest < 0.97
    assert brightest > 1.03


def test_brightness_is_torchvisions() -> None:
    drawn = {"brightness": 0.9, "contrast": 1, "saturation": 1, "hue": 0}
    lit = augment.light(photo(), drawn, augment.ground_of(photo()))
    assert lit.getpixel((30, 50)) == (108, 72, 36)


# --- mirroring, cropping, sizes ---------------------------------------------------------------------------------
def test_half_of_the_variants_are_mirrored_and_none_where_it_is_not_allowed() -> None:
    draws = [augment.draw(AugmentSpec(), unit(variant))["flip"] for variant in range(1, 21)]
    assert 4 <= sum(draws) <= 16
    assert not any(augment.draw(AugmentSpec(), unit(variant, may_flip=False))["flip"] for variant in range(1, 21))


def test_mirroring_shows_the_shoe_from_its_other_side() -> None:
    still = AugmentSpec(rotation=0.0, brightness=0.0, contrast=0.0, saturation=0.0, hue=0.0, flip=1.0)
    assert (pixels(varied(still)) == pixels(photo())[:, ::-1]).all()


def test_what_is_not_allowed_to_be_mirrored_is_otherwise_the_same() -> None:
    first = augment.draw(AugmentSpec(), unit())
    second = augment.draw(AugmentSpec(), unit(may_flip=False))
    assert {**first, "flip": False} == second


def test_a_crop_never_cuts_the_shoe() -> None:
    whole = (pixels(photo()).min(-1) < 210).sum()
    spec = AugmentSpec(rotation=0.0, brightness=0.0, contrast=0.0, saturation=0.0, hue=0.0, flip=0.0, crop=0.1)
    boxes = set()
    for variant in range(1, 21):
        made = augment.vary(photo(), spec, unit(variant))
        assert made.picture
        assert made.picture.size == photo().size
        assert (pixels(made.picture).min(-1) < 210).sum() >= whole - 10
        left, top, width, height = made.drawn["box"]
        assert left <= 16
        assert left + width > 80
        assert top <= 40
        assert top + height > 60
        boxes.add(tuple(made.drawn["box"]))
    assert len(boxes) > 5


@pytest.mark.parametrize(("size", "made"), [((96, 80), (77, 64)), ((64, 128), (64, 128)), ((512, 512), (64, 64))])
def test_the_output_size_is_the_shorter_side_and_the_shape_stays(size: tuple[int, int], made: tuple[int, int]) -> None:
    assert varied(AugmentSpec(output_size=64), photo(size)).size == made


# --- made again -------------------------------------------------------------------------------------------------
def test_the_same_seed_photo_and_number_give_the_same_bytes_and_any_other_gives_others() -> None:
    first = augment.png_bytes(varied(AugmentSpec()))
    assert augment.png_bytes(varied(AugmentSpec())) == first
    others = [
        varied(AugmentSpec(seed=43)), varied(AugmentSpec(), variant=2),
        augment.vary(photo(), AugmentSpec(), unit(sha256="cd" * 32)).picture,
    ]  # fmt: skip
    assert all(other and augment.png_bytes(other) != first for other in others)


def test_a_setting_changes_what_it_is_about_and_nothing_else() -> None:
    first, second = augment.draw(AugmentSpec(), unit()), augment.draw(AugmentSpec(hue=0.0), unit())
    assert second["hue"] == 0
    assert {**first, "hue": 0} == second


# --- the operation ----------------------------------------------------------------------------------------------
def written(folder: Path, *pictures: Image.Image) -> list[str]:
    paths = []
    for number, picture in enumerate(pictures):
        paths.append(str(folder / f"photo{number}.png"))
        picture.save(paths[-1])
    return paths


def run(folder: Path, spec: AugmentSpec, units: list[AugmentUnit], stop: Any = None) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = []
    perform(
        "augment",
        json.loads(spec.to_json()),
        json.loads(AugmentInputs(tuple(units), str(folder)).to_json()),
        lambda event, **fields: events.append({"event": event, **fields}),
        lambda: stop(events) if stop else None,
    )
    return events


def test_variants_are_told_in_order_with_their_files_and_what_was_drawn(tmp_path: Path) -> None:
    even, uneven = written(tmp_path, photo(), busy())
    units = [AugmentUnit(path, sha, variant) for path, sha in ((even, "aa"), (uneven, "bb")) for variant in (1, 2)]
    events = run(tmp_path, AugmentSpec(recipe="rotations", variants=2), units)
    made = [event for event in events if event["event"] == "variant"]
    assert [(event["sha256"], event["variant"], event["drawn"]["angle"]) for event in made] == [
        ("aa", 1, -5), ("aa", 2, 5),
    ]  # fmt: skip
    with Image.open(made[0]["path"]) as first:
        assert (first.mode, first.size, first.info) == ("RGB", (96, 80), {})
    assert [event["sha256"] for event in events if event["event"] == "skipped"] == ["bb", "bb"]
    assert events[-1]["step"] == events[-1]["total"] == 4


def test_it_stops_between_two_variants(tmp_path: Path) -> None:
    (path,) = written(tmp_path, photo())
    units = [AugmentUnit(path, str(number), 1) for number in range(200)]
    told: list[dict[str, Any]] = []

    def after_three(events: list[dict[str, Any]]) -> str | None:
        told[:] = events
        return "yield" if sum(event["event"] == "variant" for event in events) == 3 else None

    with pytest.raises(Stopped):
        run(tmp_path, AugmentSpec(), units, after_three)
    assert sum(event["event"] == "variant" for event in told) == 3


def test_a_photo_that_is_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="abababababab is gone"):
        run(tmp_path, AugmentSpec(), [AugmentUnit(str(tmp_path / "nothing.png"), SHA, 1)])


# --- what a product photo does not bear -------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("settings", "name", "reason"),
    [
        ({"rotation": 31.0}, "rotation", "does not stand on its sole"),
        ({"rotation": -1.0}, "rotation", "between 0 and 30"),
        ({"rotation": float("nan")}, "rotation", "between 0 and 30"),
        ({"recipe": "rotations", "variants": 1, "angles": (45.0,)}, "angles", "does not stand on its sole"),
        ({"recipe": "rotations", "variants": 1, "angles": (0.0,)}, "angles", "different"),
        ({"recipe": "rotations", "variants": 2, "angles": (5.0, 5.0)}, "angles", "different"),
        ({"recipe": "rotations", "variants": 7}, "variants", "there are 6 angles"),
        ({"recipe": "rotations", "variants": 1, "angles": ()}, "angles", "1 to 20"),
        ({"brightness": 0.3}, "brightness", "studio"),
        ({"contrast": 0.21}, "contrast", "studio"),
        ({"saturation": 1.0}, "saturation", "studio"),
        ({"hue": 0.06}, "hue", "another colour"),
        ({"crop": 0.2}, "crop", "cuts into the shoe"),
        ({"flip": 1.1}, "flip", "between 0 and 1"),
        ({"variants": 0}, "variants", "between 1 and 20"),
        ({"output_size": 100}, "output_size", "multiple of 8"),
        ({"seed": -1}, "seed", "between 0"),
        ({"recipe": "wild"}, "recipe", "rotations, product"),
    ],
)
def test_settings_beyond_what_a_product_photo_bears_are_refused_with_the_reason(
    settings: dict[str, Any], name: str, reason: str
) -> None:
    with pytest.raises(SpecError) as refused:
        AugmentSpec(**settings)
    assert refused.value.field_name == name
    assert reason in refused.value.message


def test_a_spec_goes_to_json_and_comes_back() -> None:
    spec = AugmentSpec(recipe="rotations", variants=2, angles=(-3.0, 3.0), seed=2**64 - 1)
    assert AugmentSpec.from_dict(json.loads(spec.to_json())) == spec
