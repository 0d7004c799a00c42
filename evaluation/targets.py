"""What is to be reached, as the seed has it: rows, and what they say of a score."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from evaluation.metrics import METRICS
from evaluation.run_models import Score


@dataclass(frozen=True)
class Target:
    """`acceptable`: where a miss is still bearable; the target itself where there is none."""

    metric: str
    bound: float
    acceptable: float | None = None


@dataclass(frozen=True)
class TargetSet:
    """`fewest`, `most`: how many pictures the seed judges on."""

    label: str | Promise
    fewest: int
    most: int
    targets: tuple[Target, ...]


TARGETS: Final[dict[str, TargetSet]] = {
    "prototype": TargetSet(_("Prototype"), 300, 500, (Target("clip_score", 25),)),
    "final": TargetSet(
        _("Final model"),
        3_000,
        5_000,
        (Target("clip_score", 28), Target("fid", 40, 50), Target("inception_score", 6), Target("diversity", 0.3)),
    ),
}


class Outcome(StrEnum):
    """Of one target."""

    REACHED = "reached"
    ACCEPTABLE = "acceptable"
    MISSED = "missed"
    NOT_APPLICABLE = "not_applicable"  # its features are not the ones that the target is about
    TOO_FEW = "too_few"  # an indicative number decides nothing
    NOT_MEASURED = "not_measured"


@dataclass(frozen=True)
class Judged:
    target: Target
    score: Score | None
    verdict: Outcome


def judged(name: str, scores: Iterable[Score]) -> list[Judged]:
    of_metric = {score.metric: score for score in scores}
    return [
        Judged(target, of_metric.get(target.metric), verdict_of(target, of_metric.get(target.metric)))
        for target in TARGETS[name].targets
    ]


def verdict_of(target: Target, score: Score | None) -> Outcome:
    metric = METRICS[target.metric]
    if score is None or score.value is None:
        return Outcome.NOT_MEASURED
    if not metric.is_standard(score.extractor):
        return Outcome.NOT_APPLICABLE
    if score.indicative:
        return Outcome.TOO_FEW
    if metric.reaches(score.value, target.bound):
        return Outcome.REACHED
    if target.acceptable is not None and metric.reaches(score.value, target.acceptable):
        return Outcome.ACCEPTABLE
    return Outcome.MISSED
