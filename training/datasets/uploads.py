"""Files on their way from a browser into a dataset's draft.

They wait in a folder of ours under names of ours, with a line each that says what they were called; a job reads them.
`begin`, `add_file` for each, `start`; what is never started is tidied away after a day.
"""

from __future__ import annotations

import json
import shutil
import unicodedata
import uuid
from collections.abc import Iterable, Iterator
from datetime import timedelta
from pathlib import Path

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from shoesai.jobs import queue
from shoesai.models import Job, User
from training.datasets.archives import Archive, Unpacking
from training.datasets.models import Dataset, DatasetImport
from training.datasets.sources import (
    MAX_FILES,
    MAX_PHOTO_BYTES,
    Files,
    Problem,
    SourceProblem,
    is_litter,
    is_not_text,
    read_plain,
    shown,
    without_wrapping,
)

MAX_UPLOAD_BYTES = 8 * 1024**3  # one file: a ZIP of a whole dataset
MAX_IMPORT_BYTES = 20 * 1024**3
MAX_NAME = 1000
ABANDONED = timedelta(days=1)
_NAMES = "names.jsonl"
_ZIP = b"PK\x03\x04"


class UploadProblem(Exception):
    """Why this file, or this upload, is not taken."""


def folder_of(upload: DatasetImport) -> Path:
    return Path(settings.WORK_DIR) / "uploads" / str(upload.pk)


def begin(user: User, dataset: Dataset, source: str = "") -> DatasetImport:
    upload = DatasetImport.objects.create(owner=user, team=dataset.team, dataset=dataset, source=shown(source)[:255])
    folder_of(upload).mkdir(parents=True)
    return upload


def add_file(upload: DatasetImport, name: str, chunks: Iterable[bytes]) -> None:
    """`name` may have folders in it. Raises UploadProblem; nothing of the file is left then."""
    if upload.job_id:
        raise UploadProblem(_("This upload has been started already; begin another one."))
    folder, key = folder_of(upload), uuid.uuid4().hex
    room = MAX_IMPORT_BYTES - sum(path.stat().st_size for path in folder.iterdir())
    path = folder / key
    try:
        with path.open("xb") as file:
            for chunk in chunks:
                room -= len(chunk)
                if room < 0 or file.tell() + len(chunk) > MAX_UPLOAD_BYTES:
                    raise UploadProblem(_("is too large; send the photos in several parts."))
                file.write(chunk)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    with (folder / _NAMES).open("a", encoding="utf-8") as names:  # short lines, so several at once do not mix
        names.write(json.dumps([key, name[-MAX_NAME:]]) + "\n")


@transaction.atomic
def start(upload: DatasetImport, *, idempotency_key: str | None = None, request_digest: str = "") -> Job:
    """Raises UploadProblem when nothing came, QueueFull and KeyReused.

    Where the same request has made a job before, it is that job, and this upload is forgotten.
    """
    upload = DatasetImport.objects.select_for_update(of=("self",)).get(pk=upload.pk)
    if upload.job_id:
        return Job.objects.get(pk=upload.job_id)
    if not (folder_of(upload) / _NAMES).is_file():
        raise UploadProblem(_("No file has come; choose some photos or a ZIP."))
    with queue.accepting(upload.owner):
        if earlier := queue.job_for_key(upload.owner, idempotency_key, request_digest):
            forget(upload)
            upload.delete()
            return earlier
        upload.job = queue.enqueue(
            owner=upload.owner,
            team=upload.dataset.team,
            kind="import_dataset",
            spec={"import": str(upload.pk)},
            idempotency_key=idempotency_key,
            request_digest=request_digest,
        )
    upload.save(update_fields=["job"])
    return upload.job


def forget(upload: DatasetImport) -> None:
    shutil.rmtree(folder_of(upload), ignore_errors=True)


def tidy() -> int:
    """Uploads that nobody started, and folders whose job has ended or that no row knows."""
    old = timezone.now() - ABANDONED
    for upload in DatasetImport.objects.filter(job=None, created_at__lt=old, report={}):
        forget(upload)
        upload.delete()
    root, number = Path(settings.WORK_DIR) / "uploads", 0
    waiting = DatasetImport.objects.filter(Q(job=None) | Q(job__state__in=Job.LIVE))
    known = {str(pk) for pk in waiting.values_list("pk", flat=True)}
    for folder in root.iterdir() if root.is_dir() else ():
        if folder.name not in known and folder.stat().st_mtime < old.timestamp():
            shutil.rmtree(folder, ignore_errors=True)
            number += 1
    return number


# --- what came, as a source -------------------------------------------------------------------------------------------
class Uploaded:
    """Files and ZIPs together; of several ZIPs each is a folder called like it."""

    def __init__(self, upload: DatasetImport) -> None:
        self.problems: list[Problem] = []
        self._plain: dict[str, Path] = {}
        self._packed: dict[str, tuple[Files, str]] = {}
        self._unpacking = Unpacking()
        files = list(self._listed(folder_of(upload)))
        archives = [(name, path) for name, path in files if _is_zip(path)]
        for name, path in archives:
            self._open(name, path, alone=len(files) == 1)
        for name, path in files:
            if (name, path) not in archives:
                self._plain[name] = path
        self.names = sorted([*self._plain, *self._packed])
        if len(self.names) > MAX_FILES:
            raise SourceProblem(f"There are more than {MAX_FILES:,} files in this upload.")

    def _listed(self, folder: Path) -> Iterator[tuple[str, Path]]:
        seen: set[str] = set()
        for line in (folder / _NAMES).read_text(encoding="utf-8").splitlines():
            key, name = json.loads(line)
            name = unicodedata.normalize("NFC", name.replace("\\", "/").strip("/"))
            if is_litter(name):
                continue
            if is_not_text(name) or not name or {"", ".", ".."} & set(name.split("/")):
                self.problems.append(Problem(shown(name) or "?", "has a name that leads nowhere."))
            elif name in seen:
                self.problems.append(Problem(shown(name), "came more than once."))
            else:
                seen.add(name)
                yield name, folder / key

    def _open(self, name: str, path: Path, *, alone: bool) -> None:
        try:
            archive = without_wrapping(Archive(path, self._unpacking))
        except SourceProblem as problem:
            self.problems.append(Problem(shown(name), str(problem)))
            return
        self.problems += archive.problems
        for inner in archive.names:
            self._packed[inner if alone else f"{name.removesuffix('.zip')}/{inner}"] = (archive, inner)

    def read(self, name: str, limit: int = MAX_PHOTO_BYTES) -> bytes:
        if name in self._packed:
            archive, inner = self._packed[name]
            return archive.read(inner, limit)
        return read_plain(self._plain[name], limit)


def _is_zip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == _ZIP


def source_of(upload: DatasetImport) -> Files:
    return without_wrapping(Uploaded(upload))
