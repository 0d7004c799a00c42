"""Captions that a model proposes. They wait beside the caption until a person accepts, edits or dismisses them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from django.conf import settings

from shoesai import files
from shoesai.engine.specs import Attribute, CaptionInputs, CaptionSpec, PictureInput
from shoesai.jobs import queue
from shoesai.jobs.engine_child import Event
from shoesai.models import Job, User
from shoesai.starter import draw
from training.datasets.captions_json import MAX_CAPTION
from training.datasets.models import Dataset, DatasetVersion, Photo

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


# What the starter's small CLIP was taught to tell apart, in the order of a caption; see docs/STARTER.md.
ATTRIBUTES = (
    Attribute("colour", tuple(draw.COLOURS), ("a photo of {} shoes", "{} shoes", "a {} shoe")),
    Attribute("material", draw.MATERIALS, ("a photo of {} shoes", "{} shoes", "a {} shoe")),
    Attribute("type", draw.TYPES, ("a photo of {}", "{}", "a product photo of {}")),
    Attribute("view", draw.VIEWS, ("a photo of shoes, {} view", "{} view", "a shoe, {} view")),
    Attribute("background", tuple(draw.BACKGROUNDS), ("a photo of shoes on {} background", "{} background")),
)
SURE = 0.5  # what is less likely than everything else together is left out of the caption
PHRASES = {"view": "{} view", "background": "{} background"}


def spec_of() -> CaptionSpec:
    """The captioning model of the settings, else the starter's small CLIP."""
    if settings.CAPTION_MODEL:
        return CaptionSpec(model=settings.CAPTION_MODEL)
    return CaptionSpec(clip=settings.CAPTION_CLIP, attributes=ATTRIBUTES)


def words_of(event: Event, dataset: Dataset) -> str:
    """The engine's `caption` event as a caption: its text, or what it is sure of in the words of a catalogue."""
    text = event["text"] if "text" in event else _from_attributes(event["attributes"])
    if dataset.trigger_words and text:
        text = f"{dataset.trigger_words}, {text}"
    return " ".join(text.replace("\x00", "").split())[:MAX_CAPTION]


def _from_attributes(seen: dict[str, tuple[str, float]]) -> str:
    sure = {name: value for name, (value, share) in seen.items() if share >= SURE}
    if not {"colour", "type"} & set(sure):
        return ""
    shoe = [sure.get("colour"), sure.get("material"), sure.get("type", "shoes")]
    clauses = [" ".join(filter(None, shoe))]
    clauses += [PHRASES[name].format(sure[name]) for name in ("view", "background") if name in sure]
    return ", ".join(clauses)


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
