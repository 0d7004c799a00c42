"""Trains a LoRA on photos: the recipe of the diffusers text-to-image LoRA script, made exactly resumable.

Everything random is a pure function of the seed and of a sample's place in the run (see dataset.py), so weights,
optimizer and step are all the state there is: 3 steps, a restart and 3 more give, on a CPU, the bytes of 6 in a row.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import torch
import torch.nn.functional as F
from diffusers import DDPMScheduler
from torch import Tensor, nn

from shoesai.engine.base_model import Base, BaseModelProblem, load_base
from shoesai.engine.dataset import Batch, Encoded, batch_at, encode
from shoesai.engine.device import current, to_device
from shoesai.engine.lora import add_trainable_lora, family_of, lora_file, safetensors_bytes, unload_loras
from shoesai.engine.progress import Emit, ShouldStop, Stopped, check_stop, publish
from shoesai.engine.sampler import png_bytes, sample
from shoesai.engine.specs import MAX_SEED, GenerateSpec, ImageUnit, SpecError, TrainInputs, TrainSpec

VALIDATION_INFERENCE_STEPS = 25
MAX_METRICS = 1000  # points of the loss curve in one run
MOMENTS = ("exp_avg", "exp_avg_sq", "step")  # what AdamW remembers per weight


class Diverged(FloatingPointError):
    """The loss or the gradient is no number any more."""


@dataclass
class Run:
    """A training on its way. `step` counts complete optimizer steps."""

    spec: TrainSpec
    base: Base
    data: Encoded
    weights: dict[str, nn.Parameter]
    optimizer: torch.optim.AdamW
    schedule: DDPMScheduler
    output: Path
    emit: Emit
    should_stop: ShouldStop
    step: int = 0
    saved_step: int = 0
    validated_step: int = 0


def train(spec: TrainSpec, inputs: TrainInputs, emit: Emit, should_stop: ShouldStop) -> dict[str, Any]:
    """Trains to `max_train_steps`; emits `step`, `metric`, `checkpoint` and `sample`. Raises Stopped or Diverged."""
    resume_from = inputs.resume_from[0].path if inputs.resume_from else None
    done_before = _saved_step(resume_from)

    def tell(message: str) -> None:
        check_stop(should_stop)
        emit("step", step=done_before, total=spec.max_train_steps, message=message)

    base = load_base(inputs.base_model)
    unload_loras(base)
    schedule = training_schedule(base.pipeline.scheduler.config)
    data = encode(base.pipeline, inputs.photos, spec.resolution, tell)
    with trainable_lora(base, spec) as weights:
        optimizer = torch.optim.AdamW(
            list(weights.values()), lr=spec.learning_rate, weight_decay=spec.adam_weight_decay
        )
        run = Run(spec, base, data, weights, optimizer, schedule, Path(inputs.output_dir), emit, should_stop)
        if resume_from:
            restore(run, resume_from)
        try:
            _train_to_the_end(run)
        except Stopped:
            if run.step > run.saved_step:
                save(run, partial=True)
            raise
        return {"step": run.step}


def _train_to_the_end(run: Run) -> None:
    spec, curve = run.spec, Curve(run)
    _validate_if_due(run)
    while run.step < spec.max_train_steps:
        started = time.monotonic()
        learning_rate = learning_rate_at(run.step, spec)
        loss, grad_norm = optimizer_step(run, learning_rate)
        run.emit("step", step=run.step, total=spec.max_train_steps, message=f"Training, loss {loss:.4f}", loss=loss)
        curve.add(loss, learning_rate, grad_norm, time.monotonic() - started)
        if run.step % spec.checkpointing_steps == 0 or run.step == spec.max_train_steps:
            save(run, partial=False)
        _validate_if_due(run)


# -- one step ---------------------------------------------------------------------------------------------------------


def optimizer_step(run: Run, learning_rate: float) -> tuple[float, float]:
    """Accumulates, clips and steps; returns (mean loss, gradient norm before clipping).

    When asked to stop it leaves between micro-batches: the weights are still those of the last complete step.
    """
    parts = run.spec.gradient_accumulation_steps
    total = to_device(torch.zeros(()))
    for part in range(parts):
        check_stop(run.should_stop)
        loss = training_loss(run.base.pipeline.unet, run.schedule, _micro_batch(run, part)) / parts
        loss.backward()
        total += loss.detach()
    grad_norm = clip_gradients(run.weights, run.spec.max_grad_norm)
    mean_loss = float(total)
    if not (math.isfinite(mean_loss) and math.isfinite(grad_norm)):
        raise Diverged(
            f"the training diverged: loss {mean_loss}, gradient norm {grad_norm} at step {run.step + 1} "
            f"with learning rate {learning_rate:g}; a lower learning rate may help"
        )
    for group in run.optimizer.param_groups:
        group["lr"] = learning_rate
    run.optimizer.step()
    run.optimizer.zero_grad(set_to_none=True)
    run.step += 1
    return mean_loss, grad_norm


def _micro_batch(run: Run, part: int) -> Batch:
    spec = run.spec
    first = (run.step * spec.gradient_accumulation_steps + part) * spec.train_batch_size
    return batch_at(
        run.data,
        positions=range(first, first + spec.train_batch_size),
        seed=spec.seed,
        timesteps=run.schedule.config.num_train_timesteps,
        scale=run.base.pipeline.vae.config.scaling_factor,
        dropout=spec.caption_dropout,
    )


def training_loss(unet: nn.Module, schedule: DDPMScheduler, batch: Batch) -> Tensor:
    """Mean squared error between what the UNet predicts and what it should, in fp32."""
    dtype = unet.conv_in.weight.dtype
    noisy = schedule.add_noise(batch.latents, batch.noise, batch.timesteps)
    predicted = unet(
        to_device(noisy, dtype), to_device(batch.timesteps), to_device(batch.embeddings, dtype), return_dict=False
    )[0]
    return F.mse_loss(predicted.float(), to_device(training_target(schedule, batch)))


def training_target(schedule: DDPMScheduler, batch: Batch) -> Tensor:
    """epsilon (arXiv 2006.11239): the noise. v (arXiv 2202.00512): sqrt(a) noise - sqrt(1 - a) latents."""
    if schedule.config.prediction_type == "v_prediction":
        velocity: Tensor = schedule.get_velocity(batch.latents, batch.noise, batch.timesteps)
        return velocity
    return batch.noise


def training_schedule(base_config: Any) -> DDPMScheduler:
    """The noise schedule that the base was trained with, whatever scheduler it samples with by default."""
    schedule = DDPMScheduler.from_config(base_config)
    if schedule.config.prediction_type not in ("epsilon", "v_prediction"):
        raise BaseModelProblem(
            f"the base model predicts {schedule.config.prediction_type!r}; epsilon and v_prediction can be trained"
        )
    return schedule


def learning_rate_at(step: int, spec: TrainSpec) -> float:
    """Constant after a linear warm-up; the first step (number 0) already learns."""
    if step >= spec.lr_warmup_steps:
        return spec.learning_rate
    return spec.learning_rate * (step + 1) / spec.lr_warmup_steps


def clip_gradients(weights: dict[str, nn.Parameter], max_norm: float) -> float:
    """Scales the gradients to at most `max_norm` together; returns their norm before."""
    # A list and not a generator: torch walks through it twice, once for the norm and once to clip.
    return float(nn.utils.clip_grad_norm_(list(weights.values()), max_norm))


@contextmanager
def trainable_lora(base: Base, spec: TrainSpec) -> Iterator[dict[str, nn.Parameter]]:
    """A fresh LoRA on the base's UNet, in fp32 on a base in the device's training precision; leaves the base clean."""
    unet = base.pipeline.unet
    _cast(unet, current().training_dtype)
    try:
        weights = add_trainable_lora(unet, spec.rank, spec.lora_alpha, spec.seed % 2**63)
        if spec.gradient_checkpointing:
            unet.enable_gradient_checkpointing()
        unet.train()
        yield weights
    finally:
        unet.disable_gradient_checkpointing()
        unload_loras(base)
        _cast(unet, current().dtype)
        unet.eval()


def _cast(unet: nn.Module, dtype: torch.dtype) -> None:
    """There and back is exact: the training precision is never narrower than the base's own."""
    if unet.conv_in.weight.dtype != dtype:
        unet.to(dtype=dtype)


class Curve:
    """The loss curve: at most MAX_METRICS points, each the mean over the steps since the one before."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._every = max(1, run.spec.max_train_steps // MAX_METRICS)
        self._losses: list[float] = []
        self._seconds: list[float] = []

    def add(self, loss: float, learning_rate: float, grad_norm: float, seconds: float) -> None:
        self._losses.append(loss)
        self._seconds.append(seconds)
        if self._run.step % self._every and self._run.step != self._run.spec.max_train_steps:
            return
        self._run.emit(
            "metric",
            step=self._run.step,
            loss=sum(self._losses) / len(self._losses),
            learning_rate=learning_rate,
            grad_norm=grad_norm,
            seconds=round(sum(self._seconds) / len(self._seconds), 4),
        )
        self._losses, self._seconds = [], []


# -- pictures on the way ----------------------------------------------------------------------------------------------


def _validate_if_due(run: Run) -> None:
    """A state remembers which step was validated last, so a run that was stopped here makes its pictures after all."""
    every = run.spec.validation_steps
    if every and run.step and run.step % every == 0 and run.validated_step < run.step:
        validate(run)
        run.validated_step = run.step


def validate(run: Run) -> None:
    """The same prompts and seeds each time, so that the pictures of a run can be compared."""
    unet, side = run.base.pipeline.unet, run.spec.resolution
    unet.eval()
    for seq, prompt in enumerate(run.spec.validation_prompts):
        unit = ImageUnit(seq=seq, seed=(run.spec.seed + seq) % (MAX_SEED + 1))
        wish = GenerateSpec(prompt, side, side, (unit,), num_inference_steps=VALIDATION_INFERENCE_STEPS)
        [picture] = sample(run.base, wish, (unit,), on_step=lambda *_: check_stop(run.should_stop))
        path = publish(run.output / f"sample-{run.step}-{seq}.png", png_bytes(picture))
        run.emit("sample", step=run.step, seq=seq, prompt=prompt, seed=unit.seed, path=str(path))
    unet.train()


# -- checkpoints ------------------------------------------------------------------------------------------------------


def save(run: Run, *, partial: bool) -> None:
    """The state to resume from and, unless `partial`, the LoRA file for the world."""
    state_path = publish(run.output / f"checkpoint-{run.step}.state.safetensors", _state_bytes(run))
    path = ""
    if not partial:
        path = str(publish(run.output / f"checkpoint-{run.step}.safetensors", _lora_bytes(run)))
    run.saved_step = run.step
    run.emit("checkpoint", step=run.step, path=path, state_path=str(state_path), partial=partial,
             rank=run.spec.rank, lora_alpha=run.spec.lora_alpha)  # fmt: skip


def _lora_bytes(run: Run) -> bytes:
    return lora_file(
        run.base.pipeline.unet,
        {
            "shoesai.family": family_of(run.base.cross_attention_dim),
            "shoesai.step": str(run.step),
            "shoesai.rank": str(run.spec.rank),
            "shoesai.alpha": str(run.spec.lora_alpha),
        },
    )


def _state_bytes(run: Run) -> bytes:
    tensors = {}
    for name, weight in run.weights.items():
        tensors[f"weight/{name}"] = weight.detach().cpu().contiguous()
        for moment in MOMENTS:
            tensors[f"{moment}/{name}"] = run.optimizer.state[weight][moment].detach().cpu().contiguous()
    metadata = {"step": str(run.step), "validated_step": str(run.validated_step), "spec": run.spec.to_json()}
    return safetensors_bytes(tensors, metadata)


def _saved_step(path: str | None) -> int:
    if not path:
        return 0
    with _opened_state(path) as state:
        return int(state.metadata()["step"])


def restore(run: Run, path: str) -> None:
    """Goes on where the state stopped; refuses a state of another LoRA shape or of another base."""
    with _opened_state(path) as state:
        run.step = run.saved_step = int(state.metadata()["step"])
        run.validated_step = int(state.metadata()["validated_step"])
        for name, weight in run.weights.items():
            _restore_weight(run, state, name, weight)


@contextmanager
def _opened_state(path: str) -> Iterator[Any]:
    try:
        with safetensors.safe_open(path, "pt") as state:
            yield state
    except (OSError, KeyError, TypeError, ValueError, safetensors.SafetensorError) as error:
        # Not an OSError's own words: they hold a path of this machine.
        words = (error.strerror or "it cannot be read") if isinstance(error, OSError) else error
        raise SpecError("resume_from", f"is not a state of this training: {words}") from error


def _restore_weight(run: Run, state: Any, name: str, weight: nn.Parameter) -> None:
    saved = state.get_tensor(f"weight/{name}")
    if saved.shape != weight.shape:
        raise ValueError(f"{name} has the shape {tuple(saved.shape)}, not {tuple(weight.shape)}")
    weight.data = to_device(saved, torch.float32)
    averages = {moment: to_device(state.get_tensor(f"{moment}/{name}")) for moment in ("exp_avg", "exp_avg_sq")}
    # AdamW keeps its step counter on the CPU
    run.optimizer.state[weight] = {"step": state.get_tensor(f"step/{name}"), **averages}
