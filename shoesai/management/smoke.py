"""Proof that this machine can do it: one training step and one picture through the real queue, then tidied away."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any

import numpy as np
from django.conf import settings
from django.core.management.base import CommandError

from generation.models import Generation
from generation.services import GenerationRequest, request_generation
from shoesai.accounts import local_user
from shoesai.engine.specs import TrainSpec
from shoesai.jobs import queue
from shoesai.models import Job, User
from shoesai.pictures import read_picture
from shoesai.site import start_worker, stop_all
from shoesai.starter import draw
from shoesai.terminal import finished, follow, somebody_works
from training.datasets.importing import import_photos
from training.importers import PhotoFile
from training.models import BaseModel, Dataset, TrainingRun
from training.services import start_training

PHOTOS = 2
STEPS_OF_THE_PICTURE = 4
WORKER_ANSWERS_SECONDS = 6.0
WORKER_STARTS_SECONDS = 60.0
PATIENCE_SECONDS = 600.0


def smoke(user: User, *, quiet: bool = False) -> dict[str, Any]:
    """Seconds for each part and the device it ran on. Raises CommandError with what failed."""
    name = f"environment-check-{uuid.uuid4().hex[:8]}"
    try:
        with a_worker() as started_here:
            before = time.monotonic()
            training = finished(_train(user, name), "Training one step", quiet=quiet, timeout=PATIENCE_SECONDS)
            trained = time.monotonic()
            picture = _generate(user, f"{name}/checkpoint-1")
            finished(picture.job, "Making one picture", quiet=quiet, timeout=PATIENCE_SECONDS)
            return {
                "device": training.result.get("device", ""),
                "worker": "started for this check" if started_here else "the one that runs",
                "train_seconds": round(trained - before, 2),
                "picture_seconds": round(time.monotonic() - trained, 2),
            }
    finally:
        _tidy(user, name)


@contextmanager
def a_worker() -> Iterator[bool]:
    """Uses the worker that answers; starts one for the while when none does."""
    if worker_answers(WORKER_ANSWERS_SECONDS):
        yield False
        return
    worker = start_worker()
    try:
        deadline = time.monotonic() + WORKER_STARTS_SECONDS
        while not worker_answers(2.0):
            if worker.poll() is not None or time.monotonic() > deadline:
                raise CommandError(f"The worker does not start: read {settings.LOG_DIR / 'worker.log'}.")
        yield True
    finally:
        stop_all(worker)


def worker_answers(patience: float) -> bool:
    """A canary comes back, or a job of the lane has a beating heart."""
    if somebody_works("gpu"):
        return True
    canary = queue.enqueue(owner=local_user(), kind="canary.gpu")
    ended = follow(canary, "Looking for a worker", quiet=True, timeout=patience, only_watch=True)
    queue.request_cancel(canary)
    return ended.state != Job.State.QUEUED


def _train(user: User, name: str) -> Job:
    base = BaseModel.objects.get(name="starter")
    spec = TrainSpec(
        resolution=base.resolution,
        train_batch_size=1,
        gradient_accumulation_steps=1,
        lr_warmup_steps=0,
        max_train_steps=1,
        checkpointing_steps=1,
        validation_steps=0,
    )
    version = import_photos(user=user, name=name, photos=_drawn_photos(base.resolution))
    run = start_training(user=user, name=name, dataset_version=version, base_model=base, spec=spec)
    return run.jobs.get()


def _drawn_photos(size: int) -> Iterator[PhotoFile]:
    rng = np.random.default_rng(1)
    for seed in range(PHOTOS):
        shoe = draw.random_shoe(rng)
        out = BytesIO()
        draw.draw_catalogue(shoe, seed, size).save(out, "PNG")
        yield PhotoFile(f"{seed}.png", draw.caption(shoe, rng), read_picture(out.getvalue()))


def _generate(user: User, model: str) -> Generation:
    request = GenerationRequest(
        prompt="a photo of red sneakers", model_name=model, seed=1, num_inference_steps=STEPS_OF_THE_PICTURE
    )
    return request_generation(user=user, request=request)


def _tidy(user: User, name: str) -> None:
    """The check leaves no rows behind: nobody wants its run in the catalogue or its picture in the gallery."""
    Job.objects.filter(generation__model_name__startswith=f"{name}/", owner=user).delete()
    Job.objects.filter(training_runs__name=name).delete()
    TrainingRun.objects.filter(name=name).delete()
    Dataset.objects.filter(owner=user, name=name).delete()
