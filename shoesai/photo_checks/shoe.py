"""Where the shoe is on a picture, what colour it has, what it stands on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from shoesai.photo_checks.colour import RGB, Floats, nearest_colour_name, rgb_to_lab

Mask = NDArray[np.bool_]
Picture = Image.Image | NDArray[np.uint8]

BORDER: Final = 0.05  # the outer band, as a fraction of each side
WHITE_LEVEL: Final = 240
WHITE_SHARE: Final = 0.95


def pixels(picture: Picture) -> NDArray[np.uint8]:
    """The picture as uint8 [height, width, 3]."""
    if isinstance(picture, Image.Image):
        return np.asarray(picture.convert("RGB"))
    return picture


# ------------------------------------------------------------------------------------------
# Background


def border_band(height: int, width: int) -> Mask:
    """The outer 5 % on each side; at least one pixel."""
    rows, columns = max(1, round(height * BORDER)), max(1, round(width * BORDER))
    band = np.ones((height, width), dtype=np.bool_)
    band[rows : height - rows, columns : width - columns] = False
    return band


def white_border_share(picture: Picture) -> float:
    """How much of the border band is white: every channel at least 240."""
    rgb = pixels(picture)
    return float((rgb[border_band(*rgb.shape[:2])].min(-1) >= WHITE_LEVEL).mean())


def is_white_background(picture: Picture) -> bool:
    return white_border_share(picture) >= WHITE_SHARE


def background_colour(picture: Picture) -> RGB:
    """The border band's median colour."""
    rgb = pixels(picture)
    return _rgb(np.median(rgb[border_band(*rgb.shape[:2])], axis=0))


def background_colour_name(picture: Picture, palette: Mapping[str, RGB]) -> str:
    return nearest_colour_name(background_colour(picture), palette)


# ------------------------------------------------------------------------------------------
# Shoe


def segment_shoe(picture: Picture, threshold: float = 4.5) -> Mask:
    """The shoe, [height, width]: what differs from the background, with its holes filled.

    The background is a smooth surface fitted through the border, so that a studio's gradient is not taken for an
    object; the soft shadow, a darker patch of the background's own hue low in the picture, is left out.
    """
    rgb = pixels(picture)
    back = fitted_backdrop(rgb)
    difference = _mean3(rgb_to_lab(rgb) - rgb_to_lab(back))  # smoothed: noise is not a shoe
    differs = np.sqrt((difference**2).sum(-1)) > threshold
    differs &= neighbours(differs) >= 4
    rows = np.flatnonzero(differs.any(1))
    if not len(rows):
        return differs
    floor = np.arange(len(rgb)) > rows[0] + 0.6 * (rows[-1] - rows[0])
    differs &= ~(_is_shadow(rgb, back) & floor[:, None])
    return fill_between(differs)


def _mean3(values: Floats) -> Floats:
    """The mean over 3 × 3, [height, width, channels]."""
    padded = np.pad(values, ((1, 1), (1, 1), (0, 0)), mode="edge")
    rows = padded[:-2] + padded[1:-1] + padded[2:]
    return (rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]) / 9


def fitted_backdrop(rgb: NDArray[np.uint8]) -> Floats:
    """The background as if nothing stood before it, [height, width, 3] in 0..255: smooth, through the border."""
    height, width = rgb.shape[:2]
    rows, columns = np.mgrid[0:height, 0:width]
    y, x = rows / max(1, height - 1) - 0.5, columns / max(1, width - 1) - 0.5
    terms = np.stack([np.ones_like(x), x, y, x * x + y * y], -1)
    band = border_band(height, width)
    values = rgb[band].astype(np.float64)
    close = np.abs(values - np.median(values, axis=0)).max(-1) < 30  # a shoe may touch the border
    if close.sum() < 16:
        return np.broadcast_to(np.median(values, axis=0), rgb.shape)
    weights, *_ = np.linalg.lstsq(terms[band][close], values[close], rcond=None)
    return np.clip(terms @ weights, 0, 255)


def _is_shadow(rgb: NDArray[np.uint8], back: Floats) -> Mask:
    """Darker than the background by the same factor in every channel, and by not more than a soft shadow is."""
    ratio = (rgb.astype(np.float64) + 2) / (back + 2)
    factor = ratio.mean(-1)
    return (factor > 0.55) & (factor < 1.0) & (np.ptp(ratio, axis=-1) < 0.045)


def neighbours(mask: Mask) -> NDArray[np.int64]:
    """How many of the 3 × 3 around each pixel are set, itself included."""
    padded = np.pad(mask.astype(np.int64), 1)
    rows = padded[:-2] + padded[1:-1] + padded[2:]
    return rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]


def fill_between(mask: Mask) -> Mask:
    """Adds the pixels that have the mask on all four sides of them: highlights that resemble the background."""
    seen = [np.logical_or.accumulate(m, axis=a) for a in (0, 1) for m in (mask,)]
    back = [np.flip(np.logical_or.accumulate(np.flip(mask, a), axis=a), a) for a in (0, 1)]
    return mask | (seen[0] & seen[1] & back[0] & back[1])


def upper_part(mask: Mask, sole: float = 0.33) -> Mask:
    """The mask without its lowest part in each column, where sole and shadow are, and without its rim."""
    height = mask.shape[0]
    rows = np.arange(height)[:, None]
    top = np.where(mask.any(0), mask.argmax(0), height)
    bottom = height - 1 - np.where(mask.any(0), mask[::-1].argmax(0), 0)
    # the sole is about as thick everywhere, so a column's share is taken of a typical column
    thick = sole * np.median((bottom - top)[mask.any(0)]) if mask.any() else 0
    inner = mask & (rows < bottom - thick) & (neighbours(mask) == 9)
    return inner if inner.sum() >= 20 else mask


def shoe_colour(picture: Picture, mask: Mask | None = None) -> RGB:
    """The upper's colour: the median of the most common shade in CIELAB, so that laces and lining do not count."""
    rgb = pixels(picture)
    mask = segment_shoe(rgb) if mask is None else mask
    if not mask.any():
        return background_colour(rgb)
    colours = rgb[upper_part(mask)]
    lab = rgb_to_lab(colours)
    shown = np.sqrt(((lab - rgb_to_lab(np.array(background_colour(rgb)))) ** 2).sum(-1)) > 10
    if shown.mean() > 0.5:  # between straps one sees the background
        colours, lab = colours[shown], lab[shown]
    close = np.ones(len(lab), dtype=np.bool_)
    for reach in (60.0, 40.0, 30.0):  # a median that walks to the largest cluster
        centre = np.median(lab[close], axis=0)
        near = np.sqrt((((lab - centre) * (0.6, 1.0, 1.0)) ** 2).sum(-1)) < reach
        close = near if near.sum() >= 8 else close
    return _rgb(np.median(colours[close], axis=0))


def _rgb(values: NDArray[np.floating]) -> RGB:
    red, green, blue = (round(float(v)) for v in values)
    return (red, green, blue)
