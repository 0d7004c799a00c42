"""A ZIP written as it goes out: its length is known before, and it costs no memory however many members it has.

Members are stored, not compressed, because pictures do not get smaller. A member's CRC follows its bytes (a data
descriptor), so nothing is read twice. What the directory at the end needs waits in a temporary file; libraries for
this keep half a kilobyte a member in memory, which is 50 MB for 100,000 pictures.
"""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from zlib import crc32

from django.conf import settings

_LOCAL = struct.Struct("<4s5H3L2H")
_DESCRIPTOR = struct.Struct("<4s3L")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_FAR_OFFSET = struct.Struct("<2HQ")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_END_64_LOCATOR = struct.Struct("<4sLQL")
_END = struct.Struct("<4s4H2LH")
_VERSION, _VERSION_64 = 20, 45
_FLAGS = 1 << 3 | 1 << 11  # a data descriptor follows; names are UTF-8
_UNIX, _READABLE = 3 << 8, 0o100644 << 16
_MOST_NUMBER, _MOST_SIZE = 0xFFFF, 0xFFFFFFFF
CHUNK = 64 * 1024


@dataclass(frozen=True)
class Member:
    """`size` is exact; `chunks` gives that many bytes when its turn comes."""

    name: str
    size: int
    chunks: Iterable[bytes] = ()
    at: datetime = datetime(1980, 1, 1)

    def __post_init__(self) -> None:
        if self.size >= _MOST_SIZE:
            raise ValueError(f"{self.name} is too large for one member of a ZIP")


class Measure:
    """Adds up what a ZIP of these members will weigh."""

    def __init__(self) -> None:
        self.number = self._body = self._directory = 0

    def add(self, name: str, size: int) -> None:
        far = _FAR_OFFSET.size if self._body >= _MOST_SIZE else 0
        self._directory += _ENTRY.size + len(name.encode()) + far
        self._body += _weight(name, size)
        self.number += 1

    @property
    def length(self) -> int:
        return self._body + self._directory + len(_end(self.number, self._directory, self._body))


def zip_stream(members: Iterable[Member]) -> Iterator[bytes]:
    """Raises RuntimeError in the middle when a member has not the size that it promised."""
    number = position = 0
    with tempfile.TemporaryFile(dir=settings.WORK_DIR) as directory:
        for number, member in enumerate(members, 1):  # noqa: B007  its last value counts them
            crc = yield from _bytes_of(member)
            directory.write(_entry(member, crc, position))
            position += _weight(member.name, member.size)
        length = directory.tell()
        directory.seek(0)
        yield from iter(lambda: directory.read(CHUNK), b"")
    yield _end(number, length, position)


def _weight(name: str, size: int) -> int:
    return _LOCAL.size + len(name.encode()) + size + _DESCRIPTOR.size


def _bytes_of(member: Member) -> Generator[bytes, None, int]:
    """Returns the CRC."""
    name, size, crc = member.name.encode(), 0, 0
    day, time = _dos(member.at)
    yield _LOCAL.pack(b"PK\x03\x04", _VERSION, _FLAGS, 0, time, day, 0, 0, 0, len(name), 0) + name
    for chunk in member.chunks:
        crc, size = crc32(chunk, crc), size + len(chunk)
        yield chunk
    if size != member.size:
        raise RuntimeError(f"{member.name} has {size} bytes and not {member.size}")
    yield _DESCRIPTOR.pack(b"PK\x07\x08", crc, size, size)
    return crc


def _entry(member: Member, crc: int, offset: int) -> bytes:
    name = member.name.encode()
    day, time = _dos(member.at)
    far = _FAR_OFFSET.pack(1, 8, offset) if offset >= _MOST_SIZE else b""
    version = _VERSION_64 if far else _VERSION
    return (
        _ENTRY.pack(
            b"PK\x01\x02", _UNIX | version, version, _FLAGS, 0, time, day, crc, member.size, member.size,
            len(name), len(far), 0, 0, 0, _READABLE, min(offset, _MOST_SIZE),
        )
        + name
        + far
    )  # fmt: skip


def _end(number: int, directory: int, start: int) -> bytes:
    """The last record; before it the same in wide fields, where one of them would not do."""
    wide = b""
    if number >= _MOST_NUMBER or directory >= _MOST_SIZE or start >= _MOST_SIZE:
        wide = _END_64.pack(
            b"PK\x06\x06", 44, _UNIX | _VERSION_64, _VERSION_64, 0, 0, number, number, directory, start
        ) + _END_64_LOCATOR.pack(b"PK\x06\x07", 0, start + directory, 1)
    number = min(number, _MOST_NUMBER)
    return wide + _END.pack(
        b"PK\x05\x06", 0, 0, number, number, min(directory, _MOST_SIZE), min(start, _MOST_SIZE), 0
    )


def _dos(at: datetime) -> tuple[int, int]:
    """Day and time as ZIP has them, in steps of two seconds from 1980 on."""
    day = (at.year - 1980) << 9 | at.month << 5 | at.day
    return day, at.hour << 11 | at.minute << 5 | at.second // 2
