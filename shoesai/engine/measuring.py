"""How long one optimizer step takes here, and how much memory: measured on the real model with made-up photos."""

from __future__ import annotations

import time
from typing import Any

import torch

from shoesai.engine import processes
from shoesai.engine.base_model import ENCODERS, load_base
from shoesai.engine.dataset import Batch
from shoesai.engine.device import MIB, current, describe, forget_peak, most_memory_held
from shoesai.engine.lora import unload_loras
from shoesai.engine.objective import training_loss, training_schedule
from shoesai.engine.progress import Emit, ShouldStop, check_stop
from shoesai.engine.specs import TrainInputs, TrainSpec
from shoesai.engine.trainer import prepared, trainable_lora

MICRO_BATCHES = 3  # the first one is slower (memory is fetched, kernels are chosen) and does not count


def measure(spec: TrainSpec, inputs: TrainInputs, emit: Emit, should_stop: ShouldStop) -> dict[str, Any]:
    """Trains MICRO_BATCHES on noise and throws the result away; needs no photos. Raises Stopped."""
    emit, stop = processes.spoken(emit), processes.agreed(should_stop)
    base = load_base(inputs.base_model, without=ENCODERS)
    unload_loras(base)
    base.let_go(*ENCODERS)  # as in a training
    forget_peak()
    schedule = training_schedule(base.pipeline.scheduler.config)
    seconds = []
    with trainable_lora(base, spec) as weights, prepared(base, spec, weights) as (unet, optimizer):
        for number in range(MICRO_BATCHES):
            check_stop(stop)
            emit("step", step=number, total=MICRO_BATCHES, message="Measuring")
            before = time.monotonic()
            batch = _made_up(spec, base.pipeline.unet.config, base.pipeline.vae_scale_factor)
            processes.accelerator().backward(training_loss(unet, schedule, batch, spec))
            if number == 0:
                optimizer.step()  # so that its memory counts
                optimizer.zero_grad(set_to_none=True)
            _wait_for_device()
            seconds.append(time.monotonic() - before)
        trainable = sum(weight.numel() for weight in weights.values())
        total = sum(weight.numel() for weight in base.pipeline.unet.parameters())
    per_micro_batch = sum(seconds[1:]) / len(seconds[1:])
    return {
        "trainable_parameters": trainable,
        "total_parameters": total,
        "device": current().kind,
        "precision": current().precision,
        "processes": processes.launched_with(),
        "estimated_seconds_per_step": round(per_micro_batch * spec.gradient_accumulation_steps, 4),
        "estimated_memory_bytes": most_memory_held(),
        "device_memory_bytes": describe()["memory_mib"] * MIB,
    }


def _made_up(spec: TrainSpec, unet: Any, scale_factor: int) -> Batch:
    side = spec.resolution // scale_factor
    latents = torch.randn(spec.train_batch_size, unet.in_channels, side, side)
    return Batch(
        latents=latents,
        noise=torch.randn_like(latents),
        timesteps=torch.randint(1000, (spec.train_batch_size,)),
        embeddings=torch.randn(spec.train_batch_size, 77, unet.cross_attention_dim),
        shoe=torch.ones(spec.train_batch_size, side, side),
    )


def _wait_for_device() -> None:
    """Accelerators work behind the clock's back."""
    if current().kind == "cuda":
        torch.cuda.synchronize()
    elif current().kind == "mps":
        torch.mps.synchronize()
