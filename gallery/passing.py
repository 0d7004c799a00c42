"""Which channels' photo checks a picture passes: verdicts hang on pictures, and are known by that relation alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.db.models import Exists, OuterRef, Q

from generation.models import GeneratedImage

COMMON = 2_000  # pictures
AT_ONCE = 2_000  # rows


def channels() -> dict[str, str]:
    """Name and label of each, in the order in which they are shown."""
    return {name: str(label) for name, label in _related("channel_verdicts")._meta.get_field("profile").flatchoices}


def passing(names: Sequence[str]) -> Q:
    """Any of them will do. Few pictures are fetched; where many pass, pictures are walked in order and looked up."""
    passed = _related("channel_verdicts").objects.filter(profile__in=names, passed=True)
    few = list(passed.values_list("image", flat=True)[: COMMON + 1])
    if len(few) <= COMMON:
        return Q(pk__in=few)
    return Q(Exists(passed.filter(image=OuterRef("pk"))))


def checks_of(image: GeneratedImage) -> list[Any]:
    """What each channel says of it; nothing while it is not judged. Queries bring `photo_check` along."""
    check = getattr(image, "photo_check", None)
    return check.told if check else []


def trial_checks(images: Sequence[GeneratedImage], passed: Sequence[Mapping[str, bool]]) -> None:
    """Rows as a judge would leave them, without looking at any picture: for galleries that measure the gallery."""
    checks = _related("photo_check")
    told = [[{"profile": name, "passed": passes, "broken": []} for name, passes in one.items()] for one in passed]
    rows = [
        checks(image=image, edition=0, rules="", facts={}, verdicts=verdicts)
        for image, verdicts in zip(images, told, strict=True)
    ]
    checks.objects.bulk_create(rows, batch_size=AT_ONCE)
    verdicts = [
        _related("channel_verdicts")(image=image, profile=name, passed=passes)
        for image, one in zip(images, passed, strict=True)
        for name, passes in one.items()
    ]
    _related("channel_verdicts").objects.bulk_create(verdicts, batch_size=AT_ONCE)


def _related(name: str) -> Any:
    """The model that points at pictures by this name."""
    field: Any = GeneratedImage._meta.get_field(name)
    return field.related_model
