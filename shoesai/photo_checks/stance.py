"""How the shoe stands: whether it is one, where its toe points, and how far its sole is from level."""

from __future__ import annotations

from typing import Final, Literal

import numpy as np

from shoesai.photo_checks.parts import parts_of
from shoesai.photo_checks.shoe import Mask

Facing = Literal["left", "right", "unsure"]

OF_THE_LARGEST: Final = 0.3  # a part smaller than this beside the largest is a lace, a shadow's rest or a speck
OF_THE_PICTURE: Final = 0.004
SEAM: Final = 0.06  # of the height: how far a bright seam takes upper and sole apart
SURE: Final = 0.12  # side views of shoes lean by 0.18 and more
ALONG: Final = 64  # points of the lower outline
APART: Final = 0.25
TOUCHING: Final = 0.8  # pixels


def shoes_in(mask: Mask) -> int:
    """Parts that are large enough; upper and sole that a bright seam divides are one.

    Two shoes that overlap in the picture are one part, and count as one.
    """
    return len(_together(_large_parts(mask), round(SEAM * len(mask))))


Box = tuple[int, int, int, int]


def _large_parts(mask: Mask) -> list[Box]:
    labels, number = parts_of(mask)
    areas = np.bincount(labels.ravel(), minlength=number + 1)[1:]
    if not number:
        return []
    least = max(OF_THE_LARGEST * int(areas.max()), OF_THE_PICTURE * mask.size)
    return [_box(labels == place + 1) for place, area in enumerate(areas) if area >= least]


def _box(part: Mask) -> Box:
    rows, columns = np.flatnonzero(part.any(1)), np.flatnonzero(part.any(0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _together(boxes: list[Box], seam: int) -> list[Box]:
    """Boxes that overlap, or stand close above each other, are of one shoe."""
    shoes: list[Box] = []
    for box in sorted(boxes, key=lambda each: each[1]):
        near = next((place for place, other in enumerate(shoes) if _of_one(box, other, seam)), None)
        if near is None:
            shoes.append(box)
        else:
            left, top, right, bottom = shoes[near]
            shoes[near] = (min(box[0], left), min(box[1], top), max(box[2], right), max(box[3], bottom))
    return shoes


def _of_one(one: Box, other: Box, seam: int) -> bool:
    wide = min(one[2], other[2]) - max(one[0], other[0])
    high = min(one[3], other[3]) - max(one[1], other[1])
    narrower = min(one[2] - one[0], other[2] - other[0])
    return (wide > 0 and high > 0) or (2 * wide > narrower and high > -seam)


def facing_of(mask: Mask) -> Facing:
    """Where the toe points, told by the outline: the end with the collar is the higher one.

    Front, heel and sole views have no such end, and boots that are as high as long are hard to tell: unsure.
    """
    lean = lean_of(mask)
    if abs(lean) < SURE:
        return "unsure"
    return "right" if lean > 0 else "left"


def lean_of(mask: Mask) -> float:
    """How much more of the shoe's upper half is left of its middle than right of it, −1 to 1."""
    columns = np.flatnonzero(mask.any(0))
    if len(columns) < 8:
        return 0.0
    begin, end = int(columns[0]), int(columns[-1]) + 1
    top = mask.argmax(0)[begin:end].astype(np.float64)
    floor = float(np.percentile((mask.shape[0] - mask[::-1].argmax(0))[begin:end], 90))
    height = np.where(mask[:, begin:end].any(0), np.maximum(floor - top, 0), 0)
    third = max(1, len(height) // 3)
    left, right = height[:third].mean(), height[-third:].mean()
    return float((left - right) / max(height.max(), 1))


def tilt_of(mask: Mask) -> float:
    """Degrees between level ground and the line that the most of the lower outline touches; clockwise is positive.

    Of all lines through two of its points, so that heels, arches, toe springs and rests of a shadow do not count. In a
    three-quarter view a level sole lies up to 20° aslant.
    """
    columns = np.flatnonzero(mask.any(0))
    if len(columns) < 8:
        return 0.0
    x = columns[np.linspace(0, len(columns) - 1, min(len(columns), ALONG)).round().astype(int)].astype(np.float64)
    y = (mask.shape[0] - 1 - mask[::-1].argmax(0))[x.astype(int)].astype(np.float64)
    one, other = np.triu_indices(len(x), 1)
    far = x[other] - x[one] >= APART * (x[-1] - x[0])
    one, other = one[far], other[far]
    slope = (y[other] - y[one]) / (x[other] - x[one])
    away = y[None] - (y[one, None] + slope[:, None] * (x[None] - x[one, None]))
    near = np.abs(away) <= TOUCHING
    best = int((near.sum(1) - 2.0 * (away > 2 * TOUCHING).sum(1)).argmax())  # what lies below ground is no ground
    touching = near[best]
    return float(np.degrees(np.arctan(np.polyfit(x[touching], y[touching], 1)[0])))
