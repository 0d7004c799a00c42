"""Reads and judges the header of a LoRA file without torch, and without touching its weights.

A safetensors file is 8 bytes of header length (little endian), the header as JSON, and the tensors. Files come from
strangers, so everything is bounded and nothing in the header is obeyed.
"""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

MAX_HEADER_BYTES = 1_000_000
MAX_METADATA_BYTES = 64 * 1024
MAX_TENSORS = 5_000
MAX_RANK = 256
ITEM_SIZE = {"F16": 2, "BF16": 2, "F32": 4}
FAMILY_OF_DIM = {768: "sd15", 1024: "sd2", 2048: "sdxl"}

PLAIN_NAME = re.compile(r"[A-Za-z0-9_.]+")
SIDES = {
    "lora.down.weight": "down", "lora_A.weight": "down", "lora_linear_layer.down.weight": "down",
    "lora.up.weight": "up", "lora_B.weight": "up", "lora_linear_layer.up.weight": "up",
    "alpha": "alpha",
}  # fmt: skip
KOHYA_SIDES = {"lora_down.weight": "down", "lora_up.weight": "up", "alpha": "alpha"}


def _any_of(words: Iterable[str]) -> str:
    return "|".join(map(re.escape, words))


DIFFUSERS_KEY = re.compile(rf"(?P<part>unet|text_encoder)\.(?P<module>.+?)\.(?P<side>{_any_of(SIDES)})")
KOHYA_KEY = re.compile(rf"lora_(?P<part>unet|te)_(?P<module>[A-Za-z0-9_]+)\.(?P<side>{_any_of(KOHYA_SIDES)})")


class LoraProblem(ValueError):
    """The file is not a LoRA that we load; the words are for the user."""


@dataclass(frozen=True)
class LoraKey:
    """Which weight a tensor is. `module` of a kohya file has underscores where the model has dots."""

    part: str  # unet | text_encoder
    module: str
    side: str  # down | up | alpha
    kohya: bool


@dataclass(frozen=True)
class TensorEntry:
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True)
class LoraHeader:
    """What a LoRA file says about itself. `metadata` is opaque text: shown, never obeyed."""

    rank: int
    alpha: float | None
    cross_attention_dim: int | None
    family: str | None
    tensor_count: int
    keys: dict[str, LoraKey]
    metadata: dict[str, str]


def read_lora_header(path: str | Path) -> LoraHeader:
    """Raises LoraProblem, with what is wrong, for anything that is not exactly a LoRA of a Stable Diffusion."""
    try:
        with Path(path).open("rb") as file:
            return _read(file, Path(path).stat().st_size)
    except OSError as error:
        raise LoraProblem(f"the file cannot be read: {error.strerror}") from error


def parse_lora_key(name: str) -> LoraKey:
    """Knows diffusers (`unet.….lora.down.weight`, `….lora_A.weight`) and kohya (`lora_unet_….lora_down.weight`)."""
    if not PLAIN_NAME.fullmatch(name) or "__" in name:
        raise LoraProblem(f"the tensor name {name[:80]!r} is not a plain name")
    if match := KOHYA_KEY.fullmatch(name):
        part = "unet" if match["part"] == "unet" else "text_encoder"
        return LoraKey(part, match["module"], KOHYA_SIDES[match["side"]], kohya=True)
    if match := DIFFUSERS_KEY.fullmatch(name):
        return LoraKey(match["part"], match["module"], SIDES[match["side"]], kohya=False)
    raise LoraProblem(f"the tensor {name[:80]!r} is not part of a LoRA in diffusers or kohya format")


def adapter_settings(metadata: dict[str, str]) -> dict[str, Any]:
    """The peft settings that diffusers keeps in the metadata, as plain data (`unet.r`, `unet.lora_alpha`, …)."""
    try:
        settings = json.loads(metadata.get("lora_adapter_metadata", "{}"))
    except (ValueError, RecursionError) as error:
        raise LoraProblem("the adapter metadata is not JSON") from error
    if not isinstance(settings, dict):
        raise LoraProblem("the adapter metadata is not a JSON object")
    return settings


def positive_number(value: Any) -> float | None:
    """Alpha as somebody else wrote it: a finite number above 0, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) and number > 0 else None


def _read(file: BinaryIO, file_size: int) -> LoraHeader:
    header, data_start = _read_json(file, file_size)
    metadata = _metadata(header.pop("__metadata__", {}))
    if not 0 < len(header) <= MAX_TENSORS:
        raise LoraProblem(f"it holds {len(header)} tensors; 1 to {MAX_TENSORS} are allowed")
    entries = {name: _entry(name, value) for name, value in header.items()}
    _check_layout(entries, file_size - data_start)
    keys = {name: parse_lora_key(name) for name in entries}
    dim = _cross_attention_dim(keys, entries)
    return LoraHeader(
        rank=_rank(keys, entries),
        alpha=_alpha(file, data_start, keys, entries, metadata),
        cross_attention_dim=dim,
        family=FAMILY_OF_DIM.get(dim) if dim else None,
        tensor_count=len(entries),
        keys=keys,
        metadata=metadata,
    )


def _read_json(file: BinaryIO, file_size: int) -> tuple[dict[str, Any], int]:
    prefix = file.read(8)
    if len(prefix) < 8:
        raise LoraProblem("the file is too short to be a safetensors file")
    length = int.from_bytes(prefix, "little")
    if not 2 <= length <= min(MAX_HEADER_BYTES, file_size - 8):
        raise LoraProblem(f"its header would be {length} bytes long; it is not a safetensors file of LoRA size")
    try:
        header = json.loads(file.read(length).decode("utf-8"), object_pairs_hook=_no_duplicates)
    except (ValueError, RecursionError) as error:
        if isinstance(error, LoraProblem):
            raise
        raise LoraProblem("its header is not JSON") from error
    if not isinstance(header, dict):
        raise LoraProblem("its header is not a JSON object")
    return header, 8 + length


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) != len(pairs):
        raise LoraProblem("its header names something twice")
    return dict(pairs)


def _metadata(value: Any) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise LoraProblem("its metadata is not a list of texts")
    size = sum(len(text.encode("utf-8", "replace")) for pair in value.items() for text in pair)
    if size > MAX_METADATA_BYTES:
        raise LoraProblem(f"its metadata is {size} bytes long; {MAX_METADATA_BYTES} are allowed")
    return value


def _entry(name: str, value: Any) -> TensorEntry:
    if not isinstance(value, dict) or set(value) != {"dtype", "shape", "data_offsets"}:
        raise LoraProblem(f"the tensor {name[:80]!r} is not described as safetensors does it")
    dtype, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    if not isinstance(dtype, str) or dtype not in ITEM_SIZE:
        raise LoraProblem(f"the tensor {name[:80]!r} is {str(dtype)[:20]!r}; F16, BF16 and F32 are allowed")
    if not _whole_numbers(shape) or len(shape) > 4 or not _whole_numbers(offsets) or len(offsets) != 2:
        raise LoraProblem(f"the tensor {name[:80]!r} has no proper shape or place")
    return TensorEntry(dtype, tuple(shape), offsets[0], offsets[1])


def _whole_numbers(values: Any) -> bool:
    return isinstance(values, list) and all(type(v) is int and 0 <= v < 2**48 for v in values)


def _check_layout(entries: dict[str, TensorEntry], data_size: int) -> None:
    """The tensors must fill the rest of the file without a gap or an overlap, as the format demands."""
    position = 0
    for name, entry in sorted(entries.items(), key=lambda item: (item[1].begin, item[1].end)):
        if entry.begin != position or entry.end - entry.begin != math.prod(entry.shape) * ITEM_SIZE[entry.dtype]:
            raise LoraProblem(f"the place of the tensor {name[:80]!r} in the file does not fit its size")
        position = entry.end
    if position != data_size:
        raise LoraProblem(f"the tensors take {position} bytes, but the file has {data_size}: it is cut off or padded")


def _rank(keys: dict[str, LoraKey], entries: dict[str, TensorEntry]) -> int:
    """Checks that every module has both matrices of one rank; returns the largest."""
    ranks: dict[tuple[str, str], dict[str, int]] = {}
    for name, key in keys.items():
        shape = entries[name].shape
        if key.side == "alpha":
            if math.prod(shape) != 1:
                raise LoraProblem(f"the alpha {name[:80]!r} is not one number")
            continue
        if len(shape) not in (2, 4):
            raise LoraProblem(f"the tensor {name[:80]!r} is not a matrix")
        sides = ranks.setdefault((key.part, key.module), {})
        if key.side in sides:
            raise LoraProblem(f"the module {key.module[:80]!r} has two matrices {key.side}")
        sides[key.side] = shape[0] if key.side == "down" else shape[1]
    for (_, module), sides in ranks.items():
        if set(sides) != {"down", "up"} or sides["down"] != sides["up"]:
            raise LoraProblem(f"the two matrices of {module[:80]!r} do not fit each other")
    largest = max((sides["down"] for sides in ranks.values()), default=0)
    if not 1 <= largest <= MAX_RANK:
        raise LoraProblem(f"its rank is {largest}; 1 to {MAX_RANK} are allowed")
    return largest


def _cross_attention_dim(keys: dict[str, LoraKey], entries: dict[str, TensorEntry]) -> int | None:
    """What the UNet's attn2.to_k reads is the width of the text embedding, and so the family of the base."""
    dims = {
        entries[name].shape[1]
        for name, key in keys.items()
        if key.part == "unet" and key.side == "down" and re.search(r"attn2[._]to_k$", key.module)
    }
    if len(dims) > 1:
        raise LoraProblem(f"its cross-attention reads texts of several widths: {sorted(dims)}")
    return dims.pop() if dims else None


def _alpha(
    file: BinaryIO, data_start: int, keys: dict[str, LoraKey], entries: dict[str, TensorEntry], metadata: dict[str, str]
) -> float | None:
    """Alpha when the file says it, and says one: kohya keeps it as scalars, diffusers in the metadata."""
    scalars = {_scalar(file, data_start, entries[name]) for name, key in keys.items() if key.side == "alpha"}
    if scalars:
        return scalars.pop() if len(scalars) == 1 else None
    settings = adapter_settings(metadata)
    return positive_number(settings.get("unet.lora_alpha", settings.get("text_encoder.lora_alpha")))


def _scalar(file: BinaryIO, data_start: int, entry: TensorEntry) -> float:
    file.seek(data_start + entry.begin)
    raw = file.read(entry.end - entry.begin)
    if entry.dtype == "BF16":  # the upper half of a float32
        raw = b"\0\0" + raw
    number: float = struct.unpack("<e" if entry.dtype == "F16" else "<f", raw)[0]
    if not math.isfinite(number) or number <= 0:
        raise LoraProblem(f"it has an alpha of {number}")
    return number
