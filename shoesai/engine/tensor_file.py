"""Safetensors files without torch: headers judged before they are believed, tensors streamed one at a time.

A file is 8 bytes of header length (little endian), the header as JSON, and the tensors without a gap
(https://github.com/huggingface/safetensors#format). Files of gigabytes are copied and written in little memory.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

MAX_HEADER_BYTES = 4 * 2**20  # a full Stable Diffusion 1.5 with its moving averages needs a tenth of this
MAX_TENSORS = 20_000
CHUNK_BYTES = 8 * 2**20
ITEM_SIZE = {
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1,
    "I16": 2, "U16": 2, "F16": 2, "BF16": 2,
    "I32": 4, "U32": 4, "F32": 4,
    "I64": 8, "U64": 8, "F64": 8,
}  # fmt: skip


class TensorFileProblem(ValueError):
    """Not a safetensors file that we read; the words are for the user and name no path."""


@dataclass(frozen=True)
class Entry:
    """Where a tensor lies: bytes from the beginning of the file."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True)
class NewTensor:
    """A tensor to be written; `chunks()` yields its little-endian bytes when its turn comes."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    chunks: Callable[[], Iterable[bytes]]

    @property
    def size(self) -> int:
        return math.prod(self.shape) * ITEM_SIZE[self.dtype]


# --- reading ------------------------------------------------------------------------------------------------
def read_entries(path: Path) -> dict[str, Entry]:
    """What the file holds, by name. Raises TensorFileProblem for anything but a whole safetensors file."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            header, start = _header(file, size)
    except OSError as error:
        raise TensorFileProblem(f"{path.name} cannot be read: {error.strerror}") from error
    except TensorFileProblem as problem:
        raise TensorFileProblem(f"{path.name} {problem}") from None
    header.pop("__metadata__", None)
    if not 0 < len(header) <= MAX_TENSORS:
        raise TensorFileProblem(f"{path.name} holds {len(header)} tensors; 1 to {MAX_TENSORS} are allowed")
    entries = {name: _entry(path.name, name, value, start) for name, value in header.items()}
    _check_layout(path.name, entries, start, size)
    return entries


def read_bytes(path: Path, entry: Entry) -> Iterator[bytes]:
    """The bytes of one tensor, in pieces."""
    with path.open("rb") as file:
        file.seek(entry.begin)
        left = entry.end - entry.begin
        while left:
            piece = file.read(min(CHUNK_BYTES, left))
            if not piece:
                raise TensorFileProblem(f"{path.name} became shorter while it was read")
            left -= len(piece)
            yield piece


def _header(file: BinaryIO, size: int) -> tuple[dict[str, Any], int]:
    length = int.from_bytes(file.read(8), "little")
    if size < 10 or not 2 <= length <= min(MAX_HEADER_BYTES, size - 8):
        raise TensorFileProblem("is not a safetensors file, or it is cut off")
    try:
        header = json.loads(file.read(length).decode("utf-8"), object_pairs_hook=_no_duplicates)
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise TensorFileProblem("is not a safetensors file: its header is not JSON") from error
    if not isinstance(header, dict):
        raise TensorFileProblem("is not a safetensors file: its header is not a JSON object")
    return header, 8 + length


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) != len(pairs):
        raise TensorFileProblem("names something twice in its header")
    return dict(pairs)


def _entry(file: str, name: str, value: Any, start: int) -> Entry:
    if not isinstance(value, dict) or not {"dtype", "shape", "data_offsets"} <= set(value):
        raise TensorFileProblem(f"{file}: the tensor {name[:80]!r} is not described as safetensors does it")
    dtype, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    if not isinstance(dtype, str) or dtype not in ITEM_SIZE:
        raise TensorFileProblem(f"{file}: the tensor {name[:80]!r} has the unknown type {str(dtype)[:20]!r}")
    if not (_sizes(shape) and len(shape) <= 8 and _sizes(offsets) and len(offsets) == 2):
        raise TensorFileProblem(f"{file}: the tensor {name[:80]!r} has no proper shape or place")
    return Entry(dtype, tuple(shape), start + offsets[0], start + offsets[1])


def _sizes(values: Any) -> bool:
    return isinstance(values, list) and all(type(value) is int and 0 <= value < 2**48 for value in values)


def _check_layout(file: str, entries: dict[str, Entry], start: int, size: int) -> None:
    """The tensors fill the rest of the file without a gap or an overlap, as the format demands."""
    position = start
    for name, entry in sorted(entries.items(), key=lambda item: (item[1].begin, item[1].end)):
        if entry.begin != position or entry.end - entry.begin != math.prod(entry.shape) * ITEM_SIZE[entry.dtype]:
            raise TensorFileProblem(f"{file}: the place of the tensor {name[:80]!r} does not fit its size")
        position = entry.end
    if position != size:
        raise TensorFileProblem(f"{file} has {size} bytes, but its tensors end at {position}: it is cut off or padded")


# --- writing ------------------------------------------------------------------------------------------------
def write(path: Path, tensors: Iterable[NewTensor], advance: Callable[[int], None] = lambda count: None) -> None:
    """Writes the tensors in this order and fsyncs; `advance` hears how many bytes each piece had."""
    tensors = list(tensors)
    with path.open("wb") as file:
        file.write(_header_of(tensors))
        for tensor in tensors:
            written = 0
            for piece in tensor.chunks():
                file.write(piece)
                written += len(piece)
                advance(len(piece))
            if written != tensor.size:
                raise TensorFileProblem(f"the tensor {tensor.name!r} came with {written} bytes, not {tensor.size}")
        file.flush()
        os.fsync(file.fileno())


def _header_of(tensors: list[NewTensor]) -> bytes:
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}  # transformers refuses files that do not say it
    position = 0
    for tensor in tensors:
        header[tensor.name] = {
            "dtype": tensor.dtype, "shape": list(tensor.shape), "data_offsets": [position, position + tensor.size]
        }  # fmt: skip
        position += tensor.size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # tensors begin at a multiple of 8, for those who map them into memory
    return len(text).to_bytes(8, "little") + text
