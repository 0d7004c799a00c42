"""Short trainings for tests."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from shoesai.engine import trainer
from shoesai.engine.specs import PhotoInput, StateInput, TrainInputs, TrainSpec
from shoesai.engine.tests.conftest import NEVER, Recorder

Photos = tuple[PhotoInput, ...]
SPEC = TrainSpec(
    resolution=64, train_batch_size=2, gradient_accumulation_steps=2, learning_rate=1e-3, lr_warmup_steps=3,
    max_train_steps=6, checkpointing_steps=3, validation_steps=0, rank=2, lora_alpha=6, gradient_checkpointing=False,
    caption_dropout=0.2, seed=2**64 - 1,
)  # fmt: skip


def trained(
    spec: TrainSpec,
    folder: str,
    photos: Photos,
    output: Path,
    resume_from: Sequence[StateInput] = (),
    should_stop: Callable[[], str | None] = NEVER,
    emitted: Recorder | None = None,
) -> Recorder:
    output.mkdir(parents=True, exist_ok=True)
    emitted = emitted or Recorder()
    trainer.train(spec, TrainInputs(folder, photos, str(output), tuple(resume_from), "photos"), emitted, should_stop)
    return emitted


def kept_state(checkpoint: dict[str, Any]) -> StateInput:
    """As the other side keeps it: by the hash of its bytes."""
    path = checkpoint["state_path"]
    return StateInput(path, hashlib.sha256(Path(path).read_bytes()).hexdigest())


def stop_when(emitted: Recorder, event: str, count: int, reason: str) -> Callable[[], str | None]:
    return lambda: reason if len(emitted[event]) >= count else None


def final_bytes(emitted: Recorder) -> bytes:
    return Path(emitted["checkpoint"][-1]["path"]).read_bytes()


def losses(*runs: Recorder) -> list[float]:
    """Of every optimizer step, in the order of the runs."""
    return [event["loss"] for emitted in runs for event in emitted["step"] if "loss" in event]


def held_out(photos: Photos, count: int) -> Photos:
    unseen = [PhotoInput(photo.path, photo.caption, photo.sha256, held_out=True) for photo in photos[:count]]
    return (*unseen, *photos[count:])
