"""The queue's side of training: spec from the row, engine, results to the services."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from django.conf import settings

from shoesai import files
from shoesai.engine.specs import (
    BaseFolder,
    BaseSpec,
    CheckLoraInputs,
    CheckLoraSpec,
    GenerateInputs,
    GenerateSpec,
    ImageUnit,
    MergeInputs,
    MergeSpec,
    NewBaseInputs,
    PhotoInput,
    StateInput,
    TrainInputs,
    TrainSpec,
)
from shoesai.jobs import queue
from shoesai.jobs.engine_child import Event
from shoesai.jobs.queue import Claim, JobFailed
from shoesai.jobs.runner import Handlers, advance, drive_engine
from training import base_models, demo, results
from training.datasets.importing import import_photos
from training.holdout import held_out, kin_of
from training.importers import read_captions_json
from training.measuring import MEASURED
from training.models import BaseModel, Checkpoint, DatasetVersion, TrainingRun
from training.scan import scan
from training.services import start_training
from training.signals import checkpoint_kept
from training.work import MERGED_FROM, of_claim, writing


def train_lora(claim: Claim) -> dict[str, Any]:
    """Trains from the last kept state to the end of the spec."""
    run = TrainingRun.objects.select_related("base_model", "dataset_version").get(pk=claim.job.spec["run"])
    clock = _Clock(claim, run)

    def on_begun(event: Event) -> None:
        with claim.committing():
            results.keep_beginning(run, event)

    def on_metric(event: Event) -> None:
        with claim.committing():
            results.keep_metric(run, event)

    def on_validation(event: Event) -> None:
        with claim.committing():
            results.keep_validation_loss(run, event)

    def on_checkpoint(event: Event) -> None:
        state, lora = Path(event["state_path"]), None if event["partial"] else Path(event["path"])
        with clock.committing():
            if lora:
                results.keep_checkpoint(run, event, lora.read_bytes())
            results.keep_state(run, event["step"], state.read_bytes())
            if lora:
                checkpoint_kept.send(TrainingRun, run=run)
        _unlink(state, lora)

    def on_sample(event: Event) -> None:
        with claim.committing():
            results.keep_validation_image(run, event, Path(event["path"]).read_bytes())
        _unlink(Path(event["path"]))

    def on_note(event: Event) -> None:
        with claim.committing():
            results.note(run, event["message"], step=event["step"])

    handlers: Handlers = {
        "begun": on_begun,
        "metric": on_metric,
        "validation": on_validation,
        "checkpoint": on_checkpoint,
        "sample": on_sample,
        "note": on_note,
    }
    try:
        with of_claim(claim) as output:
            done = drive_engine(claim, TrainSpec.from_dict(run.spec), _inputs_of(run, output), handlers)
    finally:
        clock.add()  # of every stretch, however it ended
    return {"seconds": done["seconds"], "device": done.get("device", "")}


class _Clock:
    """Adds the time of a stretch to its run with each state that is kept: one that is killed is counted up to there."""

    def __init__(self, claim: Claim, run: TrainingRun) -> None:
        self._claim, self._run = claim, run
        self._added = time.monotonic()

    def add(self) -> None:
        now = time.monotonic()
        results.add_train_seconds(self._run, now - self._added)
        self._added = now

    @contextmanager
    def committing(self) -> Iterator[None]:
        """`Claim.committing` in which the time since the last addition is added; when it fails it still is to be."""
        before = self._added
        try:
            with self._claim.committing():
                self.add()
                yield
        except BaseException:
            self._added = before
            raise


def _unlink(*paths: Path | None) -> None:
    """What the engine wrote and the rows have now: for a long training it would all lie there twice."""
    for path in paths:
        if path:
            path.unlink(missing_ok=True)


def _inputs_of(run: TrainingRun, output: Path) -> TrainInputs:
    version = run.dataset_version
    assert version
    photos = list(version.photos.order_by("position"))
    unseen = held_out(photos, run.spec.get("validation_fraction", 0.0), run.spec["seed"])
    kin = kin_of(photos, unseen)
    return TrainInputs(
        base_model=str(run.base_model.path),
        photos=tuple(
            PhotoInput(str(files.path_of(photo.blob_id)), photo.caption, photo.blob_id, photo.blob_id in unseen)
            for photo in photos
            if photo.blob_id not in kin
        ),
        output_dir=str(output),
        resume_from=tuple(
            StateInput(str(files.path_of(state.blob_id)), state.blob_id) for state in run.states.order_by("-step")
        ),
        dataset_hash=version.content_hash,
        cache_dir=str(settings.CACHE_DIR),
        seconds_before=run.train_seconds,
    )


def measure_training(claim: Claim) -> dict[str, Any]:
    """A few steps of a recipe on made-up data, so that a plan can say how long it takes and what it holds."""
    base = BaseModel.objects.filter(pk=claim.job.spec["base_model"]).first()
    if base is None:
        raise JobFailed("no_base_model", "The base model was removed before it could be measured.")
    output = Path(settings.WORK_DIR) / str(claim.job.pk)
    inputs = TrainInputs(base_model=str(base.path), photos=(), output_dir=str(output))
    done = drive_engine(claim, TrainSpec.from_dict(claim.job.spec["train"]), inputs, {}, operation="measure")
    return {name: done[name] for name in MEASURED}


def make_demo(claim: Claim) -> dict[str, Any]:
    """Draws and imports the demo's photos and queues the short training on them; a restart makes nothing twice."""
    owner, base = claim.job.owner, BaseModel.objects.filter(name="starter").first()
    if base is None:
        raise JobFailed("no_base_model", "The starter model was removed, so there is nothing to train.")
    with of_claim(claim) as folder:
        demo.draw_dataset(folder, partial(advance, claim, message="Drawing photos"))
        photos = read_captions_json(folder, partial(advance, claim, message="Importing photos"))
        version = import_photos(user=owner, name=demo.DATASET, photos=photos)
    with queue.accepting(owner), claim.committing():  # in this order, as everywhere: owner, then job
        run = _start_demo_training(claim, version, base)
    return {"dataset_version": str(version.pk), "run": str(run.pk)}


def _start_demo_training(claim: Claim, version: DatasetVersion, base: BaseModel) -> TrainingRun:
    try:
        return start_training(
            user=claim.job.owner,
            name=demo.free_run_name(),
            dataset_version=version,
            base_model=base,
            spec=demo.RECIPE,
            idempotency_key=f"demo-{claim.job.pk}",
        )
    except queue.QuotaReached as error:
        raise JobFailed("quota_reached", str(error)) from error


def scan_models(claim: Claim) -> dict[str, Any]:
    return scan(claim.job.owner).to_dict()


def add_base_model(claim: Claim) -> dict[str, Any]:
    """Makes, converts or copies a base model beside its place, has the engine check it, and moves it into place."""
    new = base_models.NewBase(**claim.job.spec["base"])
    with base_models.staging(claim.job, new.name) as folder:
        staged = None if new.how == base_models.IN_PLACE else folder
        if staged:
            inputs = NewBaseInputs(output_dir=str(staged), source=new.source, tokenizer=new.tokenizer)
            drive_engine(claim, new.spec, inputs, {}, operation=base_models.OPERATIONS[new.how])
        there = BaseFolder(str(staged or new.source))
        done = drive_engine(claim, BaseSpec(new.family), there, {}, operation="check_base")
        with claim.committing():
            base = base_models.publish(new, staged, done["sha256"])
    return {"base_model": base.name, **{name: done[name] for name in ("sha256", "parameters", "bytes")}}


def merge_lora(claim: Claim) -> dict[str, Any]:
    """The checkpoint fused into its base, as a folder that the one who asked takes away."""
    checkpoint = _checkpoint_of(claim)
    with writing(claim.job) as folder:
        inputs = MergeInputs(
            base_model=str(checkpoint.run.base_model.path),
            lora=str(files.path_of(checkpoint.blob_id)),
            output_dir=str(folder),
        )
        done = drive_engine(claim, MergeSpec(claim.job.spec["precision"]), inputs, {})
        facts = {name: done[name] for name in ("modules", "scale", "precision")}
        (folder / MERGED_FROM).write_text(json.dumps({**_origin(checkpoint), **facts}, indent=2) + "\n", "utf-8")
    return {**facts, "seconds": done["seconds"]}


def _origin(checkpoint: Checkpoint) -> dict[str, Any]:
    base = checkpoint.run.base_model
    return {
        "checkpoint": checkpoint.name,
        "lora_sha256": checkpoint.blob_id,
        "base_model": base.name,
        "base_model_sha256": base.sha256,
    }


def check_lora(claim: Claim) -> dict[str, Any]:
    """Whether a LoRA loads on a base in the engine, and how much it changes there."""
    base = BaseModel.objects.filter(pk=claim.job.spec["base_model"]).first()
    if base is None:
        raise JobFailed("no_base_model", "The base model was removed before the LoRA could be checked.")
    inputs = CheckLoraInputs(base_model=str(base.path), lora=str(files.path_of(claim.job.spec["blob"])))
    done = drive_engine(claim, CheckLoraSpec(), inputs, {})
    return {name: done[name] for name in ("change", "output", "seconds")}


def try_checkpoint(claim: Claim) -> dict[str, Any]:
    """The same picture twice, as `without.png` and `with.png`: by the bare base, and with the checkpoint on it."""
    checkpoint, wish = _checkpoint_of(claim), claim.job.spec
    base, lora = checkpoint.run.base_model, str(files.path_of(checkpoint.blob_id))
    spec = GenerateSpec(
        prompt=wish["prompt"],
        width=base.resolution,
        height=base.resolution,
        images=(ImageUnit(seq=0, seed=wish["seed"]),),
        num_inference_steps=wish["steps"],
        guidance_scale=base.guidance_scale,
    )
    seconds = 0.0
    with writing(claim.job) as folder:
        for name, weights, loras in (("without", (), ()), ("with", (1.0,), (lora,))):
            (folder / name).mkdir()
            inputs = GenerateInputs(base_model=str(base.path), output_dir=str(folder / name), loras=loras)
            done = drive_engine(claim, replace(spec, lora_weights=weights), inputs, {}, operation="generate")
            (folder / name / "0.png").rename(folder / f"{name}.png")
            seconds += done["seconds"]
    return {"seconds": round(seconds, 3)}


def _checkpoint_of(claim: Claim) -> Checkpoint:
    checkpoint = (
        Checkpoint.objects.select_related("run__base_model").filter(pk=claim.job.spec["checkpoint"]).first()
    )
    if checkpoint is None:
        raise JobFailed("no_checkpoint", "The checkpoint was deleted before its turn came.")
    return checkpoint
