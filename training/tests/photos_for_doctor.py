"""Photos with known faults: what the doctor is measured on.

Two worlds. `drawn`: catalogue photos by `shoesai/starter/draw.py`. `photographic`: made here to look like a camera's,
and sharing nothing with the first: free silhouettes, grain, creases and gloss, a soft contact shadow, an uneven sweep
with a vignette, lens softness, sensor noise, JPEG. Each fault is planted at a random strength above the least at which
a person sees it; those least strengths are the constants here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from shoesai.starter import draw

Rng = np.random.Generator
Floats = NDArray[np.float64]
SIDE: Final = 320

# The least that is planted, and the most.
BLUR: Final = (0.006, 0.02)  # radius of the Gaussian as a share of the side: 2 to 6 px at 320
MOTION: Final = (0.028, 0.07)  # length of the smear
DARK: Final = (0.15, 0.5)  # what is left of every value: −2 to −5 stops of a photo's own curve
BURNT: Final = (0.6, 0.95)  # share of the shoe's pixels that lose a channel or more to 255
GREY: Final = (150, 232)  # the background's level
TINT: Final = (24, 90)  # how far the lowest channel of a coloured background lies below white
SMALL: Final = (0.15, 0.42)  # the shoe's longer side in the picture
AWAY: Final = (0.14, 0.3)  # its middle from the picture's, in the worse direction
CUT: Final = (0.07, 0.4)  # how much of the shoe lies outside
TINY: Final = (32, 110)  # pixels of the shorter side


@dataclass(frozen=True)
class Scene:
    """A shoe that can be put anywhere: colour and coverage of a square with the shoe in its middle, and its shadow."""

    colour: Floats  # [side, side, 3] in 0..1
    cover: Floats  # [side, side]
    shadow: Floats  # [side, side], 0 is no shadow
    named: str
    caption: str


# --- clean photos -------------------------------------------------------------------------------------------
def drawn(rng: Rng, side: int = SIDE) -> tuple[Image.Image, str, str]:
    """Picture, caption, and the name of the shoe's colour."""
    shoe = draw.random_shoe(rng, background="white")
    return draw.draw_catalogue(shoe, int(rng.integers(2**31)), side), draw.caption(shoe, rng), shoe.colour


def photographic(rng: Rng, side: int = SIDE) -> tuple[Image.Image, str, str]:
    scene = scene_of(rng, side)
    return photographed(scene, rng), scene.caption, scene.named


def scene_of(rng: Rng, side: int = SIDE) -> Scene:
    named = str(rng.choice(list(draw.COLOURS)))
    upper, sole = _silhouette(rng, side)
    cover = np.maximum(upper, sole)
    base = np.clip((np.array(draw.COLOURS[named]) + rng.normal(0, 5, 3)) / 255, 0.06, 0.93)
    tone = np.array(draw.SOLES[str(rng.choice(list(draw.SOLES)))]) / 255
    light = _light(upper, rng)
    colour = base * light[..., None] * (1 - sole[..., None]) + tone * (0.9 + 0.1 * light[..., None]) * sole[..., None]
    colour = _panels(colour, upper, base, rng)
    gloss = _clouds(side, 6, rng) ** 6 * rng.uniform(0.0, 0.35) * upper
    colour = np.clip(colour + (1 - colour) * gloss[..., None], 0, 0.955)
    kind = str(rng.choice(["sneakers", "loafers", "ankle boots", "running shoes"]))
    return Scene(colour, cover, _shadow(cover, rng), named, f"{named} {kind}, white background")


def photographed(scene: Scene, rng: Rng, backdrop: Floats | None = None) -> Image.Image:
    """What a camera makes of it; `backdrop` [side, side, 3] is a white sweep if nothing else."""
    side = len(scene.cover)
    back = _sweep(side, rng) if backdrop is None else backdrop
    back = back * (1 - scene.shadow[..., None])
    picture = back * (1 - scene.cover[..., None]) + scene.colour * scene.cover[..., None]
    return developed(picture, rng)


def developed(picture: Floats, rng: Rng) -> Image.Image:
    """Lens, sensor and file: [side, side, 3] in 0..1."""
    image = _image(picture).filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 0.7) * len(picture) / 512))
    noisy = np.asarray(image, dtype=np.float64) + rng.normal(0, rng.uniform(0.5, 2.5), picture.shape)
    return as_jpeg(_image(noisy / 255), int(rng.integers(80, 96)))


def as_jpeg(image: Image.Image, quality: int) -> Image.Image:
    out = BytesIO()
    image.save(out, "JPEG", quality=quality)
    return Image.open(out).convert("RGB")


def _image(values: Floats) -> Image.Image:
    return Image.fromarray((np.clip(values, 0, 1) * 255).round().astype(np.uint8))


def _silhouette(rng: Rng, side: int) -> tuple[Floats, Floats]:
    """Coverage of the upper (with the sole's place) and of the sole, the shoe from 0.1 to 0.9 of the width."""
    length, height = 0.8, rng.uniform(0.26, 0.46)
    floor = 0.5 + height / 2
    x = np.linspace(0, 1, 60)
    opening = rng.uniform(0.28, 0.42)
    toe = rng.uniform(0.32, 0.45)
    top = np.interp(
        x,
        [0.0, 0.03, opening, opening + 0.12, 0.75, 0.93, 1.0],
        [0.25, rng.uniform(0.8, 1.0), 1.0, rng.uniform(0.7, 0.85), toe + 0.12, toe, 0.15],
    )
    top = np.convolve(np.pad(top, 3, mode="edge"), np.ones(7) / 7, mode="valid")
    thick = rng.uniform(0.12, 0.2)
    low = np.interp(x, [0, 0.1, 0.8, 1], [0.02, 0.0, 0.0, 0.05])
    facing = 1 if rng.random() < 0.5 else -1
    across = 0.5 + facing * (x - 0.5) * length

    def polygon(above: Floats, below: Floats) -> Floats:
        canvas = Image.new("L", (side * 2, side * 2))
        points = [*zip(across, floor - above * height, strict=True)]
        points += [*zip(across[::-1], (floor - below * height)[::-1], strict=True)]
        ImageDraw.Draw(canvas).polygon([(float(a) * 2 * side, float(b) * 2 * side) for a, b in points], fill=255)
        return np.asarray(canvas.resize((side, side), Image.Resampling.BOX), dtype=np.float64) / 255

    return polygon(np.maximum(top, low + thick), low), polygon(low + thick, low)


def _light(cover: Floats, rng: Rng) -> Floats:
    """Around 1: form, grain and creases."""
    side = len(cover)
    form = _soft(cover, side / 14)
    down, right = np.gradient(form)
    light = np.ones_like(cover) + side * 0.10 * (rng.uniform(0.5, 1.0) * down + rng.uniform(-0.5, 0.5) * right)
    light *= 1 + (_clouds(side, 64, rng) - 0.5) * rng.uniform(0.05, 0.25)
    light *= 1 + (_clouds(side, 10, rng) - 0.5) * rng.uniform(0.05, 0.3)
    return np.clip(light, 0.45, 1.35)


def _panels(colour: Floats, upper: Floats, base: Floats, rng: Rng) -> Floats:
    """Seams, and laces or a strap of another tone."""
    side = len(upper)
    layer = Image.new("L", (side, side))
    pen = ImageDraw.Draw(layer)
    for _ in range(int(rng.integers(3, 8))):
        points = [(float(rng.uniform(0.15, 0.85)) * side, float(rng.uniform(0.3, 0.75)) * side) for _ in range(3)]
        pen.line(points, fill=int(rng.integers(110, 255)), width=max(1, int(rng.integers(1, 4)) * side // 320))
    drawn_on = np.asarray(layer.filter(ImageFilter.GaussianBlur(0.5)), dtype=np.float64) / 255
    lines = (drawn_on * upper)[..., None]
    tone = np.clip(base * 0.45 if base.mean() > 0.35 else base + 0.3, 0, 0.95)
    return colour * (1 - lines) + tone * lines


def _shadow(cover: Floats, rng: Rng) -> Floats:
    side = len(cover)
    rows = np.flatnonzero(cover.max(1) > 0.5)
    ground = np.zeros_like(cover)
    last = rows[-1]
    columns = np.flatnonzero(cover[max(0, last - side // 12) : last + 1].max(0) > 0.5)
    thick = max(2, round(side * rng.uniform(0.008, 0.02)))
    ground[last - 1 : last + thick, columns[0] : columns[-1] + 1] = 1
    return np.clip(_soft(ground, side * rng.uniform(0.008, 0.02)) * rng.uniform(0.2, 0.45), 0, 0.4)


def _sweep(side: int, rng: Rng) -> Floats:
    """A white paper sweep, a little uneven and darker to the corners, white enough everywhere."""
    rows, columns = np.mgrid[0:side, 0:side] / (side - 1) - 0.5
    level = rng.uniform(251, 255) - rng.uniform(0, 4) * (rows**2 + columns**2) * 2 + rng.uniform(-2, 2) * rows
    tint = rng.uniform(-1.5, 0.5, 3)
    return np.clip(level[..., None] + tint, 246, 255) / 255


def _clouds(side: int, cells: int, rng: Rng) -> Floats:
    small = Image.fromarray((rng.random((cells, cells)) * 255).astype(np.uint8))
    return np.asarray(small.resize((side, side), Image.Resampling.BICUBIC), dtype=np.float64) / 255


def _soft(values: Floats, radius: float) -> Floats:
    image = Image.fromarray((np.clip(values, 0, 1) * 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(radius))
    return np.asarray(image, dtype=np.float64) / 255


# --- faults -------------------------------------------------------------------------------------------------
def _between(span: tuple[float, float], rng: Rng) -> float:
    return float(rng.uniform(*span))


def blurred(picture: Image.Image, rng: Rng) -> Image.Image:
    """Out of focus or moved; the sensor's noise comes afterwards."""
    if rng.random() < 0.6:
        soft = np.asarray(picture.filter(ImageFilter.GaussianBlur(_between(BLUR, rng) * picture.width)), dtype=float)
    else:
        soft = _smeared(picture, max(5, round(_between(MOTION, rng) * picture.width)), rng.uniform(0, np.pi))
    return as_jpeg(_image((soft + rng.normal(0, rng.uniform(0, 1.5), soft.shape)) / 255), int(rng.integers(80, 96)))


def _smeared(picture: Image.Image, length: int, angle: float) -> Floats:
    values = np.asarray(picture, dtype=np.float64)
    steps = np.linspace(-length / 2, length / 2, length)
    moves = [(round(float(step * np.sin(angle))), round(float(step * np.cos(angle)))) for step in steps]
    return np.mean([np.roll(values, move, axis=(0, 1)) for move in moves], axis=0)


def underexposed(picture: Image.Image, rng: Rng) -> Image.Image:
    return _image(np.asarray(picture, dtype=np.float64) / 255 * _between(DARK, rng))


def overexposed(picture: Image.Image, rng: Rng) -> Image.Image:
    """As much more light as burns the wanted share of the shoe."""
    values = np.asarray(picture, dtype=np.float64)
    shoe = values.min(-1) < 225
    need = 255 / np.quantile(values[shoe].max(-1), 1 - _between(BURNT, rng))
    return _image(values / 255 * max(1.1, need))


def on_other_background(picture: Image.Image, rng: Rng) -> Image.Image:
    """Grey, tinted, or with a strong vignette: multiplied into the picture, as coloured light on paper is."""
    choice, side = rng.integers(3), picture.width
    if choice == 0:
        factor: Floats = np.full((1, 1, 3), _between(GREY, rng) / 255)
    elif choice == 1:
        low = 1 - _between(TINT, rng) / 255
        factor = np.array(rng.permutation([1.0, rng.uniform(low, 1.0), low]))[None, None]
    else:
        rows, columns = np.mgrid[0:side, 0:side] / (side - 1) - 0.5
        factor = (1 - rng.uniform(0.15, 0.5) * 2 * (rows**2 + columns**2))[..., None]
    values = np.asarray(picture, dtype=np.float64) / 255
    paper = np.clip((values.min(-1, keepdims=True) - 0.6) / 0.3, 0, 1)  # the shoe keeps its colour
    return _image(values * (1 - paper) + values * factor * paper)


def small_in_frame(picture: Image.Image, rng: Rng) -> Image.Image:
    """Further away; the shoe was about 0.82 of the width."""
    return _placed(picture, _between(SMALL, rng) / 0.82, (0.0, 0.0))


def off_centre(picture: Image.Image, rng: Rng) -> Image.Image:
    away = _between(AWAY, rng) * rng.choice([-1, 1])
    other = float(rng.uniform(-0.1, 0.1))
    # as far as it can go without being cut: a shoe of 0.82 moves 0.09 sideways, so it is smaller here
    scale = min(0.75, (0.94 - 2 * abs(away)) / 0.87)
    return _placed(picture, scale, (away, other) if rng.random() < 0.5 else (other, away))


def cut_off(picture: Image.Image, rng: Rng) -> Image.Image:
    """Heel, toe, or the top lies outside of the picture."""
    box = _shoe_box(picture)
    gone = _between(CUT, rng)
    edge = rng.integers(4)
    width, height = box[2] - box[0], box[3] - box[1]
    side = picture.width
    if edge == 0:
        move = (-(box[0] + gone * width) / side, 0.0)
    elif edge == 1:
        move = ((side - box[2] + gone * width) / side, 0.0)
    elif edge == 2:
        move = (0.0, -(box[1] + gone * height) / side)
    else:
        move = (0.0, (side - box[3] + gone * height) / side)
    return _placed(picture, 1.0, move)


def no_subject(picture: Image.Image, rng: Rng) -> Image.Image:
    """The empty sweep."""
    return developed(_sweep(picture.width, rng), rng)


def too_small(picture: Image.Image, rng: Rng) -> Image.Image:
    side = int(rng.integers(*TINY))
    return picture.resize((side, side), Image.Resampling.LANCZOS)


def _shoe_box(picture: Image.Image) -> tuple[int, int, int, int]:
    shoe = Image.fromarray(((np.asarray(picture).min(-1) < 215) * 255).astype(np.uint8))
    box = shoe.filter(ImageFilter.MedianFilter(5)).getbbox()
    assert box
    return box


def _placed(picture: Image.Image, scale: float, move: tuple[float, float]) -> Image.Image:
    """The picture smaller and moved by fractions of the side, on a sweep of its own border's colour."""
    side = picture.width
    edge = tuple(int(v) for v in np.median(np.asarray(picture)[:4].reshape(-1, 3), axis=0))
    ground = Image.new("RGB", picture.size, edge)
    part = picture.resize((round(side * scale),) * 2, Image.Resampling.LANCZOS) if scale != 1 else picture
    left, top = ((side - part.width) // 2 + round(side * each) for each in move)
    soft = Image.new("L", part.size, 255)
    if scale != 1:  # its own border fades into the ground
        soft = Image.new("L", part.size, 0)
        rim = max(2, part.width // 40)
        soft.paste(255, (rim, rim, part.width - rim, part.height - rim))
        soft = soft.filter(ImageFilter.GaussianBlur(rim / 2))
    ground.paste(part, (left, top), soft)
    return ground


def nearly_same(picture: Image.Image, rng: Rng) -> Image.Image:
    """What becomes of a photo that is sent around: saved again, smaller, lighter, cropped, softer, turned a little."""
    side = picture.width
    how = rng.integers(6)
    if how == 0:
        return as_jpeg(picture, int(rng.integers(30, 70)))
    if how == 1:
        return picture.resize((round(side * rng.uniform(0.4, 0.9)),) * 2, Image.Resampling.LANCZOS)
    if how == 2:
        gain = float(rng.uniform(0.93, 1.07))
        return picture.point(lambda value: min(255, value * gain))
    if how == 3:
        rim = max(1, round(side * rng.uniform(0.005, 0.02)))
        return picture.crop((rim, rim, side - rim, side - rim)).resize(picture.size, Image.Resampling.LANCZOS)
    if how == 4:
        return picture.filter(ImageFilter.GaussianBlur(side * rng.uniform(0.002, 0.006)))
    turn = float(rng.uniform(-1.2, 1.2))
    return picture.rotate(turn, Image.Resampling.BICUBIC, fillcolor=picture.getpixel((1, 1)))


FAULTS: Final[dict[str, Callable[[Image.Image, Rng], Image.Image]]] = {
    "blurred": blurred,
    "underexposed": underexposed,
    "overexposed": overexposed,
    "background": on_other_background,
    "small_in_frame": small_in_frame,
    "off_centre": off_centre,
    "cut_off": cut_off,
    "no_subject": no_subject,
    "too_small": too_small,
}
WORLDS: Final = {"drawn": drawn, "photographic": photographic}
