"""Measures of working copies: once for each picture, however many versions have it.

Two pictures are decoded and measured side by side in threads (Pillow and NumPy let go of the interpreter), and a few
dozen are in hand at once, so 20,000 photos take no more memory than a hundred.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

from django.db.models import Q, QuerySet
from PIL import Image

from shoesai import files, photo_checks
from shoesai.photo_checks import EDITION, Measures
from training.datasets.models import DatasetVersion, Photo, PhotoMeasure

AT_ONCE: Final = 32
THREADS: Final = min(4, os.cpu_count() or 1)
SMALL_COPY: Final = "small_copy"
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Looked:
    """One picture's measures, its hash, and its small copy as bytes."""

    measures: Measures
    phash: int
    small_copy: bytes


def look_at(picture: Image.Image) -> Looked:
    rgb = photo_checks.pixels(picture)
    return Looked(photo_checks.measure(rgb), photo_checks.phash(rgb), photo_checks.small_copy(rgb).tobytes())


def unmeasured(version: DatasetVersion) -> QuerySet[Photo]:
    stale = Q(blob__measure=None) | ~Q(blob__measure__edition=EDITION)
    return version.photos.present().filter(stale)


def measure_missing(version: DatasetVersion, progress: Progress) -> None:
    """Makes the rows of the version's present pictures that have none of this edition."""
    missing = sorted(set(unmeasured(version).values_list("blob_id", flat=True)))
    with ThreadPoolExecutor(THREADS) as threads:
        for begin in range(0, len(missing), AT_ONCE):
            progress(begin, len(missing))
            part = missing[begin : begin + AT_ONCE]
            rows = [_row(blob, looked) for blob, looked in zip(part, threads.map(_look_at_blob, part), strict=True)]
            _keep(rows)
    progress(len(missing), len(missing))


def _look_at_blob(sha256: str) -> Looked:
    """Our own PNG, decoded and written by us when it was imported."""
    with Image.open(files.path_of(sha256), formats=("PNG",)) as picture:
        return look_at(picture)


def _row(blob: str, looked: Looked) -> PhotoMeasure:
    values = asdict(looked.measures) | {SMALL_COPY: base64.b64encode(looked.small_copy).decode()}
    return PhotoMeasure(blob_id=blob, edition=EDITION, phash=f"{looked.phash:016x}", values=values)


def _keep(rows: list[PhotoMeasure]) -> None:
    PhotoMeasure.objects.bulk_create(
        rows, update_conflicts=True, unique_fields=["blob"], update_fields=["edition", "phash", "values"]
    )


def looked_at(version: DatasetVersion) -> Iterator[tuple[str, Looked]]:
    """Blob hash and what is known of it, of the version's present pictures that were measured."""
    blobs = version.photos.present().values("blob_id")
    rows = PhotoMeasure.objects.filter(blob__in=blobs, edition=EDITION).values_list("blob_id", "phash", "values")
    for blob, phash, values in rows.iterator(chunk_size=500):
        yield blob, Looked(measures_of(values), int(phash, 16), base64.b64decode(values[SMALL_COPY]))


def measures_of(values: dict[str, Any]) -> Measures:
    known: dict[str, Any] = {field.name: values[field.name] for field in fields(Measures)}
    colours = {name: tuple(value) for name, value in known.items() if isinstance(value, list)}  # JSON has no tuples
    return Measures(**{**known, **colours})
