"""Stored bytes: content-addressed, written file-before-row, deleted row-before-file.

The order is temp → fsync → rename → directory fsync → row, so a crash leaves at worst an unreferenced file, never a
row without its bytes and never half a file under a good name.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

from django.conf import settings
from django.db import transaction
from django.db.models import ProtectedError

from shoesai.models import Blob


def publish(data: bytes, mime: str) -> Blob:
    """Stores bytes under their SHA-256 and returns the row; the same bytes twice are one blob."""
    digest = hashlib.sha256(data).hexdigest()
    if not is_whole(digest):
        _write(path_of(digest), data)
    blob, _ = Blob.objects.get_or_create(sha256=digest, defaults={"size": len(data), "mime": mime})
    return blob


def is_whole(sha256: str) -> bool:
    """Its bytes are looked at, not its size: what has rotted is mended by publishing it again."""
    try:
        with path_of(sha256).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == sha256
    except FileNotFoundError:
        return False


def read(blob: Blob) -> bytes:
    return path_of(blob.sha256).read_bytes()


def discard(sha256: str) -> bool:
    """Deletes bytes that no row refers to any more: the row first, the file after the commit. False while one does."""
    try:
        with transaction.atomic():
            Blob.objects.filter(pk=sha256).delete()
    except ProtectedError:
        return False
    transaction.on_commit(lambda: _unlink(sha256))
    return True


def _unlink(sha256: str) -> None:
    if not Blob.objects.filter(pk=sha256).exists():  # nobody has published the same bytes meanwhile
        path_of(sha256).unlink(missing_ok=True)


def path_of(sha256: str) -> Path:
    return Path(settings.BLOB_DIR) / sha256[:2] / sha256


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".tmp-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
