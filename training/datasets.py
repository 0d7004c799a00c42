"""Storing an import: bytes first, then all rows at once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable

from django.db import transaction

from shoesai import files
from shoesai.models import User
from training.importers import PhotoFile
from training.models import Dataset, DatasetVersion, Photo

MAX_NAME = 120


class DatasetNameProblem(ValueError):
    """Says what a dataset may be called."""


def import_photos(*, user: User, name: str, photos: Iterable[PhotoFile]) -> DatasetVersion:
    """The dataset's new version; or its latest, when that holds exactly these photos and captions already.

    Raises DatasetNameProblem, and whatever `photos` raises; no row is written then.
    """
    name = clean_name(name)
    rows = [_published(position, photo) for position, photo in enumerate(photos)]
    digest = content_hash([(row.blob_id, row.caption) for row in rows])
    with transaction.atomic():
        dataset, _ = Dataset.objects.get_or_create(owner=user, name=name, defaults={"team": user.home_team()})
        Dataset.objects.select_for_update().get(pk=dataset.pk)  # two imports at once take turns
        latest = dataset.latest()
        if latest and latest.content_hash == digest:
            return latest
        return _new_version(dataset, (latest.number if latest else 0) + 1, digest, rows)


def clean_name(name: str) -> str:
    name = name.strip()
    if not name or len(name) > MAX_NAME or not name.isprintable():
        raise DatasetNameProblem(f"a dataset's name is 1 to {MAX_NAME} printable characters.")
    return name


def content_hash(photos: list[tuple[str, str]]) -> str:
    """Over image hashes and captions, in order; nothing is learned from file names, so they do not count."""
    return hashlib.sha256(json.dumps(photos).encode()).hexdigest()


def _published(position: int, photo: PhotoFile) -> Photo:
    """The photo's row, not saved yet. It lets go of the bytes: a whole dataset would not fit into memory."""
    return Photo(
        position=position,
        file_name=photo.file_name,
        caption=photo.caption,
        blob=files.publish(photo.picture.png, "image/png"),
        width=photo.picture.width,
        height=photo.picture.height,
    )


def _new_version(dataset: Dataset, number: int, digest: str, rows: list[Photo]) -> DatasetVersion:
    version = DatasetVersion.objects.create(
        dataset=dataset, number=number, content_hash=digest, photo_count=len(rows)
    )
    for row in rows:
        row.version = version
    Photo.objects.bulk_create(rows, batch_size=500)
    return version
