"""A better picture from one with a fault: white behind the shoe, the shoe in the middle, more light.

Pure functions from picture to picture. What cannot be done well is refused with the reason; nothing is invented, so
blur, burnt highlights and what lies outside of the picture stay what they are.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from django.utils.translation import gettext as _
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from shoesai.photo_checks import box_of, closed, fitted_backdrop, measure, pixels, rgb_to_lab, segment_shoe

LONGEST: Final = 2048  # four times what models learn from; larger ones are made smaller
LOOK: Final = 256  # the copy on which shoe and background are told apart
ROUGH: Final = 0.06  # `border_roughness` from which a background is a pattern
LEAST_LEVEL: Final = 60  # a background darker than this has colours that cannot be divided out
PALE: Final = 240  # a background lighter than this hardly changes
SOLID: Final = 0.9  # of a shoe's outline is found where it differs from its background; less is a shoe with holes
DIFFERS: Final = 25.0  # CIELAB: nearer to the background, holes are where they have the same colour
NOISE, SURE = 8.0, 32.0  # how far a pixel is from the background before it may be, and is, shoe (0..255)
PAPER: Final = 0.965  # of the background's level: lighter is paper, darker may be the soft shadow
FILL: Final = 0.82  # the catalogue's
ENOUGH: Final = 0.5  # still a picture of a shoe
MOST_ENLARGED: Final = 2.0
BRIGHT: Final = 0.97
DROWNED: Final = 0.5  # of the shoe is black, though there is light in the picture
MOST_LIGHT: Final = 12.0  # in linear light: three and a half stops; more brings up nothing but noise

Floats = NDArray[np.float32]


class CannotMend(Exception):
    """Why this picture stays as it is."""


def whitened(picture: Image.Image) -> Image.Image:
    """The background divided out: white paper, the soft shadow still on it, the shoe untouched."""
    picture = _within(picture)
    small = picture.resize(_fitting(picture.size, LOOK), Image.Resampling.BOX)
    if measure(small).border_roughness > ROUGH:
        raise CannotMend(_("The background is patterned, so the shoe cannot be told from it safely."))
    back = fitted_backdrop(pixels(small))
    if back.min() < LEAST_LEVEL:
        raise CannotMend(_("The background is too dark to be made white without harm to the shoe."))
    mask = segment_shoe(pixels(small))
    if not mask.any():
        raise CannotMend(_("No shoe was found that white could be put behind."))
    if back.min() < PALE and _blends(pixels(small), back, mask):
        raise CannotMend(_("The shoe has nearly the colour of its background, so it cannot be told from it safely."))
    backdrop = _enlarged(back, picture.size)
    rgb = np.asarray(picture, dtype=np.float32)
    shoe = _cover(rgb, backdrop, mask)[..., None]
    paper = rgb / backdrop
    paper = np.where(paper.min(-1, keepdims=True) >= PAPER, 1.0, np.minimum(paper / PAPER, 1.0))
    # What of the shadow was tinted by the background is grey on white paper.
    shadow = np.repeat(paper.mean(-1, keepdims=True), 3, axis=-1)
    return _image(rgb * shoe + 255 * shadow * (1 - shoe))


def reframed(picture: Image.Image) -> Image.Image:
    """The shoe in the middle of white paper, as large as a catalogue shows it; of the size that the picture had."""
    white = whitened(picture)
    mask = segment_shoe(pixels(white.resize(_fitting(white.size, LOOK), Image.Resampling.BOX)))
    left, top, right, bottom = box_of(mask)
    if right <= left or bottom <= top:
        raise CannotMend(_("No shoe was found that could be put into the middle."))
    if min(left, top, 1 - right, 1 - bottom) <= 0:
        raise CannotMend(_("The shoe leaves the picture; what lies outside cannot be brought back."))
    if max(right - left, bottom - top) * MOST_ENLARGED < ENOUGH:
        raise CannotMend(_("The shoe is too small: enlarged to a catalogue's size it would have no detail."))
    scale = min(FILL / max(right - left, bottom - top), MOST_ENLARGED)
    width, height = white.size
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    moved = white.resize(size, Image.Resampling.LANCZOS)
    paper = Image.new("RGB", white.size, "white")
    middle = ((left + right) / 2 * size[0], (top + bottom) / 2 * size[1])
    paper.paste(moved, (round(width / 2 - middle[0]), round(height / 2 - middle[1])))
    return paper


def levelled(picture: Image.Image) -> Image.Image:
    """More light, until the brightest parts are as bright as paper; added as a lamp would (in linear light)."""
    picture = _within(picture)
    found = measure(picture)
    light = (BRIGHT / max(found.brightest, 1e-3)) ** 2.2
    if light > MOST_LIGHT:
        raise CannotMend(_("The picture is too dark: brightening it would bring up noise and no shoe."))
    if light <= 1.02 and found.crushed < DROWNED:
        return picture
    if light <= 1.02:  # bright paper behind a shoe that drowns in black
        table = [255 * (value / 255) ** (1 / 1.6) for value in range(256)]
    else:
        table = [min(255.0, 255 * ((value / 255) ** 2.2 * light) ** (1 / 2.2)) for value in range(256)]
    return picture.point([round(value) for value in table] * 3)


# --- pieces -------------------------------------------------------------------------------------------------
def _blends(rgb: NDArray[np.uint8], back: NDArray[np.float64], mask: NDArray[np.bool_]) -> bool:
    """Only parts of the shoe were found, and those hardly differ: what lies between them would be made white."""
    differs = np.sqrt(((rgb_to_lab(rgb[mask]) - rgb_to_lab(back[mask])) ** 2).sum(-1))
    return bool(mask.sum() < SOLID * closed(mask).sum() and np.median(differs) < DIFFERS)


def _cover(rgb: Floats, backdrop: Floats, mask: NDArray[np.bool_]) -> Floats:
    """How much of each pixel is shoe, [height, width] in 0..1: all of it inside, as far as it differs at the rim."""
    height, width = rgb.shape[:2]
    found = Image.fromarray((mask * 255).astype(np.uint8))
    inside = found.filter(ImageFilter.MinFilter(5)).resize((width, height), Image.Resampling.BILINEAR)
    around = found.filter(ImageFilter.MaxFilter(5)).resize((width, height), Image.Resampling.BILINEAR)
    differs = np.clip((np.abs(rgb - backdrop).max(-1) - NOISE) / (SURE - NOISE), 0, 1)
    core, rim = (np.asarray(each, dtype=np.float32) / 255 for each in (inside, around))
    return np.maximum(core, differs * rim)


def _enlarged(values: NDArray[np.float64], size: tuple[int, int]) -> Floats:
    """A smooth [height, width, 3] at the picture's size."""
    layers = [Image.fromarray(np.ascontiguousarray(values[..., c], dtype=np.float32)) for c in range(3)]
    large = [np.asarray(layer.resize(size, Image.Resampling.BICUBIC)) for layer in layers]
    return np.stack(large, -1)


def _within(picture: Image.Image) -> Image.Image:
    picture = picture.convert("RGB")
    if max(picture.size) <= LONGEST:
        return picture
    return picture.resize(_fitting(picture.size, LONGEST), Image.Resampling.LANCZOS, reducing_gap=2.0)


def _fitting(size: tuple[int, int], longest: int) -> tuple[int, int]:
    factor = min(1.0, longest / max(size))
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def _image(values: NDArray[np.floating]) -> Image.Image:
    return Image.fromarray(np.clip(values, 0, 255).round().astype(np.uint8))
