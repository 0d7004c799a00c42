"""The whole path at the true size of Stable Diffusion 1.5, with random weights: minutes, and seven gigabytes.

`make test-slow ARGS=-rP` shows the measured figures.
"""

from __future__ import annotations

import json
import tempfile
import threading
import time
from collections.abc import Iterator
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from django.core.management import CommandError, call_command
from django.db import connections
from django.test import TransactionTestCase, override_settings
from PIL import Image

from shoesai import files, terminal
from shoesai.engine import base_folder, single_file, tensor_file
from shoesai.engine.base_folder import PARTS
from shoesai.engine.tensor_file import NewTensor
from shoesai.jobs.engine_child import child_of
from shoesai.testing import People
from training.models import BaseModel, Checkpoint, TrainingRun
from training.services import pause_training
from training.tests.pictures_for_tests import encoded, entries, write_dataset

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

RANDOM = "sd15-random"
STEPS = 3  # whoever asks for a stop after the first checkpoint waits until the second step is done
RECIPE = (
    "--base", RANDOM, "--resolution", "512", "--train_batch_size", "1", "--gradient_accumulation_steps", "1",
    "--max_train_steps", str(STEPS), "--checkpointing_steps", "1", "--lr_warmup_steps", "0", "--validation_steps", "0",
    "--validation_fraction", "0",
)  # fmt: skip


class FullSizeTest(People, TransactionTestCase):
    folder: Path
    models: Path

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        holder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(holder.cleanup)
        for lane in ("gpu", "cpu"):
            cls.addClassCleanup(child_of(lane).kill)  # each holds gigabytes
        cls.folder = Path(holder.name)
        cls.models = cls.folder / "models"
        cls.models.mkdir()

    def setUp(self) -> None:
        self.make_people()
        self.alice.is_staff = True
        self.alice.save()
        self.enterContext(override_settings(MODELS_DIR=self.models))
        self.enterContext(patch.object(terminal, "NOBODY_CLAIMS_SECONDS", 0.0))
        self.random_base()

    def told_by(self, command: str, *options: str) -> Any:
        out, before = StringIO(), time.monotonic()
        call_command(command, *options, "--json", "--user", "alice", "-v", "0", stdout=out)
        print(f"{command}: {time.monotonic() - before:.0f} s")
        return json.loads(out.getvalue())

    def random_base(self) -> BaseModel:
        """Made once; the second test finds the folder in MODELS_DIR and registers it where it is."""
        folder = self.models / RANDOM
        if folder.exists():
            told = self.told_by("add_base_model", str(folder), "--name", RANDOM)
        else:
            told = self.told_by("make_base_model", "--family", "sd15", "--random")
        self.assertEqual(
            told["parameters"], {"unet": 859_520_964, "vae": 83_653_863, "text_encoder": 123_060_480}
        )
        return BaseModel.objects.get(name=RANDOM)

    # --- training -------------------------------------------------------------------------------------------
    def test_a_lora_is_trained_stopped_resumed_converted_and_draws_a_picture(self) -> None:
        photos = self.photos()
        straight = self.trained("straight", photos)
        self.assertEqual(
            (straight.engine["trainable_parameters"], straight.engine["total_parameters"]), (1_594_368, 861_115_332)
        )
        self.print_figures(straight)

        interrupted = self.stopped_on_its_way("interrupted", photos)
        self.told_by("resume_training", interrupted.name)
        self.assertEqual(self.losses(interrupted), self.losses(straight))
        self.assertEqual(self.kept(interrupted), self.kept(straight))

        checkpoint = straight.checkpoints.get(step=STEPS)
        self.there_and_back(checkpoint)
        self.picture_of(checkpoint)

    def photos(self) -> Path:
        images = {f"{100_001 + n}.png": encoded(size=(512, 512), colour=(80 * n, 90, 120)) for n in range(2)}
        captions = {name: f"a photo of brown leather shoes, {name}" for name in images}
        return write_dataset(self.folder / "photos", entries(captions), images)

    def trained(self, name: str, photos: Path) -> TrainingRun:
        self.told_by("train_lora", *RECIPE, "--dataset_path", str(photos), "--run_name", name)
        return TrainingRun.objects.get(name=name)

    def stopped_on_its_way(self, name: str, photos: Path) -> TrainingRun:
        pausing = threading.Thread(target=self._pause_after_the_first_checkpoint, args=(name,))
        pausing.start()
        with self.assertRaises(CommandError) as caught:
            self.trained(name, photos)
        pausing.join()
        run = TrainingRun.objects.get(name=name)
        self.assertEqual(caught.exception.returncode, terminal.STOPPED)
        self.assertEqual(run.state, TrainingRun.State.PAUSED)
        self.assertIn(run.resume_step, range(1, STEPS))
        print(f"paused: goes on from step {run.resume_step}")
        return run

    def _pause_after_the_first_checkpoint(self, name: str) -> None:
        deadline = time.monotonic() + 900
        while time.monotonic() < deadline and not Checkpoint.objects.filter(run__name=name).exists():
            time.sleep(0.2)
        pause_training(TrainingRun.objects.get(name=name))
        connections.close_all()

    def losses(self, run: TrainingRun) -> list[float]:
        return [metric.loss for metric in run.metrics.order_by("step")]

    def kept(self, run: TrainingRun) -> dict[int, str]:
        """Step → SHA-256 of the LoRA file."""
        return dict(run.checkpoints.order_by("step").values_list("step", "blob_id"))

    def print_figures(self, run: TrainingRun) -> None:
        for metric in run.metrics.order_by("step"):
            gigabytes = (metric.memory_bytes or 0) / 1e9
            print(f"step {metric.step}: {metric.seconds:.1f} s, loss {metric.loss:.4f}, at most {gigabytes:.2f} GB")

    # --- what comes out -------------------------------------------------------------------------------------
    def there_and_back(self, checkpoint: Checkpoint) -> None:
        kohya, again = self.folder / "kohya.safetensors", self.folder / "again.safetensors"
        self.told_by("convert_lora", checkpoint.name, "--to", "kohya", "--out", str(kohya))
        self.assertTrue(all(name.startswith("lora_unet_") for name in tensor_file.read_entries(kohya)))
        self.told_by("convert_lora", str(kohya), "--to", "diffusers", "--out", str(again))
        self.assertEqual(again.read_bytes(), files.read(checkpoint.blob))

    def picture_of(self, checkpoint: Checkpoint) -> None:
        out = self.folder / "pictures"
        self.told_by(
            "generate", "--model", checkpoint.name, "--steps", "2", "--seed", "1", "--out", str(out),
            "--prompt", "brown leather shoes on white background",
        )  # fmt: skip
        (file,) = out.iterdir()
        with Image.open(file) as picture:
            self.assertEqual(picture.size, (512, 512))

    # --- a single file --------------------------------------------------------------------------------------
    def test_a_single_file_in_the_original_layout_gives_back_the_same_model(self) -> None:
        folder = self.models / RANDOM
        file = self.folder / "v1-5.safetensors"
        tensor_file.write(file, self.in_original_layout(folder))
        told = self.told_by("add_base_model", str(file), "--name", "single")  # the tokenizer is the other base's
        self.assertEqual(told["sha256"], BaseModel.objects.get(name=RANDOM).sha256)
        self.assertEqual(BaseModel.objects.get(name="single").source, "v1-5.safetensors")
        print(f"single file: {file.stat().st_size / 1e9:.2f} GB")

    def in_original_layout(self, folder: Path) -> Iterator[NewTensor]:
        """The inverse of what add_base_model does; the small tests hold both against diffusers' own loader."""
        for part, row in PARTS.items():
            config = base_folder.read_json(folder, f"{part}/config.json")
            weights = folder / part / row.weights()
            for name, entry in tensor_file.read_entries(weights).items():
                key = single_file.PREFIXES[part] + single_file.original_name(part, name, config)
                convolution = part == "vae" and ".attn_1." in key and len(entry.shape) == 2
                shape = (*entry.shape, 1, 1) if convolution else entry.shape
                yield NewTensor(key, entry.dtype, shape, partial(tensor_file.read_bytes, weights, entry))
