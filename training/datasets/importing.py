"""Storing an import: bytes first, then all rows at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Final

from django.db import transaction
from django.utils.translation import gettext as _

from shoesai import files
from shoesai.jobs.queue import Fenced
from shoesai.models import User
from training.datasets.drafts import DraftProblem, Source, add_photos, open_draft
from training.datasets.freezing import freeze
from training.datasets.models import Dataset, DatasetVersion, Photo
from training.importers import PhotoFile

MAX_NAME: Final = 120


class DatasetNameProblem(ValueError):
    """Says what a dataset may be called."""


def import_photos(
    *, user: User, name: str, photos: Iterable[PhotoFile], licence_note: Callable[[], str] = str
) -> DatasetVersion:
    """The dataset's new version, of exactly these photos; its latest, when that holds the same already.

    Where captions are missing it stays a draft. `licence_note` is asked when all photos have been read. Raises
    DatasetNameProblem, DraftProblem where somebody is editing a draft, and whatever `photos` raises; neither a row nor
    a file is left then.
    """
    name = clean_name(name)
    with _kept_or_gone() as published:
        sources = [_published(photo, published) for photo in photos]
        with transaction.atomic():
            dataset = Dataset.objects.get_or_create(owner=user, name=name)[0]
            if dataset.draft():
                words = _("There is a draft of %(dataset)s that somebody works on; freeze or discard it first.")
                raise DraftProblem(words % {"dataset": dataset.name})
            draft = open_draft(dataset)
            draft.photos.all().delete()
            draft.licence_note = licence_note() or draft.licence_note
            draft.save(update_fields=["licence_note"])
            add_photos(draft, sources)
            draft.refresh_from_db()
            return freeze(draft) if all(source.caption for source in sources) else draft


def import_into_draft(
    dataset: Dataset,
    photos: Iterable[PhotoFile],
    *,
    committing: Callable[[], AbstractContextManager[None]] = transaction.atomic,
    and_then: Callable[[], None] = lambda: None,
) -> list[Photo]:
    """Behind what the dataset's draft has already; the draft is begun where there is none.

    `and_then` is called in the same transaction.
    """
    with _kept_or_gone() as published:
        sources = [_published(photo, published) for photo in photos]
        with committing():
            added = add_photos(open_draft(dataset), sources) if sources else []
            and_then()
            return added


def clean_name(name: str) -> str:
    name = name.strip()
    if not name or len(name) > MAX_NAME or not name.isprintable():
        raise DatasetNameProblem(f"a dataset's name is 1 to {MAX_NAME} printable characters.")
    return name


@contextmanager
def _kept_or_gone() -> Iterator[set[str]]:
    """The hashes of what is published inside; when it fails, those that nobody else needs are deleted again."""
    published: set[str] = set()
    try:
        yield published
    except Fenced:
        raise  # another worker is publishing the same pictures now
    except BaseException:
        for sha256 in published:
            files.discard(sha256)
        raise


def _published(photo: PhotoFile, published: set[str]) -> Source:
    """It lets go of the bytes: a whole dataset would not fit into memory."""
    blob = files.publish(photo.picture.png, "image/png")
    published.add(blob.pk)
    original = files.publish(photo.original, _mime(photo.original)) if photo.original else None
    if original:
        published.add(original.pk)
    return Source(
        file_name=photo.file_name,
        caption=photo.caption,
        blob_id=blob.pk,
        original_id=original.pk if original else None,
        width=photo.picture.width,
        height=photo.picture.height,
        extra=photo.extra,
        held_out=photo.held_out,
    )


def _mime(data: bytes) -> str:
    if data.startswith(b"\xff\xd8"):
        return "image/jpeg"
    return "image/webp" if data[8:12] == b"WEBP" else "image/png"
