"""What the court says, in words for whoever reads them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from evaluation.metrics import METRICS
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


def more(verdict: Verdict) -> Iterator[str]:
    """Each rejected checkpoint with its gate, and how the choice fared on the second suite."""
    for row in verdict.rejected:
        yield _GATES[row["gate"]](row)
    subjects = verdict.second_look.get("subjects", [])
    if len(subjects) > 1:
        yield _("On prompts and seeds that nobody had looked at: %(numbers)s.") % {
            "numbers": "; ".join(_numbers(subject) for subject in subjects)
        }


def _numbers(subject: Mapping[str, Any]) -> str:
    shown = [
        f"{METRICS[metric].label} {number_format(values['value'], METRICS[metric].digits)}"
        for metric, values in subject["values"].items()
    ]
    return f"{subject['label']}: {', '.join(shown)}"


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
