"""The metrics that reports show: one row each. The numbers are pure functions in `shoesai/engine/metrics.py`.

Bands and targets are for standard features only; a number from other features has neither.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

Words = str | Promise
CLIP, INCEPTION = "clip", "inception"


@dataclass(frozen=True)
class Band:
    """`bound` is where it begins: reached from below where higher is better, from above where lower is."""

    bound: float
    label: Words


@dataclass(frozen=True)
class Metric:
    """`standard`: the extractor whose numbers the literature compares. `bands`: the best one first."""

    label: Words
    explanation: Words
    higher_is_better: bool
    standard: str = ""
    bands: tuple[Band, ...] = ()
    digits: int = 2

    def is_standard(self, extractor: str) -> bool:
        return bool(self.standard) and extractor == self.standard

    def reaches(self, value: float, bound: float) -> bool:
        return value > bound if self.higher_is_better else value < bound

    def band(self, value: float, extractor: str) -> Band | None:
        """None for numbers of other features than the bands are about."""
        if not self.is_standard(extractor):
            return None
        return next((band for band in self.bands if self.reaches(value, band.bound)), None)


WORST: Final = float("inf")

METRICS: Final[dict[str, Metric]] = {
    "clip_score": Metric(
        _("CLIP score"),
        _("How well pictures show what their prompts say, 0 to 100."),
        True,
        CLIP,
        (
            Band(30, _("excellent alignment")),
            Band(25, _("good alignment")),
            Band(20, _("acceptable alignment")),
            Band(-WORST, _("weak alignment")),
        ),
    ),
    "fid": Metric(
        "FID",
        _("Distance between the features of pictures and photos, as two clouds."),
        False,
        INCEPTION,
        (
            Band(10, _("excellent, hardly to be told from photos")),
            Band(20, _("very good")),
            Band(30, _("good")),
            Band(50, _("acceptable")),
            Band(WORST, _("weak")),
        ),
    ),
    "kid": Metric(
        "KID",
        _("As FID, without its bias for small numbers: what to look at below 2,048 pictures."),
        False,
        INCEPTION,
        digits=4,
    ),
    "inception_score": Metric(
        "Inception score",
        _("Whether each picture is of one clear kind and together they are of many."),
        True,
        INCEPTION,
        (
            Band(10, _("excellent quality and diversity")),
            Band(6, _("good quality and diversity")),
            Band(3, _("moderate quality")),
            Band(-WORST, _("low quality or diversity")),
        ),
    ),
    "diversity": Metric(
        _("Diversity"), _("How far pictures are from each other, on average."), True, CLIP, digits=3,
    ),
    "fidelity": Metric(
        _("Fidelity"), _("How near pictures are to photos that were never learned from."), True, CLIP, digits=3,
    ),
    "copy_risk": Metric(
        _("Copy risk"),
        _("Share of pictures that are nearer to a photo that was learned from than such photos are to each other."),
        False,
        digits=3,
    ),
    "checks_passed": Metric(
        _("Photo checks passed"),
        _("Share of pictures with a white background and a whole shoe, large enough, in the middle."),
        True,
        digits=3,
    ),
}  # fmt: skip
