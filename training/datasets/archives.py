"""A ZIP that somebody sent, read without believing it.

Nothing is unpacked to a path. What the archive claims about itself is compared with what is there: entries may not lie
on top of each other (Fifield, "A better zip bomb", 2019), names may not lead anywhere, and every read, and all reads
together, are bounded by bytes that really came out.
"""

from __future__ import annotations

import stat
import struct
import unicodedata
import zipfile
import zlib
from pathlib import Path

from shoesai.pictures import NotAPicture
from training.datasets.sources import MAX_FILES, MAX_PHOTO_BYTES, Problem, SourceProblem, is_litter, is_not_text, shown

MAX_DIRECTORY_BYTES = 8 * 1024 * 1024
RATIO, RATIO_FROM = 100, 1024 * 1024  # pictures are packed already: nothing of 1 MB gets 100 times smaller
# 20,000 photos of 2.5 MB. Pictures are packed already, so an honest ZIP unpacks to what it weighs; what many entries
# below RATIO_FROM could make of a few hundred MB ends here.
MAX_UNPACKED_BYTES = 50_000_000_000
MAX_NAME = 1000
_CHUNK = 1024 * 1024
_END = struct.Struct("<4s4H2LH")
_LOCAL_BYTES = 30
NO_ARCHIVE = "is no ZIP archive that can be read, or it is damaged."
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}


class Unpacking:
    """How much may come out: of one archive, or of all that come together."""

    def __init__(self, most: int | None = None) -> None:
        self._most = MAX_UNPACKED_BYTES if most is None else most
        self._claimed = self._came = 0

    def claim(self, size: int) -> None:
        """What a directory says. Raises SourceProblem, and the archive takes nothing of the room then."""
        if self._claimed + size > self._most:
            raise SourceProblem(f"unpacks to more than {self._told()}; send it in parts.")
        self._claimed += size

    def count(self, size: int) -> None:
        """What really came out. Raises NotAPicture."""
        self._came += size
        if self._came > self._most:
            raise NotAPicture(f"is not unpacked: more than {self._told()} came out of the archive before it.")

    def _told(self) -> str:
        return f"{self._most / 1e9:g} GB"


class Archive:
    """Raises SourceProblem where the archive as a whole is a trap or no archive."""

    def __init__(self, path: Path, unpacking: Unpacking | None = None) -> None:
        self._unpacking = unpacking or Unpacking()
        _check_end(path)
        self._zip = self._opened(path)
        self.problems: list[Problem] = []
        self._entries: dict[str, zipfile.ZipInfo] = {}
        _check_places(self._zip)
        for entry in self._zip.infolist():
            self._add(entry)
        self._unpacking.claim(sum(entry.file_size for entry in self._entries.values()))
        self.names = sorted(self._entries)

    @staticmethod
    def _opened(path: Path) -> zipfile.ZipFile:
        try:
            return zipfile.ZipFile(path)
        except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError, struct.error) as error:
            raise SourceProblem(NO_ARCHIVE) from error

    def _add(self, entry: zipfile.ZipInfo) -> None:
        name = unicodedata.normalize("NFC", entry.filename)
        if is_litter(name):
            return
        wrong = _wrong_entry(entry, name)
        if not wrong and name in self._entries:
            wrong = "is there more than once."
        if wrong:
            self.problems.append(Problem(shown(entry.orig_filename[:MAX_NAME]), wrong))
        elif not entry.is_dir():
            self._entries[name] = entry

    def read(self, name: str, limit: int = MAX_PHOTO_BYTES) -> bytes:
        try:
            data = self._unpacked(self._entries[name], limit + 1)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError) as error:
            raise NotAPicture("is damaged inside the archive.") from error
        if len(data) > limit:
            raise NotAPicture(f"is larger than {limit // 1024 // 1024} MB.")
        if len(data) != self._entries[name].file_size:
            raise NotAPicture("is damaged inside the archive.")
        return data

    def _unpacked(self, entry: zipfile.ZipInfo, most: int) -> bytes:
        self._unpacking.count(0)  # where no room is left, nothing more is begun
        parts, length = [], 0
        with self._zip.open(entry) as file:
            while part := file.read(min(_CHUNK, most - length)):
                self._unpacking.count(len(part))
                parts.append(part)
                length += len(part)
        return b"".join(parts)


def _check_end(path: Path) -> None:
    """Before the directory is read: how large it says that it is, and how many entries it has."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - 65_557))
        tail = file.read()
    place = tail.rfind(b"PK\x05\x06")
    if place < 0 or len(tail) - place < _END.size:
        raise SourceProblem(NO_ARCHIVE)
    *_begin, entries, directory, _offset, _comment = _END.unpack_from(tail, place)
    many = entries == 0xFFFF or directory == 0xFFFFFFFF
    if not many and (entries > MAX_FILES or directory > MAX_DIRECTORY_BYTES):
        raise SourceProblem(f"has more than {MAX_FILES:,} entries; send it in parts.")
    if many:
        _check_far_end(tail)


def _check_far_end(tail: bytes) -> None:
    place = tail.rfind(b"PK\x06\x06")
    if place < 0 or len(tail) - place < 56:
        raise SourceProblem(f"has more than {MAX_FILES:,} entries; send it in parts.")
    entries, directory = struct.unpack_from("<2Q", tail, place + 32)
    if entries > MAX_FILES or directory > MAX_DIRECTORY_BYTES:
        raise SourceProblem(f"has more than {MAX_FILES:,} entries; send it in parts.")


def _check_places(archive: zipfile.ZipFile) -> None:
    """Entries lie one after the other, and all of them before the directory."""
    entries = archive.infolist()
    if len(entries) > MAX_FILES:
        raise SourceProblem(f"has more than {MAX_FILES:,} entries; send it in parts.")
    end = -1
    for entry in sorted(entries, key=lambda each: each.header_offset):
        if entry.header_offset < end:
            raise SourceProblem("has entries that lie on top of each other, as only a trap has.")
        end = entry.header_offset + _LOCAL_BYTES + len(entry.orig_filename) + entry.compress_size
    if end > archive.start_dir:
        raise SourceProblem(NO_ARCHIVE)


def _wrong_entry(entry: zipfile.ZipInfo, name: str) -> str:
    mode = entry.external_attr >> 16
    parts = name.rstrip("/").split("/")
    if is_not_text(entry.orig_filename):
        return "has a name with characters that are not text (NUL or half a surrogate pair)."
    if len(name) > MAX_NAME:
        return f"has a name of more than {MAX_NAME:,} characters."
    if name.startswith("/") or "\\" in name or ":" in parts[0] or ".." in parts or "." in parts or "" in parts:
        return "has a name that leads out of the archive; only plain names of files in folders are read."
    if mode and stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a link or a device and not a plain file."
    if entry.flag_bits & 0x1:
        return "is encrypted; pack it without a password."
    if entry.compress_type not in _METHODS:
        return "is packed in a way that is not read here; use an ordinary ZIP (deflate)."
    if entry.file_size > MAX_PHOTO_BYTES:
        return f"is larger than {MAX_PHOTO_BYTES // 1024 // 1024} MB."
    if entry.file_size > RATIO_FROM and entry.file_size > RATIO * max(1, entry.compress_size):
        return f"gets more than {RATIO} times larger when it is unpacked, which no picture does."
    return ""
