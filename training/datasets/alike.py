"""Which photos of many are nearly the same picture: saved again, made smaller, lit or cropped a little otherwise.

Photos of a catalogue have the same shapes, so the perceptual hash only says who may be meant, and small copies decide:
laid over each other, moved by up to a pixel, they have to agree in colour too. All pairs are looked at, block by block
in NumPy: 20,000 photos are 200 million pairs, which is seconds of XOR and one matrix product. Small copies stay bytes
until they are compared, because 20,000 of them as numbers would be 140 MB, and what is made of them as much again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shoesai.photo_checks import SMALL

HAMMING: Final = 10  # bits; recompressed, resized and slightly cropped copies stay within 8
COARSE: Final = 12.0  # root mean square at 6 × 6 pixels, before anything is moved
FINE: Final = 0.1  # at 24 × 24, of the pictures' own contrast; two shoes that only resemble each other begin there
LEAST_CONTRAST: Final = 6.0  # of an empty picture's
LEVEL: Final = 200.0  # every copy is brought to this mean, so that a little more light does not count
BLOCK: Final = 128  # beside 20,000 others: 10 MB for each number of a pair
PAIRS: Final = 512  # laid over each other at once

Floats = NDArray[np.float32]


def groups_of_alike(hashes: Sequence[int], copies: Sequence[bytes]) -> list[list[int]]:
    """Groups of places that belong together, two or more each, in order; `copies` are 24 × 24 × 3 bytes of RGB."""
    if len(hashes) < 2:
        return []
    bits = np.array(hashes, dtype=np.uint64)
    coarse, contrast = _looked_at_coarsely(copies)
    parent = list(range(len(hashes)))
    for first, second in _candidates(bits, coarse):
        apart = _distance(_levelled([copies[place] for place in first]), _levelled([copies[place] for place in second]))
        same = apart <= FINE * np.sqrt(contrast[first] * contrast[second])
        for one, other in zip(first[same].tolist(), second[same].tolist(), strict=True):
            _join(parent, one, other)
    found: dict[int, list[int]] = {}
    for place in range(len(parent)):
        found.setdefault(_root(parent, place), []).append(place)
    return [group for group in found.values() if len(group) > 1]


def _looked_at_coarsely(copies: Sequence[bytes]) -> tuple[Floats, Floats]:
    """What is kept of all pictures at once: `_coarse` and `_contrast`."""
    coarse, contrast = [], []
    for begin in range(0, len(copies), PAIRS):
        fine = _levelled(copies[begin : begin + PAIRS])
        coarse.append(_coarse(fine))
        contrast.append(_contrast(fine))
    return np.concatenate(coarse), np.concatenate(contrast)


def _levelled(copies: Sequence[bytes]) -> Floats:
    """[photos, 24, 24, 3], softened so that half a pixel's move costs little."""
    fine = np.frombuffer(b"".join(copies), dtype=np.uint8).reshape(-1, SMALL, SMALL, 3).astype(np.float32)
    fine *= LEVEL / np.maximum(fine.mean((1, 2, 3), keepdims=True), 1)
    rows = (np.roll(fine, 1, 1) + 2 * fine + np.roll(fine, -1, 1)) / 4
    soft: Floats = ((np.roll(rows, 1, 2) + 2 * rows + np.roll(rows, -1, 2)) / 4).astype(np.float32)
    return soft


def _contrast(fine: Floats) -> Floats:
    """How far a picture is from being all background, root mean square, [photos]."""
    away = fine - np.median(fine, axis=(1, 2), keepdims=True)
    return np.maximum(np.sqrt((away**2).mean((1, 2, 3))), LEAST_CONTRAST)


def _coarse(fine: Floats) -> Floats:
    """[photos, 6 · 6 · 3]"""
    return fine.reshape(len(fine), 6, SMALL // 6, 6, SMALL // 6, 3).mean((2, 4)).reshape(len(fine), -1)


def _candidates(bits: NDArray[np.uint64], coarse: Floats) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Places of pairs that may be alike, at most PAIRS at once."""
    length = (coarse**2).sum(1)
    most = COARSE**2 * coarse.shape[1]
    for begin in range(0, len(bits), BLOCK):
        end = min(begin + BLOCK, len(bits))
        apart = length[begin:end, None] + length[None, begin:] - 2 * coarse[begin:end] @ coarse[begin:].T
        near = apart <= most
        near &= np.bitwise_count(bits[begin:end, None] ^ bits[None, begin:]) <= HAMMING
        rows, columns = np.nonzero(np.triu(near, 1))
        for part in range(0, len(rows), PAIRS):
            yield rows[part : part + PAIRS] + begin, columns[part : part + PAIRS] + begin


def _distance(first: Floats, second: Floats) -> Floats:
    """Root mean square of each pair where it fits best, [pairs]."""
    inner = first[:, 1:-1, 1:-1]
    span = SMALL - 2
    fits = [
        ((inner - second[:, down : down + span, right : right + span]) ** 2).mean((1, 2, 3))
        for down in range(3)
        for right in range(3)
    ]
    return np.sqrt(np.min(fits, axis=0))


def _root(parent: list[int], place: int) -> int:
    while parent[place] != place:
        parent[place] = parent[parent[place]]
        place = parent[place]
    return place


def _join(parent: list[int], one: int, other: int) -> None:
    first, second = sorted((_root(parent, one), _root(parent, other)))
    parent[second] = first
