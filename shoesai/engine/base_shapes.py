"""What a base model consists of, from the headers of its files: no torch, no weight is read."""

from __future__ import annotations

import re
from pathlib import Path

from shoesai.engine.lora_header import MatrixShapes, Module
from shoesai.engine.lora_names import PARTS, UNET, LoraProblem
from shoesai.engine.tensor_file import Entry, TensorFileProblem, read_entries

Shapes = dict[Module, tuple[int, ...]]
"""(part, module) → shape of its weight: [out, in], or [out, in, height, width] of a convolution."""

# diffusers writes one file or shards; a folder from the hub can hold both precisions, and weights without EMA.
_WEIGHTS = re.compile(r"(?:diffusion_pytorch_model|model)(?P<half>\.fp16)?(?:-\d{5}-of-\d{5})?\.safetensors")


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of one component: the full-precision ones where both are there."""
    found = {path: match for path in sorted(folder.glob("*.safetensors")) if (match := _WEIGHTS.fullmatch(path.name))}
    full = [path for path, match in found.items() if not match["half"]]
    return full or list(found)


def base_shapes(folder: Path) -> Shapes:
    """Every module of UNet and text encoder that a LoRA can change. Raises LoraProblem where they cannot be read."""
    shapes: Shapes = {}
    for part in PARTS:
        for path in weight_files(folder / part):
            for name, entry in entries_of(path).items():
                module, _, kind = name.rpartition(".")
                if kind == "weight" and len(entry.shape) in (2, 4) and not module.endswith("embedding"):
                    shapes[part, module.removeprefix("text_model.")] = entry.shape
    if not any(part == UNET for part, _ in shapes):
        raise LoraProblem("the base model's files cannot be read: there is no UNet in safetensors files")
    return shapes


def check_fits(matrices: MatrixShapes, shapes: Shapes) -> None:
    """Raises LoraProblem for a module that this base does not have, or has in another size."""
    for (part, name), (down, up) in matrices.items():
        weight = shapes.get((part, name))
        if weight is None:
            raise LoraProblem(f"it changes {name[:80]!r}, which this base model does not have")
        rank = down[0]
        if (down, up) != ((rank, *weight[1:]), (weight[0], rank, *(1 for _ in weight[2:]))):
            raise LoraProblem(
                f"it was trained on another kind of base model: {name!r} maps {weight[1]} to {weight[0]} here, "
                f"{down[1]} to {up[0]} in the file"
            )


def entries_of(path: Path) -> dict[str, Entry]:
    """The tensors of one of a base model's files. Raises LoraProblem."""
    try:
        return read_entries(path)
    except TensorFileProblem as problem:
        raise LoraProblem(f"the base model's files cannot be read: {problem}") from problem
