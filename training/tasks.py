"""The queue's side of training: spec from the row, engine, results to the services."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

from django.conf import settings

from shoesai import files
from shoesai.engine.specs import PhotoInput, TrainInputs, TrainSpec
from shoesai.jobs.engine_child import Event
from shoesai.jobs.queue import Claim
from shoesai.jobs.runner import Handlers, drive_engine
from training import services
from training.models import TrainingRun
from training.scan import scan


def train_lora(claim: Claim) -> dict[str, Any]:
    """Trains from the last kept state to the end of the spec."""
    run = TrainingRun.objects.select_related("base_model", "dataset_version").get(pk=claim.job.spec["run"])
    output = Path(settings.WORK_DIR) / str(claim.job.pk)
    output.mkdir(parents=True, exist_ok=True)

    def on_metric(event: Event) -> None:
        with claim.committing():
            services.keep_metric(run, event)

    def on_checkpoint(event: Event) -> None:
        with claim.committing():
            if not event["partial"]:
                services.keep_checkpoint(
                    run, event["step"], Path(event["path"]).read_bytes(), event["rank"], event["lora_alpha"]
                )
            services.keep_state(run, event["step"], Path(event["state_path"]).read_bytes())

    def on_sample(event: Event) -> None:
        with claim.committing():
            services.keep_validation_image(run, event, Path(event["path"]).read_bytes())

    started = time.monotonic()
    handlers: Handlers = {"metric": on_metric, "checkpoint": on_checkpoint, "sample": on_sample}
    try:
        done = drive_engine(claim, TrainSpec.from_dict(run.spec), _inputs_of(run, output), handlers)
    finally:
        shutil.rmtree(output, ignore_errors=True)
        services.add_train_seconds(run, time.monotonic() - started)  # of every stretch, however it ended
    return {"seconds": done["seconds"], "device": done.get("device", "")}


def _inputs_of(run: TrainingRun, output: Path) -> TrainInputs:
    assert run.dataset_version
    photos = run.dataset_version.photos.order_by("position")
    return TrainInputs(
        base_model=str(run.base_model.path),
        photos=tuple(PhotoInput(str(files.path_of(photo.blob_id)), photo.caption) for photo in photos),
        output_dir=str(output),
        resume_from=str(files.path_of(run.resume_blob_id)) if run.resume_blob_id else None,
    )


def scan_models(claim: Claim) -> dict[str, Any]:
    return scan(claim.job.owner).to_dict()
