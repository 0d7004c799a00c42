"""What can be told from one picture of a shoe in numbers; the judging is left to whoever asks.

Everything is measured on smaller copies: a photo is blurred when the copy that a model learns from is, and where the
shoe stands shows at a fraction of the size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from shoesai.photo_checks.colour import RGB
from shoesai.photo_checks.paper import paper_of
from shoesai.photo_checks.shoe import (
    BORDER,
    WHITE_LEVEL,
    Mask,
    Picture,
    background_colour,
    border_band,
    fill_between,
    fitted_backdrop,
    pixels,
    segment_shoe,
    shoe_colour,
)
from shoesai.photo_checks.stance import Facing, facing_of, shoes_in, tilt_of

EDITION: Final = 2  # raised when a measure changes, so that photos are measured again
DETAIL_SIDE: Final = 512  # sharpness: what models learn from
PLACE_SIDE: Final = 160  # everything else
BURNT: Final = 253
CRUSHED: Final = 12
REACH: Final = 8  # pixels on each side in which an edge has to have happened
EDGE_CONTRAST: Final = 0.12  # of 0..1; noise and JPEG's blocks stay below
SHARPEST: Final = 0.05  # the edges that a picture is judged by: its sharpest twentieth


@dataclass(frozen=True)
class Measures:
    """Shares and offsets are fractions of the picture (0–1), colours sRGB.

    `edge_width`: pixels from dark to bright across the sharpest edges of a copy of at most 512 px; 0 where there is
    none. `brightest`: the level that 0.5 % of the pixels reach. `burnt`, `crushed`: how much of the shoe has lost a
    channel at the bright end, all channels at the dark one. `border_white`: how much of the background's border band
    is white; `border_roughness`: how far the band is from a smooth surface, root mean square. `subject`: how much of
    the picture the shoe covers; `solid`: how much of its own box; `fill`: the larger side of that box. `offset_x`,
    `offset_y`: from the picture's middle to the shoe's, to the right and down. `touches_…`: how much of that edge the
    shoe covers in one stretch; `margin_…`: how much lies between it and the shoe. `shoes`: parts that stand apart.
    `facing`: where the toe points; `tilt`: degrees between the sole and level ground. `paper_…`: of the background
    without the soft shadow, how much is 255, how much is 245 and more, and how far it is from 255 in the mean and for
    all but the worst hundredth.
    """

    width: int
    height: int
    edge_width: float
    brightest: float
    burnt: float
    crushed: float
    border_white: float
    border_roughness: float
    subject: float
    solid: float
    fill: float
    offset_x: float
    offset_y: float
    touches_left: float
    touches_top: float
    touches_right: float
    touches_bottom: float
    margin_left: float
    margin_top: float
    margin_right: float
    margin_bottom: float
    shoes: int
    facing: Facing
    tilt: float
    paper_pure: float
    paper_white: float
    paper_deviation: float
    paper_deviation_most: float
    colour: RGB
    background: RGB


def measure(picture: Picture) -> Measures:
    image = Image.fromarray(pixels(picture))
    grey = _within(image.convert("L"), DETAIL_SIDE)
    rgb = pixels(_within(image, PLACE_SIDE))
    mask = segment_shoe(rgb)
    left, top, right, bottom = box_of(mask)
    shoe = rgb[closed(mask)]
    touches = _touches(mask)
    paper = paper_of(pixels(image), rgb, mask)
    return Measures(
        width=image.width,
        height=image.height,
        edge_width=edge_width(np.asarray(grey)),
        brightest=float(np.percentile(np.asarray(grey), 99.5)) / 255,
        burnt=_share(shoe.max(-1) >= BURNT) if len(shoe) else 0.0,
        crushed=_share(shoe.max(-1) <= CRUSHED) if len(shoe) else 0.0,
        border_white=_border_white(rgb, mask),
        border_roughness=_border_roughness(rgb),
        subject=_share(mask),
        solid=_share(mask) / ((right - left) * (bottom - top) or 1.0),
        fill=max(right - left, bottom - top),
        offset_x=(left + right) / 2 - 0.5 if mask.any() else 0.0,
        offset_y=(top + bottom) / 2 - 0.5 if mask.any() else 0.0,
        touches_left=touches[0],
        touches_top=touches[1],
        touches_right=touches[2],
        touches_bottom=touches[3],
        margin_left=left,
        margin_top=top,
        margin_right=1 - right if mask.any() else 0.0,
        margin_bottom=1 - bottom if mask.any() else 0.0,
        shoes=shoes_in(mask),
        facing=facing_of(mask),
        tilt=tilt_of(mask),
        paper_pure=paper.pure,
        paper_white=paper.white,
        paper_deviation=paper.deviation,
        paper_deviation_most=paper.deviation_most,
        colour=shoe_colour(rgb, mask),
        background=background_colour(rgb),
    )


def _within(image: Image.Image, side: int) -> Image.Image:
    """Not larger than `side` on either side; never enlarged."""
    if max(image.size) <= side:
        return image
    factor = side / max(image.size)
    size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    return image.resize(size, Image.Resampling.BOX, reducing_gap=2.0)


def _share(hits: Mask) -> float:
    return float(hits.mean()) if hits.size else 0.0


# --- sharpness ----------------------------------------------------------------------------------------------
def edge_width(grey: NDArray[np.uint8]) -> float:
    """How many pixels the sharpest edges take from dark to bright, in the direction in which they take more.

    What an edge changes by within REACH, divided by its steepest step; so the contrast of the picture does not count,
    and neither do soft shadows, as long as something in the picture is sharp. Blur by motion shows in one direction.
    """
    if min(grey.shape) < 2 * REACH:
        return 0.0
    widths = [width for axis in (0, 1) if (width := _edge_width(grey, axis))]
    return max(widths, default=0.0)


def _edge_width(grey: NDArray[np.uint8], axis: int) -> float | None:
    rows = np.moveaxis(grey, axis, 0)
    step = np.abs(rows[2:].astype(np.int16) - rows[:-2]) / 2.0
    brightest, darkest = (_running(rows, REACH, pick).astype(np.int16) for pick in (np.maximum, np.minimum))
    change = (brightest - darkest)[1:-1]
    edges = change >= max(255 * EDGE_CONTRAST, 0.4 * float(np.percentile(change, 99.5)))
    edges &= step > 0
    if edges.sum() < 20:
        return None
    return float(np.quantile(change[edges] / step[edges], SHARPEST))


def _running(rows: NDArray[Any], reach: int, pick: np.ufunc) -> NDArray[Any]:
    """The largest (smallest) value within `reach` along the first axis, by doubling."""
    whole = 2 * reach + 1
    padded = np.pad(rows, ((reach, reach), (0, 0)), mode="edge")
    length = 1
    while length * 2 <= whole:
        padded = pick(padded[:-length], padded[length:])
        length *= 2
    rest = whole - length
    return pick(padded[:-rest], padded[rest:]) if rest else padded


# --- background ---------------------------------------------------------------------------------------------
def _border_white(rgb: NDArray[np.uint8], mask: Mask) -> float:
    """A shoe that touches the border is not its background."""
    band = border_band(*mask.shape) & ~mask
    return _share(rgb[band].min(-1) >= WHITE_LEVEL) if band.any() else 0.0


def _border_roughness(rgb: NDArray[np.uint8]) -> float:
    """Along the second smoothest of the four edges: a shoe that touches the border roughens one or two of them."""
    away = (rgb.astype(np.float64) - fitted_backdrop(rgb)) ** 2
    rows, columns = (max(1, round(length * BORDER)) for length in rgb.shape[:2])
    edges = (away[:rows], away[-rows:], away[:, :columns], away[:, -columns:])
    return sorted(float(np.sqrt(edge.mean())) for edge in edges)[1] / 255


# --- place --------------------------------------------------------------------------------------------------
CLOSING: Final = 0.05
SPECK: Final = 0.012  # a row or a column belongs to the shoe when it covers this much of it


def box_of(mask: Mask) -> tuple[float, float, float, float]:
    """Left, top, right, bottom of the shoe as fractions; specks do not count. All 0 where there is none."""
    if not mask.any():
        return 0.0, 0.0, 0.0, 0.0
    spans = []
    for axis in (0, 1):
        hit = np.flatnonzero(mask.mean(axis) >= SPECK)
        if not len(hit):
            return 0.0, 0.0, 0.0, 0.0
        length = mask.shape[1 - axis]
        spans.append((hit[0] / length, (hit[-1] + 1) / length))
    (left, right), (top, bottom) = spans
    return float(left), float(top), float(right), float(bottom)


def closed(mask: Mask) -> Mask:
    """With its gaps filled: of a white shoe that is burnt out on white only outlines are left."""
    reach = max(1, round(CLOSING * max(mask.shape)))
    grown = np.pad(mask, reach)
    for pick in (np.maximum, np.minimum):
        grown = _running(_running(grown, reach, pick).T, reach, pick).T
    return fill_between(grown[reach:-reach, reach:-reach])


def _touches(mask: Mask) -> tuple[float, float, float, float]:
    """Left, top, right, bottom: the longest stretch of the edge that the shoe covers."""
    edges: list[Mask] = [mask[:, 0] | mask[:, 1], mask[0] | mask[1], mask[:, -1] | mask[:, -2], mask[-1] | mask[-2]]
    left, top, right, bottom = (_longest_run(edge) / len(edge) for edge in edges)
    return left, top, right, bottom


def _longest_run(hits: Mask) -> int:
    ends = np.flatnonzero(np.diff(np.concatenate([[False], hits, [False]]).astype(np.int8)))
    return int((ends[1::2] - ends[::2]).max()) if len(ends) else 0
