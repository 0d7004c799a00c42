"""Moving stored bytes to another disk: copied, verified, switched to, and only then deleted.

It may be interrupted anywhere, by a power cut too; doing it again goes on. The settings stay as they are, because the
folders of the data folder become symbolic links:

    1  every file is copied to <DEST>/<folder>/… under another name, synced, renamed, read back and compared
    2  the folder is renamed to <folder>.before-move, and a link to <DEST>/<folder> takes its name
    3  what was written to it meanwhile is brought after; then the folder set aside is deleted
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from django.conf import settings

BLOBS, MODELS, CACHE = "blobs", "models", "cache"
MARKER = ".shoesai-storage.json"
ASIDE = ".before-move"
COPYING = ".moving-"
UNFINISHED = (COPYING, ".tmp-")  # of us and of `shoesai.files`; what never got its name is nobody's
SHA256 = re.compile("[0-9a-f]{64}")
CHUNK = 4 * 2**20
SWITCH_TRIES = 10

Tell = Callable[[int], None]
"""Called with the number of bytes that have been copied or verified."""


class MoveProblem(Exception):
    """Why the bytes cannot go there; the words are for whoever runs the machine, and name its paths."""


class Damaged(MoveProblem):
    """A blob whose bytes are not those of its name, already where it lies."""


@dataclass(frozen=True)
class Part:
    """One folder of the data folder: where the settings look for it, and where its bytes go."""

    name: str
    path: Path
    target: Path

    @property
    def is_switched(self) -> bool:
        return self.path.is_symlink() and self.path.resolve() == self.target.resolve()

    @property
    def set_aside(self) -> list[Path]:
        """Left by this move, or by one that was interrupted."""
        return sorted(self.path.parent.glob(f"{self.name}{ASIDE}*"))

    @property
    def sources(self) -> list[Path]:
        """Every folder that may hold bytes of it and is not the target; what is in use comes last and so wins."""
        in_use = [] if self.is_switched or not self.path.is_dir() else [self.path]
        return [*self.set_aside, *in_use]


@dataclass
class Tally:
    """Files and bytes of the sources; `copied` are those that were not there already."""

    files: int = 0
    bytes: int = 0
    copied_files: int = 0
    copied_bytes: int = 0


# --- what is to be done -----------------------------------------------------------------------------------------
def parts_for(destination: Path) -> list[Part]:
    """The folders to move. Raises MoveProblem for a destination that cannot be meant; looks, and writes nothing."""
    destination, data = destination.resolve(), settings.DATA_DIR
    if destination == data or data in destination.parents:
        raise MoveProblem(f"{destination} lies in the data folder {data} itself; choose a folder outside it.")
    names = [BLOBS, CACHE]
    if (data / MODELS).resolve() == settings.MODELS_DIR:  # else the operator has put them elsewhere already
        names.insert(1, MODELS)
    parts = [Part(name, data / name, destination / name) for name in names]
    for part in parts:
        source, target = part.path.resolve(), part.target
        if not part.is_switched and (source == target or source in target.parents or target in source.parents):
            raise MoveProblem(f"{target} and {source}, where {part.name} lie now, are in one another.")
    _check_destination(destination, data)
    return parts


def _check_destination(destination: Path, data: Path) -> None:
    """Nobody's files are mixed with ours: it is new, empty, or was begun by this very move."""
    if not destination.exists():
        return
    if not destination.is_dir():
        raise MoveProblem(f"{destination} is not a folder.")
    marker = destination / MARKER
    if marker.exists():
        if (other := json.loads(marker.read_text("utf-8"))["data_folder"]) != str(data):
            raise MoveProblem(f"{destination} holds the bytes of another data folder, {other}.")
    elif any(path.name != "lost+found" for path in destination.iterdir()):
        raise MoveProblem(f"{destination} holds other files; choose an empty folder, or one that is not there yet.")


def size_of(part: Part) -> Tally:
    """`copied` is what has yet to be copied, judged by size."""
    tally = Tally()
    for source in part.sources:
        for name in files_in(source):
            size, target = (source / name).lstat().st_size, part.target / name
            there = os.path.lexists(target) and target.lstat().st_size == size
            tally.files, tally.bytes = tally.files + 1, tally.bytes + size
            if not there:
                tally.copied_files, tally.copied_bytes = tally.copied_files + 1, tally.copied_bytes + size
    return tally


def free_bytes(destination: Path) -> int:
    return shutil.disk_usage(next(path for path in (destination, *destination.parents) if path.exists())).free


def files_in(folder: Path) -> Iterator[Path]:
    """Relative names of files and links, in an order that stays; links to folders are not gone into."""
    for root, folders, names in os.walk(folder):
        folders.sort()
        links = [name for name in folders if (Path(root) / name).is_symlink()]
        for name in sorted([*names, *links]):
            path = Path(root) / name
            if not name.startswith(UNFINISHED) and (path.is_symlink() or path.is_file()):
                yield path.relative_to(folder)


# --- doing it ---------------------------------------------------------------------------------------------------
@dataclass
class Move:
    """One try to move the parts; what earlier tries have brought is verified and not copied again."""

    parts: list[Part]
    tell: Tell = lambda count: None
    done: dict[str, Tally] = field(default_factory=dict)
    _verified: dict[tuple[str, Path], tuple[int, int]] = field(default_factory=dict)

    def run(self) -> None:
        """Raises MoveProblem and OSError; whatever has happened then, nothing is lost and it can be run again."""
        self._mark()
        for part in self.parts:
            self.done[part.name] = Tally()
            part.target.mkdir(exist_ok=True)
            self._bring(part)
        os.sync()  # names too, before anything depends on them
        for part in self.parts:
            if not part.is_switched:
                _switch(part)
        for part in self.parts:
            self._bring(part)  # what was written between its copy and the switch
            os.sync()
            for folder in part.set_aside:
                shutil.rmtree(folder)

    def _mark(self) -> None:
        destination = self.parts[0].target.parent
        destination.mkdir(parents=True, exist_ok=True)
        (destination / MARKER).write_text(json.dumps({"data_folder": str(settings.DATA_DIR)}) + "\n", "utf-8")

    def _bring(self, part: Part) -> None:
        for source in part.sources:
            for name in files_in(source):
                try:
                    self._bring_file(part, source, name)
                except FileNotFoundError:
                    if os.path.lexists(source / name):
                        raise
                    # deleted meanwhile by whoever it belongs to

    def _bring_file(self, part: Part, source: Path, name: Path) -> None:
        origin, target = source / name, part.target / name
        facts = origin.lstat()
        signature = (facts.st_size, facts.st_mtime_ns)
        if self._verified.get((part.name, name)) == signature:
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        if origin.is_symlink():
            copied = _copy_link(origin, target, source)
        else:
            copied = self._copy_unless_there(part, origin, target)
        self._verified[part.name, name] = signature
        tally = self.done[part.name]
        tally.files, tally.bytes = tally.files + 1, tally.bytes + facts.st_size
        if copied:
            tally.copied_files, tally.copied_bytes = tally.copied_files + 1, tally.copied_bytes + facts.st_size

    def _copy_unless_there(self, part: Part, origin: Path, target: Path) -> bool:
        """Blobs must have the bytes of their names, the rest those that were read. True if it had to be copied."""
        promised = origin.name if part.name == BLOBS and SHA256.fullmatch(origin.name) else ""
        as_large = target.is_file() and not target.is_symlink() and target.stat().st_size == origin.stat().st_size
        if as_large and sha256_of(target, self.tell) == (promised or sha256_of(origin)):
            return False
        copying = target.with_name(f"{COPYING}{target.name}")
        read = _copy(origin, copying, self.tell)
        if promised and read != promised:
            copying.unlink()
            raise Damaged(
                f"{origin} is damaged already: its bytes are not those of its name. Restore it from a backup (or"
                " delete it, and what refers to it), and run this again."
            )
        if sha256_of(copying) != read:
            copying.unlink()
            raise OSError(errno.EIO, "this disk gives back other bytes than were written", str(target.parent))
        os.replace(copying, target)
        return True


def sha256_of(path: Path, tell: Tell = lambda count: None) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
            tell(len(chunk))
    return digest.hexdigest()


def _copy(origin: Path, target: Path, tell: Tell) -> str:
    """Synced to the disk and out of the system's memory, so that reading it back says something; the origin's hash."""
    digest = hashlib.sha256()
    with origin.open("rb") as source, target.open("wb") as copy:
        while chunk := source.read(CHUNK):
            digest.update(chunk)
            copy.write(chunk)
            tell(len(chunk))
        copy.flush()
        os.fsync(copy.fileno())
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(copy.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    shutil.copystat(origin, target)
    return digest.hexdigest()


def _copy_link(origin: Path, target: Path, source: Path) -> bool:
    """A link inside the folder stays as it is written; one out of it says where it leads from anywhere."""
    inside = source.resolve() in origin.resolve().parents
    leads_to = os.readlink(origin) if inside else str(origin.resolve())
    if target.is_symlink() and os.readlink(target) == leads_to:
        return False
    copying = target.with_name(f"{COPYING}{target.name}")
    copying.unlink(missing_ok=True)
    copying.symlink_to(leads_to)
    os.replace(copying, target)
    return True


def _switch(part: Part) -> None:
    """The link takes the folder's name. Where it is a link already, to another place, that place is left alone."""
    link = part.path.with_name(f".{part.name}.link")
    link.unlink(missing_ok=True)
    link.symlink_to(part.target, target_is_directory=True)
    for _ in range(SWITCH_TRIES):
        if part.path.is_dir() and not part.path.is_symlink():
            part.path.rename(_free_name(part))
        try:
            os.replace(link, part.path)
        except (IsADirectoryError, FileExistsError):  # a process that starts makes the folders it misses
            continue
        return
    raise MoveProblem(f"{part.path} comes back again and again; stop whatever works there, and run this again.")


def _free_name(part: Part) -> Path:
    names = [f"{part.name}{ASIDE}", *(f"{part.name}{ASIDE}-{number}" for number in range(2, 1000))]
    return next(path for name in names if not os.path.lexists(path := part.path.with_name(name)))
