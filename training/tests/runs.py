"""Runs for tests: real rows and files, and a worker's hand instead of a worker."""

from __future__ import annotations

from typing import Any

from shoesai import files
from shoesai.engine.specs import TrainSpec
from shoesai.jobs import queue
from shoesai.jobs.queue import Claim
from shoesai.models import User
from shoesai.testing import png_bytes, starter
from training import results
from training.models import Checkpoint, Dataset, DatasetVersion, Photo, TrainingRun
from training.services import start_training

SMALL: dict[str, Any] = {"resolution": 128, "max_train_steps": 100, "lr_warmup_steps": 10, "checkpointing_steps": 10}


def photos_version(owner: User, name: str = "casual", photos: int = 6) -> DatasetVersion:
    """Plain colours with captions."""
    dataset = Dataset.objects.get_or_create(owner=owner, name=name, defaults={"team": owner.home_team()})[0]
    number = dataset.versions.count() + 1
    version = DatasetVersion.objects.create(
        dataset=dataset, number=number, content_hash=f"{number:064x}", photo_count=photos
    )
    for position in range(photos):
        blob = files.publish(png_bytes(f"#{position:02x}{number:02x}40", 128), "image/png")
        Photo.objects.create(
            version=version, position=position, file_name=f"{position}.png", caption=f"shoe {position}", blob=blob,
            width=128, height=128,
        )  # fmt: skip
    return version


def queued_run(owner: User, name: str = "spring", *, notify: bool = False, **settings: Any) -> TrainingRun:
    return start_training(
        user=owner,
        name=name,
        dataset_version=photos_version(owner),
        base_model=starter(),
        spec=TrainSpec(**{**SMALL, **settings}),
        notify=notify,
    )


def taken(run: TrainingRun) -> Claim:
    """Its queued job in a worker's hand."""
    job = run.newest_job()
    claim = queue.claim("gpu", only=job)
    assert claim
    return claim


def kept_checkpoint(run: TrainingRun, step: int, loss: float | None = None, data: bytes = b"") -> Checkpoint:
    """As `training.tasks` keeps what the engine has written."""
    event = {"step": step, "rank": 8, "lora_alpha": 16.0, "validation_loss": loss}
    return results.keep_checkpoint(run, event, data or f"LoRA of {run.name} after {step} steps".encode())


def kept_state(run: TrainingRun, step: int, data: bytes = b"") -> None:
    results.keep_state(run, step, data or f"state of {run.name} after {step} steps".encode())
