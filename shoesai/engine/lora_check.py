"""Loads a LoRA on its base and looks whether it does anything."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from shoesai.engine.base_model import Base, load_base
from shoesai.engine.device import current, to_device
from shoesai.engine.lora import use_loras
from shoesai.engine.lora_names import LoraProblem
from shoesai.engine.progress import Emit, ShouldStop, check_stop
from shoesai.engine.specs import CheckLoraInputs, CheckLoraSpec

PROMPT = "a photo of a shoe"
TIMESTEP = 500


def check_lora(spec: CheckLoraSpec, inputs: CheckLoraInputs, emit: Emit, should_stop: ShouldStop) -> dict[str, Any]:
    """The largest change of the UNet's output, at fixed noise, beside the largest output of the bare base.

    Raises LoraProblem when the file does not load here, or makes the output anything but finite numbers.
    """
    emit("step", step=0, total=2, message="loading the base model")
    base = load_base(inputs.base_model)
    try:
        use_loras(base, [])
        bare = _predict(base)
        check_stop(should_stop)
        emit("step", step=1, total=2, message="loading the LoRA")
        use_loras(base, [(inputs.lora, 1.0)])
        changed = _predict(base)
    finally:
        use_loras(base, [])
    if not torch.isfinite(changed).all():
        raise LoraProblem("with it the UNet's output is not finite (NaN or infinity)")
    return {"change": float((changed - bare).abs().max()), "output": float(bare.abs().max())}


@torch.inference_mode()
def _predict(base: Base) -> Tensor:
    """[1, channels, side, side] in fp32 on the CPU, of a few pixels: the smallest that every block can halve."""
    pipeline = base.pipeline
    text, _ = pipeline.encode_prompt(PROMPT, current().torch_device, 1, False)
    side = 2 ** len(pipeline.unet.config.block_out_channels)
    shape = (1, pipeline.unet.config.in_channels, side, side)
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    latents = to_device(noise, pipeline.unet.dtype)
    timestep = to_device(torch.tensor(TIMESTEP))
    return pipeline.unet(latents, timestep, text.to(pipeline.unet.dtype), return_dict=False)[0].float().cpu()
