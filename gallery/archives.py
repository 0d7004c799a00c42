"""Pictures as a ZIP, and what is known of them as a file: any number of them, in the same memory.

Everything is gone through once before the first byte goes out, because a download tells its length first. What that
finds is kept on disk: the list of members, and the metadata.
"""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from django.conf import settings
from django.db.models import QuerySet
from django.utils import timezone

from gallery.rows import AT_ONCE, FORMATS, CsvRows, JsonRows, row_of, with_rows
from gallery.zip_stream import CHUNK, Measure, Member, zip_stream
from generation.bare_png import bare_chunks, bare_size
from generation.models import GeneratedImage
from shoesai import files
from shoesai.models import User

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
        self._note(name, size, at, sha256=sha256)

    def add_text(self, name: str, text: str, at: datetime) -> None:
        self._note(name, len(text.encode()), at, text=text)

    def add_written(self, name: str, file: IO[bytes]) -> None:
        """What stands in a scratch file; at the end of the archive."""
        self._written.append((name, file.tell(), file))
        self._measure.add(name, file.tell())

    def _note(self, name: str, size: int, at: datetime, **content: str) -> None:
        when = timezone.localtime(at).replace(tzinfo=None).isoformat(timespec="seconds")
        self._plan.write(json.dumps({"name": name, "size": size, "at": when, **content}).encode() + b"\n")
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
            noted = json.loads(line)
            at = datetime.fromisoformat(noted["at"])
            yield Member(noted["name"], noted["size"], self._content(noted), at)
        now = timezone.localtime().replace(tzinfo=None)
        for name, size, file in self._written:
            file.seek(0)
            yield Member(name, size, chunks_of(file), now)

    def _content(self, noted: dict[str, Any]) -> Iterator[bytes]:
        if "sha256" in noted:
            return self._chunks(files.path_of(noted["sha256"]))
        return iter((noted["text"].encode(),))


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
    for number, image in enumerate(with_rows(images, user).iterator(chunk_size=AT_ONCE), 1):
        name = _add_picture(archive, image, f"{number:0{digits}d}_", papers.missing)
        for kind in rows:
            kind.write(row_of(image, name))
    for kind in rows:
        kind.end()
    archive.add_written("metadata.json", papers.json)
    archive.add_written("metadata.csv", papers.csv)
    if papers.missing.tell():
        archive.add_written("missing.txt", papers.missing)
    return archive


def _add_picture(archive: Archive, image: GeneratedImage, prefix: str, missing: IO[bytes]) -> str:
    """Returns its name in the archive, or nothing."""
    name = prefix + image.file_name()
    if not is_whole(image):
        missing.write(f"{name}: {image.blob_id}\n".encode())
        logger.error("the file of image %s is missing: %s", image.pk, image.blob_id)
        return ""
    archive.add_stored(name, image.blob.size, image.blob_id, image.created_at)
    archive.add_text(prefix + image.file_name("txt"), image.generation.prompt, image.created_at)
    return name


def is_whole(image: GeneratedImage) -> bool:
    try:
        return files.path_of(image.blob_id).stat().st_size == image.blob.size
    except FileNotFoundError:
        return False


# --- for people outside: the pictures and nothing else ----------------------------------------------------------------
def bare_archive_of(images: QuerySet[GeneratedImage], stem: str) -> Archive:
    """The pictures without their recipes, called `<stem>-<place>.png`."""
    archive, missing = Archive(bare_chunks), scratch()
    digits, now = len(str(images.order_by().count())), timezone.now()
    for number, image in enumerate(images.select_related("blob").iterator(chunk_size=AT_ONCE), 1):
        name = f"{stem}-{number:0{digits}d}.png"
        if is_whole(image):
            archive.add_stored(name, bare_size(files.path_of(image.blob_id)), image.blob_id, now)
        else:
            missing.write(f"{name}\n".encode())
            logger.error("the file of image %s is missing: %s", image.pk, image.blob_id)
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
