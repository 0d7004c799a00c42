"""From points to paths and ticks."""

from __future__ import annotations

import math
import random

import pytest

from training.charts import Axis, Curve, draw, in_words, nice_ticks, path_of, smoothed, sparkline, thinned


def test_smoothing_starts_at_the_first_value_and_is_the_formula() -> None:
    points = [(1.0, 4.0), (2.0, 2.0), (3.0, 6.0)]
    keep = 1 - 2 / (3 + 1)
    assert smoothed(points, span=3) == [
        (1.0, 4.0),
        (2.0, pytest.approx((keep * 4 + 2) / (keep + 1))),
        (3.0, pytest.approx((keep**2 * 4 + keep * 2 + 6) / (keep**2 + keep + 1))),
    ]
    assert smoothed(points, span=1) == points


def test_smoothing_keeps_a_constant_and_calms_noise() -> None:
    assert [y for _, y in smoothed([(x, 0.3) for x in range(100)], 20)] == pytest.approx([0.3] * 100)
    chance = random.Random(1)
    noise = [(x, chance.random()) for x in range(1000)]
    calm = [y for _, y in smoothed(noise, 50)][100:]
    assert max(calm) - min(calm) < 0.35


def test_thinning_keeps_the_ends_and_the_one_peak() -> None:
    points = [(float(x), 0.0) for x in range(5000)]
    points[3217] = (3217.0, 9.0)
    few = thinned(points, 100)
    assert len(few) == 100
    assert (few[0], few[-1]) == (points[0], points[-1])
    assert (3217.0, 9.0) in few
    assert [x for x, _ in few] == sorted({x for x, _ in few})


@pytest.mark.parametrize("count", [0, 1, 2, 3, 99, 100, 101, 102, 198, 199, 1000])
def test_thinning_never_gives_more_nor_repeats(count: int) -> None:
    points = [(float(x), math.sin(x)) for x in range(count)]
    few = thinned(points, 100)
    assert len(few) == min(count, 100)
    assert set(few) <= set(points) and len(set(few)) == len(few)


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0, 300, [0, 100, 200, 300]),
        (0, 3000, [0, 1000, 2000, 3000]),
        (0.12, 0.43, [0.2, 0.3, 0.4]),
        (0, 1e-4, [0, 2e-5, 4e-5, 6e-5, 8e-5, 1e-4]),
        (7, 7, [7]),
        (-1, 1, [-1, -0.5, 0, 0.5, 1]),
    ],
)
def test_ticks_are_round_numbers_inside(low: float, high: float, ticks: list[float]) -> None:
    assert nice_ticks(low, high) == pytest.approx(ticks)


@pytest.mark.parametrize(
    ("value", "step", "words"),
    [
        (0, 0.1, "0"), (0.2, 0.1, "0.2"), (0.15, 0.05, "0.15"), (1500, 500, "1,500"), (5e-5, 5e-5, "5e-05"),
        (0.0001, 0, "0.0001"), (0.198765, 0, "0.1988"), (12.0, 0, "12"), (1e-3, 5e-4, "0.0010"),
    ],
)  # fmt: skip
def test_numbers_have_the_decimals_that_tell_them_apart(value: float, step: float, words: str) -> None:
    assert in_words(value, step) == words


def test_a_path_lies_in_a_box_of_a_hundred_with_high_values_at_the_top() -> None:
    x, y = Axis(0, 10), Axis(0, 2, upward=True)
    assert path_of([(0, 0), (5, 1), (10, 2)], x, y) == "M0 100L50 50L100 0"


def test_no_points_no_chart_and_what_is_no_number_is_not_drawn() -> None:
    assert draw("Loss", [Curve("raw", "raw", [])]) is None
    assert draw("Loss", [Curve("raw", "raw", [(1, math.nan), (2, math.inf)])]) is None
    chart = draw("Loss", [Curve("raw", "raw", [(1, 1.0), (2, math.nan), (3, 2.0)])])
    assert chart and chart.lines[0].path.count("L") == 1


def test_one_point_or_a_flat_curve_is_still_a_chart() -> None:
    for points in ([(5, 0.2)], [(1, 0.2), (2, 0.2)], [(1, 0.0), (2, 0.0)]):
        chart = draw("Loss", [Curve("raw", "raw", points, dotted=True)])
        assert chart and chart.y.low < chart.y.high and "nan" not in chart.lines[0].path
        assert len(chart.lines[0].dots) == len(points)


def test_the_axis_reaches_to_the_end_that_is_still_to_come() -> None:
    chart = draw("Loss", [Curve("raw", "raw", [(1, 1.0), (50, 0.5)])], last_x=200, marks=[(100, "Checkpoint 100")])
    assert chart and chart.x.high == 200
    assert [(mark.at, mark.words) for mark in chart.marks] == [("50%", "Checkpoint 100")]


def test_a_few_outliers_of_a_faint_curve_do_not_flatten_the_rest() -> None:
    points = [(x, 0.2 + 0.001 * (x % 7)) for x in range(200)]
    points[77] = (77, 50.0)
    faint = draw("Loss", [Curve("raw", "raw", points, faint=True)])
    strong = draw("Loss", [Curve("raw", "raw", points)])
    assert faint and faint.y.high < 0.3
    assert strong and strong.y.high > 50


def test_values_can_be_read_back_from_a_path_to_four_digits() -> None:
    points = [(float(step), 0.3 / step) for step in range(1, 200)]
    chart = draw("Loss", [Curve("raw", "raw", points)])
    assert chart
    low, high = (float(edge) for edge in chart.range.split()[2:])
    places = [float(pair.split()[1]) for pair in chart.lines[0].path[1:].split("L")]
    read = [low + (100 - place) / 100 * (high - low) for place in places]
    assert read == pytest.approx([y for _, y in points], abs=5e-5)


def test_a_sparkline_needs_two_points_and_spans_the_drawing() -> None:
    assert sparkline([3.0]) == ""
    assert sparkline([3.0, 2.0, 1.0]) == "0.0,1.0 80.0,16.0 160.0,31.0"
    assert sparkline([1.0] * 1000).count(",") <= 80
