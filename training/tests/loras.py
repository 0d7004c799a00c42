"""Small LoRA files, written without torch."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
from safetensors.numpy import save

from shoesai.engine.base_shapes import base_shapes
from shoesai.engine.lora_formats import RawTensor, write_safetensors
from training.models import STARTER_WEIGHTS

Arrays = dict[str, np.ndarray[Any, Any]]
_MODULE = "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k"


def lora_bytes(*, text_width: int = 768, rank: int = 4, alpha: float | None = 8, fill: float = 0.0) -> bytes:
    """768 is Stable Diffusion 1.5's text width, 192 the starter's."""
    tensors = {
        f"{_MODULE}.lora_A.weight": np.full((rank, text_width), fill, np.float16),
        f"{_MODULE}.lora_B.weight": np.zeros((32, rank), np.float16),
    }
    settings = {} if alpha is None else {"lora_adapter_metadata": json.dumps({"unet.lora_alpha": alpha})}
    return bytes(save(tensors, metadata=settings))


def starter_lora(*, rank: int = 8, alpha: int = 16, seed: int = 1, step: int = 40) -> bytes:
    """As our trainer writes it: every attention projection of the starter, its settings in the metadata."""
    tensors: Arrays = {}
    for module, down, up in _matrices(rank, seed):
        tensors |= {f"unet.{module}.lora_A.weight": down, f"unet.{module}.lora_B.weight": up}
    settings = {"unet.r": rank, "unet.lora_alpha": alpha, "unet.target_modules": ["to_k", "to_out.0", "to_q", "to_v"],
                "unet.base_model_name_or_path": None, "unet.lora_dropout": 0.0}  # fmt: skip
    metadata = {"lora_adapter_metadata": json.dumps(settings, sort_keys=True), "shoesai.step": str(step)}
    raw = {name: RawTensor("F32", array.shape, array.tobytes()) for name, array in tensors.items()}
    return write_safetensors(raw, metadata)  # the library writes metadata in random order


def kohya_lora(*, rank: int = 8, alpha: int = 16, seed: int = 1, metadata: dict[str, str] | None = None) -> bytes:
    """As kohya's sd-scripts name it, by their rule and not by our converter."""
    tensors: Arrays = {}
    for module, down, up in _matrices(rank, seed):
        name = "lora_unet_" + module.replace(".", "_")
        tensors |= {f"{name}.lora_down.weight": down, f"{name}.lora_up.weight": up}
        tensors[f"{name}.alpha"] = np.array(alpha, np.float32)
    return bytes(save(tensors, metadata))


def peft_lora(*, rank: int = 8, alpha: int = 16, seed: int = 1) -> dict[str, bytes]:
    """As peft's save_pretrained names files and tensors."""
    tensors: Arrays = {}
    for module, down, up in _matrices(rank, seed):
        name = f"base_model.model.{module}"
        tensors |= {f"{name}.lora_A.weight": down, f"{name}.lora_B.weight": up}
    targets = ["to_q", "to_k", "to_v", "to_out.0"]
    config = {"peft_type": "LORA", "r": rank, "lora_alpha": alpha, "target_modules": targets}
    return {"adapter_model.safetensors": bytes(save(tensors)), "adapter_config.json": json.dumps(config).encode()}


def _matrices(rank: int, seed: int) -> Iterator[tuple[str, np.ndarray[Any, Any], np.ndarray[Any, Any]]]:
    random = np.random.default_rng(seed)
    for (part, module), shape in sorted(base_shapes(STARTER_WEIGHTS).items()):
        if part == "unet" and module.endswith(("to_q", "to_k", "to_v", "to_out.0")):
            down = random.normal(size=(rank, shape[1])).astype(np.float32) * 0.05
            yield module, down, random.normal(size=(shape[0], rank)).astype(np.float32) * 0.05
