"""LoRA: put a trainable one on a UNet, write it to a file, load files onto a warm base, take them off without a trace.

W' = W + weight * (alpha / rank) * B A  (arXiv 2106.09685; A is `down` [rank, in], B is `up` [out, rank]).
"""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import peft
import torch
from diffusers.training_utils import _collate_lora_metadata
from peft.tuners.lora import LoraLayer
from safetensors.torch import load_file, save
from torch import Tensor, nn

from shoesai.engine.base_model import Base
from shoesai.engine.base_shapes import check_fits
from shoesai.engine.device import current, to_device
from shoesai.engine.lora_header import FAMILY_OF_DIM, Module, read_lora_header
from shoesai.engine.lora_names import PARTS, LoraProblem
from shoesai.engine.specs import ATTENTION_TARGETS

TRAINED = "default"  # the adapter name under which diffusers collects the metadata
MAX_CACHED = 4


# -- training ---------------------------------------------------------------------------------------------------------


def trained_config(rank: int, alpha: int, targets: Sequence[str] = ATTENTION_TARGETS) -> peft.LoraConfig:
    return peft.LoraConfig(r=rank, lora_alpha=alpha, target_modules=list(targets))


def add_trainable_lora(
    unet: nn.Module, rank: int, alpha: int, seed: int, targets: Sequence[str] = ATTENTION_TARGETS
) -> dict[str, nn.Parameter]:
    """Puts a fresh LoRA on the attention blocks' `targets`; returns its fp32 parameters by name, sorted.

    B starts as zeros, so that the first step starts from the bare base; A as peft has it (uniform, ± 1/sqrt(in)),
    but drawn on the CPU from the seed, so that it is the same on every device.
    """
    peft.inject_adapter_in_model(trained_config(rank, alpha, targets), unet, adapter_name=TRAINED)
    generator = torch.Generator().manual_seed(seed)
    for _, layer in sorted(_lora_layers(unet)):
        down, up = layer.lora_A[TRAINED].weight, layer.lora_B[TRAINED].weight
        bound = 1 / math.sqrt(down.shape[1])
        drawn = torch.rand(down.shape, generator=generator) * (2 * bound) - bound
        down.data = to_device(drawn, torch.float32)
        up.data = to_device(torch.zeros(up.shape), torch.float32)
    return dict(sorted((name, p) for name, p in unet.named_parameters() if p.requires_grad))


def lora_file(unet: nn.Module, extra_metadata: dict[str, str]) -> bytes:
    """The trained LoRA as a diffusers file: `unet.…lora_A.weight` and `…lora_B.weight`, alpha in the metadata.

    The same metadata as `StableDiffusionPipeline.save_lora_weights` writes; without it diffusers takes alpha = rank.
    """
    tensors = {}
    for name, layer in _lora_layers(unet):
        tensors[f"unet.{name}.lora_A.weight"] = layer.lora_A[TRAINED].weight.detach().float().cpu().contiguous()
        tensors[f"unet.{name}.lora_B.weight"] = layer.lora_B[TRAINED].weight.detach().float().cpu().contiguous()
    metadata = {"format": "pt", "lora_adapter_metadata": json.dumps(_adapter_metadata(unet), sort_keys=True)}
    return safetensors_bytes(tensors, metadata | extra_metadata)


def _adapter_metadata(unet: nn.Module) -> dict[str, Any]:
    config = _collate_lora_metadata({"unet": unet})["unet_lora_adapter_metadata"]
    config["base_model_name_or_path"] = None  # a path on this machine is nobody else's business
    return {f"unet.{key}": sorted(value) if isinstance(value, set) else value for key, value in config.items()}


def family_of(cross_attention_dim: int) -> str:
    """768 is Stable Diffusion 1.x; a width that no public family has is our starter's."""
    return FAMILY_OF_DIM.get(cross_attention_dim, "starter")


def safetensors_bytes(tensors: dict[str, Tensor], metadata: dict[str, str]) -> bytes:
    """Equal tensors and metadata give equal bytes: safetensors itself writes the metadata in random order."""
    data = save(tensors, metadata)
    length = int.from_bytes(data[:8], "little")
    header = {**json.loads(data[8 : 8 + length]), "__metadata__": dict(sorted(metadata.items()))}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data[8 + length :]


# -- use --------------------------------------------------------------------------------------------------------------


class LoraMatrices(NamedTuple):
    """Of one module: down [rank, in], up [out, rank], and the alpha in the scale alpha / rank between them."""

    down: Tensor
    up: Tensor
    alpha: float


def use_loras(base: Base, loras: Sequence[tuple[str, float]]) -> None:
    """Makes exactly these (file, weight) active. Files used before are not read again unless they have changed."""
    weights: dict[str, float] = {}
    for path, weight in loras:
        name = _adapter_for(base, path)
        weights[name] = weights.get(name, 0.0) + weight
    _forget_unused(base, keep=set(weights))
    for model in _models(base):
        for _, layer in _lora_layers(model):
            _activate(layer, weights)


def unload_loras(base: Base) -> None:
    """The base as it was loaded, bit for bit: its weights are never merged, so taking the layers off is enough."""
    base.adapters.clear()
    for model in _models(base):
        for name, layer in _lora_layers(model):
            parent, _, child = name.rpartition(".")
            setattr(model.get_submodule(parent), child, layer.get_base_layer())
        if hasattr(model, "peft_config"):
            del model.peft_config
        model.requires_grad_(False)


def _models(base: Base) -> list[nn.Module]:
    """UNet and text encoder; the latter may be gone while a training runs."""
    return [model for model in (base.pipeline.unet, base.pipeline.text_encoder) if model is not None]


def _parts(base: Base) -> Iterator[tuple[str, nn.Module]]:
    models = zip(PARTS, (base.pipeline.unet, base.pipeline.text_encoder), strict=True)
    return ((part, model) for part, model in models if model is not None)


def _lora_layers(model: nn.Module) -> list[tuple[str, LoraLayer]]:
    return [(name, module) for name, module in model.named_modules() if isinstance(module, LoraLayer)]


def _activate(layer: LoraLayer, weights: dict[str, float]) -> None:
    active = [name for name in weights if name in layer.lora_A]
    layer.enable_adapters(bool(active))
    if active:
        layer.set_adapter(active)
        for name in active:
            layer.set_scale(name, weights[name])


def _forget_unused(base: Base, keep: set[str]) -> None:
    """The least recently used adapters go first; `_adapter_for` keeps the order."""
    spare = [key for key, name in base.adapters.items() if name not in keep]
    for key in spare[: max(0, len(base.adapters) - MAX_CACHED)]:
        name = base.adapters.pop(key)
        for model in _models(base):
            for _, layer in _lora_layers(model):
                layer.delete_adapter(name)
            getattr(model, "peft_config", {}).pop(name, None)


def _adapter_for(base: Base, path: str) -> str:
    try:
        status = Path(path).stat()
    except OSError as error:
        raise LoraProblem("the LoRA file is gone") from error
    key = (path, status.st_size, status.st_mtime_ns)
    name = base.adapters.pop(key, None) or _load_adapter(base, path)
    base.adapters[key] = name  # last in the dict: most recently used
    return name


_numbers = iter(range(1, 2**62))


def _load_adapter(base: Base, path: str) -> str:
    name = f"file{next(_numbers)}"
    header = read_lora_header(path)
    modules = _modules(base)
    check_fits(header.matrix_shapes, {key: tuple(module.weight.shape) for key, (_, module) in modules.items()})
    tensors = load_file(path)
    for part, model in _parts(base):  # only now, so that a file that does not fit changes nothing
        matrices = {
            modules[part, module][0]: LoraMatrices(tensors[entry.down], tensors[entry.up], entry.alpha)
            for (its_part, module), entry in header.modules.items()
            if its_part == part
        }
        if matrices:
            _inject(model, name, matrices)
    return name


def _inject(model: nn.Module, name: str, matrices: dict[str, LoraMatrices]) -> None:
    config = peft.LoraConfig(
        target_modules=list(matrices),
        rank_pattern={module: m.down.shape[0] for module, m in matrices.items()},
        alpha_pattern={module: m.alpha for module, m in matrices.items()},
        inference_mode=True,
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Already found a `peft_config`")  # several adapters are what we want
        # made on "meta", because peft's random start values are thrown away
        peft.inject_adapter_in_model(config, model, adapter_name=name, low_cpu_mem_usage=True)
    for module, m in matrices.items():
        layer = model.get_submodule(module)
        layer.lora_A[name].weight = _frozen(m.down)
        layer.lora_B[name].weight = _frozen(m.up)


def _frozen(tensor: Tensor) -> nn.Parameter:
    return nn.Parameter(to_device(tensor, current().dtype), requires_grad=False)


def _modules(base: Base) -> dict[Module, tuple[str, nn.Module]]:
    """What a LoRA can change: (part, module as LoRA files name it) → the model's own name for it, and the module."""
    found = {}
    for part, model in _parts(base):
        for name, module in model.named_modules():
            if isinstance(module, nn.Linear | nn.Conv2d) and "lora_" not in name:
                own = name.removesuffix(".base_layer")
                found[part, own.removeprefix("text_model.")] = (own, module)
    return found
