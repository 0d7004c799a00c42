"""Whole jobs through a real `manage.py worker`: django-q2 clusters, engine child, tiny model with real classes."""

from __future__ import annotations

import hashlib
import os
import signal
from pathlib import Path

import psutil
import pytest
from django.conf import settings

from generation.models import GeneratedImage, Generation
from generation.services import GenerationRequest, request_generation
from shoesai import files
from shoesai.engine.specs import TrainSpec
from shoesai.jobs import queue
from shoesai.models import Blob, Job, User
from shoesai.testing import WorkerTestCase, png_bytes
from training.models import Dataset, DatasetVersion, Photo, TrainingRun
from training.services import start_training

pytestmark = pytest.mark.cluster

STEPS = 4
RECIPE = TrainSpec(
    resolution=64, train_batch_size=1, gradient_accumulation_steps=1, learning_rate=1e-3, lr_warmup_steps=0,
    max_train_steps=40, checkpointing_steps=10, validation_steps=0, rank=2, lora_alpha=4, gradient_checkpointing=False,
)


def ask_for(owner: User, *, pictures: int = 1, steps: int = STEPS, model: str = "tiny") -> Generation:
    return request_generation(
        user=owner,
        request=GenerationRequest(
            prompt="red sneakers", model_name=model, num_images=pictures, num_inference_steps=steps, seed=7
        ),
    )


def some_photos(owner: User) -> DatasetVersion:
    version = DatasetVersion.objects.create(
        dataset=Dataset.objects.create(owner=owner, name="photos"), number=1, content_hash="0" * 64, photo_count=2
    )
    for position, colour in enumerate(("red", "blue")):
        Photo.objects.create(
            version=version, position=position, file_name=f"{colour}.png", caption=f"{colour} sneakers",
            blob=files.publish(png_bytes(colour), "image/png"), width=64, height=64,
        )
    return version


def processes(word: str) -> list[psutil.Process]:
    """Processes below this test's worker whose command line has the word."""
    return [
        process
        for process in psutil.process_iter(["cmdline", "environ"])
        if word in " ".join(process.info["cmdline"] or [])
        and (process.info["environ"] or {}).get("SHOESAI_DATA_DIR") == str(settings.DATA_DIR)
    ]


def engine() -> psutil.Process:
    (child,) = processes("shoesai.engine")
    return child


class WorkerTests(WorkerTestCase):
    def assert_complete(self, generation: Generation) -> None:
        images = list(GeneratedImage.objects.filter(generation=generation).order_by("seq"))
        assert [image.seq for image in images] == list(range(generation.num_images))
        for image in images:
            assert hashlib.sha256(files.read(image.blob)).hexdigest() == image.blob_id

    def test_a_request_becomes_pictures_and_the_warm_engine_serves_the_next_one(self) -> None:
        first = ask_for(self.alice, pictures=2)
        assert self.wait_until_final(first.job).state == Job.State.SUCCEEDED
        self.assert_complete(first)
        child = engine().pid
        second = ask_for(self.bob)
        assert self.wait_until_final(second.job).state == Job.State.SUCCEEDED
        assert engine().pid == child
        for process in processes("qcluster"):
            assert "libtorch" not in Path(f"/proc/{process.pid}/maps").read_text(), "torch in a django-q2 process"

    def test_killing_the_engine_mid_job_doubles_nothing_and_the_next_job_works(self) -> None:
        generation = ask_for(self.alice, pictures=6, steps=100)
        self.wait_for(lambda: generation.images.count() >= 1)
        engine().kill()
        assert self.wait_until_final(generation.job).state == Job.State.SUCCEEDED
        assert generation.job.lost_attempts == 1
        self.assert_complete(generation)
        after = ask_for(self.alice)
        assert self.wait_until_final(after.job).state == Job.State.SUCCEEDED

    def test_cancelling_stops_a_running_job_and_keeps_what_was_finished(self) -> None:
        generation = ask_for(self.alice, pictures=10, steps=150)
        self.wait_for(lambda: generation.images.count() >= 1)
        queue.request_cancel(generation.job)
        assert self.wait_until_final(generation.job, 20).state == Job.State.CANCELLED
        assert 1 <= generation.images.count() < 10
        after = ask_for(self.alice)
        assert self.wait_until_final(after.job).state == Job.State.SUCCEEDED

    def test_a_training_steps_aside_for_a_generation_and_then_goes_on(self) -> None:
        run = self.start_run("patient", max_train_steps=400)
        self.wait_for(lambda: run.metrics.exists())
        generation = ask_for(self.bob)
        assert self.wait_until_final(generation.job).state == Job.State.SUCCEEDED
        run.refresh_from_db()
        assert run.state != TrainingRun.State.SUCCEEDED
        queue.request_cancel(run.jobs.get())
        self.wait_until_final(run.jobs.get())

    def test_stopping_the_worker_keeps_a_running_training_which_ends_as_if_never_stopped(self) -> None:
        straight = self.start_run("straight")
        self.wait_for_run(straight)
        stopped = self.start_run("stopped")
        self.wait_for(lambda: stopped.metrics.exists())
        self.stop_worker()
        job = stopped.jobs.get()
        assert job.state == Job.State.QUEUED and job.lost_attempts == 0
        assert processes("shoesai.engine") == [] and processes("qcluster") == []
        self.worker = self.start_worker()
        self.wait_for_run(stopped)
        assert list(straight.checkpoints.values_list("step", "blob")) == list(
            stopped.checkpoints.values_list("step", "blob")
        )

    def test_a_worker_that_is_killed_whole_leaves_no_orphans_that_take_work(self) -> None:
        generation = ask_for(self.alice, pictures=6, steps=100)
        self.wait_for(lambda: generation.images.count() >= 1)
        everyone = processes("qcluster") + processes("shoesai.engine")
        os.kill(self.worker.pid, signal.SIGKILL)
        self.worker.wait()
        self.wait_for(lambda: Job.objects.filter(pk=generation.job_id, state=Job.State.QUEUED).exists(), 30)
        for process in everyone:
            process.kill()
        self.worker = self.start_worker()
        assert self.wait_until_final(generation.job).state == Job.State.SUCCEEDED
        self.assert_complete(generation)

    def test_a_checkpoint_can_be_named_as_a_model(self) -> None:
        run = self.start_run("named", max_train_steps=10)
        self.wait_for_run(run)
        generation = ask_for(self.alice, model="named/checkpoint-10")
        plain = ask_for(self.alice)
        self.wait_until_final(generation.job)
        self.wait_until_final(plain.job)
        assert generation.images.get().blob != plain.images.get().blob
        assert Blob.objects.filter(pk=run.checkpoints.get().blob_id).exists()

    def start_run(self, name: str, **changes: int) -> TrainingRun:
        dataset = Dataset.objects.filter(owner=self.alice).first()
        version = dataset.versions.get() if dataset else some_photos(self.alice)
        spec = TrainSpec.from_dict({**RECIPE.to_dict(), **changes})
        return start_training(
            user=self.alice, name=name, dataset_version=version, base_model=self.base, spec=spec
        )

    def wait_for_run(self, run: TrainingRun) -> None:
        self.wait_for(lambda: TrainingRun.objects.filter(pk=run.pk, state="succeeded").exists(), 120)
