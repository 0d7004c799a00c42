"""How many numbers a LoRA has on a base model, from the headers of its weights alone: no torch, no gigabytes read."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open

from training.models import BaseModel

WEIGHTS = "diffusion_pytorch_model"
Shapes = Mapping[str, tuple[int, ...]]


class UnreadableWeights(Exception):
    """The UNet of a base model cannot be counted; the words name the base and no path."""


@dataclass(frozen=True)
class Parameters:
    """`total` counts the UNet with the LoRA on it; `text_width` is that of the embeddings it reads."""

    trainable: int
    total: int
    text_width: int


def count_parameters(base: BaseModel, *, rank: int, targets: Iterable[str]) -> Parameters:
    """A LoRA of this rank on the UNet modules whose names end in one of `targets`. Raises UnreadableWeights.

    Each of them with a weight [out, in, ...] gets A [rank, in, ...] and B [out, rank] (arXiv 2106.09685).
    """
    shapes = _shapes_of(base)
    changed = [shape for name, shape in shapes.items() if _is_target(name, tuple(targets))]
    trainable = sum(rank * (math.prod(shape[1:]) + shape[0]) for shape in changed)
    widths = [shape[1] for name, shape in shapes.items() if name.endswith("attn2.to_k.weight")]
    if not widths:
        raise UnreadableWeights(f"the base model {base.name!r} has no attention to texts in its UNet.")
    return Parameters(trainable, sum(map(math.prod, shapes.values())) + trainable, widths[0])


def _is_target(name: str, targets: tuple[str, ...]) -> bool:
    return name.endswith(tuple(f".{target}.weight" for target in targets))


def _shapes_of(base: BaseModel) -> Shapes:
    try:
        files = _weight_files(base.path / "unet")
        if not files:
            raise UnreadableWeights(f"the base model {base.name!r} has no UNet weights (safetensors) in its folder.")
        return _read_shapes(tuple((path, path.stat().st_size, path.stat().st_mtime_ns) for path in files))
    except (OSError, SafetensorError) as error:
        raise UnreadableWeights(f"the UNet weights of the base model {base.name!r} cannot be read.") from error


def _weight_files(folder: Path) -> list[Path]:
    """The file that the engine loads: full precision before half, one file before several."""
    for name in (f"{WEIGHTS}.safetensors", f"{WEIGHTS}.fp16.safetensors"):
        if (folder / name).is_file():
            return [folder / name]
    return sorted(folder.glob(f"{WEIGHTS}-*-of-*.safetensors"))


@functools.lru_cache(maxsize=16)
def _read_shapes(files: tuple[tuple[Path, int, int], ...]) -> Shapes:
    """Size and time are only there to notice that a file has changed."""
    shapes: dict[str, tuple[int, ...]] = {}
    for path, _, _ in files:
        with safe_open(path, framework="numpy") as weights:
            shapes |= {name: tuple(weights.get_slice(name).get_shape()) for name in weights.keys()}  # noqa: SIM118
    return shapes
