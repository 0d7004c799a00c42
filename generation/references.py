"""The pictures that pictures start from: who may name which, and how long an upload is kept."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import timedelta
from typing import IO, Any
from uuid import UUID

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from generation import limits
from generation.models import GeneratedImage, Generation, Upload
from shoesai import files
from shoesai.models import Blob, Job, User
from shoesai.pictures import NotAPicture, read_picture

LONGEST_SIDE = 2048  # twice what a picture can have; a photo of 40 megapixels would only lie there
KEPT = timedelta(days=7)
KEPT_PER_USER = 100
SWEPT_AT_ONCE = 100
_SHA256 = re.compile("[0-9a-f]{64}")


def keep_reference(user: User, upload: IO[bytes] | Any) -> Blob:
    """Stores an uploaded picture upright, in sRGB, on white and without metadata; the user may name it for a week.

    Of each user the newest hundred are kept, so that nobody fills the disk. `upload` is anything with `read(size)`.
    The same picture twice is kept once. Raises NotAPicture.
    """
    data = upload.read(limits.REFERENCE_BYTES + 1)
    if len(data) > limits.REFERENCE_BYTES:
        raise NotAPicture(_("is larger than %(most)d MB.") % {"most": limits.REFERENCE_BYTES // 1024 // 1024})
    picture = read_picture(data, longest=LONGEST_SIDE)
    sweep_uploads()
    with transaction.atomic():
        blob = files.publish(picture.png, "image/png")
        Upload.objects.update_or_create(owner=user, blob=blob, defaults={"created_at": timezone.now()})
        mine = Upload.objects.filter(owner=user).order_by("-created_at").values_list("pk", flat=True)
        _forget(Upload.objects.filter(pk__in=list(mine[KEPT_PER_USER:])))
    return blob


def find_reference(user: User, sha256: str) -> Blob | None:
    """The blob if this user may start from it: they uploaded it, or a picture that they see was made from it.

    Never any other blob of the site, though somebody knows its hash. A recipe is shared with its picture, so whoever
    may see the picture may use the reference too.
    """
    if not _SHA256.fullmatch(sha256):
        return None
    uploads = Upload.objects.filter(owner=user).values("blob")
    used = Generation.objects.filter(images__in=GeneratedImage.objects.visible_to(user)).values("reference")
    return Blob.objects.filter(Q(pk__in=uploads) | Q(pk__in=used), pk=sha256).first()


def hold_reference(user: User, sha256: str) -> Blob | None:
    """`find_reference` for a request, in its transaction: from now on the sweeper leaves the upload alone."""
    if _SHA256.fullmatch(sha256):
        Upload.objects.filter(owner=user, blob=sha256).update(created_at=timezone.now())
    return find_reference(user, sha256)


def let_go(generations: Iterable[UUID]) -> set[str]:
    """Generations of which no picture is left start from nothing any more; whose bytes may go is returned."""
    with transaction.atomic():
        bare = Generation.objects.filter(pk__in=list(generations), images=None, reference__isnull=False)
        found = dict(bare.exclude(job__state__in=Job.LIVE).values_list("pk", "reference"))
        Generation.objects.filter(pk__in=found).update(reference=None, strength=None)
    return set(found.values())


def sweep_uploads() -> int:
    """Forgets uploads that are a week old, with their bytes unless a generation was made with them.

    Whoever uploads sweeps: there is nothing to tidy where nobody does.
    """
    return _forget(Upload.objects.filter(created_at__lt=timezone.now() - KEPT).order_by("created_at"))


def _forget(uploads: QuerySet[Upload]) -> int:
    with transaction.atomic():
        found = list(uploads.select_for_update(skip_locked=True, of=("self",))[:SWEPT_AT_ONCE])
        for upload in found:
            upload.delete()
            files.discard(upload.blob_id)
    return len(found)
