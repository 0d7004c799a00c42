"""Keeping what an evaluation has measured: numbers with intervals, and what each picture got."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Final

from evaluation.run_models import ImageScore, Score, Subject

Z: Final = 1.959964  # of a 95 % interval
TOLD: Final = ("value", "low", "high", "n", "n_reference", "extractor", "extractor_sha256", "indicative", "reason",
               "seed", "detail")  # fmt: skip


def keep(subject: Subject, metrics: Iterable[Mapping[str, Any]], images: Iterable[ImageScore]) -> None:
    """In place of what was there; call it inside `claim.committing()`."""
    subject.scores.all().delete()
    subject.image_scores.all().delete()
    rows = list(images)
    ImageScore.objects.bulk_create(rows, batch_size=500)
    scores = [
        Score(subject=subject, metric=told["name"], **{name: told[name] for name in TOLD if told.get(name) is not None})
        for told in metrics
    ]
    Score.objects.bulk_create([*scores, checks_passed(subject, rows)])


def checks_passed(subject: Subject, images: Iterable[ImageScore]) -> Score:
    """Share of pictures without a fault, with Wilson's interval (JASA 22, 1927)."""
    rows = list(images)
    passed, n = sum(row.passes for row in rows), len(rows)
    if not n:
        return Score(subject=subject, metric="checks_passed", n=0, reason="there are no pictures")
    low, high = wilson(passed, n)
    return Score(subject=subject, metric="checks_passed", value=passed / n, low=low, high=high, n=n)


def wilson(successes: int, n: int) -> tuple[float, float]:
    """The 95 % interval of a share."""
    share = successes / n
    middle = share + Z**2 / (2 * n)
    reach = Z * math.sqrt(share * (1 - share) / n + Z**2 / (4 * n**2))
    whole = 1 + Z**2 / n
    return max(0.0, (middle - reach) / whole), min(1.0, (middle + reach) / whole)
