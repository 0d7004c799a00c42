"""How many numbers a LoRA has on a base model, from the headers of its weights alone: no torch, no gigabytes read."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from django.utils.translation import gettext as _

from shoesai.engine.base_folder import PARTS
from shoesai.engine.tensor_file import TensorFileProblem, read_entries
from training.models import BaseModel

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
        raise UnreadableWeights(
            _("the base model '%(name)s' has no attention to texts in its UNet.") % {"name": base.name}
        )
    return Parameters(trainable, sum(map(math.prod, shapes.values())) + trainable, widths[0])


def _is_target(name: str, targets: tuple[str, ...]) -> bool:
    return name.endswith(tuple(f".{target}.weight" for target in targets))


def _shapes_of(base: BaseModel) -> Shapes:
    for variant in ("", "fp16"):  # the engine too loads full precision before half
        path = base.path / "unet" / PARTS["unet"].weights(variant)
        if path.is_file():
            return _read_shapes(base.name, path, path.stat().st_mtime_ns)
    words = _("the base model '%(name)s' has no UNet weights (safetensors) in its folder.")
    raise UnreadableWeights(words % {"name": base.name})


@functools.lru_cache(maxsize=16)
def _read_shapes(name: str, path: Path, changed_at: int) -> Shapes:
    """`changed_at` is only there to notice that the file is another one now."""
    try:
        return {tensor: entry.shape for tensor, entry in read_entries(path).items()}
    except TensorFileProblem as problem:
        words = _("the UNet of the base model '%(name)s' cannot be read: %(problem)s.")
        raise UnreadableWeights(words % {"name": name, "problem": problem}) from problem
