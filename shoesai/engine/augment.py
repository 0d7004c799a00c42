"""Variants of product photos: turned a little, in slightly other light, mirrored; `AugmentSpec` has the two recipes.

After the seed's recipe (torchvision's RandomRotation, ColorJitter, RandomHorizontalFlip, Resize), made to suit a
product photo and to be made again:

* What is drawn depends on (seed, SHA-256 of the photo, number of the variant, name of the setting) and on nothing else:
  neither on the order of photos nor on other settings. The same variant has the same bytes each time.
* Corners that a rotation opens get the colour of the photo's own background, so that no wedge shows. Where the border
  has not one colour there is nothing to fill with, and the photo is not turned.
* Light is changed on the shoe alone, growing softly with the distance from the background's colour: a white background
  stays white, which at -10 % of brightness it would not.
* A rotation never pushes the shoe out of the picture: it is made smaller by what it needs. A crop never cuts it.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as F

from shoesai.engine.progress import Emit, ShouldStop, check_stop
from shoesai.engine.specs import AugmentInputs, AugmentSpec, AugmentUnit, SpecError

RGB = tuple[int, int, int]

BORDER = 0.04  # of each side: the band that is looked at for the background
EVEN = 8  # levels of 255 that a background may differ from its own median and count as one colour
EVEN_SHARE = 0.85  # a shoe may reach into the band; a floor along one side is more than the rest
SOFT = (6, 40)  # levels from the background's colour between which light begins to change and changes wholly
SHOE = 24  # levels from the background's colour at which a pixel is the shoe
RIM = 2  # pixels that stay free around a shoe that was turned
PNG_EFFORT = 3  # of 9: nearly as small as 6, and three times as fast
AHEAD = 4  # variants a worker that may wait to be told

UNEVEN = "the background has not one colour, so a turned photo would show wedges at its corners"


@dataclass(frozen=True)
class Ground:
    """What a photo stands on; `even` where its border has one colour."""

    colour: RGB
    even: bool


@dataclass(frozen=True)
class Variant:
    """The picture and what was drawn for it, for its recipe; None with the reason where none could be made."""

    picture: Image.Image | None
    drawn: dict[str, Any]
    reason: str = ""


def augment(spec: AugmentSpec, inputs: AugmentInputs, emit: Emit, should_stop: ShouldStop) -> dict[str, Any]:
    """Makes the variants side by side and tells them in order. Raises Stopped.

    Emits `step` and, per PNG, `variant`; `skipped` with the reason where a photo bears no such variant.
    """
    made = 0
    for number, (unit, png, variant) in enumerate(_side_by_side(spec, inputs.units, should_stop), start=1):
        told = {"sha256": unit.sha256, "variant": unit.variant}
        if variant.picture is None:
            emit("skipped", **told, reason=variant.reason)
        else:
            path = Path(inputs.output_dir) / f"{unit.sha256}-{unit.variant}.png"
            path.write_bytes(png)  # whoever is told reads it at once; a crash loses the whole folder
            width, height = variant.picture.size
            emit("variant", **told, path=str(path), width=width, height=height, drawn=variant.drawn)
            made += 1
        emit("step", step=number, total=len(inputs.units), message=f"Variant {number} of {len(inputs.units)}")
    return {"variants": made}


def _side_by_side(
    spec: AugmentSpec, units: tuple[AugmentUnit, ...], should_stop: ShouldStop
) -> Iterator[tuple[AugmentUnit, bytes, Variant]]:
    """Pillow works outside Python's lock, so threads are enough; few variants wait in memory."""
    workers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with ThreadPoolExecutor(workers) as pool:
        waiting: deque[tuple[AugmentUnit, Future[tuple[bytes, Variant]]]] = deque()
        try:
            for unit in units:
                waiting.append((unit, pool.submit(_make, spec, unit)))
                if len(waiting) > AHEAD * workers:
                    check_stop(should_stop)
                    yield _first(waiting)
            while waiting:
                check_stop(should_stop)
                yield _first(waiting)
        finally:
            pool.shutdown(cancel_futures=True)


def _first(waiting: deque[tuple[AugmentUnit, Future[tuple[bytes, Variant]]]]) -> tuple[AugmentUnit, bytes, Variant]:
    unit, future = waiting.popleft()
    return unit, *future.result()


def _make(spec: AugmentSpec, unit: AugmentUnit) -> tuple[bytes, Variant]:
    try:
        with Image.open(unit.path) as opened:
            photo = opened.convert("RGB")
    except (OSError, ValueError, SyntaxError) as error:  # Pillow calls a broken PNG a SyntaxError
        raise SpecError("units", f"the photo {unit.sha256[:12]} is gone or cannot be decoded") from error
    variant = vary(photo, spec, unit)
    return (png_bytes(variant.picture) if variant.picture else b""), variant


def png_bytes(picture: Image.Image) -> bytes:
    """Nothing but pixels, as an import keeps photos."""
    out = io.BytesIO()
    picture.save(out, "PNG", compress_level=PNG_EFFORT)
    return out.getvalue()


# --- one variant ------------------------------------------------------------------------------------------------
def vary(photo: Image.Image, spec: AugmentSpec, unit: AugmentUnit) -> Variant:
    """An RGB photo varied as the unit's draws say; it keeps its size unless the spec has one."""
    ground = ground_of(photo)
    if spec.recipe == "rotations":
        return _turned(photo, spec, unit, ground)
    drawn = draw(spec, unit)
    picture = photo
    if not ground.even:
        drawn["angle"], drawn["crop"] = 0.0, 0.0
    if drawn["angle"]:
        picture, drawn["scale"] = turn(picture, drawn["angle"], ground)
    if drawn["crop"]:
        picture, drawn["box"] = crop(picture, drawn["crop"], (drawn.pop("crop_x"), drawn.pop("crop_y")), ground)
    picture = light(picture, drawn, ground)
    if drawn["flip"]:
        picture = F.horizontal_flip(picture)
    for name in ("crop_x", "crop_y"):
        drawn.pop(name, None)
    return Variant(sized(picture, spec.output_size), drawn)


def _turned(photo: Image.Image, spec: AugmentSpec, unit: AugmentUnit, ground: Ground) -> Variant:
    angle = spec.angles[unit.variant - 1]
    if not ground.even:
        return Variant(None, {}, UNEVEN)
    picture, scale = turn(photo, angle, ground)
    return Variant(sized(picture, spec.output_size), {"angle": angle, "scale": scale})


def draw(spec: AugmentSpec, unit: AugmentUnit) -> dict[str, Any]:
    """Every value of one variant. Mirroring is drawn too where it is not allowed, so nothing else changes by it."""

    def chance(name: str) -> float:
        """Uniform in [0, 1) with 52 bits."""
        digest = hashlib.sha256(f"{spec.seed}/{unit.sha256}/{unit.variant}/{name}".encode()).digest()
        return int.from_bytes(digest[:8]) / 2**64

    def around(centre: float, name: str, reach: float) -> float:
        return round(centre + (2 * chance(name) - 1) * reach, 4)

    return {
        "angle": around(0, "rotation", spec.rotation),
        "brightness": around(1, "brightness", spec.brightness),
        "contrast": around(1, "contrast", spec.contrast),
        "saturation": around(1, "saturation", spec.saturation),
        "hue": around(0, "hue", spec.hue),
        "flip": chance("flip") < spec.flip and unit.may_flip,
        "crop": round(chance("crop") * spec.crop, 4),
        "crop_x": chance("crop_x"),
        "crop_y": chance("crop_y"),
    }


# --- background and shoe ----------------------------------------------------------------------------------------
def ground_of(photo: Image.Image) -> Ground:
    """From the band along the border: its median colour, and whether nearly all of it has that colour."""
    pixels = np.asarray(photo)
    height, width = pixels.shape[:2]
    rows, columns = max(1, round(height * BORDER)), max(1, round(width * BORDER))
    band = np.concatenate([
        pixels[:rows].reshape(-1, 3), pixels[-rows:].reshape(-1, 3),
        pixels[rows:-rows, :columns].reshape(-1, 3), pixels[rows:-rows, -columns:].reshape(-1, 3),
    ])  # fmt: skip
    median = np.median(band, axis=0).round()
    same = np.abs(band - median).max(axis=1) <= EVEN
    red, green, blue = (int(value) for value in median)
    return Ground((red, green, blue), bool(same.mean() >= EVEN_SHARE))


def distance_from(photo: Image.Image, colour: RGB) -> Image.Image:
    """The largest difference of a channel from `colour`, 0..255, as an 8-bit grey picture."""
    red, green, blue = ImageChops.difference(photo, Image.new("RGB", photo.size, colour)).split()
    return ImageChops.lighter(ImageChops.lighter(red, green), blue)


def shoe_box(photo: Image.Image, ground: Ground) -> tuple[int, int, int, int] | None:
    """Left, top, right, bottom of what is not background; None for a bare picture."""
    return _shoe(photo, ground).getbbox()


def _shoe(photo: Image.Image, ground: Ground) -> Image.Image:
    return distance_from(photo, ground.colour).point([255 * (level >= SHOE) for level in range(256)])


# --- what is done to a photo ------------------------------------------------------------------------------------
def turn(photo: Image.Image, angle: float, ground: Ground) -> tuple[Image.Image, float]:
    """The photo turned about its centre by degrees, counter-clockwise, in the same size; and how it was scaled."""
    scale = _scale_that_keeps_the_shoe(photo, angle, ground)
    fill = [float(value) for value in ground.colour]
    # torchvision's affine turns clockwise, its rotate the other way
    turned = F.affine(photo, -angle, [0, 0], scale, [0.0, 0.0], interpolation=InterpolationMode.BICUBIC, fill=fill)
    return turned, scale


def _scale_that_keeps_the_shoe(photo: Image.Image, angle: float, ground: Ground) -> float:
    """1, or less where a part of the shoe would leave the picture; a shoe that is cut off already stays as it is."""
    mask: NDArray[np.bool_] = np.asarray(_shoe(photo, ground)) > 0
    rows = np.flatnonzero(mask.any(axis=1))
    if not len(rows):
        return 1.0
    height, width = mask.shape
    # The outline is enough: the first and the last pixel of each row.
    left, right = mask[rows].argmax(axis=1), width - 1 - mask[rows, ::-1].argmax(axis=1)
    x = np.concatenate([left, right]) + 0.5 - width / 2
    y = np.concatenate([rows, rows]) + 0.5 - height / 2
    room_x, room_y = width / 2 - RIM, height / 2 - RIM
    if np.abs(x).max() > room_x + 1 or np.abs(y).max() > room_y + 1:
        return 1.0
    radians = np.radians(angle)
    turned_x = np.abs(x * np.cos(radians) + y * np.sin(radians)).max()
    turned_y = np.abs(y * np.cos(radians) - x * np.sin(radians)).max()
    return round(float(min(1.0, room_x / max(turned_x, 1), room_y / max(turned_y, 1))), 4)


def crop(
    photo: Image.Image, part: float, where: tuple[float, float], ground: Ground
) -> tuple[Image.Image, list[int]]:
    """Cuts up to `part` of each side away, somewhere (`where`, 0..1) around the shoe; the size stays. And the box."""
    width, height = photo.size
    left, top, right, bottom = shoe_box(photo, ground) or (width // 2, height // 2, width // 2, height // 2)
    # One factor for both sides, so that the shoe keeps its shape.
    kept = max(1 - part, (right - left) / width, (bottom - top) / height)
    new_width, new_height = min(width, -int(-width * kept // 1)), min(height, -int(-height * kept // 1))
    x = _somewhere(max(0, right - new_width), min(left, width - new_width), where[0])
    y = _somewhere(max(0, bottom - new_height), min(top, height - new_height), where[1])
    window = photo.crop((x, y, x + new_width, y + new_height))
    return window.resize(photo.size, Image.Resampling.LANCZOS), [x, y, new_width, new_height]


def _somewhere(low: int, high: int, chance: float) -> int:
    return low + round(chance * max(0, high - low))


def light(photo: Image.Image, drawn: dict[str, Any], ground: Ground) -> Image.Image:
    """Brightness, contrast, saturation and hue as drawn; of an even background nothing changes."""
    lit = photo
    if drawn["brightness"] != 1:
        lit = F.adjust_brightness(lit, drawn["brightness"])
    if drawn["contrast"] != 1:
        lit = F.adjust_contrast(lit, drawn["contrast"])
    if drawn["saturation"] != 1:
        lit = F.adjust_saturation(lit, drawn["saturation"])
    if drawn["hue"]:
        lit = F.adjust_hue(lit, drawn["hue"])
    if not ground.even:
        return lit
    begin, whole = SOFT
    softly = [round(255 * min(1.0, max(0.0, (level - begin) / (whole - begin)))) for level in range(256)]
    return Image.composite(lit, photo, distance_from(photo, ground.colour).point(softly))


def sized(photo: Image.Image, shorter: int) -> Image.Image:
    """Its shorter side made so long, in its own shape; 0 leaves it."""
    if not shorter or min(photo.size) == shorter:
        return photo
    factor = shorter / min(photo.size)
    width, height = (round(side * factor) for side in photo.size)
    return F.resize(photo, [height, width], interpolation=InterpolationMode.LANCZOS)
