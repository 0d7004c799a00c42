"""Which pixels of a mask hang together."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shoesai.photo_checks.shoe import Mask

Labels = NDArray[np.int32]


def parts_of(mask: Mask) -> tuple[Labels, int]:
    """0 where there is nothing, 1, 2, … for each part, and how many there are. Corners do not connect.

    Stretches of neighbouring rows that touch are one part: a picture has a few hundred of them, not 25,000 pixels.
    """
    stretches = [_stretches(row) for row in mask]
    numbers = np.cumsum([0, *(len(row) for row in stretches)])
    root = list(range(int(numbers[-1])))
    for above in range(len(stretches) - 1):
        for i, (begin, end) in enumerate(stretches[above], int(numbers[above])):
            for j, (first, last) in enumerate(stretches[above + 1], int(numbers[above + 1])):
                if begin < last and first < end:
                    root[_top(root, j)] = _top(root, i)
    names: dict[int, int] = {}
    labels = np.zeros(mask.shape, dtype=np.int32)
    for y, row in enumerate(stretches):
        for place, (begin, end) in enumerate(row, int(numbers[y])):
            labels[y, begin:end] = names.setdefault(_top(root, place), len(names) + 1)
    return labels, len(names)


def _stretches(row: Mask) -> list[tuple[int, int]]:
    ends = np.flatnonzero(np.diff(np.concatenate([[False], row, [False]]).astype(np.int8)))
    return [(int(begin), int(end)) for begin, end in zip(ends[::2], ends[1::2], strict=True)]


def _top(root: list[int], place: int) -> int:
    while root[place] != place:
        root[place] = root[root[place]]
        place = root[place]
    return place
