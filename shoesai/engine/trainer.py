"""Trains a LoRA on photos: the recipe of the diffusers text-to-image LoRA script, made exactly resumable.

Everything random is a pure function of the seed and of a sample's place in the run (see dataset.py), and everything
else that a step depends on is in one file (see training_state.py): 3 steps, a restart and 3 more give, on a CPU, the
bytes of 6 in a row.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from accelerate.optimizer import AcceleratedOptimizer
from accelerate.utils import set_seed
from diffusers import DDPMScheduler
from torch import Tensor, nn

from shoesai.engine import processes, validation
from shoesai.engine.base_model import ENCODERS, Base, load_base
from shoesai.engine.dataset import Batch, Encoded, batch_at, encode, encode_texts
from shoesai.engine.device import current, forget_peak, most_memory_held, to_device
from shoesai.engine.encoding_cache import EncodingCache, fingerprint
from shoesai.engine.lora import add_trainable_lora, family_of, lora_file, unload_loras
from shoesai.engine.objective import training_loss, training_schedule
from shoesai.engine.progress import Emit, ShouldStop, Stopped, check_stop, publish
from shoesai.engine.specs import PhotoInput, SpecError, TrainInputs, TrainSpec
from shoesai.engine.training_state import (
    check_same_recipe,
    newest_good_state,
    read_facts,
    restore_state,
    state_bytes,
)

MAX_METRICS = 1000  # points of the loss curve in one run
SLOW_MICRO_BATCH_SECONDS = 2.0  # from here on each one is told, not only each step
SPEED_OVER_STEPS = 20
STATE_EVERY_SECONDS = 600.0  # what a power cut may cost at most, however far apart the checkpoints are
LEARNED_ON = ("unet", "scheduler")  # the parts of a base that a state belongs to


class Diverged(FloatingPointError):
    """The loss or the gradient is no number any more."""


@dataclass
class Run:
    """A training on its way. `step` counts complete optimizer steps, `position` the samples that they saw.

    `saved_step` is that of the last state, `checkpoint_step` that of the last LoRA that others can use.
    """

    spec: TrainSpec
    base: Base
    data: Encoded
    unseen: Encoded | None
    prompts: dict[str, Tensor]
    unet: nn.Module
    weights: dict[str, nn.Parameter]
    optimizer: AcceleratedOptimizer
    schedule: DDPMScheduler
    output: Path
    dataset_hash: str
    base_fingerprint: str
    emit: Emit
    should_stop: ShouldStop
    step: int = 0
    position: int = 0
    saved_step: int = 0
    saved_at: float = field(default_factory=time.monotonic)
    checkpoint_step: int = 0
    validated_step: int = -1
    window: list[float] = field(default_factory=list)  # losses since the last point of the curve
    speed: Speed = field(default_factory=lambda: Speed())


def train(spec: TrainSpec, inputs: TrainInputs, emit: Emit, should_stop: ShouldStop) -> dict[str, Any]:
    """Trains to `max_train_steps` or `max_train_minutes`.

    Emits `begun`, `step`, `metric`, `validation`, `checkpoint`, `sample` and `note`. Raises Stopped (its state is kept
    then), Diverged, DamagedState, and SpecError for photos or states that do not fit.
    """
    emit = processes.spoken(emit)
    state = newest_good_state(inputs.resume_from, lambda problem: emit("note", step=0, message=_damaged(problem)))
    facts = read_facts(state) if state else {}
    base = load_base(inputs.base_model, without=ENCODERS)
    base_fingerprint = fingerprint(base.folder, LEARNED_ON)
    _check_same_run(spec, inputs, base_fingerprint, facts)
    unload_loras(base)
    forget_peak()
    schedule = training_schedule(base.pipeline.scheduler.config)
    learned, unseen, prompts = _encode(base, spec, inputs, _Preparing(spec, facts, emit, should_stop))
    with trainable_lora(base, spec) as weights, prepared(base, spec, weights) as (unet, optimizer):
        run = Run(spec, base, learned, unseen, prompts, unet, weights, optimizer, schedule, Path(inputs.output_dir),
                  inputs.dataset_hash, base_fingerprint, emit, processes.agreed(should_stop))  # fmt: skip
        if state:
            _restore(run, state, facts)
        run.emit("begun", step=run.step, photos=len(learned), held_out=len(unseen) if unseen else 0,
                 **describe(run))  # fmt: skip
        started = time.monotonic() - inputs.seconds_before
        try:
            _train_to_the_end(run, started)
        except Stopped:
            if run.step > run.saved_step:
                save(run, partial=True)
            raise
        return {"step": run.step}


def describe(run: Run) -> dict[str, Any]:
    """What a run's record says of the machine and the model."""
    trainable = sum(weight.numel() for weight in run.weights.values())
    return {
        "device": current().kind,
        "precision": current().precision,
        "processes": processes.launched_with(),
        "torch": torch.__version__,
        "trainable_parameters": trainable,
        "total_parameters": sum(weight.numel() for weight in run.base.pipeline.unet.parameters()),
    }


def _train_to_the_end(run: Run, started: float) -> None:
    spec, curve = run.spec, Curve(run)
    if run.validated_step < run.step:  # at the start, and where the last stretch was stopped before it had looked
        is_last = run.step == spec.max_train_steps
        owed = run.checkpoint_step < run.step and (is_last or run.step % spec.checkpointing_steps == 0)
        _look(run, is_last, save_too=owed)
    while run.step < spec.max_train_steps:
        before = time.monotonic()
        learning_rate = learning_rate_at(run.step, spec)
        loss, grad_norm = optimizer_step(run, learning_rate)
        run.speed.add(time.monotonic() - before)
        _tell_step(run, f"Training, loss {loss:.4f}", loss=loss)
        curve.add(loss, learning_rate, grad_norm, time.monotonic() - before)
        out_of_time = bool(spec.max_train_minutes) and _time_is_over(spec, started)
        is_last = out_of_time or run.step == spec.max_train_steps
        _look(run, is_last, save_too=is_last or run.step % spec.checkpointing_steps == 0)
        if run.step > run.saved_step and time.monotonic() - run.saved_at > STATE_EVERY_SECONDS:
            save(run, partial=True)
        if out_of_time and run.step < spec.max_train_steps:
            words = f"Ended after step {run.step}: max_train_minutes ({spec.max_train_minutes:g}) are over."
            run.emit("note", step=run.step, message=words)
            return


def _time_is_over(spec: TrainSpec, started: float) -> bool:
    """By the clock of the first process: all end after the same step."""
    over: bool = processes.from_first(time.monotonic() - started >= spec.max_train_minutes * 60)
    return over


def _look(run: Run, is_last: bool, save_too: bool = False) -> None:
    """Measures, keeps and draws, in this order: a checkpoint says how good it is, and pictures can wait.

    A state remembers which step was looked at last, so a run that was stopped here makes its pictures after all.
    """
    every = run.spec.validation_steps
    due = bool(every) and (is_last or run.step % every == 0)
    loss = validation.loss(run) if due and processes.is_first() else None
    if save_too:
        save(run, partial=False, validation_loss=loss)
    if due and processes.is_first():
        validation.draw(run)
    run.validated_step = run.step


# -- one step ---------------------------------------------------------------------------------------------------------


def optimizer_step(run: Run, learning_rate: float) -> tuple[float, float]:
    """Accumulates, clips and steps; returns (mean loss, gradient norm before clipping).

    When asked to stop it leaves between micro-batches: the weights are still those of the last complete step.
    """
    accelerator = processes.accelerator()
    parts = run.spec.gradient_accumulation_steps
    total = to_device(torch.zeros(()))
    for part in range(parts):
        check_stop(run.should_stop)
        before = time.monotonic()
        with contextlib.nullcontext() if part == parts - 1 else accelerator.no_sync(run.unet):
            loss = training_loss(run.unet, run.schedule, _micro_batch(run, part), run.spec) / parts
            accelerator.backward(loss)
        total += loss.detach()
        _tell_micro_batch(run, part, time.monotonic() - before)
    mean_loss = float(accelerator.reduce(total, "mean"))
    grad_norm = clip_gradients(run.weights, run.spec.max_grad_norm)
    _refuse_nonsense(run, mean_loss, grad_norm, learning_rate)
    for group in run.optimizer.param_groups:
        group["lr"] = learning_rate
    run.optimizer.step()
    run.optimizer.zero_grad(set_to_none=True)
    run.step += 1
    run.position += run.spec.effective_batch_size * processes.launched_with()
    return mean_loss, grad_norm


def _micro_batch(run: Run, part: int) -> Batch:
    """Process r of n takes every n-th micro-batch, so together they see what one would with n times the parts."""
    spec, accelerator = run.spec, processes.accelerator()
    number = part * accelerator.num_processes + accelerator.process_index
    first = run.position + number * spec.train_batch_size
    return batch_at(
        run.data,
        positions=range(first, first + spec.train_batch_size),
        seed=spec.seed,
        timesteps=run.schedule.config.num_train_timesteps,
        scale=run.base.latent_scale,
        dropout=spec.caption_dropout,
        noise_offset=spec.noise_offset,
    )


def learning_rate_at(step: int, spec: TrainSpec) -> float:
    """For optimizer step number `step`, from 0: a linear warm-up, then constant, or down to 0 at the end.

    The first and the last step learn too.
    """
    if step < spec.lr_warmup_steps:
        return spec.learning_rate * (step + 1) / spec.lr_warmup_steps
    done = (step - spec.lr_warmup_steps) / max(1, spec.max_train_steps - spec.lr_warmup_steps)
    if spec.lr_scheduler == "linear":
        return spec.learning_rate * (1 - done)
    if spec.lr_scheduler == "cosine":
        return spec.learning_rate * 0.5 * (1 + math.cos(math.pi * done))
    return spec.learning_rate


def clip_gradients(weights: dict[str, nn.Parameter], max_norm: float) -> float:
    """Scales the gradients to at most `max_norm` together; returns their norm before."""
    # A list and not a generator: torch walks through it twice, once for the norm and once to clip.
    return float(processes.accelerator().clip_grad_norm_(list(weights.values()), max_norm))


def _refuse_nonsense(run: Run, loss: float, grad_norm: float, learning_rate: float) -> None:
    """An fp16 scaler finds its scale by overflowing now and then: that step is skipped, and nothing is wrong."""
    scaler = processes.accelerator().scaler
    overflows = scaler is not None and scaler.get_scale() >= 1
    if math.isfinite(loss) and (math.isfinite(grad_norm) or overflows):
        return
    raise Diverged(
        f"the training diverged at step {run.step + 1}: loss {loss}, gradient norm {grad_norm}, learning rate"
        f" {learning_rate:g}. Checkpoints up to step {run.checkpoint_step} are kept. Clone the run with a learning rate"
        f" of {run.spec.learning_rate / 3:.1g}, a longer warm-up, or a smaller max_grad_norm"
    )


# -- what it stands on ------------------------------------------------------------------------------------------------


@contextmanager
def trainable_lora(base: Base, spec: TrainSpec) -> Iterator[dict[str, nn.Parameter]]:
    """A fresh LoRA in fp32 on the base's UNet; leaves the base clean."""
    unet = base.pipeline.unet
    set_seed(spec.seed % 2**32)
    try:
        weights = add_trainable_lora(unet, spec.rank, spec.lora_alpha, spec.seed % 2**63, spec.lora_targets)
        if spec.gradient_checkpointing:
            unet.enable_gradient_checkpointing()
        unet.train()
        yield weights
    finally:
        unet.disable_gradient_checkpointing()
        unload_loras(base)
        unet.eval()


@contextmanager
def prepared(
    base: Base, spec: TrainSpec, weights: dict[str, nn.Parameter]
) -> Iterator[tuple[nn.Module, AcceleratedOptimizer]]:
    """UNet and AdamW as accelerate wants them: in many processes gradients are averaged, in fp16 the loss is scaled."""
    accelerator = processes.accelerator()
    scaler_before = accelerator.scaler.state_dict() if accelerator.scaler else None
    adamw = torch.optim.AdamW(
        list(weights.values()),
        lr=spec.learning_rate,
        betas=(spec.adam_beta1, spec.adam_beta2),
        eps=spec.adam_epsilon,
        weight_decay=spec.adam_weight_decay,
    )
    unet, optimizer = accelerator.prepare(base.pipeline.unet, adamw)
    try:
        yield unet, optimizer
    finally:
        accelerator.unwrap_model(unet, keep_fp32_wrapper=False)
        accelerator.free_memory()
        if scaler_before:
            accelerator.scaler.load_state_dict(scaler_before)  # the next run starts with a fresh one


def _encode(
    base: Base, spec: TrainSpec, inputs: TrainInputs, tell: _Preparing
) -> tuple[Encoded, Encoded | None, dict[str, Tensor]]:
    """(photos to learn from, held-out photos, embeddings of the validation prompts); the encoders are gone then."""
    cache = EncodingCache(Path(inputs.cache_dir or Path(inputs.output_dir) / "cache"), base.folder)
    learned, unseen = _split(inputs.photos)
    with processes.accelerator().main_process_first():  # the others find everything in the cache
        data = encode(base, learned, spec.resolution, spec.trigger_words, cache, tell)
        held_out = encode(base, unseen, spec.resolution, spec.trigger_words, cache, tell) if unseen else None
        keys = encode_texts(base, cache, ["", *spec.validation_prompts], tell)
    base.let_go(*ENCODERS)
    return data, held_out, {text: cache.read("texts", key)["embedding"] for text, key in keys.items()}


def _split(photos: tuple[PhotoInput, ...]) -> tuple[list[PhotoInput], list[PhotoInput]]:
    learned = [photo for photo in photos if not photo.held_out]
    return learned, [photo for photo in photos if photo.held_out]


class _Preparing:
    """Says how far the preparation is, and can be stopped meanwhile."""

    def __init__(self, spec: TrainSpec, facts: dict[str, Any], emit: Emit, should_stop: ShouldStop) -> None:
        self._step, self._total = facts.get("step", 0), spec.max_train_steps
        self._emit, self._should_stop = emit, processes.on_its_own(should_stop)

    def __call__(self, message: str) -> None:
        check_stop(self._should_stop)
        self._emit("step", step=self._step, total=self._total, message=message)


# -- telling ----------------------------------------------------------------------------------------------------------


class Speed:
    """Seconds per optimizer step, over the last ones."""

    def __init__(self) -> None:
        self._seconds: deque[float] = deque(maxlen=SPEED_OVER_STEPS)
        self.micro_batch_seconds = 0.0

    def add(self, seconds: float) -> None:
        self._seconds.append(seconds)

    @property
    def seconds_per_step(self) -> float:
        return sum(self._seconds) / len(self._seconds) if self._seconds else 0.0


def _tell_step(run: Run, message: str, **fields: Any) -> None:
    pace = run.speed.seconds_per_step
    run.emit(
        "step",
        step=run.step,
        total=run.spec.max_train_steps,
        message=message,
        seconds_per_step=round(pace, 4),
        eta_seconds=round(pace * (run.spec.max_train_steps - run.step), 1),
        micro_batch_seconds=round(run.speed.micro_batch_seconds, 3),
        **fields,
    )


def _tell_micro_batch(run: Run, part: int, seconds: float) -> None:
    run.speed.micro_batch_seconds = max(seconds, 0.9 * run.speed.micro_batch_seconds)
    if seconds > SLOW_MICRO_BATCH_SECONDS:
        parts = run.spec.gradient_accumulation_steps
        _tell_step(run, f"Step {run.step + 1}, micro-batch {part + 1} of {parts}")


class Curve:
    """The loss curve: at most MAX_METRICS points, each the mean over the steps since the one before.

    The losses since the last point are part of the state, so that an interruption changes no point.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._every = max(1, run.spec.max_train_steps // MAX_METRICS)
        self._seconds: list[float] = []

    def add(self, loss: float, learning_rate: float, grad_norm: float, seconds: float) -> None:
        self._run.window.append(loss)
        self._seconds.append(seconds)
        due = self._run.step % self._every == 0 or self._run.step == self._run.spec.max_train_steps
        if not due or not math.isfinite(grad_norm):  # a step that the fp16 scaler skipped is no point of the curve
            return
        self._run.emit(
            "metric",
            step=self._run.step,
            loss=sum(self._run.window) / len(self._run.window),
            learning_rate=learning_rate,
            grad_norm=grad_norm,
            seconds=round(sum(self._seconds) / len(self._seconds), 4),
            memory_bytes=most_memory_held(),
        )
        self._seconds = []
        self._run.window.clear()


# -- checkpoints ------------------------------------------------------------------------------------------------------


def save(run: Run, *, partial: bool, validation_loss: float | None = None) -> None:
    """The state to resume from and, unless `partial`, the LoRA file for the world."""
    if not partial:
        run.checkpoint_step = run.step
    if processes.is_first():
        state_path = publish(run.output / f"checkpoint-{run.step}.state.safetensors", _state_of(run))
        path = ""
        if not partial:
            path = str(publish(run.output / f"checkpoint-{run.step}.safetensors", _lora_bytes(run)))
        run.emit("checkpoint", step=run.step, path=path, state_path=str(state_path), partial=partial,
                 rank=run.spec.rank, lora_alpha=run.spec.lora_alpha, validation_loss=validation_loss)  # fmt: skip
    run.saved_step, run.saved_at = run.step, time.monotonic()


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


def _state_of(run: Run) -> bytes:
    scaler = processes.accelerator().scaler
    facts = {
        "step": run.step,
        "position": run.position,
        "validated_step": run.validated_step,
        "checkpoint_step": run.checkpoint_step,
        "window": run.window,
        "base": run.base_fingerprint,
        "spec": run.spec.to_dict(),
        "dataset_hash": run.dataset_hash,
    }
    return state_bytes(run.weights, run.optimizer.optimizer, scaler.state_dict() if scaler else {}, facts)


def _check_same_run(spec: TrainSpec, inputs: TrainInputs, base_fingerprint: str, facts: dict[str, Any]) -> None:
    if not facts:
        return
    check_same_recipe(spec, facts["spec"])
    if facts.get("base", base_fingerprint) != base_fingerprint:
        raise SpecError("base_model", "has other files than when the kept state was trained; put the old ones back, or"
                        " clone the run")  # fmt: skip
    if facts.get("dataset_hash", inputs.dataset_hash) != inputs.dataset_hash:
        raise SpecError("dataset", "holds other photos or captions than the kept state was trained on")


def _restore(run: Run, state: str, facts: dict[str, Any]) -> None:
    restore_state(state, run.weights, run.optimizer.optimizer)
    run.step = run.saved_step = facts["step"]
    run.position = facts.get("position", run.step * run.spec.effective_batch_size)
    run.validated_step = facts["validated_step"]
    run.checkpoint_step = facts.get("checkpoint_step", 0)
    run.window = facts.get("window", [])
    scaler = processes.accelerator().scaler
    if scaler and facts.get("scaler"):
        scaler.load_state_dict(facts["scaler"])


def _damaged(problem: str) -> str:
    return f"Going on from the state before: {problem}."
