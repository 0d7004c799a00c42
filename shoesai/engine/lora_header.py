"""Reads and judges the header of a LoRA file without torch, and without touching its weights.

A safetensors file is 8 bytes of header length (little endian), the header as JSON, and the tensors. Files come from
strangers, so everything is bounded and nothing in the header is obeyed.
"""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from shoesai.engine.lora_names import LoraKey, LoraProblem, parse_key

MAX_HEADER_BYTES = 1_000_000
MAX_METADATA_BYTES = 64 * 1024
MAX_TENSORS = 5_000
MAX_RANK = 256
ITEM_SIZE = {"F16": 2, "BF16": 2, "F32": 4}
FAMILY_OF_DIM = {768: "sd15", 1024: "sd2", 2048: "sdxl"}
SETTINGS = "lora_adapter_metadata"  # where diffusers keeps the peft settings, `unet.` in front of each
ALPHA_WHEREABOUTS = (
    "it is in PEFT form, whose alpha is not in the file; give its folder, with adapter_config.json, to import_lora"
)

Module = tuple[str, str]
"""(part, module): ("unet", "mid_block.attentions.0.transformer_blocks.0.attn1.to_q")"""

MatrixShapes = Mapping[Module, tuple[tuple[int, ...], tuple[int, ...]]]
"""Module → shapes of down [rank, in, …] and up [out, rank, …]."""


@dataclass(frozen=True)
class TensorEntry:
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True)
class ModuleEntry:
    """One changed module: the names of its two matrices, their rank, and the alpha in alpha / rank."""

    down: str
    up: str
    rank: int
    alpha: float


@dataclass(frozen=True)
class LoraHeader:
    """What a LoRA file says about itself. `metadata` is opaque text: shown, never obeyed.

    `alpha` is None where the file does not say one, and where its modules have several; each module has its own.
    """

    form: str  # diffusers | kohya | peft
    modules: dict[Module, ModuleEntry]
    entries: dict[str, TensorEntry]
    data_start: int
    alpha: float | None
    metadata: dict[str, str]

    @property
    def rank(self) -> int:
        return max(module.rank for module in self.modules.values())

    @property
    def cross_attention_dim(self) -> int | None:
        return text_width(self.matrix_shapes)

    @property
    def family(self) -> str | None:
        return FAMILY_OF_DIM.get(self.cross_attention_dim or 0)

    @property
    def tensor_count(self) -> int:
        return len(self.entries)

    @property
    def matrix_shapes(self) -> MatrixShapes:
        entries = self.entries
        return {name: (entries[each.down].shape, entries[each.up].shape) for name, each in self.modules.items()}


def read_lora_header(path: str | Path) -> LoraHeader:
    """Raises LoraProblem, with what is wrong, for anything that is not exactly a LoRA of a Stable Diffusion.

    A file in PEFT form is refused, because it does not say its scale: `lora_formats.read_lora` reads its folder.
    """
    try:
        with Path(path).open("rb") as file:
            header = parse_header(file, Path(path).stat().st_size)
    except OSError as error:
        raise LoraProblem(f"the file cannot be read: {error.strerror}") from error
    if header.form == "peft":
        raise LoraProblem(ALPHA_WHEREABOUTS)
    return header


def parse_header(file: BinaryIO, file_size: int, settings: dict[str, Any] | None = None) -> LoraHeader:
    """`settings` are the peft settings, where they lie outside the file. Raises LoraProblem."""
    raw, data_start = _read_json(file, file_size)
    metadata = _metadata(raw.pop("__metadata__", {}))
    if not 0 < len(raw) <= MAX_TENSORS:
        raise LoraProblem(f"it holds {len(raw)} tensors; 1 to {MAX_TENSORS} are allowed")
    entries = {name: _entry(name, value) for name, value in raw.items()}
    _check_layout(entries, file_size - data_start)
    keys = {name: parse_key(name) for name in entries}
    forms = {key.form for key in keys.values()}
    if len(forms) > 1:
        raise LoraProblem(f"it mixes the names of {' and '.join(sorted(forms))}")
    scalars = {
        (key.part, key.module): _scalar(file, data_start, entries[name])
        for name, key in keys.items()
        if key.side == "alpha"
    }
    modules = _modules(keys, entries, scalars, adapter_settings(metadata) if settings is None else settings)
    alphas = {alpha for _, alpha in modules.values()}
    header = LoraHeader(
        form=forms.pop(),
        modules={name: module for name, (module, _) in modules.items()},
        entries=entries,
        data_start=data_start,
        alpha=alphas.pop() if len(alphas) == 1 else None,
        metadata=metadata,
    )
    text_width(header.matrix_shapes)  # refuses several
    return header


def adapter_settings(metadata: dict[str, str]) -> dict[str, Any]:
    """The peft settings that diffusers keeps in the metadata, as plain data (`unet.r`, `unet.lora_alpha`, …)."""
    try:
        settings = json.loads(metadata.get(SETTINGS, "{}"))
    except (ValueError, RecursionError) as error:
        raise LoraProblem("the adapter metadata is not JSON") from error
    if not isinstance(settings, dict):
        raise LoraProblem("the adapter metadata is not a JSON object")
    return settings


def said_alpha(settings: dict[str, Any], part: str, module: str, rank: int) -> float | None:
    """The module's alpha as peft would understand its settings; None when they say nothing of this part.

    Raises LoraProblem when they cannot be meant: a wrong alpha would only show as a LoRA too weak or too strong.
    """
    own = {key.removeprefix(f"{part}."): value for key, value in settings.items() if key.startswith(f"{part}.")}
    if not own:
        return None
    said_rank = _from_pattern(own, "rank_pattern", module, own.get("r", rank))
    if said_rank != rank:
        raise LoraProblem(f"its settings say rank {said_rank!r} for {module[:80]!r}, but its matrices have {rank}")
    alpha = positive_number(_from_pattern(own, "alpha_pattern", module, own.get("lora_alpha")))
    if alpha is None:
        raise LoraProblem(f"its settings do not say a positive lora_alpha for {module[:80]!r}")
    return alpha * math.sqrt(rank) if own.get("use_rslora") is True else alpha  # arXiv 2312.03732: alpha / sqrt(rank)


def text_width(shapes: MatrixShapes) -> int | None:
    """What the UNet's attn2.to_k reads is the width of the text embedding, and so the family of the base."""
    dims = {
        down[1] for (part, module), (down, _) in shapes.items() if part == "unet" and module.endswith("attn2.to_k")
    }
    if len(dims) > 1:
        raise LoraProblem(f"its cross-attention reads texts of several widths: {sorted(dims)}")
    return dims.pop() if dims else None


def positive_number(value: Any) -> float | None:
    """Alpha as somebody else wrote it: a finite number above 0, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) and number > 0 else None


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


@dataclass
class _Sides:
    down: str = ""
    up: str = ""


def _modules(
    keys: dict[str, LoraKey],
    entries: dict[str, TensorEntry],
    scalars: dict[Module, float],
    settings: dict[str, Any],
) -> dict[Module, tuple[ModuleEntry, float | None]]:
    """Each module with both its matrices, of one rank; beside it the alpha that the file says, if it says one."""
    found: dict[Module, _Sides] = {}
    for name, key in keys.items():
        if key.side == "alpha":
            continue
        sides = found.setdefault((key.part, key.module), _Sides())
        if getattr(sides, key.side):
            raise LoraProblem(f"the module {key.module[:80]!r} has two matrices {key.side}")
        setattr(sides, key.side, name)
    for _, module in scalars.keys() - found.keys():
        raise LoraProblem(f"it has an alpha but no matrices for {module[:80]!r}")
    modules = {}
    for (part, module), sides in found.items():
        rank = _rank(module, sides, entries)
        said = scalars.get((part, module)) or said_alpha(settings, part, module, rank)
        # A file that says nothing means a scale of 1, as diffusers and kohya's readers take it.
        modules[part, module] = ModuleEntry(sides.down, sides.up, rank, said or float(rank)), said
    return modules


def _rank(module: str, sides: _Sides, entries: dict[str, TensorEntry]) -> int:
    if not (sides.down and sides.up):
        raise LoraProblem(f"the two matrices of {module[:80]!r} do not fit each other: one is missing")
    down, up = entries[sides.down].shape, entries[sides.up].shape
    for name, shape in ((sides.down, down), (sides.up, up)):
        if len(shape) not in (2, 4) or 0 in shape:
            raise LoraProblem(f"the tensor {name[:80]!r} is not a matrix: its shape is {list(shape)}")
    rank = down[0]
    if up[1] != rank or len(up) != len(down) or any(side != 1 for side in up[2:]):
        shapes = f"{list(down)} and {list(up)}"
        raise LoraProblem(f"the two matrices of {module[:80]!r} do not fit each other: {shapes}")
    if rank > MAX_RANK:
        raise LoraProblem(f"its rank is {rank}; 1 to {MAX_RANK} are allowed")
    return rank


def _from_pattern(settings: dict[str, Any], name: str, module: str, otherwise: Any) -> Any:
    """peft takes the keys of a pattern for regular expressions; a stranger's are compared, not run."""
    pattern = settings.get(name) or {}
    if not isinstance(pattern, dict):
        raise LoraProblem(f"its {name} is not a JSON object")
    for written, value in pattern.items():
        key = written.removeprefix("^").removesuffix("$").replace("\\.", ".")
        if re.search(r"[^A-Za-z0-9_.]", key):
            raise LoraProblem(f"its {name} has the regular expression {written[:80]!r}, which is not run")
        if module == key or module.endswith(f".{key}"):
            return value
    return otherwise


def _scalar(file: BinaryIO, data_start: int, entry: TensorEntry) -> float:
    if math.prod(entry.shape) != 1:
        raise LoraProblem(f"it has an alpha of shape {list(entry.shape)}, which is not one number")
    file.seek(data_start + entry.begin)
    raw = file.read(entry.end - entry.begin)
    if entry.dtype == "BF16":  # the upper half of a float32
        raw = b"\0\0" + raw
    number: float = struct.unpack("<e" if entry.dtype == "F16" else "<f", raw)[0]
    if not math.isfinite(number) or number <= 0:
        raise LoraProblem(f"it has an alpha of {number}")
    return number
