"""Pictures as a ZIP, and what is known of them as a file: any number of them, in the same memory.

Everything is gone through once before the first byte goes out, because a download tells its length first. What that
finds is kept on disk: the list of members, and the metadata.
"""

from __future__ import annotations

import contextlib
import json
import logging
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from django.conf import settings
from django.db.models import F, QuerySet
from django.utils import timezone

from gallery.rows import AT_ONCE, FORMATS, CsvRows, JsonRows, row_of, with_rows
from generation.bare_png import bare_chunks, bare_size
from generation.models import GeneratedImage
from shoesai import files
from shoesai.models import User
from shoesai.zip_stream import CHUNK, Measure, Member, zip_stream

logger = logging.getLogger(__name__)


def scratch() -> IO[bytes]:
    """Gone when it is closed, however that comes about; not in /tmp, which may be memory."""
    return tempfile.TemporaryFile(dir=settings.WORK_DIR)


def chunks_of(file: IO[bytes]) -> Iterator[bytes]:
    return iter(lambda: file.read(CHUNK), b"")


def stored_chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        yield from chunks_of(file)


class Archive:
    """A ZIP in the making; its members wait on disk until they are sent."""

    def __init__(self, chunks: Callable[[Path], Iterator[bytes]] = stored_chunks) -> None:
        self._chunks = chunks
        self._plan, self._measure = scratch(), Measure()
        self._written: list[tuple[str, int, IO[bytes]]] = []

    def add_stored(self, name: str, size: int, sha256: str, at: datetime) -> None:
        self._note(name, size, at, sha256, "")

    def add_text(self, name: str, text: str, at: datetime) -> None:
        self._note(name, len(text.encode()), at, "", text)

    def add_written(self, name: str, file: IO[bytes]) -> None:
        """What stands in a scratch file; at the end of the archive."""
        self._written.append((name, file.tell(), file))
        self._measure.add(name, file.tell())

    def _note(self, name: str, size: int, at: datetime, sha256: str, text: str) -> None:
        self._plan.write(json.dumps((name, size, at.timestamp(), sha256, text)).encode() + b"\n")
        self._measure.add(name, size)

    @property
    def length(self) -> int:
        return self._measure.length

    def stream(self) -> Iterator[bytes]:
        """Once. What is missing by now breaks the download off: an honest end rather than a false picture."""
        try:
            yield from zip_stream(self._members())
        except (OSError, RuntimeError):
            logger.exception("a ZIP broke off")
            raise
        finally:
            for file in (self._plan, *(file for _name, _size, file in self._written)):
                file.close()

    def _members(self) -> Iterator[Member]:
        self._plan.seek(0)
        for line in self._plan:
            name, size, at, sha256, text = json.loads(line)
            content = self._chunks(files.path_of(sha256)) if sha256 else iter((text.encode(),))
            yield Member(name, size, content, _local(at))
        for name, size, file in self._written:
            file.seek(0)
            yield Member(name, size, chunks_of(file), _local(time.time()))


def _local(at: float) -> datetime:
    """ZIP knows no time zones."""
    return datetime.fromtimestamp(at, timezone.get_current_timezone()).replace(tzinfo=None)


# --- for people of the house: everything that is known ----------------------------------------------------------------
@dataclass
class _Papers:
    """What lies beside the pictures."""

    json: IO[bytes]
    csv: IO[bytes]
    missing: IO[bytes]


def archive_of(images: QuerySet[GeneratedImage], user: User) -> Archive:
    """Each picture as it is stored with its prompt in a .txt beside it, `metadata.json` and `metadata.csv`.

    Names begin with the picture's place, so that they keep the order and none is there twice. A picture whose file is
    missing or damaged is told of in `missing.txt`.
    """
    archive, papers = Archive(), _Papers(scratch(), scratch(), scratch())
    rows: tuple[JsonRows, CsvRows] = (JsonRows(papers.json), CsvRows(papers.csv))
    digits = len(str(images.order_by().count()))
    for number, image in enumerate(_with_sizes(with_rows(images, user)), 1):
        row = row_of(image, _add_picture(archive, image, f"{number:0{digits}d}_", papers.missing))
        for kind in rows:
            kind.write(row)
    for kind in rows:
        kind.end()
    archive.add_written("metadata.json", papers.json)
    archive.add_written("metadata.csv", papers.csv)
    if papers.missing.tell():
        archive.add_written("missing.txt", papers.missing)
    return archive


def _with_sizes(images: QuerySet[GeneratedImage]) -> Iterator[Any]:
    """A few thousand at a time in memory; each has the `size` that its file should have."""
    return images.annotate(size=F("blob__size")).iterator(chunk_size=AT_ONCE)


def _add_picture(archive: Archive, image: Any, prefix: str, missing: IO[bytes]) -> str:
    """Returns its name in the archive, or nothing."""
    name = prefix + image.file_name()
    if not _is_whole(image):
        missing.write(f"{name}: {image.blob_id}\n".encode())
        return ""
    archive.add_stored(name, image.size, image.blob_id, image.created_at)
    archive.add_text(f"{name.removesuffix('.png')}.txt", image.generation.prompt, image.created_at)
    return name


def _is_whole(image: Any) -> bool:
    with contextlib.suppress(FileNotFoundError):
        if files.path_of(image.blob_id).stat().st_size == image.size:
            return True
    logger.error("the file of image %s is missing or damaged: %s", image.pk, image.blob_id)
    return False


# --- for people outside: the pictures and nothing else ----------------------------------------------------------------
def bare_archive_of(images: QuerySet[GeneratedImage], stem: str) -> Archive:
    """The pictures without their recipes, called `<stem>-<place>.png`."""
    archive, missing = Archive(bare_chunks), scratch()
    digits, now = len(str(images.order_by().count())), timezone.now()
    for number, image in enumerate(_with_sizes(images), 1):
        name = f"{stem}-{number:0{digits}d}.png"
        if _is_whole(image):
            archive.add_stored(name, bare_size(files.path_of(image.blob_id)), image.blob_id, now)
        else:
            missing.write(f"{name}\n".encode())
    if missing.tell():
        archive.add_written("missing.txt", missing)
    return archive


# --- metadata alone -------------------------------------------------------------------------------------------------
def metadata_file(images: QuerySet[GeneratedImage], user: User, form: str) -> IO[bytes]:
    """`form` is a key of FORMATS. Each row's `file` is what a download of that picture alone is called."""
    file = scratch()
    rows = FORMATS[form][0](file)
    for image in with_rows(images, user).iterator(chunk_size=AT_ONCE):
        rows.write(row_of(image, image.file_name()))
    rows.end()
    file.seek(0)
    return file
