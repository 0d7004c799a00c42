"""Small LoRA files, written without torch."""

from __future__ import annotations

import json

import numpy as np
from safetensors.numpy import save

_MODULE = "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k"


def lora_bytes(*, text_width: int = 768, rank: int = 4, alpha: float | None = 8, fill: float = 0.0) -> bytes:
    """768 is Stable Diffusion 1.5's text width, 192 the starter's."""
    tensors = {
        f"{_MODULE}.lora_A.weight": np.full((rank, text_width), fill, np.float16),
        f"{_MODULE}.lora_B.weight": np.zeros((32, rank), np.float16),
    }
    settings = {} if alpha is None else {"lora_adapter_metadata": json.dumps({"unet.lora_alpha": alpha})}
    return bytes(save(tensors, metadata=settings))
