"""One LoRA in three forms: diffusers, kohya (A1111, ComfyUI, InvokeAI) and PEFT. Renaming only: no weight is touched.

Our rank 8 with alpha 16 means a scale of 2. Each form says its alpha elsewhere (see `lora_names`), and whoever drops
it halves the effect in silence, so every form is written with the alpha that was read. What the renaming cannot say
(the metadata of the file before) travels along, so that the way back gives the same bytes.
"""

from __future__ import annotations

import io
import json
import struct
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from shoesai.engine.lora_header import (
    FAMILY_OF_DIM,
    MAX_METADATA_BYTES,
    SETTINGS,
    LoraHeader,
    MatrixShapes,
    Module,
    adapter_settings,
    parse_header,
    said_alpha,
    text_width,
)
from shoesai.engine.lora_names import FORMS, PARTS, UNET, LoraProblem, key_name

WEIGHTS = "pytorch_lora_weights.safetensors"
PEFT_WEIGHTS, PEFT_CONFIG = "adapter_model.safetensors", "adapter_config.json"
KOHYA_WEIGHTS = "lora.safetensors"
CARRIED = "shoesai.original_metadata"
MAX_BYTES = 2 * 1024**3
MAX_CONFIG_BYTES = 1_000_000

# The bits of the exponent: all of them set is an infinity or a NaN.
_EXPONENT = {"F16": (np.uint16, 0x7C00), "BF16": (np.uint16, 0x7F80), "F32": (np.uint32, 0x7F800000)}
# What an adapter_config.json of ours says; others name libraries to import, or places on their author's machine.
_CONFIG_KEYS = ("r", "lora_alpha", "rank_pattern", "alpha_pattern", "target_modules", "use_rslora", "lora_dropout",
                "bias", "fan_in_fan_out", "init_lora_weights")  # fmt: skip
_FILE_ORDER = {"F32": 0, "BF16": 1, "F16": 2}  # safetensors aligns the widest first


@dataclass(frozen=True)
class RawTensor:
    dtype: str  # F16 | BF16 | F32
    shape: tuple[int, ...]
    data: bytes | memoryview


@dataclass(frozen=True)
class Matrices:
    """One module: W' = W + alpha / rank * up @ down, with down [rank, in] and up [out, rank]."""

    down: RawTensor
    up: RawTensor
    alpha: float

    @property
    def rank(self) -> int:
        return self.down.shape[0]


@dataclass(frozen=True)
class Lora:
    """A LoRA in no particular form. `settings` is the text of its peft settings, as its writer put it."""

    form: str  # that it was read from
    modules: dict[Module, Matrices]
    metadata: dict[str, str]
    settings: str | None

    @property
    def rank(self) -> int:
        """The largest."""
        return max(matrices.rank for matrices in self.modules.values())

    @property
    def alpha(self) -> float:
        """The commonest, for facts about the whole; each module has its own."""
        return _commonest(matrices.alpha for matrices in self.modules.values())

    @property
    def parts(self) -> list[str]:
        return [part for part in PARTS if any(own == part for own, _ in self.modules)]

    @property
    def matrix_shapes(self) -> MatrixShapes:
        return {name: (matrices.down.shape, matrices.up.shape) for name, matrices in self.modules.items()}

    @property
    def family(self) -> str | None:
        """None for a width of text that no public family has, as the starter's."""
        return FAMILY_OF_DIM.get(text_width(self.matrix_shapes) or 0)


# -- reading ----------------------------------------------------------------------------------------------------------


def read_lora(path: Path) -> Lora:
    """A file in diffusers or kohya form, or a folder of diffusers or PEFT (or the file in it). Raises LoraProblem."""
    try:
        if (path / WEIGHTS).is_file():
            return read_lora(path / WEIGHTS)
        if path.is_dir():
            return _read_peft_folder(path)
        data = _read_bounded(path, MAX_BYTES)
        config = path.with_name(PEFT_CONFIG)
        return parse_lora(data, _read_bounded(config, MAX_CONFIG_BYTES) if config.is_file() else None)
    except OSError as error:
        raise LoraProblem(f"{path.name} cannot be read: {error.strerror}") from error


def parse_lora(data: bytes, adapter_config: bytes | None = None) -> Lora:
    """The strict gate for a whole file: header, names, shapes, and every value finite. Raises LoraProblem.

    `adapter_config` is needed for a file in PEFT form, and only looked at then.
    """
    header = parse_header(io.BytesIO(data), len(data))
    if header.form == "peft":
        if adapter_config is None:
            raise LoraProblem(
                f"it is in PEFT form, which keeps alpha in {PEFT_CONFIG}; put that file beside it or give the folder"
            )
        settings = _settings_of_config(adapter_config, {part for part, _ in header.modules})
        header = parse_header(io.BytesIO(data), len(data), settings)
    tensors = _tensors(header, data)
    modules = {
        name: Matrices(tensors[entry.down], tensors[entry.up], entry.alpha) for name, entry in header.modules.items()
    }
    metadata, settings_text = _as_it_was(header.metadata, modules)
    return Lora(header.form, dict(sorted(modules.items())), metadata, settings_text)


def check_finite(name: str, tensor: RawTensor) -> None:
    """By the bits of the exponent, because numpy knows no bfloat16."""
    word, exponent = _EXPONENT[tensor.dtype]
    bits = np.frombuffer(tensor.data, word)
    if ((bits & exponent) == exponent).any():
        raise LoraProblem(f"the tensor {name[:80]!r} holds values that are not finite numbers (NaN or infinity)")


def _read_bounded(path: Path, limit: int) -> bytes:
    if path.stat().st_size > limit:
        raise LoraProblem(f"{path.name} is larger than {limit:,} bytes, which no LoRA is")
    return path.read_bytes()


def _tensors(header: LoraHeader, data: bytes) -> dict[str, RawTensor]:
    view = memoryview(data)
    tensors = {}
    for name, entry in header.entries.items():
        place = slice(header.data_start + entry.begin, header.data_start + entry.end)
        tensors[name] = RawTensor(entry.dtype, entry.shape, view[place])
        check_finite(name, tensors[name])
    return tensors


def _read_peft_folder(folder: Path) -> Lora:
    """The adapter in the folder, or those of UNet and text encoder in folders of these names below it."""
    found = [place for place in (folder, *(folder / part for part in PARTS)) if (place / PEFT_WEIGHTS).is_file()]
    if not found:
        raise LoraProblem(f"the folder holds neither {WEIGHTS} nor {PEFT_WEIGHTS}")
    loras = []
    for place in found:
        if not (place / PEFT_CONFIG).is_file():
            raise LoraProblem(f"{PEFT_WEIGHTS} has no {PEFT_CONFIG} beside it, which says its alpha; add it")
        loras.append(read_lora(place / PEFT_WEIGHTS))
    first, *others = loras
    modules = dict(first.modules)
    for lora in others:
        if set(lora.parts) & {part for part, _ in modules}:
            raise LoraProblem("its folders hold two adapters for the same part of the model")
        modules |= lora.modules
    same_text = {lora.settings for lora in loras} == {first.settings}
    return Lora(first.form, dict(sorted(modules.items())), first.metadata, first.settings if same_text else None)


def _settings_of_config(config: bytes, parts: set[str]) -> dict[str, Any]:
    """adapter_config.json, as if diffusers had kept it in the metadata."""
    try:
        said = json.loads(config.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise LoraProblem(f"{PEFT_CONFIG} is not JSON") from error
    if not isinstance(said, dict) or said.get("peft_type", "LORA") != "LORA":
        raise LoraProblem(f"{PEFT_CONFIG} does not describe a LoRA")
    for name, plain in {"use_dora": False, "bias": "none", "lora_bias": False, "modules_to_save": None}.items():
        if (said.get(name) or plain) != plain:
            raise LoraProblem(f"{PEFT_CONFIG} asks for {name} {said[name]!r}; only plain LoRAs are read")
    return {f"{part}.{key}": value for part in parts for key, value in said.items()}


def _as_it_was(metadata: dict[str, str], modules: dict[Module, Matrices]) -> tuple[dict[str, str], str | None]:
    """Metadata and settings from before a renaming, if they are on board and fit; else the file's own."""
    own = {key: text for key, text in metadata.items() if key != CARRIED}
    original = _texts(metadata.get(CARRIED, "null"))
    if original is not None and (SETTINGS not in original or _fits(original[SETTINGS], modules)):
        own = original
    settings = own.pop(SETTINGS, None)
    return own, settings if settings and _fits(settings, modules) else None


def _texts(text: str) -> dict[str, str] | None:
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return said if isinstance(said, dict) and all(isinstance(value, str) for value in said.values()) else None


def _fits(settings_text: str, modules: dict[Module, Matrices]) -> bool:
    """The settings name every module and give it the scale that it has, to the precision of a kohya alpha (float32)."""
    try:
        settings = adapter_settings({SETTINGS: settings_text})
        for (part, module), matrices in modules.items():
            alpha = said_alpha(settings, part, module, matrices.rank)
            targets = settings.get(f"{part}.target_modules")
            if alpha is None or np.float32(alpha) != np.float32(matrices.alpha) or not isinstance(targets, list):
                return False
            if not any(f".{module}".endswith(f".{target}") for target in targets):
                return False
    except LoraProblem:
        return False
    return True


# -- writing ----------------------------------------------------------------------------------------------------------


def lora_files(lora: Lora, form: str, extra_metadata: Mapping[str, str] | None = None) -> dict[str, bytes]:
    """The LoRA in that form, as files by name; one file, except of PEFT. Equal LoRAs give equal bytes.

    A PEFT adapter belongs to one model, so a LoRA that also changes the text encoder becomes two folders.
    """
    if form == "peft":
        return dict(_peft_files(lora))
    if form not in FORMS:
        raise ValueError(f"{form!r} is none of {', '.join(FORMS)}")
    tensors = dict(_named(lora, form))
    if form == "diffusers":
        metadata = lora.metadata | {SETTINGS: lora.settings or _settings_text(lora)} | dict(extra_metadata or {})
        return {WEIGHTS: write_safetensors(tensors, metadata)}
    return {KOHYA_WEIGHTS: write_safetensors(tensors, _renamed_metadata(lora, dict(extra_metadata or {})))}


def write_safetensors(tensors: Mapping[str, RawTensor], metadata: Mapping[str, str]) -> bytes:
    """Tensors in the order of the safetensors library, metadata sorted (the library writes it in random order)."""
    if _size(metadata) > MAX_METADATA_BYTES:
        raise LoraProblem(f"its metadata would be {_size(metadata)} bytes long; {MAX_METADATA_BYTES} are allowed")
    header: dict[str, Any] = {"__metadata__": dict(sorted(metadata.items()))} if metadata else {}
    position = 0
    ordered = sorted(tensors.items(), key=lambda item: (_FILE_ORDER[item[1].dtype], item[0]))
    for name, tensor in ordered:
        end = position + len(tensor.data)
        header[name] = {"dtype": tensor.dtype, "shape": list(tensor.shape), "data_offsets": [position, end]}
        position = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return b"".join([len(text).to_bytes(8, "little"), text, *(tensor.data for _, tensor in ordered)])


def _named(lora: Lora, form: str, only: str | None = None) -> Iterator[tuple[str, RawTensor]]:
    for (part, module), matrices in lora.modules.items():
        if only in (None, part):
            yield key_name(form, part, module, "down"), matrices.down
            yield key_name(form, part, module, "up"), matrices.up
            if form == "kohya":
                yield key_name(form, part, module, "alpha"), _number(matrices.alpha, matrices.down.dtype)


def _number(value: float, dtype: str) -> RawTensor:
    """A scalar in the dtype of the weights, as kohya writes it, if that can hold it exactly; else in float32."""
    as_float32 = struct.pack("<f", value)
    if dtype == "BF16" and as_float32[:2] == b"\0\0":
        return RawTensor("BF16", (), as_float32[2:])
    if dtype == "F16" and abs(value) <= 65504 and float(np.float16(value)) == value:
        return RawTensor("F16", (), struct.pack("<e", value))
    return RawTensor("F32", (), as_float32)


def _renamed_metadata(lora: Lora, extra: dict[str, str]) -> dict[str, str]:
    """With the original on board where it says more. diffusers refuses a file with alphas *and* its own settings."""
    metadata = lora.metadata | extra
    original = dict(lora.metadata)
    if lora.settings and lora.settings != _settings_text(lora):
        original[SETTINGS] = lora.settings
    if original == metadata:
        return metadata
    carrying = metadata | {CARRIED: json.dumps(original, sort_keys=True)}
    return carrying if _size(carrying) <= MAX_METADATA_BYTES else metadata


def _size(metadata: Mapping[str, str]) -> int:
    return sum(len(text.encode("utf-8", "replace")) for pair in metadata.items() for text in pair)


def _peft_files(lora: Lora) -> Iterator[tuple[str, bytes]]:
    settings = json.loads(lora.settings or _settings_text(lora))
    for part in lora.parts:
        folder = "" if lora.parts == [UNET] else f"{part}/"
        own = {key: settings[f"{part}.{key}"] for key in _CONFIG_KEYS if f"{part}.{key}" in settings}
        config = {"peft_type": "LORA", "task_type": None, "inference_mode": True, "base_model_name_or_path": None}
        yield folder + PEFT_CONFIG, (json.dumps(config | own, indent=2, sort_keys=True) + "\n").encode()
        tensors = dict(_named(lora, "peft", only=part))
        yield folder + PEFT_WEIGHTS, write_safetensors(tensors, _renamed_metadata(lora, {}))


def _settings_text(lora: Lora) -> str:
    """The least that makes peft build exactly these modules with exactly these scales."""
    settings: dict[str, Any] = {}
    for part in lora.parts:
        own = {module: matrices for (its_part, module), matrices in lora.modules.items() if its_part == part}
        rank = _commonest(matrices.rank for matrices in own.values())
        alpha = _commonest(matrices.alpha for matrices in own.values())
        settings |= {
            f"{part}.r": rank,
            f"{part}.lora_alpha": _plain(alpha),
            f"{part}.target_modules": sorted(own),
            f"{part}.rank_pattern": {name: each.rank for name, each in own.items() if each.rank != rank},
            f"{part}.alpha_pattern": {name: _plain(each.alpha) for name, each in own.items() if each.alpha != alpha},
        }
    return json.dumps(settings, sort_keys=True)


def _commonest(values: Iterable[Any]) -> Any:
    """Of several that are as common, the largest."""
    return max(Counter(values).items(), key=lambda item: (item[1], item[0]))[0]


def _plain(number: float) -> int | float:
    return int(number) if number.is_integer() else number
