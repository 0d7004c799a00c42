"""Commands on a machine where no worker runs: they do the work themselves, and nothing that ends them costs the run."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from io import StringIO
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.test import TransactionTestCase

from shoesai.jobs.engine_child import child_of
from shoesai.models import Job
from shoesai.testing import People, tiny_base_model
from training.measuring import newest_measurement
from training.models import TrainingRun
from training.plan import TrainSpec
from training.tests.pictures_for_tests import good_dataset

FEW_STEPS = (
    "--max_train_steps", "4", "--checkpointing_steps", "2", "--validation_steps", "4",
    "--train_batch_size", "1", "--gradient_accumulation_steps", "2",
)  # fmt: skip


class AloneTests(People, TransactionTestCase):
    """In this process, with the real engine and a tiny base."""

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.addClassCleanup(child_of("gpu").kill)  # else it stays warm until the last test has ended

    def setUp(self) -> None:
        self.make_people()
        self.base = tiny_base_model()
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.folder = Path(holder.name)
        self.photos = good_dataset(self.folder / "casual_shoes" / "train", photos=6)

    def told_by(self, command: str, *options: str) -> Any:
        out = StringIO()
        try:
            with patch("shoesai.terminal.NOBODY_CLAIMS_SECONDS", 0.1):
                call_command(command, *options, "--base", "tiny", "--json", "--user", "alice", "-v", "0", stdout=out)
        finally:
            self.printed = out.getvalue()
        return json.loads(self.printed)

    def test_a_training_leaves_its_checkpoints_pictures_and_record(self) -> None:
        out = self.folder / "first"
        told = self.told_by("train_lora", "--dataset_path", str(self.photos), "--output_dir", str(out),
                            "--no-final-pipeline", *FEW_STEPS)  # fmt: skip
        self.assertEqual(told["state"], "succeeded")
        self.assertEqual(told["checkpoints"], ["first/checkpoint-2", "first/checkpoint-4"])
        run = TrainingRun.objects.get()
        self.assertEqual(len(run.spec["validation_prompts"]), 1)  # one of six photos is held out
        written = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
        self.assertLessEqual(
            {
                "checkpoints/checkpoint-4/pytorch_lora_weights.safetensors",
                "lora_weights/pytorch_lora_weights.safetensors",
                "validation/step-000000_0_seed42.png",
                "validation/step-000004_0_seed42.png",
                "spec.json",
                "metrics.jsonl",
            },
            written,
        )

    def test_a_setup_is_measured_counted_and_judged(self) -> None:
        told = self.told_by("check_training_setup", *FEW_STEPS)
        self.assertEqual((told["trainable_parameters"], told["total_parameters"]), (15_872, 267_188))
        self.assertEqual((told["device"], told["precision"], told["problems"]), ("cpu", "fp32", []))
        self.assertGreater(told["estimated_seconds_per_step"], 0)
        self.assertGreater(told["estimated_memory_bytes"], 100 * 2**20)
        spec = TrainSpec(resolution=64, train_batch_size=1, gradient_accumulation_steps=4)
        later = newest_measurement(self.base, spec)
        assert later
        self.assertEqual(later["estimated_seconds_per_step"], round(2 * told["estimated_seconds_per_step"], 4))

        with self.assertRaises(CommandError) as caught, patch("training.plan.shutil.disk_usage") as disk:
            disk.return_value.free = 1000
            self.told_by("check_training_setup", "--dataset", "nowhere", *FEW_STEPS)
        self.assertEqual(caught.exception.returncode, 1)
        missing, full = json.loads(self.printed)["problems"]
        self.assertIn("there is no dataset named 'nowhere'", missing)
        self.assertTrue(full.startswith("disk: "))

    def test_a_setup_that_cannot_be_measured_says_why_and_what_is_known(self) -> None:
        scheduler = self.base.path / "scheduler" / "scheduler_config.json"
        kept = scheduler.read_text()
        self.addCleanup(scheduler.write_text, kept)
        scheduler.write_text("{")
        with self.assertRaises(CommandError) as caught:
            self.told_by("check_training_setup", *FEW_STEPS)
        self.assertEqual(caught.exception.returncode, 1)
        told = json.loads(self.printed)
        self.assertEqual((told["trainable_parameters"], told["estimated_seconds_per_step"]), (15_872, None))
        [problem] = told["problems"]
        self.assertIn("Measuring failed (bad_weights)", problem)
        self.assertEqual(Job.objects.get().state, Job.State.FAILED)


# --- in processes of their own ------------------------------------------------------------------------------------
class Studio:
    """A data folder of its own, with a tiny base and photos, and nobody working in it but the commands."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        data = folder / "data"
        self.database = data / "shoesai.sqlite3"
        self.environment = {**os.environ, "SHOESAI_DATA_DIR": str(data), "SHOESAI_DEVICE": "cpu"}
        self.environment.pop("DATABASE_URL", None)
        self.run("migrate", "-v", "0")
        self.run("shell", "-v", "0", "-c", "from shoesai.testing import tiny_base_model; tiny_base_model()")
        self.photos = good_dataset(folder / "photos", photos=6)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, str(settings.BASE_DIR / "manage.py"), *arguments]
        return subprocess.Popen(command, env=self.environment, stdout=subprocess.PIPE, text=True)

    def run(self, *arguments: str) -> str:
        process = self.start(*arguments)
        out, _ = process.communicate(timeout=300)
        assert process.returncode == 0, (arguments, process.returncode, out)
        return out

    def train(self, name: str) -> subprocess.Popen[str]:
        return self.start(
            "train_lora", "--base", "tiny", "--dataset_path", str(self.photos), "--run_name", name,
            "--max_train_steps", "40", "--checkpointing_steps", "10", "--validation_steps", "0",
            "--train_batch_size", "1", "--gradient_accumulation_steps", "2",
        )  # fmt: skip

    def wait_until_step(self, step: int, process: subprocess.Popen[str]) -> None:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            assert process.poll() is None, "it has ended already"
            connection = sqlite3.connect(self.database, timeout=20)
            row = connection.execute(
                "SELECT progress_step FROM shoesai_job WHERE kind = 'train' AND state = 'running'"
            ).fetchone()
            connection.close()
            if row and row[0] >= step:
                return
            time.sleep(0.02)
        raise AssertionError(f"step {step} was not reached")

    def weights(self, name: str) -> bytes:
        out = self.folder / "exported" / name
        self.run("export_run", name, "--to", str(out), "--no-final-pipeline")
        return (out / "lora_weights" / "pytorch_lora_weights.safetensors").read_bytes()


@pytest.mark.slow
def test_a_command_that_is_ended_or_killed_costs_nothing(tmp_path: Path) -> None:
    studio = Studio(tmp_path)
    assert studio.train("straight").wait(300) == 0

    ended = studio.train("ended")
    studio.wait_until_step(13, ended)
    ended.send_signal(signal.SIGTERM)
    assert ended.wait(settings.DRAIN_SECONDS + 10) == 130
    killed = studio.start("resume_training", "ended")
    studio.wait_until_step(25, killed)
    killed.kill()
    killed.wait()
    told = json.loads(studio.run("resume_training", "ended", "--json"))

    assert told["state"] == "succeeded"
    assert studio.weights("ended") == studio.weights("straight")
