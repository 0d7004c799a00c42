"""What the background is like at its true values: how much of it is white, and how far the rest is from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shoesai.photo_checks.parts import parts_of
from shoesai.photo_checks.shoe import Mask, fitted_backdrop, neighbours

HOUSE_WHITE: Final = 245
SHADE: Final = (0.5, 0.985)  # of the background's own level: a soft shadow, which is no fault of the paper
AROUND: Final = 3  # pixels of the small copy beside the shoe, where its edge is mixed with the paper


@dataclass(frozen=True)
class Paper:
    """Shares of what is connected to the border and neither shoe nor shadow; deviations from 255 of 255."""

    pure: float
    white: float
    deviation: float
    deviation_most: float


def paper_of(rgb: NDArray[np.uint8], small: NDArray[np.uint8], mask: Mask) -> Paper:
    """`mask` is of the small copy; values are read from the picture itself, since a copy's means hide them."""
    where = _paper(small, mask)
    height, width = rgb.shape[:2]
    rows = (np.arange(mask.shape[0]) * height + height // 2) // mask.shape[0]
    columns = (np.arange(mask.shape[1]) * width + width // 2) // mask.shape[1]
    values = rgb[rows[:, None], columns[None]][where]
    if not len(values):
        return Paper(0.0, 0.0, 1.0, 1.0)
    darkest = values.min(-1)
    away = (255.0 - darkest) / 255
    return Paper(
        float((darkest == 255).mean()),
        float((darkest >= HOUSE_WHITE).mean()),
        float(away.mean()),
        float(np.percentile(away, 99)),
    )


def _paper(small: NDArray[np.uint8], mask: Mask) -> Mask:
    taken = mask
    for _step in range(AROUND):
        taken = neighbours(taken) > 0
    labels, _number = parts_of(~taken)
    border = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
    outside = np.isin(labels, border[border > 0])
    return outside & ~_shadow(small, mask)


def _shadow(small: NDArray[np.uint8], mask: Mask) -> Mask:
    """Darker than the background by as much in every channel, from the lower half of the shoe downwards."""
    rows = np.flatnonzero(mask.any(1))
    if not len(rows):
        return np.zeros_like(mask)
    ratio = (small.astype(np.float64) + 2) / (fitted_backdrop(small) + 2)
    low, high = SHADE
    shade = (ratio.min(-1) > low) & (ratio.max(-1) < high) & (np.ptp(ratio, axis=-1) < 0.06)
    for _step in range(2):
        shade = neighbours(shade) > 0
    below = np.arange(len(mask)) > (rows[0] + rows[-1]) / 2
    return np.asarray(shade & below[:, None])
