"""Draws captioned shoe photographs: the starter model's whole world, and the demo's dataset.

A shoe is a small solid: a side profile swept across the foot's width in slices, seen by a camera with some yaw
and pitch. It is drawn three times too large with Pillow, shrunk, and then lit in NumPy at the final size.
Shoe coordinates: x from heel (0) to toe (1), y up from the ground, z across; 1 is the shoe's length.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

RGB = tuple[int, int, int]
Floats = NDArray[np.float64]
Curve = Sequence[tuple[float, float]]

TYPES: Final = ("sneakers", "high-tops", "loafers", "oxfords", "ankle boots", "sandals", "slip-ons", "running shoes")
SINGULAR: Final = {
    "sneakers": "sneaker",
    "high-tops": "high-top",
    "loafers": "loafer",
    "oxfords": "oxford",
    "ankle boots": "ankle boot",
    "sandals": "sandal",
    "slip-ons": "slip-on",
    "running shoes": "running shoe",
}
COLOURS: Final[dict[str, RGB]] = {
    "black": (34, 33, 36),
    "white": (236, 235, 232),
    "grey": (136, 139, 143),
    "red": (200, 32, 38),
    "orange": (240, 126, 28),
    "yellow": (246, 210, 52),
    "green": (42, 138, 66),
    "teal": (20, 158, 160),
    "blue": (36, 92, 204),
    "purple": (118, 52, 160),
    "pink": (240, 122, 172),
    "brown": (112, 66, 38),
}
MATERIALS: Final = ("leather", "suede", "canvas", "mesh")
SOLES: Final[dict[str, RGB]] = {
    "white": (240, 239, 235),
    "black": (40, 40, 43),
    "gum": (186, 128, 74),
    "grey": (150, 152, 156),
    "cream": (232, 216, 180),
}
BACKGROUNDS: Final[dict[str, RGB]] = {
    "white": (251, 251, 251),
    "beige": (214, 190, 150),
    "sky blue": (150, 198, 236),
    "mint": (160, 220, 186),
    "lavender": (194, 178, 232),
    "slate": (82, 98, 122),
}
FACINGS: Final = ("left", "right")
VIEWS: Final = ("side", "three-quarter")

OVERSIZE: Final = 3  # drawn this many times too large: Pillow's polygons have no antialiasing of their own
HELD_OUT_SHARE: Final = 0.1


@dataclass(frozen=True)
class Shoe:
    """What a caption can say about a picture; everything else is jitter from the seed given to `draw`."""

    type: str
    colour: str
    material: str
    sole: str
    background: str
    facing: str = "right"
    view: str = "side"


@dataclass(frozen=True)
class Setting:
    """How the photographer works: spans are fractions of the picture's side, angles are degrees."""

    length: tuple[float, float] = (0.64, 0.88)
    offset: float = 0.10
    tilt: float = 9.0
    background_jitter: float = 5.0
    colour_jitter: float = 6.0
    pure_white: bool = False


STUDIO: Final = Setting()
CATALOGUE: Final = Setting((0.80, 0.84), 0.0, 0.0, 0.0, 4.0, pure_white=True)


def random_shoe(rng: np.random.Generator, **fixed: str) -> Shoe:
    """A shoe with every attribute drawn uniformly, save those that are given."""
    drawn = {
        "type": str(rng.choice(TYPES)),
        "colour": str(rng.choice(list(COLOURS))),
        "material": str(rng.choice(MATERIALS)),
        "sole": str(rng.choice(list(SOLES))),
        "background": str(rng.choice(list(BACKGROUNDS))),
        "facing": str(rng.choice(FACINGS)),
        "view": str(rng.choice(VIEWS)),
    }
    return Shoe(**{**drawn, **fixed})


def is_held_out(shoe: Shoe) -> bool:
    """Whether this (type, colour, background) is kept from training; the same on every machine and release."""
    digest = hashlib.sha256(f"{shoe.type}|{shoe.colour}|{shoe.background}".encode()).digest()
    return int.from_bytes(digest[:4], "big") < HELD_OUT_SHARE * 2**32


# ------------------------------------------------------------------------------------------
# Captions

_OPENINGS: Final = (
    "",
    "",
    "a photo of ",
    "a product photo of ",
    "a professional product photo of ",
    "a studio shot of ",
    "a picture of ",
    "a catalogue photo of ",
    "professional photo of ",
    "an image of ",
)
_ENDINGS: Final = (
    "",
    "",
    "",
    ", product photography",
    ", high quality, product photography",
    ", high quality",
    ", studio lighting",
    ", detailed",
    ", soft shadow",
    ", e-commerce photo",
    ", sharp focus",
    ", 8k",
)
_PRAISE: Final = ("elegant", "modern", "classic", "new", "stylish", "comfortable", "casual", "premium", "simple")


def caption(shoe: Shoe, rng: np.random.Generator, mention_background: bool = True) -> str:
    """One way of saying it; the type and the colour are always said, the background when asked for."""
    return describe(shoe, rng, mention_background)[0]


def describe(shoe: Shoe, rng: np.random.Generator, mention_background: bool = True) -> tuple[str, list[str]]:
    """A caption and the names of the attributes that it speaks of."""
    if mention_background and rng.random() < 0.06:
        return _catalogue_phrase(shoe), ["type", "colour", "material", "background"]
    says = ["type", "colour"]
    words = _noun_phrase(shoe, rng, says)
    opening = str(rng.choice(_OPENINGS))
    if rng.random() < 0.3:
        words += str(rng.choice([f" with {shoe.sole} soles", f" with a {shoe.sole} sole", f", {shoe.sole} sole"]))
        says.append("sole")
    if mention_background:
        words += str(
            rng.choice(
                [
                    f" on {shoe.background} background",
                    f" on a {shoe.background} background",
                    f", {shoe.background} background",
                    f" against a {shoe.background} background",
                ]
            )
        )
        says.append("background")
    if rng.random() < 0.2:
        words += f", {shoe.view} view"
        says.append("view")
    if rng.random() < 0.2:
        words += f", facing {shoe.facing}"
        says.append("facing")
    text = opening + words + str(rng.choice(_ENDINGS))
    return (text[0].upper() + text[1:] if rng.random() < 0.5 else text), says


def _catalogue_phrase(shoe: Shoe) -> str:
    """As the footwear studios that this is made for write theirs."""
    things = f"{shoe.colour} {shoe.material} {shoe.type} on {shoe.background} background"
    return f"A professional product photo of {things}, high quality, product photography"


def _noun_phrase(shoe: Shoe, rng: np.random.Generator, says: list[str]) -> str:
    adjectives = shoe.colour
    if rng.random() < 0.6:
        adjectives += f" {shoe.material}"
        says.append("material")
    form = rng.random()
    if form < 0.15:
        return f"{shoe.type} in {adjectives}"
    if rng.random() < 0.15:
        adjectives = f"{rng.choice(_PRAISE)} {adjectives}"
    if form < 0.7:
        return f"{adjectives} {shoe.type}"
    return f"{'an' if adjectives[0] in 'aeiou' else 'a'} {adjectives} {SINGULAR[shoe.type]}"


# ------------------------------------------------------------------------------------------
# Shapes


@dataclass(frozen=True)
class Last:
    """One shoe type's solid. Curves run from heel to toe; `collar` is the stretch of x that is open on top."""

    top: Curve
    collar: tuple[float, float]
    sole_top: Curve
    sole_bottom: Curve
    width: float = 0.15
    toe: float = 0.5  # exponent of the toe's roundness seen from above: smaller is blunter
    peak: tuple[float, float] = (0.5, 0.1)  # a point above the profile that the picture must leave room for


_FLAT_TOP: Final = ((0.0, 0.085), (0.3, 0.075), (0.7, 0.075), (1.0, 0.105))
_FLAT_BOTTOM: Final = ((0.0, 0.012), (0.1, 0.0), (0.75, 0.0), (1.0, 0.028))
_HEELED_TOP: Final = ((0.0, 0.115), (0.27, 0.105), (0.45, 0.075), (0.65, 0.045), (0.85, 0.042), (1.0, 0.065))
_HEELED_BOTTOM: Final = (
    (0.0, 0.0),
    (0.262, 0.0),
    (0.272, 0.066),
    (0.45, 0.035),
    (0.6, 0.006),
    (0.8, 0.004),
    (1.0, 0.04),
)

LASTS: Final[dict[str, Last]] = {
    "sneakers": Last(
        (
            (0.012, 0.08),
            (0.018, 0.24),
            (0.045, 0.365),
            (0.075, 0.395),
            (0.14, 0.345),
            (0.25, 0.335),
            (0.335, 0.40),
            (0.375, 0.425),
            (0.44, 0.375),
            (0.55, 0.30),
            (0.66, 0.245),
            (0.78, 0.225),
            (0.89, 0.20),
            (0.96, 0.15),
            (0.99, 0.09),
        ),
        (0.06, 0.375),
        _FLAT_TOP,
        _FLAT_BOTTOM,
        0.155,
        0.42,
    ),
    "high-tops": Last(
        (
            (0.02, 0.08),
            (0.03, 0.25),
            (0.05, 0.45),
            (0.045, 0.64),
            (0.06, 0.675),
            (0.20, 0.655),
            (0.33, 0.675),
            (0.375, 0.70),
            (0.40, 0.62),
            (0.44, 0.48),
            (0.52, 0.365),
            (0.63, 0.27),
            (0.76, 0.225),
            (0.88, 0.205),
            (0.96, 0.155),
            (0.99, 0.09),
        ),
        (0.05, 0.375),
        _FLAT_TOP,
        _FLAT_BOTTOM,
        0.15,
        0.42,
    ),
    "loafers": Last(
        (
            (0.015, 0.10),
            (0.015, 0.22),
            (0.035, 0.325),
            (0.06, 0.34),
            (0.16, 0.275),
            (0.30, 0.235),
            (0.40, 0.25),
            (0.47, 0.305),
            (0.50, 0.305),
            (0.60, 0.245),
            (0.70, 0.205),
            (0.82, 0.185),
            (0.92, 0.155),
            (0.975, 0.11),
            (0.995, 0.06),
        ),
        (0.05, 0.49),
        _HEELED_TOP,
        _HEELED_BOTTOM,
        0.145,
        0.5,
    ),
    "oxfords": Last(
        (
            (0.015, 0.10),
            (0.012, 0.22),
            (0.035, 0.345),
            (0.06, 0.365),
            (0.15, 0.305),
            (0.25, 0.285),
            (0.325, 0.345),
            (0.36, 0.36),
            (0.44, 0.315),
            (0.56, 0.235),
            (0.68, 0.18),
            (0.80, 0.155),
            (0.91, 0.135),
            (0.975, 0.10),
            (1.0, 0.06),
        ),
        (0.05, 0.36),
        _HEELED_TOP,
        _HEELED_BOTTOM,
        0.13,
        0.62,
    ),
    "ankle boots": Last(
        (
            (0.02, 0.12),
            (0.025, 0.25),
            (0.055, 0.42),
            (0.05, 0.60),
            (0.06, 0.70),
            (0.19, 0.675),
            (0.33, 0.70),
            (0.37, 0.70),
            (0.385, 0.55),
            (0.415, 0.42),
            (0.49, 0.325),
            (0.60, 0.25),
            (0.73, 0.205),
            (0.86, 0.175),
            (0.95, 0.135),
            (0.99, 0.07),
        ),
        (0.055, 0.37),
        ((0.0, 0.165), (0.25, 0.15), (0.42, 0.105), (0.62, 0.06), (0.85, 0.052), (1.0, 0.075)),
        ((0.0, 0.0), (0.255, 0.0), (0.265, 0.105), (0.42, 0.06), (0.6, 0.006), (0.82, 0.004), (1.0, 0.045)),
        0.145,
        0.5,
    ),
    "sandals": Last(
        (
            (0.03, 0.09),
            (0.035, 0.16),
            (0.05, 0.165),
            (0.3, 0.15),
            (0.6, 0.125),
            (0.85, 0.13),
            (0.97, 0.12),
            (0.99, 0.08),
        ),
        (0.0, 0.0),
        ((0.0, 0.125), (0.3, 0.115), (0.6, 0.09), (0.85, 0.092), (1.0, 0.115)),
        ((0.0, 0.01), (0.08, 0.0), (0.78, 0.0), (1.0, 0.035)),
        0.16,
        0.4,
        peak=(0.365, 0.49),
    ),
    "slip-ons": Last(
        (
            (0.012, 0.08),
            (0.015, 0.20),
            (0.03, 0.30),
            (0.055, 0.325),
            (0.14, 0.275),
            (0.26, 0.25),
            (0.36, 0.27),
            (0.425, 0.325),
            (0.46, 0.325),
            (0.57, 0.275),
            (0.68, 0.24),
            (0.80, 0.222),
            (0.90, 0.195),
            (0.965, 0.15),
            (0.992, 0.09),
        ),
        (0.05, 0.455),
        ((0.0, 0.105), (0.3, 0.098), (0.7, 0.098), (1.0, 0.118)),
        _FLAT_BOTTOM,
        0.158,
        0.38,
    ),
    "running shoes": Last(
        (
            (0.035, 0.13),
            (0.025, 0.26),
            (0.02, 0.36),
            (0.035, 0.43),
            (0.07, 0.435),
            (0.14, 0.365),
            (0.25, 0.345),
            (0.34, 0.42),
            (0.385, 0.455),
            (0.45, 0.40),
            (0.56, 0.32),
            (0.68, 0.255),
            (0.80, 0.225),
            (0.90, 0.20),
            (0.965, 0.165),
            (0.995, 0.12),
        ),
        (0.055, 0.385),
        ((0.0, 0.175), (0.12, 0.145), (0.35, 0.125), (0.55, 0.13), (0.75, 0.105), (1.0, 0.15)),
        ((0.0, 0.055), (0.1, 0.012), (0.2, 0.0), (0.42, 0.022), (0.6, 0.0), (0.75, 0.005), (1.0, 0.085)),
        0.155,
        0.48,
    ),
}


def _smooth(points: Curve, steps: int = 5) -> Floats:
    """A Catmull-Rom curve through the points, [n, 2]."""
    p = np.asarray(points, dtype=np.float64)
    p = np.vstack([p[0], p, p[-1]])
    t = np.linspace(0, 1, steps, endpoint=False)[:, None]
    a, b, c, d = p[:-3, None], p[1:-2, None], p[2:-1, None], p[3:, None]
    curve = 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
    return np.vstack([curve.reshape(-1, 2), p[-1:]])


def _tone(colour: RGB, amount: float) -> RGB:
    """The colour mixed with white (amount > 0) or black (amount < 0)."""
    goal = 255.0 if amount > 0 else 0.0
    mixed = [round(v + (goal - v) * abs(amount)) for v in colour]
    return (mixed[0], mixed[1], mixed[2])


def _contrast(colour: RGB, amount: float) -> RGB:
    """The colour made lighter where it is dark and darker where it is light: for seams and panels."""
    return _tone(colour, amount if sum(colour) < 190 else -amount)


@dataclass
class Canvas:
    """The oversized layers and the camera. `paint` holds colours, the others hold what the light needs."""

    side: int
    last: Last
    length: float
    centre: tuple[float, float]
    tilt: float
    yaw: float
    pitch: float
    mirrored: bool
    paint: Image.Image = field(init=False)
    upper: Image.Image = field(init=False)  # where the upper's material shows
    solid: Image.Image = field(init=False)  # the whole shoe
    gloss: Image.Image = field(init=False)
    shade: Image.Image = field(init=False)  # 128 is neutral
    dark: Image.Image = field(init=False)  # the shadow on the floor

    def __post_init__(self) -> None:
        size = (self.side, self.side)
        self.paint = Image.new("RGB", size)
        self.upper, self.solid, self.gloss, self.dark = (Image.new("L", size) for _ in range(4))
        self.shade = Image.new("L", size, 128)
        self._paint, self._upper, self._solid, self._gloss, self._shade, self._dark = (
            ImageDraw.Draw(i) for i in (self.paint, self.upper, self.solid, self.gloss, self.shade, self.dark)
        )
        self.profile = _smooth(self.last.top)
        order = np.argsort(self.profile[:, 0], kind="stable")
        self._profile_x, self._profile_y = self.profile[order, 0], self.profile[order, 1]
        self._sole_top = np.asarray(self.last.sole_top)
        self._sole_bottom = np.asarray(self.last.sole_bottom)
        self._cos, self._sin = np.cos(self.tilt), np.sin(self.tilt)

    def y_top(self, x: Floats | float) -> Floats:
        return np.interp(x, self._profile_x, self._profile_y)

    def y_sole(self, x: Floats | float) -> Floats:
        return np.interp(x, self._sole_top[:, 0], self._sole_top[:, 1])

    def y_bottom(self, x: Floats | float) -> Floats:
        return np.interp(x, self._sole_bottom[:, 0], self._sole_bottom[:, 1])

    def half_width(self, x: Floats | float) -> Floats:
        """Half the foot's width at x: narrower heel, widest at the ball, rounded ends."""
        x = np.clip(np.asarray(x, dtype=np.float64), 0.0, 1.0)
        body = np.interp(x, (0, 0.1, 0.4, 0.68, 0.85, 1), (0.72, 0.76, 0.72, 1.0, 0.92, 0.8))
        ends = np.minimum(1, x / 0.16) ** 0.5 * np.minimum(1, (1 - x) / 0.28) ** self.last.toe
        return self.last.width * body * ends

    def project(self, x: Floats, y: Floats, z: Floats) -> Floats:
        """Shoe coordinates to oversized pixels, [n, 2]."""
        x, y, z = np.broadcast_arrays(np.asarray(x, float) - 0.5, np.asarray(y, float), np.asarray(z, float))
        across = x * np.cos(self.yaw) + z * np.sin(self.yaw)
        depth = z * np.cos(self.yaw) - x * np.sin(self.yaw)
        up = y * np.cos(self.pitch) + depth * np.sin(self.pitch) - 0.18
        across, up = across * self._cos - up * self._sin, across * self._sin + up * self._cos
        if self.mirrored:
            across = -across
        return np.stack([self.centre[0] + across * self.length, self.centre[1] - up * self.length], axis=-1)

    def surface(self, points: Curve | Floats) -> Floats:
        """Points (x, y) of the side view, laid on the near side of the upper's rounded surface."""
        p = np.asarray(points, dtype=np.float64)
        base, top = self.y_sole(p[:, 0]), self.y_top(p[:, 0])
        height = np.clip((p[:, 1] - base) / np.maximum(top - base, 1e-3), 0, 1)
        return self.project(p[:, 0], p[:, 1], -self.half_width(p[:, 0]) * (1 - height**3) ** (1 / 3))

    def bounds(self) -> tuple[Floats, Floats]:
        """The lowest and highest pixel (x, y) of the shoe's outline, from profile and sole on both sides."""
        p, xs = self.profile, np.linspace(0, 1, 20)
        x, y = self.last.peak
        w = self.half_width(xs)
        dots = np.concatenate(
            [
                self.project(p[:, 0], p[:, 1], 0 * p[:, 0]),
                self.project(np.array([x]), np.array([y]), np.zeros(1)),
                *(self.project(xs, self.y_bottom(xs), side * w) for side in (-1, 1)),
            ]
        )
        return dots.min(0), dots.max(0)

    def place(self, offset: tuple[float, float], margin: float) -> None:
        """Centres the outline, moves it by `offset` (fractions of the side) and keeps it inside the margin."""
        low, high = self.bounds()
        room = self.side * (1 - 2 * margin)
        self.length *= min(1.0, room / float((high - low).max()))
        low, high = self.bounds()
        start = np.asarray(self.centre) + self.side / 2 - (low + high) / 2 + np.asarray(offset) * self.side
        shift = start - np.asarray(self.centre)
        shift += np.maximum(0, self.side * margin - (low + shift)) - np.maximum(
            0, high + shift - self.side * (1 - margin)
        )
        self.centre = (self.centre[0] + float(shift[0]), self.centre[1] + float(shift[1]))

    def pixels(self, width: float) -> int:
        return max(1, round(width * self.length))

    def fill(self, dots: Floats, colour: RGB, upper: bool, shade: int | None = None) -> None:
        flat = dots.ravel().tolist()
        self._paint.polygon(flat, fill=colour)
        self._upper.polygon(flat, fill=255 if upper else 0)
        self._solid.polygon(flat, fill=255)
        if shade is not None:
            self._shade.polygon(flat, fill=shade)

    def panel(self, points: Curve, colour: RGB, upper: bool = True, smooth: bool = False) -> None:
        """A piece sewn on the side; given as the corners of an outline in the side view."""
        self.fill(self.surface(_smooth(points) if smooth else points), colour, upper)

    def line(self, dots: Floats, colour: RGB, width: float, upper: bool = True) -> None:
        flat = [tuple(d) for d in dots.tolist()]
        self._paint.line(flat, fill=colour, width=self.pixels(width), joint="curve")
        if not upper:
            self._upper.line(flat, fill=0, width=self.pixels(width))
        self._solid.line(flat, fill=255, width=self.pixels(width))

    def seam(self, points: Curve, colour: RGB, width: float = 0.008) -> None:
        self.line(self.surface(_smooth(points)), colour, width)

    def stitches(self, points: Curve, colour: RGB, gap: float = 0.016, width: float = 0.006) -> None:
        """A dashed seam: one stitch each `gap` of the curve."""
        curve = self.surface(_smooth(points, 8))
        run = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(curve, axis=0).T))])
        step = gap * self.length
        for start in np.arange(0, run[-1] - step * 0.5, step):
            ends = np.array([start, start + step * 0.55])
            self.line(
                np.stack([np.interp(ends, run, curve[:, 0]), np.interp(ends, run, curve[:, 1])], -1), colour, width
            )

    def dot(self, point: tuple[float, float], colour: RGB, radius: float, upper: bool = False) -> None:
        (x, y), r = self.surface([point])[0], max(0.8, radius * self.length)
        box = [x - r, y - r, x + r, y + r]
        self._paint.ellipse(box, fill=colour)
        if not upper:
            self._upper.ellipse(box, fill=0)

    def shine(self, points: Curve, width: float, strength: int = 255) -> None:
        dots = self.surface(_smooth(points))
        self._gloss.line([tuple(d) for d in dots.tolist()], fill=strength, width=self.pixels(width), joint="curve")

    def shadow(self, z: float, strength: int) -> None:
        x = np.linspace(0.0, 1.0, 24)
        w = np.maximum(self.half_width(x) + z, 0)
        ring = np.concatenate([self.project(x, x * 0, -w), self.project(x[::-1], x * 0, w[::-1])])
        self._dark.polygon(ring.ravel().tolist(), fill=strength)


# ------------------------------------------------------------------------------------------
# The solid: sole, far wall, vamp, opening, near wall


def _draw_sole(c: Canvas, colour: RGB, slices: int = 9) -> None:
    """The sole's slices from far to near; the nearest shows the midsole line and the tread."""
    xs = np.linspace(-0.008, 1.004, 60)
    w = c.half_width(np.clip(xs, 0.004, 0.998)) * 1.06
    for u in np.linspace(1, -1, slices):
        z = u * w
        top, bottom = c.y_sole(xs), c.y_bottom(xs)
        ring = np.concatenate([c.project(xs, top, z), c.project(xs[::-1], bottom[::-1], z[::-1])])
        c.fill(ring, colour, upper=False, shade=118 if u > -0.99 else 132)


def _sole_line(c: Canvas, height: float, colour: RGB, width: float, x0: float = 0.0, x1: float = 1.0) -> None:
    """A line along the near side of the sole at a fraction of its thickness."""
    xs = np.linspace(x0, x1, 40)
    y = c.y_bottom(xs) * (1 - height) + c.y_sole(xs) * height
    c.line(c.project(xs, y, -c.half_width(np.clip(xs, 0.004, 0.998)) * 1.06), colour, width, upper=False)


def _tread(c: Canvas, k: "Look", teeth: int, depth: float = 0.16) -> None:
    colour = _contrast(k.sole, 0.16)
    for x in np.linspace(0.03, 0.96, teeth):
        low, high = c.y_bottom(x), c.y_sole(x)
        ends = np.array([[x, low], [x + 0.006, low + (high - low) * depth]])
        c.line(c.project(ends[:, 0], ends[:, 1], -c.half_width(ends[:, 0]) * 1.06), colour, 0.008, upper=False)


def _draw_upper(c: Canvas, colour: RGB, lining: RGB, slices: int = 13) -> None:
    """The upper's slices from far to near, with the opening cut into it before the near half is drawn."""
    p = c.profile
    w, base = c.half_width(p[:, 0]), c.y_sole(p[:, 0]) - 0.01
    start, end = c.last.collar
    open_ = (p[:, 0] >= start) & (p[:, 0] <= end) & (p[:, 1] > base + 0.12)
    floor_x = p[::-1, 0]
    for u in np.linspace(0.97, -0.97, slices):
        h = (1 - abs(u) ** 4) ** 0.25
        y = base + (p[:, 1] - base) * np.where(open_, 1.0, h)
        ring = np.concatenate([c.project(p[:, 0], y, u * w), c.project(floor_x, base[::-1], (u * w)[::-1])])
        lit = round(120 + 22 * (h if u > 0 else 1) - 14 * max(0.0, -u) ** 2 - 18 * max(0.0, u))
        if abs(u) < 0.6 and open_.any():  # the middle slices end where the foot goes in
            y = np.where(open_, base + 0.05, y)
            ring = np.concatenate([c.project(p[:, 0], y, u * w), c.project(floor_x, base[::-1], (u * w)[::-1])])
        c.fill(ring, colour, upper=True, shade=lit)
        if open_.any() and -0.7 < u < -0.5 + 0.97 * 2 / (slices - 1):
            rim = p[open_]
            rim_w = c.half_width(rim[:, 0])
            hole = np.concatenate(
                [c.project(rim[:, 0], rim[:, 1], rim_w * 0.9), c.project(rim[::-1, 0], rim[::-1, 1], -rim_w[::-1])]
            )
            c.fill(hole, lining, upper=False, shade=104)


def _rim(c: Canvas, colour: RGB, width: float = 0.016) -> None:
    """The padded edge of the opening."""
    p = c.profile
    start, end = c.last.collar
    on = (p[:, 0] >= start) & (p[:, 0] <= end) & (p[:, 1] > c.y_sole(p[:, 0]) + 0.11)
    c.line(c.project(p[on, 0], p[on, 1], -c.half_width(p[on, 0]) * 0.97), colour, width)


def _along(c: Canvas, x0: float, x1: float, drop: float, n: int = 7) -> list[tuple[float, float]]:
    """Points that follow the profile from x0 to x1, `drop` below it."""
    xs = np.linspace(x0, x1, n)
    return [(float(x), float(c.y_top(x)) - drop) for x in xs]


def _laces(c: Canvas, xs: Floats, colour: RGB, drop: float, eyelet: RGB, width: float = 0.016) -> None:
    for x in xs:
        y = float(c.y_top(x))
        near = c.surface([(float(x) - drop * 0.55, y - drop)])[0]
        far = c.project(np.array([x + 0.012]), np.array([y + 0.006]), c.half_width(x) * 0.35)[0]
        c.dot((float(x) - drop * 0.55, y - drop), eyelet, 0.009)
        c.line(np.stack([near, far]), colour, width, upper=False)


def _bow(c: Canvas, x: float, colour: RGB) -> None:
    y = float(c.y_top(x))
    for dx, dy in ((-0.075, -0.035), (-0.02, -0.085)):
        loop = _smooth(
            [
                (x, y - 0.005),
                (x + dx * 0.5 - 0.01, y + dy * 0.2),
                (x + dx, y + dy),
                (x + dx * 0.45, y + dy * 0.75),
                (x, y - 0.005),
            ]
        )
        c.line(c.surface(loop), colour, 0.011, upper=False)


# ------------------------------------------------------------------------------------------
# The eight types


@dataclass(frozen=True)
class Look:
    """The colours one picture is painted with."""

    upper: RGB
    panel: RGB
    seam: RGB
    stitch: RGB
    lace: RGB
    metal: RGB
    sole: RGB
    sole_line: RGB
    lining: RGB


def _sneaker(c: Canvas, k: Look) -> None:
    _draw_sole(c, k.sole)
    _draw_upper(c, k.upper, k.lining)
    c.panel([(0.012, 0.09), (0.02, 0.25), (0.045, 0.36), (0.10, 0.36), (0.115, 0.24), (0.19, 0.085)], k.panel)
    c.panel([(0.80, 0.09), (0.80, 0.15), (0.86, 0.20), (0.93, 0.175), (0.985, 0.10)], k.panel, smooth=False)
    c.seam([(0.36, 0.10), (0.42, 0.17), (0.53, 0.235), (0.66, 0.21), (0.70, 0.10)], k.seam)
    for shift in (0.0, 0.055, 0.11):
        c.panel(
            [
                (0.245 + shift, 0.10),
                (0.275 + shift, 0.10),
                (0.365 + shift, 0.27 - shift),
                (0.335 + shift, 0.27 - shift),
            ],
            k.panel,
        )
    c.stitches([(0.125, 0.33), (0.145, 0.22), (0.205, 0.10)], k.stitch)
    c.stitches(_along(c, 0.37, 0.64, 0.085), k.stitch)
    _rim(c, k.panel)
    _laces(c, np.linspace(0.395, 0.60, 5), k.lace, 0.055, k.seam)
    _bow(c, 0.385, k.lace)
    for x, y in ((0.72, 0.185), (0.76, 0.18), (0.74, 0.155), (0.78, 0.15)):
        c.dot((x, y), k.seam, 0.006)
    _sole_line(c, 0.62, k.sole_line, 0.009)
    _tread(c, k, 22, 0.3)
    c.shine(_along(c, 0.68, 0.90, 0.045), 0.035)
    c.shine([(0.06, 0.20), (0.07, 0.28)], 0.03, 200)


def _high_top(c: Canvas, k: Look) -> None:
    _draw_sole(c, k.sole)
    _draw_upper(c, k.upper, k.lining)
    c.panel(
        [(0.03, 0.09), (0.04, 0.30), (0.055, 0.46), (0.05, 0.65), (0.09, 0.65), (0.095, 0.45), (0.085, 0.09)], k.panel
    )
    c.panel(
        [
            (0.355, 0.675),
            (0.385, 0.61),
            (0.42, 0.48),
            (0.52, 0.345),
            (0.62, 0.262),
            (0.56, 0.22),
            (0.44, 0.31),
            (0.355, 0.43),
            (0.315, 0.66),
        ],
        k.panel,
    )
    c.panel(
        [(0.80, 0.085), (0.785, 0.15), (0.81, 0.21), (0.88, 0.20), (0.96, 0.15), (0.988, 0.09)], k.sole, upper=False
    )
    c.stitches([(0.11, 0.63), (0.113, 0.45), (0.105, 0.12)], k.stitch)
    c.stitches([(0.30, 0.64), (0.34, 0.43), (0.43, 0.295), (0.55, 0.205)], k.stitch)
    c.dot((0.205, 0.49), k.lace, 0.058)
    c.dot((0.205, 0.49), k.panel, 0.047, upper=True)
    c.dot((0.205, 0.49), k.lace, 0.02)
    _rim(c, k.panel)
    xs = np.array([0.383, 0.397, 0.413, 0.435, 0.475, 0.525, 0.58])
    _laces(c, xs, k.lace, 0.05, k.metal, 0.015)
    _bow(c, 0.384, k.lace)
    _sole_line(c, 0.7, k.sole_line, 0.01)
    _tread(c, k, 24, 0.25)
    c.shine([(0.15, 0.30), (0.16, 0.40)], 0.03, 150)
    c.shine(_along(c, 0.64, 0.76, 0.04), 0.03, 180)


def _loafer(c: Canvas, k: Look) -> None:
    _draw_sole(c, k.sole)
    _draw_upper(c, k.upper, k.lining)
    _rim(c, k.panel, 0.014)
    c.panel([(0.015, 0.115), (0.02, 0.23), (0.04, 0.32), (0.085, 0.30), (0.10, 0.2), (0.12, 0.11)], k.panel)
    c.seam([(0.50, 0.225), (0.62, 0.19), (0.76, 0.155), (0.87, 0.14), (0.94, 0.135)], k.seam, 0.014)
    c.stitches([(0.51, 0.205), (0.63, 0.172), (0.76, 0.138), (0.87, 0.122), (0.94, 0.118)], k.stitch)
    c.panel([(0.455, 0.065), (0.545, 0.06), (0.60, 0.15), (0.595, 0.25), (0.50, 0.30), (0.475, 0.16)], k.panel)
    c.panel([(0.525, 0.215), (0.567, 0.20), (0.572, 0.235), (0.53, 0.255)], k.seam)
    c.stitches([(0.475, 0.08), (0.495, 0.16), (0.515, 0.28)], k.stitch)
    c.stitches([(0.535, 0.08), (0.585, 0.16), (0.585, 0.24)], k.stitch)
    c.stitches([(0.12, 0.27), (0.13, 0.2), (0.145, 0.12)], k.stitch)
    _sole_line(c, 0.72, k.sole_line, 0.009)
    _sole_line(c, 0.40, k.sole_line, 0.006, 0.0, 0.26)
    c.shine(_along(c, 0.68, 0.90, 0.03), 0.03)
    c.shine([(0.20, 0.19), (0.32, 0.165)], 0.024, 170)


def _oxford(c: Canvas, k: Look) -> None:
    _draw_sole(c, k.sole)
    _draw_upper(c, k.upper, k.lining)
    _rim(c, k.panel, 0.012)
    c.panel([(0.012, 0.11), (0.015, 0.23), (0.04, 0.34), (0.09, 0.325), (0.11, 0.22), (0.17, 0.10)], k.panel)
    c.panel([(0.79, 0.05), (0.775, 0.105), (0.80, 0.153), (0.90, 0.136), (0.975, 0.10), (0.998, 0.062)], k.panel)
    c.panel(
        [(0.345, 0.345), (0.44, 0.305), (0.575, 0.222), (0.60, 0.17), (0.50, 0.16), (0.40, 0.215), (0.30, 0.30)],
        k.panel,
    )
    c.stitches([(0.775, 0.055), (0.758, 0.105), (0.785, 0.15)], k.stitch)
    c.stitches([(0.12, 0.30), (0.135, 0.21), (0.195, 0.105)], k.stitch)
    c.stitches([(0.29, 0.285), (0.39, 0.195), (0.50, 0.142), (0.615, 0.155)], k.stitch)
    for x in np.linspace(0.83, 0.93, 4):
        c.dot((float(x), 0.105 - (float(x) - 0.83) * 0.15), k.seam, 0.007)
    for x in np.linspace(0.43, 0.56, 4):
        c.dot((float(x), 0.185 - (float(x) - 0.43) * 0.1), k.seam, 0.005)
    _laces(c, np.linspace(0.385, 0.52, 4), k.lace, 0.045, k.seam, 0.012)
    _bow(c, 0.38, k.lace)
    _sole_line(c, 0.70, k.sole_line, 0.008)
    _sole_line(c, 0.36, k.sole_line, 0.006, 0.0, 0.26)
    c.shine(_along(c, 0.66, 0.76, 0.03), 0.026)
    c.shine(_along(c, 0.82, 0.94, 0.028), 0.024)
    c.shine([(0.22, 0.2), (0.33, 0.17)], 0.024, 180)


def _ankle_boot(c: Canvas, k: Look) -> None:
    _draw_sole(c, k.sole)
    _draw_upper(c, k.upper, k.lining)
    _rim(c, k.panel, 0.014)
    gore = [(0.155, 0.675), (0.285, 0.683), (0.275, 0.50), (0.235, 0.36), (0.205, 0.36), (0.165, 0.50)]
    c.panel(gore, k.seam)
    for x in np.linspace(0.175, 0.268, 6):
        c.line(c.surface([(float(x), 0.665), (0.22 + (float(x) - 0.22) * 0.55, 0.40)]), k.panel, 0.006)
    c.stitches([(0.138, 0.66), (0.147, 0.50), (0.195, 0.34), (0.245, 0.34), (0.292, 0.50), (0.303, 0.66)], k.stitch)
    c.panel([(0.045, 0.66), (0.06, 0.66), (0.062, 0.765), (0.035, 0.765)], k.panel)
    c.seam([(0.245, 0.345), (0.33, 0.25), (0.40, 0.12)], k.seam)
    c.stitches([(0.26, 0.345), (0.345, 0.25), (0.415, 0.12)], k.stitch)
    c.seam([(0.205, 0.345), (0.14, 0.25), (0.11, 0.16)], k.seam)
    _sole_line(c, 0.78, k.sole_line, 0.009)
    for h in (0.25, 0.5):
        _sole_line(c, h, k.sole_line, 0.005, 0.0, 0.25)
    c.shine(_along(c, 0.68, 0.90, 0.03), 0.03)
    c.shine([(0.335, 0.60), (0.35, 0.44), (0.42, 0.34)], 0.024, 200)
    c.shine([(0.10, 0.24), (0.11, 0.34)], 0.03, 150)


def _strap(c: Canvas, x0: float, x1: float, lean: float, peak: float, width: float, k: Look, near: bool) -> None:
    """A band over the foot from sole edge to sole edge, arched to `peak`; its far or its near half."""
    t = np.linspace(0, 1, 12)
    half = t * np.pi / 2
    x = (x0 + x1) / 2 + lean * np.sin(half)
    y = c.y_sole(x) - 0.01 + (peak - c.y_sole(x)) * np.sin(half) ** 0.75
    z = c.half_width(x) * np.cos(half) * (-1.0 if near else 1.0)
    x_a, x_b = x - width / 2, x + width / 2
    ring = np.concatenate([c.project(x_a, y, z), c.project(x_b[::-1], y[::-1] - 0.012, z[::-1])])
    c.fill(ring, k.upper if near else k.seam, upper=True, shade=134 if near else 96)
    if near:
        for edge in (x_a + 0.012, x_b - 0.012):
            c.line(c.project(edge, y - 0.006, z), k.stitch, 0.005)


def _sandal(c: Canvas, k: Look) -> None:
    _draw_sole(c, k.sole)
    xs = np.linspace(0.02, 0.985, 40)
    w = c.half_width(xs) * 0.96
    bed = np.concatenate([c.project(xs, c.y_sole(xs), w), c.project(xs[::-1], c.y_sole(xs)[::-1], -w[::-1])])
    c.fill(bed, k.lining, upper=False, shade=120)
    bands = ((0.80, 0.80, -0.05, 0.235, 0.15), (0.60, 0.60, -0.06, 0.285, 0.15))
    heel = _smooth(
        [(0.035, 0.12), (0.015, 0.24), (0.03, 0.40), (0.075, 0.43), (0.11, 0.40), (0.105, 0.26), (0.14, 0.11)]
    )
    ankle = _smooth(
        [
            (0.035, 0.36),
            (0.14, 0.385),
            (0.26, 0.43),
            (0.36, 0.49),
            (0.39, 0.43),
            (0.28, 0.36),
            (0.15, 0.315),
            (0.04, 0.30),
        ]
    )
    link = _smooth([(0.30, 0.40), (0.345, 0.45), (0.44, 0.36), (0.52, 0.27), (0.485, 0.225), (0.39, 0.31)])
    for part in (ankle, link):
        c.fill(
            c.project(part[:, 0] + 0.015, part[:, 1], np.full(len(part), c.last.width * 0.55)),
            k.seam,
            upper=True,
            shade=96,
        )
    for band in bands:
        _strap(c, *band, k=k, near=False)
    for band in bands:
        _strap(c, *band, k=k, near=True)
    for part in (link, heel, ankle):
        c.fill(
            c.project(part[:, 0], part[:, 1], np.full(len(part), -c.last.width * 0.62)), k.upper, upper=True, shade=132
        )
        c.line(c.project(part[:, 0], part[:, 1], np.full(len(part), -c.last.width * 0.62)), k.panel, 0.007)
    for (x, y), r, colour in (((0.235, 0.385), 0.036, k.metal), ((0.235, 0.385), 0.02, k.upper)):
        (px, py), s = c.project(np.array([x]), np.array([y]), np.array([-c.last.width * 0.62]))[0], r * c.length
        c._paint.rectangle([px - s, py - s, px + s, py + s], fill=colour)
    _sole_line(c, 0.62, k.sole_line, 0.012)
    _tread(c, k, 18, 0.35)
    c.shine([(0.72, 0.19), (0.80, 0.18)], 0.03, 90)


def _slip_on(c: Canvas, k: Look) -> None:
    _draw_sole(c, k.sole)
    _draw_upper(c, k.upper, k.lining)
    _rim(c, k.panel, 0.022)
    c.panel([(0.33, 0.265), (0.405, 0.30), (0.395, 0.215), (0.345, 0.155)], k.seam)
    c.panel([(0.012, 0.105), (0.016, 0.21), (0.03, 0.29), (0.08, 0.285), (0.09, 0.10)], k.panel)
    c.seam([(0.345, 0.145), (0.38, 0.12), (0.44, 0.10)], k.seam)
    c.stitches([(0.425, 0.30), (0.415, 0.215), (0.36, 0.135)], k.stitch)
    c.stitches([(0.105, 0.26), (0.11, 0.19), (0.11, 0.11)], k.stitch)
    c.stitches(_along(c, 0.48, 0.62, 0.03), k.stitch)
    _sole_line(c, 0.72, k.sole_line, 0.012)
    _sole_line(c, 0.45, k.sole_line, 0.006)
    _tread(c, k, 26, 0.2)
    c.shine(_along(c, 0.64, 0.90, 0.04), 0.035)
    c.shine([(0.18, 0.19), (0.28, 0.175)], 0.026, 130)


def _running_shoe(c: Canvas, k: Look) -> None:
    _draw_sole(c, k.sole)
    _draw_upper(c, k.upper, k.lining)
    c.panel(
        [(0.03, 0.16), (0.025, 0.29), (0.03, 0.41), (0.07, 0.42), (0.115, 0.30), (0.21, 0.19), (0.22, 0.135)], k.panel
    )
    c.panel([(0.80, 0.12), (0.79, 0.16), (0.86, 0.205), (0.94, 0.18), (0.99, 0.14)], k.panel)
    sweep = [(0.20, 0.14), (0.31, 0.165), (0.42, 0.235), (0.50, 0.33), (0.545, 0.305), (0.47, 0.20), (0.36, 0.135)]
    c.panel(sweep, k.lace, upper=False)
    c.stitches([(0.13, 0.31), (0.22, 0.21), (0.25, 0.15)], k.stitch)
    c.seam([(0.56, 0.15), (0.63, 0.19), (0.68, 0.245)], k.seam)
    c.seam([(0.64, 0.13), (0.71, 0.17), (0.76, 0.22)], k.seam)
    c.panel([(0.02, 0.40), (0.045, 0.42), (0.03, 0.50), (0.0, 0.485)], k.panel)
    _rim(c, k.panel, 0.024)
    _laces(c, np.linspace(0.41, 0.63, 6), k.lace, 0.05, k.seam, 0.014)
    _bow(c, 0.40, k.lace)
    _sole_line(c, 0.55, k.sole_line, 0.014)
    _sole_line(c, 0.04, k.sole_line, 0.02)
    _tread(c, k, 16, 0.4)
    c.shine(_along(c, 0.68, 0.90, 0.04), 0.03, 170)


TYPE_DRAWINGS: Final[dict[str, Callable[[Canvas, Look], None]]] = {
    "sneakers": _sneaker,
    "high-tops": _high_top,
    "loafers": _loafer,
    "oxfords": _oxford,
    "ankle boots": _ankle_boot,
    "sandals": _sandal,
    "slip-ons": _slip_on,
    "running shoes": _running_shoe,
}

# ------------------------------------------------------------------------------------------
# Light


@dataclass(frozen=True)
class Finish:
    """How a material answers the light: relief of the form, strength of highlights, and grain in 0..1."""

    relief: float
    gloss: float
    noise: float
    weave: float
    holes: float


FINISHES: Final[dict[str, Finish]] = {
    "leather": Finish(1.15, 0.50, 0.0, 0.0, 0.0),
    "suede": Finish(0.75, 0.03, 0.085, 0.0, 0.0),
    "canvas": Finish(0.85, 0.05, 0.02, 0.10, 0.0),
    "mesh": Finish(0.95, 0.12, 0.0, 0.0, 0.22),
}


def _shrink(layer: Image.Image, size: int) -> Floats:
    return np.asarray(layer.resize((size, size), Image.Resampling.BOX), dtype=np.float64) / 255


def _blurred(values: Floats, radius: float) -> Floats:
    picture = Image.fromarray(np.clip(values * 255, 0, 255).astype(np.uint8))
    return np.asarray(picture.filter(ImageFilter.GaussianBlur(radius)), dtype=np.float64) / 255


def _grain(c: Canvas, finish: Finish, size: int, rng: np.random.Generator) -> Floats:
    """The material's texture, centred on 0, [size, size]; it turns with the shoe."""
    rows, columns = np.mgrid[0:size, 0:size] * (128 / size)
    along, across = columns * c._cos + rows * c._sin, rows * c._cos - columns * c._sin
    grain = np.zeros((size, size))
    if finish.noise:
        coarse = _blurred(rng.random((size, size)), 0.7 * size / 128) - 0.5
        grain += finish.noise * 2.4 * coarse
    if finish.weave:
        grain += finish.weave * 0.5 * (np.sin(along * 2.1) * np.sin(across * 2.1))
    if finish.holes:
        grain -= (
            finish.holes * np.clip(np.sin(along * 1.75) * np.sin(across * 1.75 + (along // 3.6) * 0), 0.1, 1) - 0.04
        )
    return grain


def _lit(c: Canvas, finish: Finish, size: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """The picture's colours in 0..1, [size, size, 3], and the shoe's coverage, [size, size, 1]."""
    scale = size / 128
    colour = np.asarray(c.paint.resize((size, size), Image.Resampling.BOX), dtype=np.float64) / 255
    upper, solid = _shrink(c.upper, size), _shrink(c.solid, size)
    colour /= np.maximum(solid, 1 / 32)[..., None]  # unpainted pixels are black: undo their share at the edges
    form = _blurred(upper, 4.5 * scale)
    down, right = np.gradient(form)
    edge = _blurred(solid, 2.0 * scale)
    light = 1 + finish.relief * scale * 2.1 * (0.9 * down + 0.35 * right) * upper
    light *= 1 + (_blurred(_shrink(c.shade, size), 1.2 * scale) - 0.502) * 1.5
    light *= 0.86 + 0.14 * np.clip((edge - 0.4) / 0.5, 0, 1)
    light *= 1 + _grain(c, finish, size, rng) * upper
    gloss = _blurred(_shrink(c.gloss, size), 2.2 * scale) * upper * finish.gloss
    shaded = np.clip(colour * light[..., None], 0, 1)
    return shaded + (1 - shaded) * np.clip(gloss, 0, 0.6)[..., None], solid[..., None]


def _backdrop(shoe: Shoe, setting: Setting, size: int, rng: np.random.Generator) -> Floats:
    base = np.array(BACKGROUNDS[shoe.background], dtype=np.float64)
    if setting.pure_white:
        return np.broadcast_to(np.array([253.0, 253.0, 253.0]) / 255, (size, size, 3)).copy()
    white = shoe.background == "white"
    base = base + rng.uniform(-2, 2) if white else base + rng.normal(0, setting.background_jitter, 3)
    rows, columns = np.mgrid[0:size, 0:size] / (size - 1) - 0.5
    slope = rng.uniform(-1, 1, 2) * (0.006 if white else 0.05)
    glow = 1 + slope[0] * columns + slope[1] * rows + (0.0 if white else 0.05) * (0.25 - columns**2 - rows**2)
    return np.clip(base / 255 * glow[..., None], 0, 1)


def _look(shoe: Shoe, setting: Setting, rng: np.random.Generator) -> Look:
    jitter = rng.normal(0, setting.colour_jitter, 3) * 0.6 + rng.normal(0, setting.colour_jitter) * 0.6
    mixed = np.clip(np.array(COLOURS[shoe.colour]) + np.clip(jitter, -12, 12), 8, 248).round().astype(int)
    upper: RGB = (int(mixed[0]), int(mixed[1]), int(mixed[2]))
    sole = SOLES[shoe.sole]
    laced_white = shoe.colour != "white" and (shoe.colour == "black" or rng.random() < 0.6)
    formal = shoe.type == "oxfords"
    lace = _contrast(upper, 0.45) if formal else ((242, 242, 240) if laced_white else _tone(upper, -0.55))
    return Look(
        upper=upper,
        panel=_contrast(upper, 0.18),
        seam=_tone(upper, -0.42) if sum(upper) > 150 else _tone(upper, -0.6),
        stitch=_tone(upper, 0.42) if sum(upper) < 520 else _tone(upper, -0.3),
        lace=lace,
        metal=(206, 205, 200),
        sole=sole,
        sole_line=_contrast(sole, 0.28),
        lining=_tone(upper, -0.5) if sum(upper) > 240 else (70, 66, 64),
    )


def draw(shoe: Shoe, seed: int, size: int = 128, setting: Setting = STUDIO) -> Image.Image:
    """One photograph, RGB, size × size. The same arguments give the same picture."""
    rng = np.random.default_rng(seed)
    side = size * OVERSIZE
    last = LASTS[shoe.type]
    quarter = shoe.view == "three-quarter"
    yaw = rng.uniform(24, 36) if quarter else rng.uniform(-4, 4) if setting.tilt else 0.0
    pitch = rng.uniform(17, 24) if quarter else rng.uniform(7, 11)
    canvas = Canvas(
        side,
        last,
        side * rng.uniform(*setting.length),
        (side / 2, side / 2),
        np.radians(rng.uniform(-1, 1) * setting.tilt),
        np.radians(yaw),
        np.radians(pitch),
        shoe.facing == "left",
    )
    offset = rng.uniform(-1, 1, 2) * setting.offset
    canvas.place((float(offset[0]), float(offset[1])), margin=0.075)
    canvas.shadow(0.07, 130)
    canvas.shadow(0.01, 255)
    TYPE_DRAWINGS[shoe.type](canvas, _look(shoe, setting, rng))
    colour, solid = _lit(canvas, FINISHES[shoe.material], size, rng)
    floor = _shrink(canvas.dark, size)
    dark = 0.30 * _blurred(floor, 3.5 * size / 128) + 0.22 * _blurred(floor, 1.3 * size / 128)
    back = _backdrop(shoe, setting, size, rng) * (1 - dark[..., None])
    picture = back * (1 - solid) + colour * solid
    return Image.fromarray((np.clip(picture, 0, 1) * 255).round().astype(np.uint8))


def draw_catalogue(shoe: Shoe, seed: int, size: int = 128) -> Image.Image:
    """The shoe as a shop's catalogue shows it: white, centred, level, always the same distance."""
    return draw(replace(shoe, background="white"), seed, size, CATALOGUE)
