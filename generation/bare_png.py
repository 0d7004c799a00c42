"""A stored PNG without anything that was written into it but the mark of AI origin.

Only the parts that make the picture go through, as they are: nothing is decoded, so it costs no more than copying, and
its size is known from a look at the parts' headers.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import IO
from zlib import crc32

from generation.metadata import xmp_of

SIGNATURE = b"\x89PNG\r\n\x1a\n"
PICTURE = {b"IHDR", b"PLTE", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"IDAT", b"IEND"}
AROUND = 12  # length, kind and CRC of a part


class NoPng(Exception):
    """What is stored is not a PNG."""


def bare_size(path: Path) -> int:
    with path.open("rb") as file:
        return len(SIGNATURE) + len(_mark()) + sum(size for _start, size in _parts(file))


def bare_chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        header, *rest = list(_parts(file))
        yield SIGNATURE
        yield _part(file, header)
        yield _mark()
        for part in rest:
            yield _part(file, part)


def _parts(file: IO[bytes]) -> Iterator[tuple[int, int]]:
    """Where each part of the picture itself starts, and how long it is."""
    if file.read(len(SIGNATURE)) != SIGNATURE:
        raise NoPng(file.name)
    start, kind = len(SIGNATURE), b""
    while kind != b"IEND":
        file.seek(start)
        length, kind = struct.unpack(">L4s", file.read(8))
        if kind in PICTURE:
            yield start, length + AROUND
        start += length + AROUND


def _part(file: IO[bytes], part: tuple[int, int]) -> bytes:
    start, size = part
    file.seek(start)
    return file.read(size)


def _mark() -> bytes:
    content = b"iTXtXML:com.adobe.xmp\0\0\0\0\0" + xmp_of().encode()
    return struct.pack(">L", len(content) - 4) + content + struct.pack(">L", crc32(content))
