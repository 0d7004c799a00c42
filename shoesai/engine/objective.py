"""What the UNet is asked, and how its answer is judged: noise schedule, target, weights, loss."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from diffusers import DDPMScheduler
from torch import Tensor, nn

from shoesai.engine.base_model import BaseModelProblem
from shoesai.engine.dataset import Batch
from shoesai.engine.device import current, to_device
from shoesai.engine.specs import TrainSpec


def training_loss(unet: nn.Module, schedule: DDPMScheduler, batch: Batch, spec: TrainSpec) -> Tensor:
    """Weighted mean squared error between what the UNet predicts and what it should, in fp32."""
    errors = squared_errors(unet, schedule, batch).mean(dim=1)  # [batch, height, width]
    if spec.masked_loss:
        weights = to_device(spec.unmasked_weight + (1 - spec.unmasked_weight) * batch.shoe)
        per_sample = (errors * weights).sum(dim=(1, 2)) / weights.sum(dim=(1, 2))
    else:
        per_sample = errors.mean(dim=(1, 2))
    if spec.snr_gamma:
        per_sample = per_sample * to_device(snr_weights(schedule, batch.timesteps, spec.snr_gamma))
    return per_sample.mean()


def squared_errors(unet: nn.Module, schedule: DDPMScheduler, batch: Batch) -> Tensor:
    """[batch, channels, height, width], fp32."""
    dtype = current().dtype
    noisy = schedule.add_noise(batch.latents, batch.noise, batch.timesteps)
    predicted = unet(
        to_device(noisy, dtype), to_device(batch.timesteps), to_device(batch.embeddings, dtype), return_dict=False
    )[0]
    return F.mse_loss(predicted.float(), to_device(training_target(schedule, batch)), reduction="none")


def training_target(schedule: DDPMScheduler, batch: Batch) -> Tensor:
    """epsilon (arXiv 2006.11239): the noise. v (arXiv 2202.00512): sqrt(a) noise - sqrt(1 - a) latents."""
    if schedule.config.prediction_type == "v_prediction":
        velocity: Tensor = schedule.get_velocity(batch.latents, batch.noise, batch.timesteps)
        return velocity
    return batch.noise


def snr_weights(schedule: DDPMScheduler, timesteps: Tensor, gamma: float) -> Tensor:
    """Min-SNR-gamma (arXiv 2303.09556), fp32 [batch]: min(snr, gamma) / snr, for v-prediction / (snr + 1).

    snr = a / (1 - a). The easy, nearly clean timesteps then weigh no more than gamma.
    """
    kept = schedule.alphas_cumprod[timesteps].float()
    snr = kept / (1 - kept).clamp(min=1e-12)
    if schedule.config.prediction_type == "v_prediction":
        return snr.clamp(max=gamma) / (snr + 1)
    # Written without the quotient, because at zero terminal SNR it would be 0 / 0
    return torch.where(snr > gamma, gamma / snr, torch.ones_like(snr))


def training_schedule(base_config: Any) -> DDPMScheduler:
    """The noise schedule that the base was trained with, whatever scheduler it samples with by default."""
    schedule = DDPMScheduler.from_config(base_config)
    if schedule.config.prediction_type not in ("epsilon", "v_prediction"):
        raise BaseModelProblem(
            f"the base model predicts {schedule.config.prediction_type!r}; epsilon and v_prediction can be trained"
        )
    return schedule
