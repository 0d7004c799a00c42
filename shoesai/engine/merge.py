"""Fuses a LoRA into its base model: W + alpha / rank * up @ down, written as a diffusers folder of its own.

It works on the base's files, tensor by tensor and in fp32, so a warm base is neither needed nor changed, a base that is
kept in half precision in memory costs nothing, and full size fits into little memory.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from shoesai.engine import base_folder
from shoesai.engine.base_folder import CONFIGURATION, PARTS, TOKENIZER_FILES, ByteCount
from shoesai.engine.base_shapes import base_shapes, check_fits, entries_of, weight_files
from shoesai.engine.lora_formats import Lora, Matrices, RawTensor, read_lora
from shoesai.engine.lora_names import LoraProblem
from shoesai.engine.progress import Emit, ShouldStop
from shoesai.engine.specs import MergeInputs, MergeSpec
from shoesai.engine.tensor_file import Entry, NewTensor, read_bytes, write

DTYPES = {"F16": torch.float16, "BF16": torch.bfloat16, "F32": torch.float32}
OF_PRECISION = {"fp16": "F16", "fp32": "F32"}
COMPONENTS = ("scheduler", "text_encoder", "tokenizer", "unet", "vae")
# Where a model came from on the machine that saved it.
ORIGINS = {"_name_or_path", "name_or_path", "special_tokens_map_file", "tokenizer_file"}


def merge_lora(spec: MergeSpec, inputs: MergeInputs, emit: Emit, should_stop: ShouldStop) -> dict[str, Any]:
    """Writes the whole pipeline in fp16 or fp32 into the output folder. Raises LoraProblem and Stopped."""
    base, output = Path(inputs.base_model), Path(inputs.output_dir)
    base_folder.check_index(base)
    lora = read_lora(Path(inputs.lora))
    check_fits(lora.matrix_shapes, base_shapes(base))
    dtype = OF_PRECISION[spec.precision]
    tensors = {part: list(_merged(base / part, part, lora, dtype)) for part in PARTS}
    count = ByteCount(sum(each.size for part in tensors.values() for each in part), "merging", emit, should_stop)
    _write_configuration(base, output)
    for part, row in PARTS.items():
        write(output / part / row.weights(), tensors[part], count)
    return {"modules": len(lora.modules), "scale": lora.alpha / lora.rank, "precision": spec.precision}


def _merged(folder: Path, part: str, lora: Lora, dtype: str) -> Iterator[NewTensor]:
    """The tensors of one component, computed when their turn to be written comes."""
    paths = weight_files(folder)
    if not paths:
        raise LoraProblem(f"the base model has no safetensors file of its {part}")
    places = {name: (path, entry) for path in paths for name, entry in entries_of(path).items()}
    for name, (path, entry) in sorted(places.items()):
        module = name.removesuffix(".weight").removeprefix("text_model.")
        matrices = lora.modules.get((part, module)) if name.endswith(".weight") else None
        if entry.dtype not in DTYPES:  # position numbers, in older text encoders
            yield NewTensor(name, entry.dtype, entry.shape, partial(read_bytes, path, entry))
        else:
            yield NewTensor(name, dtype, entry.shape, partial(_chunks, name, path, entry, matrices, dtype))


def _chunks(name: str, path: Path, entry: Entry, matrices: Matrices | None, dtype: str) -> Iterator[bytes]:
    weight = _tensor(RawTensor(entry.dtype, entry.shape, b"".join(read_bytes(path, entry))))
    if matrices:
        weight += change(matrices).reshape(weight.shape)
    result = weight.to(DTYPES[dtype])
    if not torch.isfinite(result).all():
        raise LoraProblem(f"{name} holds values that {dtype} cannot; merge it with precision fp32")
    yield result.numpy().tobytes()


def change(matrices: Matrices) -> Tensor:
    """alpha / rank * up @ down, in fp32; a convolution's kernel is part of what goes in."""
    up, down = _tensor(matrices.up).flatten(1), _tensor(matrices.down).flatten(1)
    return (matrices.alpha / matrices.rank) * (up @ down)


def _tensor(raw: RawTensor) -> Tensor:
    """As fp32, of its own memory."""
    return torch.frombuffer(bytearray(raw.data), dtype=DTYPES[raw.dtype]).reshape(raw.shape).float()


def _write_configuration(base: Path, output: Path) -> None:
    """The small files, without the names of places on somebody's machine; the index names only what is there."""
    names = [*CONFIGURATION, *(f"tokenizer/{name}" for name in TOKENIZER_FILES)]
    for name in names:
        source, target = base / name, output / name
        if not source.is_file():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith("config.json"):
            _write_json(target, _without_origins(base_folder.read_json(base, name)))
        elif name != "model_index.json":
            target.write_bytes(source.read_bytes())
    index = base_folder.read_json(base, "model_index.json")
    kept = {name: index[name] for name in ("_class_name", "_diffusers_version", *COMPONENTS) if name in index}
    absent = {"safety_checker": [None, None], "feature_extractor": [None, None], "requires_safety_checker": False}
    _write_json(output / "model_index.json", kept | absent)


def _without_origins(config: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in config.items() if key not in ORIGINS}


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", "utf-8")
