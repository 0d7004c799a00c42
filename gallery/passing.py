"""Which channels' photo checks a picture passes: verdicts hang on pictures, and are known by that relation alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db.models import Q

from generation.models import GeneratedImage


def channels() -> dict[str, str]:
    """Name and label of each, in the order in which they are shown."""
    return {name: str(label) for name, label in _verdicts()._meta.get_field("profile").flatchoices}


def passing(names: Sequence[str]) -> Q:
    """Any of them will do."""
    return Q(pk__in=_verdicts().objects.filter(profile__in=names, passed=True).values("image"))


def checks_of(image: GeneratedImage) -> list[Any]:
    """What each channel says of it; nothing while it is not judged. Queries bring `photo_check` along."""
    check = getattr(image, "photo_check", None)
    return check.told if check else []


def _verdicts() -> Any:
    return GeneratedImage._meta.get_field("channel_verdicts").related_model
