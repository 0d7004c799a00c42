"""Which checkpoint of a run is the best, and why: hard gates first, then a stated rule over numbers with intervals.

The rule, in words: of the checkpoints that pass every gate, look at one measure after the other (RULE). Whoever has
the best value stays, and whoever's interval reaches into that one's; the others are out. What is left when all measures
have been looked at is as good as the best by everything that can be told from so many pictures, and the earliest step
of them is taken: it has seen its photos least often.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from evaluation.metrics import METRICS
from evaluation.run_models import Score, Subject

RULE: Final = ("checks_passed", "fidelity", "clip_score", "diversity")
MOST_COPIES: Final = 0.1  # of the pictures, by the lower end of the interval
FEWEST_PASSED: Final = 0.5  # of the pictures; fewer are forgiven where the bare base passes no more


@dataclass(frozen=True)
class Rejected:
    subject: Subject
    gate: str
    value: float
    limit: float


@dataclass(frozen=True)
class Decided:
    """`by`: the measures that have put somebody out, in order, with how many were left."""

    best: Subject | None
    rejected: list[Rejected] = field(default_factory=list)
    by: list[tuple[str, int]] = field(default_factory=list)
    tied: list[Subject] = field(default_factory=list)


def decide(base: Subject, checkpoints: Sequence[Subject]) -> Decided:
    """The subjects' scores are read, nothing is written."""
    rejected = [found for subject in checkpoints if (found := gate(base, subject))]
    out = {each.subject.pk for each in rejected}
    left = [subject for subject in checkpoints if subject.pk not in out]
    by = []
    for metric in RULE:
        before = len(left)
        left = as_good_as_the_best(left, metric)
        if len(left) < before:
            by.append((metric, len(left)))
    best = min(left, key=step_of) if left else None
    return Decided(best, rejected, by, [subject for subject in left if subject != best])


def step_of(subject: Subject) -> int:
    return subject.checkpoint.step if subject.checkpoint else 0


# --- gates --------------------------------------------------------------------------------------------------
def gate(base: Subject, subject: Subject) -> Rejected | None:
    """The first gate that it fails."""
    copies = subject.score("copy_risk")
    if copies and _surely_above(copies, max(MOST_COPIES, value_of(base, "copy_risk") or 0.0)):
        return Rejected(subject, "copy_risk", copies.value or 0.0, MOST_COPIES)
    passed, of_base = value_of(subject, "checks_passed"), value_of(base, "checks_passed") or 0.0
    if passed is not None and passed < FEWEST_PASSED and passed <= of_base:
        return Rejected(subject, "checks_passed", passed, of_base)
    own, bare = subject.score("clip_score"), base.score("clip_score")
    if own and bare and _is_worse(own, bare, "clip_score"):
        return Rejected(subject, "clip_score", own.value or 0.0, bare.value or 0.0)
    return None


def _surely_above(score: Score, limit: float) -> bool:
    """With its whole interval: of twelve pictures two may look like a photo by chance."""
    return score.low is not None and score.low > limit


def _is_worse(score: Score, than: Score, metric: str) -> bool:
    """Beyond both intervals, and only of the same features."""
    if score.extractor_sha256 != than.extractor_sha256 or None in (score.low, score.high, than.low, than.high):
        return False
    if METRICS[metric].higher_is_better:
        return bool(score.high < than.low)  # type: ignore[operator]
    return bool(score.low > than.high)  # type: ignore[operator]


# --- the rule -----------------------------------------------------------------------------------------------
def as_good_as_the_best(subjects: Sequence[Subject], metric: str) -> list[Subject]:
    """Those whose interval reaches into the best one's. All of them where the measure is not there for all."""
    scores = [subject.score(metric) for subject in subjects]
    known = [score for score in scores if score is not None and score.value is not None]
    if len(known) < len(subjects) or not known:
        return list(subjects)
    best = (max if METRICS[metric].higher_is_better else min)(known, key=lambda score: score.value or 0.0)
    return [
        subject for subject, score in zip(subjects, known, strict=True) if not _is_worse(score, best, metric)
    ]


def value_of(subject: Subject, metric: str) -> float | None:
    score = subject.score(metric)
    return score.value if score else None


# --- for the record -----------------------------------------------------------------------------------------
def sentence_of(decided: Decided, judged: Iterable[Subject]) -> dict[str, Any]:
    """Numbers for `court_words`; words are made for whoever reads them."""
    best = decided.best
    told: dict[str, Any] = {
        "judged": len(list(judged)),
        "rejected": len(decided.rejected),
        "by": [{"metric": metric, "left": left} for metric, left in decided.by],
        "tied": [step_of(subject) for subject in decided.tied],
    }
    if best is not None:
        told["step"] = step_of(best)
        told["values"] = {
            metric: {"value": score.value, "low": score.low, "high": score.high}
            for metric in RULE
            if (score := best.score(metric)) and score.value is not None
        }
    return told
