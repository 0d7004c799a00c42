"""What a user's things take on the disk, and the limit for their pictures (SHOESAI_STORAGE_QUOTA)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.core.cache import cache
from django.db.models import F, Q, QuerySet, Sum
from django.template.defaultfilters import filesizeformat
from django.utils.translation import gettext as _

from generation.models import GeneratedImage
from shoesai.jobs.queue import QuotaReached
from shoesai.models import Blob, User
from training.models import Checkpoint, Photo

REMEMBERED_SECONDS = 60


class StorageFull(QuotaReached):
    """The user's pictures take as much as they may."""


@dataclass(frozen=True)
class Pictures:
    """In bytes. What is in the trash is part of `used`: it is freed when the trash is emptied."""

    used: int
    in_trash: int

    @property
    def quota(self) -> int:
        return int(settings.STORAGE_QUOTA)

    @property
    def percent(self) -> int:
        return min(100, round(100 * self.used / self.quota)) if self.quota else 0

    @property
    def is_full(self) -> bool:
        return bool(self.quota) and self.used >= self.quota


def pictures_of(user: User, *, fresh: bool = False) -> Pictures:
    """Remembered for a minute, because it reads all rows of the user's pictures."""
    key = f"storage-{user.pk}"
    known: Pictures | None = None if fresh else cache.get(key)
    if known is None:
        known = _measured(user)
        cache.set(key, known, REMEMBERED_SECONDS)
    return known


def _measured(user: User) -> Pictures:
    both = Sum(F("blob__size") + F("thumbnail__size"))
    thrown_away = Sum(F("blob__size") + F("thumbnail__size"), filter=Q(trashed_at__isnull=False))
    found = GeneratedImage.objects.filter(owner=user).aggregate(used=both, in_trash=thrown_away)
    return Pictures(used=found["used"] or 0, in_trash=found["in_trash"] or 0)


def require_room(user: User) -> None:
    """Raises StorageFull. Looks again before it refuses: the trash may have been emptied a moment ago."""
    if not (settings.STORAGE_QUOTA and pictures_of(user).is_full):
        return
    pictures = pictures_of(user, fresh=True)
    if pictures.is_full:
        words = _("Your pictures take %(used)s of the %(quota)s that they may; delete some and empty the trash.")
        raise StorageFull(
            words % {"used": filesizeformat(pictures.used), "quota": filesizeformat(pictures.quota)}
        )


# --- for the account page ---------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Report:
    pictures: Pictures
    photos: int
    models: int


def report_of(user: User) -> Report:
    return Report(
        pictures=pictures_of(user),
        photos=_bytes_of(Photo.objects.filter(version__dataset__owner=user)),
        models=_bytes_of(Checkpoint.objects.filter(run__owner=user)),
    )


def _bytes_of(rows: QuerySet[Any]) -> int:
    """Each blob once, however many versions of a dataset hold it."""
    return Blob.objects.filter(pk__in=rows.values("blob")).aggregate(size=Sum("size"))["size"] or 0
