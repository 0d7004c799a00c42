"""What the court says, in words for whoever reads them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from evaluation.metrics import METRICS, Words
from evaluation.run_models import Verdict


def sentence(verdict: Verdict) -> str:
    told = verdict.sentence
    if "step" not in told:
        return _("No checkpoint is fit: each of the %(judged)d failed a gate.") % told
    words = _("Step %(step)d is the best of %(judged)d.") % told
    if told["by"]:
        words += " " + _("Others fell behind in: %(metrics)s.") % {
            "metrics": ", ".join(str(METRICS[row["metric"]].label) for row in told["by"])
        }
    if told["tied"]:
        steps = ", ".join(str(step) for step in sorted(told["tied"]))
        count = len(told["tied"])
        words += " " + ngettext(
            "Step %(steps)s cannot be told from it by so few pictures; the earliest was taken.",
            "Steps %(steps)s cannot be told from it by so few pictures; the earliest was taken.",
            count,
        ) % {"steps": steps}
    return words


def refusals(verdict: Verdict) -> Iterator[str]:
    """Each rejected checkpoint with its gate."""
    for row in verdict.rejected:
        yield _GATES[row["gate"]](row)


@dataclass(frozen=True)
class SecondLook:
    """How base, choice and last one fared on prompts and seeds that nobody had looked at: a row for each."""

    evaluation: str
    labels: list[Words]
    rows: list[tuple[str, list[str]]]


def second_look(verdict: Verdict) -> SecondLook | None:
    """None while nobody has looked a second time."""
    subjects = verdict.second_look.get("subjects", [])
    if len(subjects) < 2:
        return None
    names = [name for name in METRICS if any(name in subject["values"] for subject in subjects)]
    rows = [(subject["label"], [_shown(name, subject["values"].get(name)) for name in names]) for subject in subjects]
    return SecondLook(verdict.second_look["evaluation"], [METRICS[name].label for name in names], rows)


def _shown(metric: str, values: Mapping[str, float | None] | None) -> str:
    """`0.917 (0.646–0.985)`."""
    if values is None:
        return "–"
    value, low, high = (
        None if (number := values[key]) is None else number_format(round(number, digits), digits)
        for key, digits in zip(("value", "low", "high"), [METRICS[metric].digits] * 3, strict=True)
    )
    return f"{value} ({low}–{high})" if low is not None else f"{value}"


def _percent(value: float) -> str:
    return f"{number_format(100 * value, 0)} %"


def _copies(row: Mapping[str, Any]) -> str:
    words = _("%(label)s was refused: %(share)s of its pictures are copies of photos that it learned from.")
    return words % {"label": row["label"], "share": _percent(row["value"])}


def _fails_checks(row: Mapping[str, Any]) -> str:
    words = _("%(label)s was refused: only %(share)s of its pictures pass the photo checks, no more than the base's.")
    return words % {"label": row["label"], "share": _percent(row["value"])}


def _says_less(row: Mapping[str, Any]) -> str:
    words = _("%(label)s was refused: pictures show less of their prompts than the bare base's (%(own)s, %(base)s).")
    own, base = number_format(row["value"], 2), number_format(row["limit"], 2)
    return words % {"label": row["label"], "own": own, "base": base}


_GATES = {"copy_risk": _copies, "checks_passed": _fails_checks, "clip_score": _says_less}
