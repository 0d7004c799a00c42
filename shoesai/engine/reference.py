"""The picture that pictures start from (img2img, as SDEdit, arXiv 2108.01073, does it).

Fitted to the size asked for: cut at its centre to that shape, then scaled with Lanczos. Encoded as the middle of the
VAE's posterior, so nothing is left to chance but the noise that each picture adds from its own seed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from shoesai.engine.base_model import Base
from shoesai.engine.device import to_device
from shoesai.engine.specs import GenerateSpec, SpecError

# These know nothing of beginning in the middle: their first step there would be another one's second.
ONLY_FROM_NOISE = {"PNDMScheduler"}


def read_reference(base: Base, spec: GenerateSpec, path: str) -> Tensor | None:
    """Its latents [1, channels, height, width], fp32; None where the spec starts from noise."""
    if (spec.strength is None) != (not path):
        raise SpecError("strength", "must be given where there is a reference, and only there")
    if spec.strength is None:
        return None
    if spec.scheduler in ONLY_FROM_NOISE:
        raise SpecError("scheduler", f"{spec.scheduler} cannot start from a reference")
    try:
        with Image.open(path) as picture:
            pixels = fitted(picture, spec.width, spec.height)
    except (OSError, ValueError) as error:
        raise SpecError("reference", "is gone or cannot be decoded") from error
    return encode(base.part("vae"), pixels)


def fitted(picture: Image.Image, width: int, height: int) -> Tensor:
    """[1, 3, height, width] in 0..1. A picture of this size already keeps its pixels."""
    upright = picture.convert("RGB")
    if upright.size != (width, height):
        upright = ImageOps.fit(upright, (width, height), Image.Resampling.LANCZOS)
    values = torch.from_numpy(np.asarray(upright, dtype=np.float32) / 255)
    return values.permute(2, 0, 1).unsqueeze(0)


@torch.no_grad()
def encode(vae: Any, pixels: Tensor) -> Tensor:
    """Pixels in 0..1 to the latents that `sampler.decode` makes them from."""
    mean = vae.encode(to_device(pixels * 2 - 1, vae.dtype)).latent_dist.mean.float()
    return (mean - (getattr(vae.config, "shift_factor", None) or 0)) * vae.config.scaling_factor


def beginning(scheduler: Any, spec: GenerateSpec, noise: Tensor, reference: Tensor | None) -> tuple[Tensor, Tensor]:
    """The latents to begin with, and the timesteps that are left to do.

    Of N steps the last N × strength, rounded down, are done, but at least one, from where the reference has as much
    noise as pictures have at that step. Strength 1 begins with noise alone and is text-to-image to the last bit.
    """
    if reference is None or spec.strength is None or spec.strength == 1:
        return noise * scheduler.init_noise_sigma, scheduler.timesteps
    steps = max(1, int(spec.num_inference_steps * spec.strength))
    first = (spec.num_inference_steps - steps) * scheduler.order
    timesteps = scheduler.timesteps[first:]
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(first)
    return scheduler.add_noise(reference.cpu().expand_as(noise), noise, timesteps[:1]), timesteps
