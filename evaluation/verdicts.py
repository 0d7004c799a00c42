"""Judging generated pictures by the channels' profiles, once each; again when measures or rules have changed.

A generation that ends queues one job on the lane for light work, which judges whatever has no verdict yet, so that
making pictures waits for nothing and many generations share one job.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from PIL import Image

from evaluation.photo_facts import facts_of
from evaluation.profiles import PROFILES, Facts, Profile, edition
from evaluation.verdict_models import ChannelVerdict, PictureCheck
from generation.metadata import AI_ORIGIN
from generation.models import GeneratedImage
from shoesai import files
from shoesai.jobs import queue
from shoesai.jobs.queue import Claim
from shoesai.jobs.runner import advance
from shoesai.models import Job
from shoesai.photo_checks import EDITION, measure

logger = logging.getLogger(__name__)

KIND: Final = "judge_images"
AT_ONCE: Final = 100
Progress = Callable[[int, int], None]


# --- one picture ----------------------------------------------------------------------------------------------------
def broken_rules(profile: Profile, facts: Facts) -> list[dict[str, Any]]:
    """Places in the profile's rules, with the value that breaks each. Without a shoe nothing else is worth saying."""
    broken = [
        {"rule": place, "value": _kept(facts[rule.fact])}
        for place, rule in enumerate(profile.rules)
        if not rule.is_kept(facts)
    ]
    no_shoe = [row for row in broken if profile.rules[row["rule"]].fact == "shoes" and row["value"] == 0]
    return no_shoe or broken


def passes(profile: Profile, broken: list[dict[str, Any]]) -> bool:
    return not any(profile.rules[row["rule"]].severity == "must" for row in broken)


def _kept(value: Any) -> Any:
    return round(value, 4) if isinstance(value, float) else value


def facts_of_image(image: GeneratedImage) -> dict[str, Any]:
    """Raises FileNotFoundError, and what Pillow raises for a broken file."""
    with Image.open(files.path_of(image.blob_id), formats=["PNG"]) as stored:
        stored.load()
        marked = AI_ORIGIN in str(stored.info.get("XML:com.adobe.xmp", ""))
        return facts_of(measure(stored), image.generation.prompt, ai_marked=marked)


def judge(image: GeneratedImage) -> bool:
    """False where its file cannot be read; it is looked at again when somebody asks for all."""
    try:
        facts = facts_of_image(image)
    except (OSError, SyntaxError, ValueError):
        logger.warning("the file of image %s cannot be judged: %s", image.pk, image.blob_id)
        return False
    keep_verdicts(image, facts)
    return True


def keep_verdicts(image: GeneratedImage, facts: Facts) -> None:
    told = [_told(profile, facts) for profile in PROFILES.values()]
    verdicts = [ChannelVerdict(image=image, profile=one["profile"], passed=one["passed"]) for one in told]
    kept = {name: _kept(value) for name, value in facts.items()}
    with transaction.atomic():
        PictureCheck.objects.update_or_create(
            image=image,
            defaults={
                "edition": EDITION, "rules": edition(), "facts": kept, "verdicts": told, "judged_at": timezone.now(),
            },
        )  # fmt: skip
        ChannelVerdict.objects.bulk_create(
            verdicts,
            update_conflicts=True,
            unique_fields=["image", "profile"],
            update_fields=["passed"],
        )


def _told(profile: Profile, facts: Facts) -> dict[str, Any]:
    broken = broken_rules(profile, facts)
    return {"profile": profile.name, "passed": passes(profile, broken), "broken": broken}


# --- many -----------------------------------------------------------------------------------------------------------
def unjudged() -> QuerySet[GeneratedImage]:
    """Without a verdict, or with one by other measures or rules."""
    stale = Q(photo_check=None) | ~Q(photo_check__edition=EDITION, photo_check__rules=edition())
    return GeneratedImage.objects.filter(stale)


def judge_all(images: QuerySet[GeneratedImage], progress: Progress) -> tuple[int, int]:
    """How many were judged, and how many could not be."""
    keys = list(images.order_by("-created_at", "-id").values_list("pk", flat=True))
    judged = 0
    for start in range(0, len(keys), AT_ONCE):
        rows = GeneratedImage.objects.filter(pk__in=keys[start : start + AT_ONCE]).select_related("generation")
        for number, image in enumerate(rows, start):
            progress(number, len(keys))
            judged += judge(image)
    progress(len(keys), len(keys))
    return judged, len(keys) - judged


# --- on the queue ---------------------------------------------------------------------------------------------------
def follow_generation(job: Job) -> None:
    """The hook of generations. A waiting job will see these pictures, too; a running one may have looked already."""
    if job.is_live or Job.objects.filter(kind=KIND, state=Job.State.QUEUED).exists():
        return
    if GeneratedImage.objects.filter(generation__job=job).exists():
        Job.objects.filter(kind=KIND, state__in=Job.FINAL).delete()
        queue.enqueue(owner=job.owner, kind=KIND)


def judge_new_images(claim: Claim) -> dict[str, Any]:
    judged, unreadable = judge_all(
        unjudged(), lambda done, total: advance(claim, done, total, "Looking at pictures")
    )
    return {"judged": judged, "unreadable": unreadable}
