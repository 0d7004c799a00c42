"""What a training resumes from: one safetensors file with weights, optimizer, scaler, random states and position.

The learning rate and the order of the photos are functions of `step` and `position` (see `learning_rate_at` and
dataset.py), so these two are the state of scheduler and sampler. Nothing is pickled: states of Python's and NumPy's
random generators are plain numbers, and torch's are tensors of bytes.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import torch
from torch import Tensor, nn

from shoesai.engine.device import current, to_device
from shoesai.engine.lora import safetensors_bytes
from shoesai.engine.specs import SpecError, StateInput, TrainSpec

AVERAGES = ("exp_avg", "exp_avg_sq")
MOMENTS = (*AVERAGES, "step")  # what AdamW remembers per weight
# Settings that a run may be resumed with another value of, because they change no weight.
HARMLESS = {"max_train_minutes", "checkpointing_steps", "milestone_steps", "validation_steps", "validation_prompts",
            "validation_seeds", "validation_guidance_scale", "gradient_checkpointing", "version"}  # fmt: skip


class DamagedState(ValueError):
    """The file is not what was kept: cut off, changed, or gone."""


def state_bytes(
    weights: dict[str, nn.Parameter],
    optimizer: torch.optim.Optimizer,
    scaler: dict[str, Any],
    facts: dict[str, Any],
) -> bytes:
    """`facts` are JSON values that `read_facts` gives back; equal states give equal bytes."""
    tensors = {f"rng/{name}": state for name, state in _torch_random_states().items()}
    for name, weight in weights.items():
        tensors[f"weight/{name}"] = weight.detach().cpu().contiguous()
        remembered = optimizer.state.get(weight) or _nothing_yet(weight)
        for moment in MOMENTS:
            tensors[f"{moment}/{name}"] = remembered[moment].detach().cpu().contiguous()
    metadata = facts | {"scaler": scaler, "random": _plain_random_states()}
    return safetensors_bytes(tensors, {key: json.dumps(value, sort_keys=True) for key, value in metadata.items()})


def _nothing_yet(weight: nn.Parameter) -> dict[str, Tensor]:
    """AdamW before its first step: an fp16 scaler skips steps until it has found its scale."""
    return {"exp_avg": torch.zeros_like(weight), "exp_avg_sq": torch.zeros_like(weight), "step": torch.zeros(())}


def newest_good_state(states: Sequence[StateInput], tell_damaged: Any) -> str | None:
    """The first of the kept states (newest first) whose bytes are those that were kept; None when none was kept.

    Raises DamagedState when all are damaged: to begin again at step 0 would look like going on.
    """
    for state in states:
        try:
            _check_digest(state)
        except DamagedState as problem:
            tell_damaged(str(problem))
        else:
            return state.path
    if states:
        raise DamagedState("every kept state of this run is damaged; start a new run (clone it) instead")
    return None


def _check_digest(state: StateInput) -> None:
    try:
        with Path(state.path).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DamagedState(f"a kept state cannot be read ({error.strerror})") from error
    if digest != state.sha256:
        raise DamagedState("a kept state is not what was written (its SHA-256 differs)")


def read_facts(path: str) -> dict[str, Any]:
    with _opened(path) as state:
        return {key: json.loads(value) for key, value in state.metadata().items()}


def check_same_recipe(spec: TrainSpec, saved: dict[str, Any]) -> None:
    """Raises SpecError naming the first setting that differs: such a run would be neither the old nor the new one."""
    before = saved if isinstance(saved, dict) else json.loads(saved)
    for name, value in json.loads(spec.to_json()).items():
        if name not in HARMLESS and name in before and before[name] != value:
            raise SpecError(name, f"is {value!r}, but the kept state was trained with {before[name]!r}; clone the run"
                            " to change its settings")


def restore_state(path: str, weights: dict[str, nn.Parameter], optimizer: torch.optim.Optimizer) -> None:
    """Weights, optimizer and random states, in place. Raises SpecError for a state of another LoRA or base."""
    with _opened(path) as state:
        names = {key.removeprefix("weight/") for key in state.keys() if key.startswith("weight/")}  # noqa: SIM118
        if names != set(weights):
            raise ValueError("it belongs to another kind of LoRA or base model")
        for name, weight in weights.items():
            _restore_weight(state, name, weight, optimizer)
        _restore_random_states(state)


def _restore_weight(state: Any, name: str, weight: nn.Parameter, optimizer: torch.optim.Optimizer) -> None:
    saved = state.get_tensor(f"weight/{name}")
    if saved.shape != weight.shape:
        raise ValueError(f"{name} has the shape {tuple(saved.shape)}, not {tuple(weight.shape)}")
    with torch.no_grad():
        weight.copy_(saved)
    averages = {moment: to_device(state.get_tensor(f"{moment}/{name}")) for moment in AVERAGES}
    # AdamW keeps its step counter on the CPU
    optimizer.state[weight] = {"step": state.get_tensor(f"step/{name}"), **averages}


@contextmanager
def _opened(path: str) -> Iterator[Any]:
    try:
        with safetensors.safe_open(path, "pt") as state:
            yield state
    except SpecError:
        raise
    except (OSError, KeyError, TypeError, ValueError, safetensors.SafetensorError) as error:
        # Not an OSError's own words: they hold a path of this machine.
        words = (error.strerror or "it cannot be read") if isinstance(error, OSError) else error
        raise SpecError("resume_from", f"is not a state of this training: {words}") from error


# -- chance -----------------------------------------------------------------------------------------------------------
# Our own code draws from generators of its own; these are for layers of a base model that have dropout.


def _torch_random_states() -> dict[str, Tensor]:
    states = {"cpu": torch.get_rng_state()}
    if current().kind == "cuda":
        states["cuda"] = torch.cuda.get_rng_state()
    elif current().kind == "mps":
        states["mps"] = torch.mps.get_rng_state()
    return states


def _plain_random_states() -> dict[str, Any]:
    version, numbers, gauss = random.getstate()
    name, keys, position, has_gauss, cached = np.random.get_state()
    numpy_state = [name, np.asarray(keys).tolist(), position, has_gauss, cached]
    return {"python": [version, list(numbers), gauss], "numpy": numpy_state}


def _restore_random_states(state: Any) -> None:
    names = set(state.keys())
    for kind, restore in (
        ("cpu", torch.set_rng_state),
        ("cuda", torch.cuda.set_rng_state),
        ("mps", torch.mps.set_rng_state),
    ):
        if f"rng/{kind}" in names and kind in ("cpu", current().kind):
            restore(state.get_tensor(f"rng/{kind}"))
    plain = json.loads(state.metadata().get("random", "{}"))
    if plain:
        version, numbers, gauss = plain["python"]
        random.setstate((version, tuple(numbers), gauss))
        name, keys, *rest = plain["numpy"]
        np.random.set_state((name, np.array(keys, dtype=np.uint32), *rest))
