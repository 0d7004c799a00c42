"""Whether two pictures look alike: a perceptual hash of 64 bits, and a small copy that settles the matter.

The hash sees shapes, and most photos of a catalogue have one; the small copy sees colours.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from shoesai.photo_checks.shoe import Picture, pixels

SIDE: Final = 32
KEPT: Final = 8
SMALL: Final = 24  # pixels a side of the small copy


def _cosines() -> NDArray[np.float64]:
    """The first KEPT rows of the DCT-II of length SIDE."""
    frequency, place = np.arange(KEPT)[:, None], np.arange(SIDE)[None]
    return np.cos(np.pi * frequency * (2 * place + 1) / (2 * SIDE))


_DCT: Final = _cosines()


def phash(picture: Picture) -> int:
    """64 bits: which of the 8 × 8 lowest frequencies of the grey picture are above their median (Zauner, 2010)."""
    image = Image.fromarray(pixels(picture)).convert("L").resize((SIDE, SIDE), Image.Resampling.BOX)
    waves = (_DCT @ np.asarray(image, dtype=np.float64) @ _DCT.T).ravel()
    bits = waves > np.median(waves[1:])  # the first is the brightness, which says nothing of shapes
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def hamming(first: int, second: int) -> int:
    """In how many of the 64 bits two hashes differ."""
    return (first ^ second).bit_count()


def small_copy(picture: Picture) -> NDArray[np.uint8]:
    """The picture at 24 × 24 pixels, [24, 24, 3]."""
    image = Image.fromarray(pixels(picture)).resize((SMALL, SMALL), Image.Resampling.BOX)
    return np.asarray(image)
