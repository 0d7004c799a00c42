"""The plan before the start: counts, bytes, and what it warns of."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from django.utils import timezone
from safetensors.numpy import save_file

from shoesai.engine.specs import TrainSpec
from shoesai.models import Blob, Job
from shoesai.testing import BaseTestCase, starter
from training.measuring import newest_measurement, request_measurement
from training.models import BaseModel, Dataset, DatasetVersion, Photo
from training.parameters import UnreadableWeights, count_parameters
from training.plan import (
    PRESETS,
    checkpoint_steps,
    checkpoints_kept,
    default_validation_prompts,
    make_plan,
    plan_for,
)

STARTER_RECIPE = TrainSpec(resolution=128, max_train_steps=100, checkpointing_steps=50, lr_warmup_steps=10)


def photos_of(count: int, *, side: int = 128, captions: int = 1_000_000) -> list[Photo]:
    return [
        Photo(blob_id=f"{number:064x}", caption=f"shoe {number % captions}", width=side, height=side)
        for number in range(count)
    ]


class PlanTests(BaseTestCase):
    def plan(self, photos: list[Photo] | None = None, **settings: Any) -> Any:
        return plan_for(photos_of(20) if photos is None else photos, starter(), replace(STARTER_RECIPE, **settings))

    def test_epochs_count_only_the_photos_that_are_learned_from(self) -> None:
        plan = self.plan(validation_fraction=0.2)
        assert (plan.photos, plan.held_out, plan.effective_batch_size, plan.photos_seen) == (20, 4, 16, 1600)
        assert plan.epochs == 100.0

    def test_the_starters_lora_is_counted_from_the_weights_headers(self) -> None:
        plan = self.plan()
        # what peft reports for rank 8 on the attention projections (see shoesai/engine/tests)
        assert plan.trainable_parameters == 114_688
        assert plan.total_parameters - plan.trainable_parameters == 8_506_180
        assert self.plan(rank=16).trainable_parameters == 2 * plan.trainable_parameters
        assert self.plan(lora_targets=("to_q",)).trainable_parameters < plan.trainable_parameters

    def test_pictures_are_drawn_of_the_bare_base_and_of_the_end_too(self) -> None:
        for every, times in ((50, 3), (40, 4), (500, 2), (0, 0)):
            prompts = ("red", "blue") if every else ()
            plan = self.plan(validation_prompts=prompts, validation_steps=every)
            assert plan.validation_pictures == 2 * times

    def test_the_disk_holds_checkpoints_states_pictures_and_the_cache(self) -> None:
        few, many = self.plan(photos_of(20, captions=2)), self.plan(photos_of(20))
        assert many.disk_bytes - few.disk_bytes == 18 * 77 * 192 * 4  # one text embedding per different caption
        more = self.plan(photos_of(40, captions=2))
        assert more.disk_bytes - few.disk_bytes == 20 * (2 * 4 + 1) * 16 * 16 * 4
        more = self.plan(photos_of(20, captions=2), checkpointing_steps=25, milestone_steps=25)
        assert more.disk_bytes - few.disk_bytes == 2 * 114_688 * 4

    def test_a_disk_without_room_is_a_problem_and_says_what_to_do(self) -> None:
        with patch("training.plan.shutil.disk_usage", return_value=SimpleNamespace(free=1_000_000)):
            [problem] = self.plan().problems
        assert "1.0 MB are free" in problem and "move_storage" in problem

    def test_no_photos_and_no_weights_are_problems(self) -> None:
        assert self.plan([]).problems == ("dataset: there are no photos to learn from.",)
        gone = BaseModel(name="gone", family="sd15", location="nowhere", resolution=512)
        [problem] = plan_for(photos_of(20), gone, STARTER_RECIPE).problems
        assert problem == "base_model: the base model 'gone' has no UNet weights (safetensors) in its folder."

    def test_warnings_name_the_fields(self) -> None:
        assert self.plan(photos_of(40)).warnings == ()
        for words, photos, settings in (
            ("train_batch_size × gradient_accumulation_steps is 16", photos_of(15), {"max_train_steps": 50}),
            ("max_train_steps: every photo is seen 120 times", photos_of(21), {"max_train_steps": 150}),
            ("resolution: 64 is not the 128 that starter was made for", photos_of(40), {"resolution": 64}),
            ("resolution: 40 of 40 photos are smaller than 128", photos_of(40, side=100), {}),
            ("checkpointing_steps: 500 is beyond max_train_steps 100", photos_of(40), {"checkpointing_steps": 500}),
            ("validation_steps: 500 is beyond max", photos_of(40), {"validation_prompts": ("red",)}),
            ("lr_warmup_steps: 60 of max_train_steps 100", photos_of(40), {"lr_warmup_steps": 60}),
        ):
            with self.subTest(words):
                warnings = self.plan(photos, **settings).warnings
                assert [words in warning for warning in warnings] == [True], warnings

    def test_a_version_is_planned_like_its_photos(self) -> None:
        version = self.version_of(photos_of(20))
        planned = make_plan(version, starter(), STARTER_RECIPE)
        assert planned == replace(self.plan(), free_bytes=planned.free_bytes)  # others write to the disk meanwhile

    def test_the_default_prompts_are_different_captions_of_photos_that_are_held_out(self) -> None:
        version = self.version_of(photos_of(20))
        prompts = default_validation_prompts(version, replace(STARTER_RECIPE, validation_fraction=0.2))
        unseen = make_plan(version, starter(), replace(STARTER_RECIPE, validation_fraction=0.2)).held_out
        assert len(set(prompts)) == unseen == 4
        none_held_out = replace(STARTER_RECIPE, validation_fraction=0.0)
        assert default_validation_prompts(version, none_held_out) == ("shoe 0", "shoe 1", "shoe 2", "shoe 3")
        alike = self.version_of(photos_of(20, captions=2))
        assert default_validation_prompts(alike, none_held_out) == ("shoe 0", "shoe 1")

    def version_of(self, photos: list[Photo]) -> DatasetVersion:
        dataset = Dataset.objects.create(owner=self.alice, name=f"shoes {Dataset.objects.count()}")
        version = DatasetVersion.objects.create(
            dataset=dataset, number=1, content_hash="0" * 64, photo_count=len(photos)
        )
        Blob.objects.bulk_create(
            (Blob(sha256=photo.blob_id, size=1, mime="image/png") for photo in photos), ignore_conflicts=True
        )
        for position, photo in enumerate(photos):
            photo.version, photo.position, photo.file_name = version, position, f"{position}.png"
        Photo.objects.bulk_create(photos)
        return version


class PresetTests(BaseTestCase):
    def test_every_preset_is_a_recipe_at_the_bases_own_resolution(self) -> None:
        sd15 = BaseModel(name="sd15", family="sd15", resolution=512)
        for name, preset in PRESETS.items():
            for base in (starter(), sd15):
                with self.subTest(name, base=base.name):
                    spec = TrainSpec(**preset.settings_for(base))
                    assert spec.resolution == base.resolution

    def test_the_seeds_recipe_on_stable_diffusion_is_the_specs_defaults(self) -> None:
        assert TrainSpec(**PRESETS["seed_recipe"].settings_for(BaseModel(family="sd15", resolution=512))) == TrainSpec()


class MeasurementTests(BaseTestCase):
    FIGURES = {"estimated_seconds_per_step": 4.0, "estimated_memory_bytes": 5_000_000_000, "device": "cpu"}

    def measure(self, spec: TrainSpec) -> Job:
        job = request_measurement(self.alice, starter(), spec)
        Job.objects.filter(pk=job.pk).update(
            state=Job.State.SUCCEEDED, result=self.FIGURES, finished_at=timezone.now()
        )
        return job

    def test_a_plan_shows_time_and_memory_once_they_are_measured(self) -> None:
        assert plan_for(photos_of(20), starter(), STARTER_RECIPE).estimated_seconds is None
        self.measure(STARTER_RECIPE)
        plan = plan_for(photos_of(20), starter(), STARTER_RECIPE)
        assert (plan.seconds_per_step, plan.estimated_seconds, plan.memory_bytes) == (4.0, 400.0, 5_000_000_000)
        limited = plan_for(photos_of(20), starter(), replace(STARTER_RECIPE, max_train_minutes=2.0))
        assert limited.estimated_seconds == 120.0

    def test_a_measurement_serves_recipes_that_take_as_long(self) -> None:
        self.measure(STARTER_RECIPE)
        found = newest_measurement(starter(), replace(STARTER_RECIPE, learning_rate=1e-3, seed=7))
        assert found is not None and found["estimated_seconds_per_step"] == 4.0
        half = newest_measurement(starter(), replace(STARTER_RECIPE, gradient_accumulation_steps=4))
        assert half is not None and half["estimated_seconds_per_step"] == 2.0
        for other in ({"resolution": 64}, {"rank": 4}, {"train_batch_size": 1}, {"gradient_checkpointing": False}):
            assert newest_measurement(starter(), replace(STARTER_RECIPE, **other)) is None
        assert newest_measurement(BaseModel(name="other"), STARTER_RECIPE) is None


def test_checkpoints_come_every_so_many_steps_and_at_the_end() -> None:
    assert checkpoint_steps(TrainSpec()) == [500, 1000, 1500, 2000, 2500, 3000]
    assert checkpoint_steps(TrainSpec(max_train_steps=1200)) == [500, 1000, 1200]
    assert checkpoint_steps(TrainSpec(max_train_steps=600, checkpointing_steps=1000)) == [600]


@pytest.mark.parametrize(
    ("settings", "kept"),
    [
        ({}, 6),  # each is a milestone
        ({"milestone_steps": 1000}, 4 + 1),  # 1000, 2000, 2500, 3000, and the best
        ({"milestone_steps": 3000}, 2 + 1),
        ({"milestone_steps": 0, "checkpointing_steps": 100}, 30),
        ({"milestone_steps": 1000, "checkpointing_steps": 300}, 4 + 1),  # 1200, 2100, 2700, 3000
    ],
)
def test_milestones_the_last_two_and_the_best_are_kept(settings: dict[str, Any], kept: int) -> None:
    assert checkpoints_kept(TrainSpec(**settings), measured_on_held_out=True) == kept


def test_only_the_attention_projections_are_counted() -> None:
    with tempfile.TemporaryDirectory() as holder, patch("training.models.settings.MODELS_DIR", holder):
        unet = Path(holder) / "base" / "unet"
        unet.mkdir(parents=True)
        weights = {
            "mid.attn1.to_q.weight": np.zeros((6, 4), np.float32),
            "mid.attn1.to_q.bias": np.zeros(6, np.float32),
            "mid.attn2.to_k.weight": np.zeros((6, 5), np.float32),
            "mid.proj_in.weight": np.zeros((6, 4, 1, 1), np.float32),
            "conv_in.weight": np.zeros((3, 2, 3, 3), np.float32),
        }
        save_file(weights, unet / "diffusion_pytorch_model.fp16.safetensors")
        base = BaseModel(name="base", location="base")
        counted = count_parameters(base, rank=2, targets=("to_q", "to_k", "proj_in"))
        assert counted.trainable == 2 * (4 + 6) + 2 * (5 + 6) + 2 * (4 + 6)
        assert counted.total == counted.trainable + 24 + 6 + 30 + 24 + 54
        assert counted.text_width == 5
        (unet / "diffusion_pytorch_model.safetensors").write_bytes(b"not weights")  # full precision goes first
        with pytest.raises(UnreadableWeights, match="the UNet of the base model 'base' cannot be read"):
            count_parameters(base, rank=2, targets=("to_q",))
