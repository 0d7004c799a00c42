"""Curves for pages: from points to SVG paths, ticks and marks. Pure functions, no request, no database.

A drawing has no size of its own: everything lies at per cents of its box, so that a page can stretch it while its
lines and words keep theirs. Coordinates are strings, because a template would write 0.5 as "0,5" in Portuguese.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from shoesai.numbers import grouped, in_language

Points = Sequence[tuple[float, float]]

MOST_POINTS = 240  # of one line on a page; more cannot be told apart
PADDING = 0.06  # of the values' spread, above and below


# --- numbers ----------------------------------------------------------------------------------------------------
def smoothed(points: Points, span: float) -> list[tuple[float, float]]:
    """Exponential moving average over about `span` points, without the pull of the first one.

    y' = sum(w^k y) / sum(w^k) with w = 1 - 2 / (span + 1): the bias correction of Adam (arXiv 1412.6980, section 3).
    """
    keep = 1 - 2 / (max(1.0, span) + 1)
    total = weight = 0.0
    out = []
    for x, y in points:
        total, weight = keep * total + y, keep * weight + 1
        out.append((x, total / weight))
    return out


def smoothing_span(points: Points) -> float:
    """A fifteenth of the curve: long enough to show where it goes, short enough to show when it turns."""
    return max(5.0, len(points) / 15)


def thinned(points: Points, most: int = MOST_POINTS) -> list[tuple[float, float]]:
    """At most `most` (3 or more) points that look like all of them: largest triangle three buckets.

    Steinarsson, "Downsampling Time Series for Visual Representation" (2013), section 4.2. Peaks survive.
    """
    points = list(points)
    if len(points) <= most:
        return points
    bucket = (len(points) - 2) / (most - 2)
    edges = [1 + int(index * bucket) for index in range(most - 2)] + [len(points) - 1]
    kept = [points[0]]
    for here, there in pairwise(edges):
        following = points[there : min(there + max(1, int(bucket)), len(points))]
        corner = (sum(x for x, _ in following) / len(following), sum(y for _, y in following) / len(following))
        kept.append(max(points[here:there], key=lambda point: _triangle(kept[-1], point, corner)))
    return [*kept, points[-1]]


def _triangle(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> float:
    """Twice its area."""
    return abs((b[0] - a[0]) * (c[1] - a[1]) - (c[0] - a[0]) * (b[1] - a[1]))


def nice_ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers inside [low, high], 1, 2 or 5 times a power of ten apart: about so many of them."""
    if not high > low:
        return [low]
    rough = (high - low) / max(1, about)
    magnitude = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * magnitude for factor in (1, 2, 5, 10) if factor * magnitude >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [number * step for number in range(first, last + 1)]


def in_words(value: float, step: float = 0.0) -> str:
    """With as many decimals as tell ticks `step` apart, else with four digits: 0.15, 1,500, 5e-05."""
    return in_language(_written(value, step))


def _written(value: float, step: float) -> str:
    if value == 0:
        return "0"
    if abs(value) < 1e-3:
        return f"{value:.3g}"
    if not step:
        return f"{value:,.4g}"
    return f"{value:,.{min(6, max(0, -math.floor(math.log10(step) + 1e-9)))}f}"


# --- axes -------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Tick:
    """`at` is a per cent of the box, from its left or from its top."""

    at: str
    words: str


@dataclass(frozen=True)
class Axis:
    """From values to per cents of the box; `upward` values grow from the bottom to the top."""

    low: float
    high: float
    upward: bool = False

    def place(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return 100 * (1 - share if self.upward else share)

    def ticks(self, about: int = 5) -> list[Tick]:
        values = nice_ticks(self.low, self.high, about)
        step = values[1] - values[0] if len(values) > 1 else 0.0
        return [Tick(per_cent(self.place(value)), in_words(value, step)) for value in values]


def per_cent(place: float) -> str:
    return f"{_short(place)}%"


def _short(number: float) -> str:
    """Two decimals are a tenth of a pixel on a wide screen."""
    return f"{number:.2f}".rstrip("0").rstrip(".") if number else "0"


def path_of(points: Points, x: Axis, y: Axis) -> str:
    """The `d` of an SVG path in a box of 100 × 100."""
    places = (f"{_short(x.place(left))} {_short(y.place(top))}" for left, top in points)
    return "M" + "L".join(places)


# --- a whole chart ----------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Curve:
    """What is to be drawn. `style` is a CSS class. A `faint` curve is background: its outliers may leave the box."""

    name: str
    style: str
    points: Points
    faint: bool = False
    dotted: bool = False


@dataclass(frozen=True)
class Dot:
    x: str
    y: str
    words: str


@dataclass(frozen=True)
class Line:
    name: str
    style: str
    path: str
    dots: tuple[Dot, ...]
    last: str


@dataclass(frozen=True)
class Chart:
    """`x` and `y` let a page read values back from the paths."""

    title: str
    x: Axis
    y: Axis
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    lines: tuple[Line, ...]
    marks: tuple[Tick, ...]

    @property
    def range(self) -> str:
        return " ".join(repr(float(edge)) for edge in (self.x.low, self.x.high, self.y.low, self.y.high))


def draw(
    title: str,
    curves: Sequence[Curve],
    *,
    last_x: float = 0,
    marks: Iterable[tuple[float, str]] = (),
    from_zero: bool = False,
) -> Chart | None:
    """None when there is no curve with a point. `last_x` is how far the x axis reaches at least."""
    curves = [curve for curve in map(_finite, curves) if curve.points]
    if not curves:
        return None
    x = Axis(0, max(last_x, 1, *(curve.points[-1][0] for curve in curves)))
    y = Axis(*_bounds(curves, from_zero), upward=True)
    return Chart(
        title=title,
        x=x,
        y=y,
        x_ticks=tuple(x.ticks(6)),
        y_ticks=tuple(y.ticks()),
        lines=tuple(_line(curve, x, y) for curve in curves),
        marks=tuple(Tick(per_cent(x.place(at)), words) for at, words in marks),
    )


def _finite(curve: Curve) -> Curve:
    points = [(left, top) for left, top in curve.points if math.isfinite(left) and math.isfinite(top)]
    return Curve(curve.name, curve.style, points, curve.faint, curve.dotted)


def _bounds(curves: Sequence[Curve], from_zero: bool) -> tuple[float, float]:
    values: list[float] = []
    for curve in curves:
        tops = sorted(top for _, top in curve.points)
        cut = len(tops) // 50 if curve.faint else 0  # a fiftieth at each end must not flatten all the rest
        values += (tops[cut], tops[-1 - cut])
    low, high = min(values), max(values)
    spread = (high - low) or abs(high) or 1.0
    return (0.0 if from_zero and low >= 0 else low - PADDING * spread), high + PADDING * spread


def _line(curve: Curve, x: Axis, y: Axis) -> Line:
    points = thinned(curve.points)
    dots = tuple(
        Dot(per_cent(x.place(left)), per_cent(y.place(top)), f"{grouped(round(left))}: {in_words(top)}")
        for left, top in points
    )
    return Line(
        curve.name, curve.style, path_of(points, x, y), dots if curve.dotted else (), in_words(curve.points[-1][1])
    )


# --- a curve as small as a word ---------------------------------------------------------------------------------
SPARK_WIDTH, SPARK_HEIGHT, SPARK_POINTS = 160, 32, 80


def sparkline(values: Sequence[float]) -> str:
    """Points of an SVG polyline: means over at most SPARK_POINTS stretches. Empty for fewer than two values."""
    if len(values) < 2:
        return ""
    width = max(1, -(-len(values) // SPARK_POINTS))
    stretches = [values[start : start + width] for start in range(0, len(values), width)]
    means = [sum(stretch) / len(stretch) for stretch in stretches]
    low, high = min(means), max(means)
    spread = (high - low) or 1.0
    last = max(1, len(means) - 1)
    return " ".join(
        f"{index * SPARK_WIDTH / last:.1f},{1 + (SPARK_HEIGHT - 2) * (high - mean) / spread:.1f}"
        for index, mean in enumerate(means)
    )
