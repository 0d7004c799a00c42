"""Where files of a dataset lie: a folder, a ZIP (`archives`), what a browser sent (`uploads`).

A source lists names and reads bytes, bounded; it never writes anything, and what it lists lies inside it.
"""

from __future__ import annotations

import os
import stat
import unicodedata
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

from shoesai.pictures import NotAPicture

MAX_FILES = 50_000
MAX_PHOTO_BYTES = 64 * 1024 * 1024  # a studio camera's largest JPEG is half of that
_DESKTOP_LITTER = {"thumbs.db", "desktop.ini", "__macosx"}


@dataclass(frozen=True)
class Problem:
    file: str
    problem: str


class Files(Protocol):
    """`names` are relative, with slashes, in order; a folder with nothing in it ends in one.

    `problems` is what could not even be listed. `read` raises NotAPicture for what is no plain file of at most `limit`
    bytes.
    """

    names: list[str]
    problems: list[Problem]

    def read(self, name: str, limit: int = MAX_PHOTO_BYTES) -> bytes: ...


class SourceProblem(Exception):
    """The source as a whole cannot be used."""


class Folder:
    """A folder of this machine. Names are in NFC: macOS stores é as two characters, captions have one."""

    def __init__(self, path: Path) -> None:
        self._root = Path(os.path.realpath(path))
        self._paths: dict[str, Path] = {}
        self.problems: list[Problem] = []
        for folder, folders, files in os.walk(self._root):
            folders[:] = sorted(name for name in folders if not is_litter(name))
            here = Path(folder)
            for name in [*files, *(each for each in folders if (here / each).is_symlink())]:
                if not is_litter(name):
                    self._add(here / name)
            if not files and not folders and here != self._root:
                self._add(here, "/")
        self.names = sorted(self._paths)

    def _add(self, path: Path, end: str = "") -> None:
        if len(self._paths) >= MAX_FILES:
            raise SourceProblem(f"There are more than {MAX_FILES:,} files in this folder.")
        name = unicodedata.normalize("NFC", path.relative_to(self._root).as_posix())
        if is_not_text(name):  # old disks and archives have names in other encodings
            self.problems.append(Problem(shown(name), "has a name with characters that are not text."))
            return
        self._paths[name + end] = path

    def read(self, name: str, limit: int = MAX_PHOTO_BYTES) -> bytes:
        path = self._paths[name]
        real = Path(os.path.realpath(path))
        if not real.is_relative_to(self._root):
            raise NotAPicture("is a link that leads out of the dataset's folder.")
        return read_plain(real, limit)


def read_plain(path: Path, limit: int) -> bytes:
    """Raises NotAPicture for a pipe, a giant, and what cannot be read."""
    try:
        # Opened without waiting: a pipe in the folder would otherwise hold the import for ever.
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise NotAPicture("is not a plain file.")
            data = file.read(limit + 1)
    except OSError as error:
        raise NotAPicture(f"cannot be read: {error.strerror}.") from error
    if len(data) > limit:
        raise NotAPicture(f"is larger than {limit // 1024 // 1024} MB.")
    return data


class Inside:
    """What lies in one folder of another source."""

    def __init__(self, files: Files, folder: str) -> None:
        self._files, self._folder = files, f"{folder}/"
        self.names = [name.removeprefix(self._folder) for name in files.names if name.startswith(self._folder)]
        self.problems = files.problems

    def read(self, name: str, limit: int = MAX_PHOTO_BYTES) -> bytes:
        return self._files.read(self._folder + name, limit)


def without_wrapping(files: Files) -> Files:
    """A ZIP of a folder has everything in that folder."""
    while True:
        tops = {name.partition("/")[0] for name in files.names}
        if len(tops) != 1 or not all("/" in name for name in files.names):
            return files
        (top,) = tops
        if top == "images":
            return files
        files = Inside(files, top)


def is_litter(name: str) -> bool:
    """What desktops leave behind: .DS_Store, Thumbs.db, __MACOSX/."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    parts = tuple(part for part in parts if part not in (".", ".."))  # those are tricks, and told
    return any(part.startswith(".") or part.lower() in _DESKTOP_LITTER for part in parts)


def is_not_text(text: str) -> bool:
    return "\x00" in text or any("\ud800" <= character <= "\udfff" for character in text)


def shown(name: str) -> str:
    """A file name as it may stand in a report: no line breaks, no terminal codes, no half characters."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in name)
