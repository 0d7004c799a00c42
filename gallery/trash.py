"""The trash: pictures go there and come back until their days are over, and then they go for good.

What is in it stands on no shelf, so no page, share, ZIP or API answer has it. Only its owner sees it here.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from math import ceil

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from gallery.judging import AT_ONCE, Images, keys_of
from generation import shelves
from generation.models import GeneratedImage
from generation.references import let_go
from shoesai import files
from shoesai.models import User


def throw_away(user: User, images: Images) -> tuple[int, datetime]:
    """The user's own ones; how many, and the moment by which `thrown_away_at` finds them again."""
    now = timezone.now()
    return shelves.clear(images.filter(owner=user), trashed_at=now), now


def in_trash(user: User) -> QuerySet[GeneratedImage]:
    """Last in, first shown."""
    return GeneratedImage.objects.in_trash_of(user).order_by("-trashed_at", "-pk")


def thrown_away_at(user: User, moment: datetime) -> QuerySet[GeneratedImage]:
    return in_trash(user).filter(trashed_at=moment)


def restore(images: Images) -> int:
    """Back to where they were; whom they are shared with has not changed.

    Generation by generation, since what is counted is counted for each.
    """
    number = 0
    with transaction.atomic():
        for keys in keys_of(images.order_by("generation", "pk")):
            shelves.place(GeneratedImage.objects.filter(pk__in=keys))
            number += len(keys)
    return number


def delete_forever(images: Images) -> int:
    """Rows first, files afterwards, and only bytes that nobody else holds. A crash in between leaves files for fsck."""
    doomed, number = images.filter(trashed_at__isnull=False), 0
    while keys := list(doomed.values_list("pk", flat=True)[:AT_ONCE]):
        with transaction.atomic():
            number += _delete(GeneratedImage.objects.filter(pk__in=keys))
    return number


def _delete(images: Images) -> int:
    rows = list(images.values_list("blob", "thumbnail", "recreations__blob", "generation"))
    held = {sha256 for *blobs, _generation in rows for sha256 in blobs if sha256}
    _rows, kinds = images.delete()
    held |= let_go({generation for *_blobs, generation in rows})
    for sha256 in sorted(held):
        files.discard(sha256)
    return kinds.get(GeneratedImage._meta.label, 0)


def days_left(image: GeneratedImage) -> int:
    """Full days, and the one that has begun."""
    assert image.trashed_at
    left = image.trashed_at + timedelta(days=settings.TRASH_DAYS) - timezone.now()
    return max(0, ceil(left / timedelta(days=1)))


def over_their_days() -> QuerySet[GeneratedImage]:
    long_ago = timezone.now() - timedelta(days=settings.TRASH_DAYS)
    return GeneratedImage.objects.filter(trashed_at__lt=long_ago).order_by("trashed_at")
