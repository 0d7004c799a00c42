"""Storing an import: bytes first, then all rows at once."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import transaction
from django.utils.translation import gettext as _

from shoesai import files
from shoesai.models import User
from training.datasets.drafts import DraftProblem, Source, add_photos, open_draft
from training.datasets.freezing import freeze
from training.datasets.models import Dataset, DatasetVersion
from training.importers import PhotoFile

MAX_NAME = 120


class DatasetNameProblem(ValueError):
    """Says what a dataset may be called."""


def import_photos(*, user: User, name: str, photos: Iterable[PhotoFile]) -> DatasetVersion:
    """The dataset's new version, of exactly these photos; its latest, when that holds the same already.

    Raises DatasetNameProblem, DraftProblem where somebody is editing a draft, and whatever `photos` raises; no row is
    written then.
    """
    name = clean_name(name)
    sources = [_published(photo) for photo in photos]
    with transaction.atomic():
        dataset = Dataset.objects.get_or_create(owner=user, name=name)[0]
        if dataset.draft():
            words = _("There is a draft of %(dataset)s that somebody works on; freeze or discard it first.")
            raise DraftProblem(words % {"dataset": dataset.name})
        draft = open_draft(dataset)
        draft.photos.all().delete()
        add_photos(draft, sources)
        return freeze(draft)


def clean_name(name: str) -> str:
    name = name.strip()
    if not name or len(name) > MAX_NAME or not name.isprintable():
        raise DatasetNameProblem(f"a dataset's name is 1 to {MAX_NAME} printable characters.")
    return name


def _published(photo: PhotoFile) -> Source:
    """It lets go of the bytes: a whole dataset would not fit into memory."""
    return Source(
        file_name=photo.file_name,
        caption=photo.caption,
        blob_id=files.publish(photo.picture.png, "image/png").pk,
        width=photo.picture.width,
        height=photo.picture.height,
    )
