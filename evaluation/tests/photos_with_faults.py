"""Faults that channels look for and the doctor does not, planted at random strengths in the doctor's two worlds."""

from __future__ import annotations

import re
from typing import Final

import numpy as np
from PIL import Image

from shoesai.starter import draw
from training.datasets.judging import distances
from training.tests.photos_for_doctor import SIDE, Rng, as_jpeg, photographic

GAP: Final = (0.015, 0.08)  # between two shoes
TILT: Final = (20, 35)  # degrees; the sole of a drawn boot lies up to 11° aslant by itself


def side_view(world: str, rng: Rng) -> tuple[Image.Image, str, str]:
    """Picture, caption, and the name of the shoe's colour, seen from the side; the toe points to the left."""
    if world == "photographic":
        picture, caption, colour = photographic(rng)
        return (picture if _toe_is_left(picture) else _mirrored(picture)), caption, colour
    shoe = draw.random_shoe(rng, background="white", view="side", facing="left")
    return draw.draw_catalogue(shoe, int(rng.integers(2**31)), SIDE), draw.caption(shoe, rng), shoe.colour


def _toe_is_left(picture: Image.Image) -> bool:
    """The photographic world's toes are low and its collars high, which is how it was made."""
    dark = np.asarray(picture).min(-1) < 215
    top = np.where(dark.any(0), dark.argmax(0), SIDE)
    columns = np.flatnonzero(dark.any(0))
    fifth = len(columns) // 5
    return bool(np.median(top[columns[:fifth]]) > np.median(top[columns[-fifth:]]))


def _mirrored(picture: Image.Image) -> Image.Image:
    return picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


def facing_right(picture: Image.Image, rng: Rng) -> Image.Image:
    return _mirrored(picture)


def tilted(picture: Image.Image, rng: Rng) -> Image.Image:
    """Smaller first, so that nothing is cut off."""
    small = _on_paper(picture, [(0.78, 0.11, 0.11)])
    degrees = float(rng.uniform(*TILT) * rng.choice([-1, 1]))
    return small.rotate(degrees, Image.Resampling.BICUBIC, fillcolor=small.getpixel((1, 1)))


def two_shoes(picture: Image.Image, rng: Rng) -> Image.Image:
    """Beside each other or one above the other, each cut out of its own picture's middle."""
    gap = float(rng.uniform(*GAP))
    if rng.random() < 0.5:
        scale = (0.94 - gap) / 2 / 0.86
        left = 0.5 - gap / 2 - 0.93 * scale
        right = 0.5 + gap / 2 - 0.07 * scale
        low, high = (0.5 - scale / 2 + float(rng.uniform(-0.08, 0.08)) for _shoe in range(2))
        return _on_paper(picture, [(scale, left, low), (scale, right, high)])
    scale = 0.55
    return _on_paper(picture, [(scale, 0.22, -0.02 - gap / 2), (scale, 0.22, 0.47 + gap / 2)])


def _on_paper(picture: Image.Image, places: list[tuple[float, float, float]]) -> Image.Image:
    """Copies of the picture by scale, left and top, darkened into paper of its own border's colour."""
    edge = np.median(np.asarray(picture)[:4].reshape(-1, 3), axis=0)
    paper = np.broadcast_to(edge, (picture.height, picture.width, 3)).copy()
    for scale, left, top in places:
        side = round(picture.width * scale)
        part = Image.new("RGB", picture.size, tuple(int(value) for value in edge))
        part.paste(
            picture.resize((side, side), Image.Resampling.LANCZOS),
            (round(left * picture.width), round(top * picture.height)),
        )
        paper = np.minimum(paper, np.asarray(part, dtype=np.float64))
    return as_jpeg(Image.fromarray(paper.astype(np.uint8)), 95)


def another_colour(caption: str, colour: str, rng: Rng) -> str:
    """One that nobody would call the shoe's: red for orange is a matter of taste, red for green is a mistake."""
    away = distances(draw.COLOURS[colour])
    other = str(rng.choice([name for name in draw.COLOURS if away[name] >= 28.0]))
    return re.sub(colour, other, caption, count=1, flags=re.IGNORECASE)
