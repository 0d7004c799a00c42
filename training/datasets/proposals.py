"""Captions that a model proposes. They wait beside a photo's caption until a person accepts, edits or dismisses them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from django.conf import settings

from shoesai import files
from shoesai.engine.specs import CaptionInputs, CaptionSpec, PictureInput
from shoesai.jobs import queue
from shoesai.models import Job, User
from training.datasets.models import DatasetVersion, Photo

AT_ONCE = 200


def request_proposals(user: User, draft: DatasetVersion, *, everything: bool = False) -> Job:
    """For photos without caption, or for all. Raises QueueFull."""
    job = live_job(draft)
    if job:
        return job
    spec = {"draft": str(draft.pk), "everything": everything}
    return queue.enqueue(owner=user, team=draft.dataset.team, kind="propose_captions", spec=spec)


def live_job(version: DatasetVersion) -> Job | None:
    return Job.objects.filter(kind="propose_captions", state__in=Job.LIVE, spec__draft=str(version.pk)).first()


def without_proposal(draft: DatasetVersion, *, everything: bool) -> list[Photo]:
    photos = draft.photos.present().filter(proposal="").select_related("blob").order_by("position")
    return list(photos if everything else photos.filter(caption=""))


def spec_of() -> CaptionSpec:
    """The captioning model of the settings, else the starter's small CLIP."""
    return CaptionSpec(model=settings.CAPTION_MODEL)


def inputs_of(photos: Iterable[Photo]) -> CaptionInputs:
    return CaptionInputs(tuple(PictureInput(str(files.path_of(photo.blob_id)), str(photo.pk)) for photo in photos))


def keep(draft: DatasetVersion, proposed: dict[str, str]) -> int:
    """Only where nobody has written a caption meanwhile that says the same. Frozen meanwhile: nothing is kept."""
    if not DatasetVersion.objects.drafts().filter(pk=draft.pk).exists():
        return 0
    rows = [photo for photo in draft.photos.filter(pk__in=proposed) if proposed[str(photo.pk)] != photo.caption]
    for photo in rows:
        photo.proposal = proposed[str(photo.pk)]
    return Photo.objects.bulk_update(rows, ["proposal"], batch_size=AT_ONCE)


def digest_of(rows: Iterable[tuple[str, ...]]) -> str:
    """SHA-256 over rows of words."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update("\x1f".join(row).encode() + b"\x1e")
    return digest.hexdigest()
