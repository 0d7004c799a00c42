"""A folder that nobody prepared: clip-art, drawings on coloured grounds, photographs of a kind, a copy, and rubbish."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from shoesai.starter import draw

COUNT = 10  # pictures that can be used


def clip_art(number: int, side: int = 160) -> Image.Image:
    """Flat shapes with hard edges, more or less a shoe."""
    colour = ("crimson", "royalblue", "seagreen")[number % 3]
    picture = Image.new("RGB", (side, side), "white")
    pen = ImageDraw.Draw(picture)
    pen.polygon([(20, 60), (60, 55), (90, 85), (140, 95), (140, 115), (20, 115)], fill=colour)
    pen.rectangle((18, 115, 142, 128), fill="black" if number % 2 else "dimgrey")
    return picture


def photograph(number: int, side: int = 200) -> Image.Image:
    """A drawn shoe with a lens, a lamp and grain."""
    rng = np.random.default_rng(700 + number)
    shoe = draw.random_shoe(rng, background=("white", *draw.BACKGROUNDS)[number % 3])
    picture = draw.draw(shoe, number, side).filter(ImageFilter.GaussianBlur(0.6))
    y, x = np.meshgrid(np.linspace(-1, 1, side), np.linspace(-1, 1, side), indexing="ij")
    light = 1 - 0.12 * (x * x + y * y)[..., None]
    pixels = np.asarray(picture) * light + rng.normal(0, 4, (side, side, 3))
    return Image.fromarray(np.clip(pixels, 0, 255).astype("uint8"))


def write_messy_folder(folder: Path) -> Path:
    """COUNT pictures that can be used, and three files that cannot."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(3):
        clip_art(number).save(folder / f"icon {number + 1}.png")
    for number in range(5):
        photograph(number).save(folder / f"IMG_{2040 + number}.jpg", quality=88)
    Image.fromarray(np.asarray(photograph(0))).save(folder / "IMG_2040 (copy).jpg", quality=72)
    transparent = clip_art(1).convert("RGBA")
    transparent.putalpha(220)
    transparent.save(folder / "logo shoe.png")
    (folder / "broken.jpg").write_bytes((folder / "IMG_2041.jpg").read_bytes()[:900])
    (folder / "readme.txt").write_text("our shoes")
    (folder / "vector.png").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    return folder
