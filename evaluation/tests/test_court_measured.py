"""The court on checkpoints whose faults are planted: one that copies its photos, and one that is ruined by noise.

Real trainings, real pictures, the starter's features.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load

from evaluation.court_words import refusals
from evaluation.models import Verdict
from evaluation.services import Settings
from evaluation.sittings import request_sitting
from shoesai import files
from shoesai.engine.lora_formats import RawTensor, write_safetensors
from shoesai.engine.specs import TrainSpec
from shoesai.jobs.engine_child import child_of
from shoesai.jobs.tasks import run_here
from shoesai.models import Job
from shoesai.testing import BaseTestCase, starter
from training.models import Checkpoint, TrainingRun
from training.results import keep_checkpoint
from training.services import start_training
from training.tests.datasets_for_tests import drawn, frozen_of

SITTING = Settings(prompts=6, seeds=2, num_inference_steps=15, guidance_scale=1.5)


@pytest.mark.slow
class CourtMeasuredTest(BaseTestCase):
    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.addClassCleanup(child_of("gpu").kill)

    def trained(self, photos: int, **settings: Any) -> TrainingRun:
        spec = TrainSpec(
            resolution=128, gradient_accumulation_steps=1, lr_warmup_steps=5, validation_steps=0,
            gradient_checkpointing=False, seed=2026, **settings,
        )  # fmt: skip
        run = start_training(
            user=self.alice, name="spring", base_model=starter(), spec=spec,
            dataset_version=frozen_of(self.alice, [drawn(number) for number in range(photos)]),
        )  # fmt: skip
        self.done(run.newest_job())
        return run

    def done(self, job: Job | None) -> None:
        assert job
        self.assertTrue(run_here(job))
        job.refresh_from_db()
        self.assertEqual(job.state, Job.State.SUCCEEDED, job.error_text)

    def verdict_on(self, run: TrainingRun) -> Verdict:
        sitting = request_sitting(self.alice, run, SITTING)
        self.done(sitting.job)
        return Verdict.objects.get(run=run)

    def test_a_training_that_learned_four_photos_by_heart_is_caught_copying(self) -> None:
        run = self.trained(
            4, train_batch_size=4, learning_rate=3e-3, lr_scheduler="constant", rank=32, lora_alpha=32,
            max_train_steps=400, checkpointing_steps=400, validation_fraction=0.0,
        )  # fmt: skip
        verdict = self.verdict_on(run)
        self.assertIsNone(verdict.checkpoint)
        self.assertEqual([row["gate"] for row in verdict.rejected], ["copy_risk"])
        self.assertIn("copies of photos that it learned from", next(refusals(verdict)))

    def test_noise_on_a_good_checkpoint_is_refused_and_the_good_one_taken(self) -> None:
        run = self.trained(
            24, train_batch_size=8, learning_rate=1e-3, lr_scheduler="cosine", max_train_steps=120,
            checkpointing_steps=120, caption_dropout=0.3, validation_fraction=0.25,
        )  # fmt: skip
        good = run.checkpoints.get()
        ruined = keep_checkpoint(run, {"step": 240, "rank": good.rank, "lora_alpha": good.lora_alpha}, noisy(good))
        verdict = self.verdict_on(run)
        self.assertEqual(verdict.checkpoint, good)
        self.assertEqual([row["label"] for row in verdict.rejected], [ruined.name])


def noisy(checkpoint: Checkpoint) -> bytes:
    """As much noise on each weight as the weights themselves spread, and three times that."""
    data = files.read(checkpoint.blob)
    rng = np.random.default_rng(7)
    raw = {}
    for name, weights in load(data).items():
        wide = weights.astype(np.float32)
        worse = (wide + 4 * (wide.std() + 1e-3) * rng.standard_normal(wide.shape)).astype(np.float32)
        raw[name] = RawTensor("F32", worse.shape, worse.tobytes())
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return write_safetensors(raw, header["__metadata__"])
