"""Whatever is imported, what it leaves is whole: the photos that the report counts, their files, and nothing else."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Final, Protocol

import pytest
from pytest_django.fixtures import Settings

from shoesai import files
from shoesai.models import Blob, User
from training.datasets import archives
from training.datasets.captions_json import wrong_caption
from training.datasets.importing import import_into_draft, import_photos
from training.datasets.sources import SourceProblem
from training.importers import DatasetProblems, Report, read_photos, read_strictly, source_of
from training.models import Dataset, DatasetVersion, Photo
from training.tests.bad_inputs import CASES
from training.tests.read_bad_inputs import UNPACKED

SLOW_TO_WRITE: Final = ("80 MB", "8 MB", "100,000", "150 MB", "30,000", "six levels", "larger than any")
WRITING: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
PLACES: Final = {"os.mkdir": 0, "os.rename": 1, "os.link": 1, "os.symlink": 1, "os.truncate": 0}  # event → argument


class Commits(Protocol):
    def __call__(self, *, execute: bool) -> AbstractContextManager[list[Any]]: ...


def sample() -> set[str]:
    """The first and the last of each kind, and some between."""
    quick = [name for name in CASES if not any(words in name for words in SLOW_TO_WRITE)]
    kinds: dict[str, list[str]] = {}
    for name in quick:
        kinds.setdefault(name.partition(":")[0], []).append(name)
    ends = {name for names in kinds.values() for name in (names[0], names[-1])}
    return ends | set(quick[::9])


SAMPLE: Final = sample()


class Watch:
    """What this process writes, by the paths that it opens: a hook of the interpreter, deaf unless it is asked."""

    def __init__(self) -> None:
        self._written: list[str] | None = None
        sys.addaudithook(self._hear)

    @contextmanager
    def writes(self) -> Iterator[list[str]]:
        written: list[str] = []
        self._written = written
        try:
            yield written
        finally:
            self._written = None

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self._written is None:
            return
        place = arguments[0] if event == "open" and arguments[2] & WRITING else None
        place = arguments[PLACES[event]] if event in PLACES else place
        if isinstance(place, str | bytes | os.PathLike):
            self._written.append(os.path.realpath(os.fsdecode(place)))


@pytest.fixture(scope="module")
def watch() -> Watch:
    return Watch()


@pytest.fixture
def data(tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder with nothing in it, and archives as small as the corpus has them."""
    root = tmp_path / "data"
    settings.BLOB_DIR, settings.WORK_DIR = root / "blobs", root / "work"
    for folder in (settings.BLOB_DIR, settings.WORK_DIR):
        folder.mkdir(parents=True)
    monkeypatch.setattr(archives, "MAX_UNPACKED_BYTES", UNPACKED)
    return root


@pytest.mark.django_db
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in SAMPLE else pytest.mark.slow) for name in CASES]
)
def test_what_comes_in_is_what_the_report_says_and_nothing_else_is_left(
    name: str, tmp_path: Path, data: Path, watch: Watch, django_capture_on_commit_callbacks: Commits
) -> None:
    given = tmp_path / "given"
    given.mkdir()
    path, dataset, report = CASES[name].write(given), new_dataset(), Report()
    before = everything_in(given)
    with watch.writes() as written, django_capture_on_commit_callbacks(execute=True):
        imported = into_draft(dataset, path, report)
    assert [photo.pk for photo in imported] == list(Photo.objects.order_by("position").values_list("pk", flat=True))
    assert len(imported) == report.images == CASES[name].good
    assert DatasetVersion.objects.count() == bool(imported)
    assert [photo.caption for photo in imported if photo.caption and wrong_caption(photo.caption)] == []
    assert_every_byte_has_its_owner(data)
    assert everything_in(given) == before
    assert written or not imported, "the watch is deaf"
    assert [place for place in written if not Path(place).is_relative_to(data.resolve())] == []


@pytest.mark.django_db
@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.slow) for name in CASES if CASES[name].good])
def test_nothing_is_half_imported_where_one_problem_is_one_too_many(
    name: str, tmp_path: Path, data: Path, django_capture_on_commit_callbacks: Commits
) -> None:
    path, user = CASES[name].write(tmp_path), User.objects.create_user("alice")
    with django_capture_on_commit_callbacks(execute=True), pytest.raises((DatasetProblems, SourceProblem)):
        import_photos(user=user, name="casual", photos=read_strictly(source_of(path)))
    assert (Dataset.objects.count(), Blob.objects.count(), stored_in(data)) == (0, 0, set())


def new_dataset() -> Dataset:
    return Dataset.objects.create(owner=User.objects.create_user("alice"), name="casual")


def into_draft(dataset: Dataset, path: Path, report: Report) -> list[Photo]:
    try:
        return import_into_draft(dataset, read_photos(source_of(path), report=report))
    except SourceProblem:
        return []


def assert_every_byte_has_its_owner(data: Path) -> None:
    owned = set(Photo.objects.values_list("blob_id", flat=True))
    owned |= set(Photo.objects.exclude(original=None).values_list("original_id", flat=True))
    rows = set(Blob.objects.values_list("pk", flat=True))
    assert rows == owned
    assert stored_in(data) == {files.path_of(sha256).relative_to(data) for sha256 in owned}
    assert all(files.is_whole(sha256) for sha256 in owned)


def stored_in(data: Path) -> set[Path]:
    return {path.relative_to(data) for path in data.rglob("*") if path.is_file()}


def everything_in(folder: Path) -> dict[str, tuple[int, int]]:
    """Name → size and time of the last change, of links themselves."""
    found = {}
    for path in folder.rglob("*"):
        told = path.lstat()
        found[str(path)] = (told.st_size, told.st_mtime_ns)
    return found
