"""A version as files, in the layouts that other tools read; imported again it is the same version.

Order, held-out part and licence note fit into no foreign layout, so `shoesai.json` tells them beside any.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from django.utils.translation import gettext_lazy as _

from shoesai import files
from shoesai.zip_stream import CHUNK, Measure, Member, zip_stream
from training.datasets.captions_json import CAPTIONS, IMAGES
from training.datasets.drafts import free_name
from training.datasets.layouts import METADATA, PAPERS
from training.datasets.models import DatasetVersion, Photo


@dataclass(frozen=True)
class ExportFile:
    """`blob` names stored bytes; without it, `text` is what stands in the file."""

    name: str
    size: int
    blob: str = ""
    text: bytes = b""

    def chunks(self) -> Iterator[bytes]:
        if not self.blob:
            yield self.text
            return
        with files.path_of(self.blob).open("rb") as file:
            yield from iter(lambda: file.read(CHUNK), b"")


Named = list[tuple[str, Photo]]


def _captions_json(photos: Named) -> Iterator[ExportFile]:
    yield from (_picture(f"{IMAGES}/{name}", photo) for name, photo in photos)
    yield _text(CAPTIONS, _json([{"image_file": name, "caption": photo.caption} for name, photo in photos]))


def _imagefolder(photos: Named) -> Iterator[ExportFile]:
    yield from (_picture(name, photo) for name, photo in photos)
    rows = [{**photo.extra, "file_name": name, "text": photo.caption} for name, photo in photos]
    yield _text(METADATA[0], "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def _kohya(photos: Named) -> Iterator[ExportFile]:
    for name, photo in photos:
        yield _picture(name, photo)
        yield _text(f"{PurePosixPath(name).with_suffix('')}.txt", photo.caption)


@dataclass(frozen=True)
class Format:
    label: Any
    lay_out: Callable[[Named], Iterator[ExportFile]]


FORMATS: dict[str, Format] = {
    "captions-json": Format(_("images/ and captions.json"), _captions_json),
    "imagefolder": Format(_("metadata.jsonl (Hugging Face)"), _imagefolder),
    "kohya": Format(_("a .txt beside each (kohya)"), _kohya),
}


def files_of(version: DatasetVersion, form: str) -> Iterator[ExportFile]:
    """`form` is a key of FORMATS."""
    photos = list(_named(version))
    yield from FORMATS[form].lay_out(photos)
    yield _text(
        PAPERS,
        _json(
            {
                "dataset": version.dataset.name,
                "version": version.number,
                "content_hash": version.content_hash,
                "licence_note": version.licence_note,
                "held_out": [name for name, photo in photos if photo.held_out],
                "order": [name for name, _photo in photos],
            }
        ),
    )


def _named(version: DatasetVersion) -> Iterator[tuple[str, Photo]]:
    """Working copies are PNG, whatever the photo was; stems differ, so that each sidecar has its own."""
    taken: set[str] = set()
    for photo in version.photos.present().select_related("blob").order_by("position"):
        yield free_name(f"{PurePosixPath(photo.file_name).stem or 'photo'}.png", taken), photo


def _picture(name: str, photo: Photo) -> ExportFile:
    return ExportFile(name, photo.blob.size, blob=photo.blob_id)


def _text(name: str, text: str) -> ExportFile:
    data = text.encode()
    return ExportFile(name, len(data), text=data)


def _json(content: Any) -> str:
    return json.dumps(content, ensure_ascii=False, indent=1) + "\n"


# --- to a folder, and as a download -------------------------------------------------------------------------------
def write_to(folder: Path, version: DatasetVersion, form: str) -> list[str]:
    """Into a folder that is empty or not there yet; returns the names. Raises FileExistsError, and OSError.

    All of it or nothing: it is written beside the folder and takes its place at the end.
    """
    folder = Path(os.path.realpath(folder))
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f"{folder} is not empty.")
    if folder.is_mount():
        raise OSError(errno.EBUSY, "A volume cannot be replaced at once; name a folder inside it", str(folder))
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = folder.with_name(f".{uuid.uuid4().hex}.unfinished")
    unfinished.mkdir()
    try:
        written = [_written(unfinished, file) for file in files_of(version, form)]
        unfinished.rename(folder)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    return written


def _written(folder: Path, file: ExportFile) -> str:
    path = folder / file.name
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as out:
        out.writelines(file.chunks())
    return file.name


def zip_of(version: DatasetVersion, form: str) -> tuple[int, Iterator[bytes]]:
    """Its exact length in bytes, and the bytes."""
    measure = Measure()
    for file in files_of(version, form):
        measure.add(file.name, file.size)
    return measure.length, zip_stream(Member(file.name, file.size, file.chunks()) for file in files_of(version, form))
