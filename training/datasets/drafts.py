"""The draft of a dataset: begun from the newest version, edited step by step, undone and redone.

A step is written down as what each photo's fields were and are (`DraftEdit`), so every kind of editing can be undone
alike. Taking a photo out only marks it; it goes when the draft is frozen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Max
from django.utils.translation import gettext as _

from shoesai import files
from shoesai.models import User
from training.datasets import caption_words
from training.datasets.models import Dataset, DatasetVersion, DraftEdit, Photo

EDITABLE = ("caption", "proposal", "held_out", "removed", "blob_id", "width", "height", "parent_id", "recipe")
CHUNK = 500

Changes = Mapping[UUID, Mapping[str, Any]]
"""Photo → field → its new value."""


class DraftProblem(Exception):
    """What cannot be done to this draft, and what to do about it."""


@dataclass(frozen=True)
class Source:
    """Where new photos of a draft come from: everything but the place that they get in it."""

    file_name: str
    blob_id: str
    width: int
    height: int
    caption: str = ""
    original_id: str | None = None
    origin: str = Photo.Origin.IMPORTED
    depth: int = 0
    parent_id: str | None = None
    recipe: Mapping[str, Any] | None = None
    extra: Mapping[str, Any] | None = None
    held_out: bool = False


@transaction.atomic
def open_draft(dataset: Dataset) -> DatasetVersion:
    """The dataset's draft; begun as a copy of its newest version where there is none."""
    Dataset.objects.select_for_update().get(pk=dataset.pk)  # two people begin at once: one draft
    draft = dataset.draft()
    if draft:
        return draft
    newest = dataset.latest()
    draft = DatasetVersion.objects.create(
        dataset=dataset,
        number=newest.number + 1 if newest else 1,
        frozen_at=None,
        licence_note=newest.licence_note if newest else "",
    )
    if newest:
        _copy_photos(newest, draft)
    return draft


def _copy_photos(source: DatasetVersion, draft: DatasetVersion) -> None:
    rows = []
    for photo in source.photos.order_by("position").iterator(chunk_size=CHUNK):
        photo.pk, photo.version = Photo._meta.pk.get_default(), draft
        photo._state.adding = True
        rows.append(photo)
        if len(rows) == CHUNK:
            Photo.objects.bulk_create(rows)
            rows = []
    Photo.objects.bulk_create(rows)
    draft.photo_count = source.photo_count
    draft.checked_at = None
    draft.save(update_fields=["photo_count", "checked_at"])


@transaction.atomic
def add_photos(draft: DatasetVersion, sources: Iterable[Source]) -> list[Photo]:
    """Behind those that are there. Names that are taken get a number: a.png, a-2.png."""
    draft = locked(draft)
    taken = set(draft.photos.values_list("file_name", flat=True))
    last = draft.photos.aggregate(last=Max("position"))["last"]
    begin = 0 if last is None else last + 1
    rows = [
        Photo(
            version=draft,
            position=position,
            file_name=free_name(source.file_name, taken),
            caption=source.caption,
            blob_id=source.blob_id,
            original_id=source.original_id,
            width=source.width,
            height=source.height,
            origin=source.origin,
            depth=source.depth,
            parent_id=source.parent_id,
            recipe=dict(source.recipe or {}),
            extra=dict(source.extra or {}),
            held_out=source.held_out,
            **caption_words.said(source.caption),
        )
        for position, source in enumerate(sources, start=begin)
    ]
    Photo.objects.bulk_create(rows, batch_size=CHUNK)
    _recount(draft)
    return rows


def free_name(name: str, taken: set[str]) -> str:
    """`name`, or with the first number that nobody has; it is taken then."""
    stem, dot, ending = name.rpartition(".")
    free, number = name, 1
    while free in taken:
        number += 1
        free = f"{stem}-{number}{dot}{ending}" if dot else f"{name}-{number}"
    taken.add(free)
    return free


# --- steps ------------------------------------------------------------------------------------------------------
@transaction.atomic
def edit(draft: DatasetVersion, user: User, verb: str, changes: Changes) -> DraftEdit | None:
    """One step of the history: what does not change anything is left out, and None comes back when nothing does.

    Raises DraftProblem for a frozen version, for photos that are not in it, and ValueError for other fields.
    """
    draft = locked(draft)
    written: dict[str, dict[str, list[Any]]] = {}
    photos = Photo.objects.filter(version=draft).in_bulk(list(changes))
    if len(photos) != len(changes):
        raise DraftProblem(_("Some of these photos are not in the draft any more; load the page again."))
    for pk, fields in changes.items():
        if unknown := set(fields) - set(EDITABLE):
            raise ValueError(f"not editable: {', '.join(sorted(unknown))}")
        photo = photos[pk]
        told = {name: [getattr(photo, name), value] for name, value in fields.items() if getattr(photo, name) != value}
        if told:
            written[str(pk)] = told
    if not written:
        return None
    draft.edits.filter(undone=True).delete()
    step = DraftEdit.objects.create(version=draft, user=user, verb=verb, changes=written, photo_count=len(written))
    _write(draft, written, lambda before_after: before_after[1])
    return step


@transaction.atomic
def undo(draft: DatasetVersion) -> DraftEdit | None:
    """Takes the newest step back; None when there is none."""
    draft = locked(draft)
    step = draft.edits.filter(undone=False).last()
    if step:
        _write(draft, step.changes, lambda before_after: before_after[0])
        DraftEdit.objects.filter(pk=step.pk).update(undone=True)
    return step


@transaction.atomic
def redo(draft: DatasetVersion) -> DraftEdit | None:
    """Does the step again that was undone last; None when there is none."""
    draft = locked(draft)
    step = draft.edits.filter(undone=True).first()
    if step:
        _write(draft, step.changes, lambda before_after: before_after[1])
        DraftEdit.objects.filter(pk=step.pk).update(undone=False)
    return step


@transaction.atomic
def discard(draft: DatasetVersion) -> None:
    """Forgets the draft; the frozen versions stay as they are. A dataset that was only a draft is then empty."""
    draft = locked(draft)
    held = set(draft.photos.values_list("blob_id", flat=True)) | set(
        draft.photos.filter(original__isnull=False).values_list("original_id", flat=True)
    )
    draft.delete()
    for sha256 in held:
        files.discard(sha256)


def locked(draft: DatasetVersion) -> DatasetVersion:
    """The row as it is now, and nobody else's until the end. Raises DraftProblem for a version that is frozen."""
    found = DatasetVersion.objects.select_for_update(of=("self",)).select_related("dataset").filter(pk=draft.pk).first()
    if found is None or not found.is_draft:
        raise DraftProblem(_("This version is frozen and cannot be changed; edit its dataset's draft instead."))
    return found


def _write(draft: DatasetVersion, changes: Mapping[str, Mapping[str, Any]], value_of: Callable[[Any], Any]) -> None:
    rows = []
    for photo in Photo.objects.filter(version=draft).in_bulk(list(changes)).values():
        values = {name: value_of(before_after) for name, before_after in changes[str(photo.pk)].items()}
        if "caption" in values:
            values |= caption_words.said(values["caption"])
        for name, value in values.items():
            setattr(photo, name, value)
        rows.append(photo)
    fields = {name for told in changes.values() for name in told}
    if "caption" in fields:
        fields.update(caption_words.SAID)
    Photo.objects.bulk_update(rows, sorted(fields), batch_size=CHUNK)
    if "removed" in fields:
        _recount(draft)


def _recount(draft: DatasetVersion) -> None:
    draft.photo_count = draft.photos.present().count()
    draft.save(update_fields=["photo_count"])
