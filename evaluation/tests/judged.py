"""An evaluation that has ended, without an engine: rows and a picture."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from evaluation.models import EvaluationRun, ImageScore, Score, Subject
from shoesai import files
from shoesai.models import User
from shoesai.testing import png_bytes


def judged_evaluation(owner: User, **fields: Any) -> EvaluationRun:
    """One subject with a number that has an interval, one that was refused, and one picture."""
    evaluation = EvaluationRun.objects.create(
        owner=owner, team=owner.home_team(), name="spring", finished_at=timezone.now(), **fields
    )
    subject = Subject.objects.create(evaluation=evaluation, position=0, kind="base", label="starter", is_scored=True)
    Score.objects.create(
        subject=subject, metric="clip_score", value=60.5, low=55, high=66, n=1, extractor="starter",
        extractor_sha256="f" * 64,
    )  # fmt: skip
    Score.objects.create(subject=subject, metric="kid", n=1, reason="at least 50 are needed", extractor="starter")
    ImageScore.objects.create(
        subject=subject, seq=0, blob=files.publish(png_bytes("#aa3322", 64), "image/png"), prompt="red boots",
        clip_score=60.5, checks=["background"],
    )  # fmt: skip
    return evaluation
