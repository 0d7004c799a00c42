"""How photos with captions are read: each importer is a function that lists them, and a row in IMPORTERS.

An importer never touches the database, nor opens a picture. `read_photos` does that, side by side, and yields what is
to be stored; what cannot be used stands in the report with its file and the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from shoesai.pictures import NotAPicture, Picture
from shoesai.side_by_side import read_pictures
from training.datasets.archives import Archive
from training.datasets.captions_json import CAPTIONS, MAX_CAPTION
from training.datasets.layouts import (
    METADATA,
    PICTURES,
    Entry,
    Listing,
    list_captions_json,
    list_imagefolder,
    list_images,
    list_kohya,
)
from training.datasets.sources import Files, Folder, Problem, shown, without_wrapping

__all__ = ["IMPORTERS", "MAX_CAPTION", "DatasetProblems", "PhotoFile", "Problem", "read_captions_json", "read_photos"]

Progress = Callable[[int, int], None]
MAX_FILE_NAME = 255


@dataclass(frozen=True)
class PhotoFile:
    """One photo as it will be stored: a clean PNG, and what it was made from where that is something else."""

    file_name: str
    caption: str
    picture: Picture
    original: bytes | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    held_out: bool = False


class DatasetProblems(Exception):
    """Everything that is wrong with a dataset, by file."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = in_order(problems)
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        lines = [f"  {each.file}: {each.problem}" for each in self.problems]
        super().__init__("\n".join([f"{count} in this dataset; nothing was imported.", *lines]))


def in_order(problems: list[Problem]) -> list[Problem]:
    return sorted(problems, key=lambda each: (each.file != CAPTIONS, each.file))


@dataclass(frozen=True)
class Importer:
    label: str
    list: Callable[[Files], Listing]


IMPORTERS: dict[str, Importer] = {
    "captions_json": Importer("a folder with images/ and captions.json", list_captions_json),
    "imagefolder": Importer("pictures with metadata.jsonl or metadata.csv (Hugging Face)", list_imagefolder),
    "kohya": Importer("pictures with a .txt beside each (kohya)", list_kohya),
    "images": Importer("pictures without captions", list_images),
}


def recognised(files: Files) -> str:
    """The row of IMPORTERS that these files look like."""
    names = set(files.names)
    if CAPTIONS in names:
        return "captions_json"
    if names & set(METADATA):
        return "imagefolder"
    stems = {str(path.with_suffix("")) for path in map(PurePosixPath, names) if path.suffix.lower() in PICTURES}
    if any(name.endswith(".txt") and name.removesuffix(".txt") in stems for name in names):
        return "kohya"
    return "images"


@dataclass
class Report:
    """What an import found; filled while `read_photos` goes on."""

    importer: str = ""
    licence_note: str = ""
    images: int = 0
    captions: int = 0
    problems: list[Problem] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        problems = [{"file": each.file, "problem": each.problem} for each in in_order(self.problems)]
        return {"images": self.images, "captions": self.captions, "problems": problems, "importer": self.importer}


def _no_progress(done: int, total: int) -> None:
    pass


def source_of(path: Path) -> Files:
    """A folder, or a ZIP. Raises SourceProblem."""
    return without_wrapping(Folder(path) if path.is_dir() else Archive(path))


def read_photos(
    files: Files, importer: str = "auto", *, report: Report | None = None, progress: Progress = _no_progress
) -> Iterator[PhotoFile]:
    """Everything that can be used, in its order. Memory holds a few pictures at a time."""
    report = Report() if report is None else report
    report.importer = recognised(files) if importer == "auto" else importer
    listing = IMPORTERS[report.importer].list(files)
    report.licence_note = listing.licence_note
    report.problems += listing.problems
    waiting: list[tuple[Entry, bytes]] = []
    progress(0, len(listing.entries))

    def fetched() -> Iterator[bytes]:
        for done, entry in enumerate(listing.entries, 1):
            progress(done, len(listing.entries))
            try:
                data = _bytes_of(files, entry)
            except NotAPicture as problem:
                report.problems.append(_problem_with(entry, problem))
                continue
            waiting.append((entry, data))
            yield data

    for picture in read_pictures(fetched()):
        entry, data = waiting.pop(0)
        if isinstance(picture, NotAPicture):
            report.problems.append(_problem_with(entry, picture))
            continue
        report.images += 1
        report.captions += bool(entry.caption)
        original = None if data == picture.png else data
        yield PhotoFile(entry.file_name, entry.caption, picture, original, dict(entry.extra), entry.held_out)


def _bytes_of(files: Files, entry: Entry) -> bytes:
    if len(entry.file_name.encode()) > MAX_FILE_NAME:
        raise NotAPicture(f"has a name of more than {MAX_FILE_NAME} bytes.")
    return files.read(entry.name)


def _problem_with(entry: Entry, problem: NotAPicture) -> Problem:
    return Problem(shown(entry.name.removeprefix("images/")), str(problem))


def read_strictly(
    files: Files, importer: str = "auto", *, report: Report | None = None, progress: Progress = _no_progress
) -> Iterator[PhotoFile]:
    """Raises DatasetProblems at the end, with everything that is to be mended: one list, and nothing is imported."""
    report = Report() if report is None else report
    yield from read_photos(files, importer, report=report, progress=progress)
    if report.problems:
        raise DatasetProblems(report.problems)


def read_captions_json(source: Path, progress: Progress = _no_progress) -> Iterator[PhotoFile]:
    """The seed's layout from a folder, strictly."""
    return read_strictly(Folder(source), "captions_json", progress=progress)
