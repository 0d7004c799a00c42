"""How catalogue-like a set of pictures is, read from the pixels: white background, right colour."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from PIL import Image

from shoesai import photo_checks


@dataclass(frozen=True)
class CatalogueLook:
    """Shares between 0 and 1 over `pictures` pictures."""

    pictures: int
    white_share: float
    colour_share: float


def catalogue_look(
    pictures: Iterable[tuple[Image.Image, str]], palette: Mapping[str, tuple[int, int, int]]
) -> CatalogueLook:
    """Each picture comes with the name of the colour that its prompt asked for."""
    white, right = [], []
    for picture, colour in pictures:
        white.append(photo_checks.is_white_background(picture))
        right.append(photo_checks.nearest_colour_name(photo_checks.shoe_colour(picture), palette) == colour)
    count = len(white)
    return CatalogueLook(count, sum(white) / count, sum(right) / count)
