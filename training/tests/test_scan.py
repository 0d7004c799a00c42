"""LoRAs that lie in MODELS_DIR: registered once, judged by their headers, never loaded."""

from __future__ import annotations

import json
import tempfile
from io import StringIO
from pathlib import Path

from django.core.management import call_command
from django.test import override_settings

from shoesai import files
from shoesai.models import Blob
from shoesai.testing import BaseTestCase, starter
from training.catalogue import find_checkpoint
from training.models import BaseModel, Checkpoint, Family, TrainingRun
from training.outputs import write_outputs
from training.results import keep_checkpoint
from training.scan import ScanReport, scan
from training.services import is_run_name
from training.tests.loras import lora_bytes


class ScanTest(BaseTestCase):
    def setUp(self) -> None:
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.root = Path(holder.name) / "models"
        self.enterContext(override_settings(MODELS_DIR=self.root))
        BaseModel.objects.create(name="sd15", title="Stable Diffusion 1.5", family=Family.SD15, location="sd15")

    def put(self, path: str, data: bytes) -> Path:
        full = self.root / path
        full.parent.mkdir(parents=True, exist_ok=True)
        full.write_bytes(data)
        return full

    def put_checkpoint(self, step: int, data: bytes, run: str = "casual") -> Path:
        return self.put(f"{run}/checkpoints/checkpoint-{step}/pytorch_lora_weights.safetensors", data)

    def problems(self) -> dict[str, str]:
        return {each.file: each.problem for each in scan(self.alice).problems}

    def test_a_missing_folder_is_an_empty_one(self) -> None:
        self.assertEqual(scan(self.alice), ScanReport())

    def test_a_run_is_registered_once_with_all_its_checkpoints(self) -> None:
        self.put_checkpoint(500, lora_bytes(fill=1))
        self.put_checkpoint(1500, lora_bytes(fill=2))
        first = scan(self.alice)
        self.assertEqual(first.registered, ["casual/checkpoint-500", "casual/checkpoint-1500"])
        run = TrainingRun.objects.get()
        self.assertEqual((run.state, run.family, run.base_model.name), ("imported", "sd15", "sd15"))
        checkpoint = run.checkpoints.get(step=500)
        self.assertEqual((checkpoint.rank, checkpoint.lora_alpha), (4, 8))
        self.assertEqual(files.read(checkpoint.blob), lora_bytes(fill=1))

        again = scan(self.alice)
        self.assertEqual((again.registered, again.known, again.problems), ([], first.registered, []))
        self.assertEqual(Checkpoint.objects.count(), 2)

    def test_a_checkpoint_that_comes_later_joins_its_run_whoever_scans(self) -> None:
        self.put_checkpoint(500, lora_bytes(fill=1))
        scan(self.alice)
        self.put_checkpoint(1000, lora_bytes(fill=2))
        self.assertEqual(scan(self.charlie).registered, ["casual/checkpoint-1000"])
        self.assertEqual(TrainingRun.objects.get().owner, self.alice)

    def test_what_the_operator_put_there_is_for_everybody(self) -> None:
        self.put_checkpoint(500, lora_bytes(fill=1))
        scan(self.alice)
        for person in (self.alice, self.bob, self.charlie):
            self.assertEqual(find_checkpoint(person, "casual/checkpoint-500").step, 500)

    def test_final_weights_that_are_the_last_checkpoint_are_not_registered_twice(self) -> None:
        self.put_checkpoint(500, lora_bytes(fill=1))
        self.put("casual/lora_weights/pytorch_lora_weights.safetensors", lora_bytes(fill=1))
        report = scan(self.alice)
        self.assertEqual(report.registered, ["casual/checkpoint-500"])
        self.assertEqual(report.known, ["casual/checkpoint-500"])

    def test_final_weights_alone_take_their_step_from_the_name(self) -> None:
        self.put("lora_casual_shoes_3000steps_full/lora_weights/final.safetensors", lora_bytes())
        self.put("plain/lora_weights/final.safetensors", lora_bytes())
        self.assertEqual(
            scan(self.alice).registered, ["lora_casual_shoes_3000steps_full/checkpoint-3000", "plain/checkpoint-0"]
        )
        self.assertEqual(len(scan(self.alice).registered), 0)

    def test_the_starters_loras_are_recognised_by_their_text_width(self) -> None:
        config = self.put("tiny-base/unet/config.json", json.dumps({"cross_attention_dim": 192}).encode())
        BaseModel.objects.filter(name="starter").update(
            format=BaseModel.Format.DIFFUSERS, location=str(config.parents[1])
        )
        self.put_checkpoint(10, lora_bytes(text_width=192))
        scan(self.alice)
        self.assertEqual(TrainingRun.objects.get().base_model, starter())

    def test_a_file_that_does_not_say_its_alpha_has_the_one_it_is_loaded_with(self) -> None:
        self.put_checkpoint(10, lora_bytes(alpha=None))
        scan(self.alice)
        self.assertEqual(Checkpoint.objects.get().lora_alpha, 4)

    def test_what_is_no_lora_is_reported_and_not_registered(self) -> None:
        self.put_checkpoint(1, b"not a safetensors file at all")
        self.put_checkpoint(2, lora_bytes()[:-1])
        self.put("casual/checkpoints/checkpoint-3/pytorch_lora_weights.bin", b"\x80\x04pickle")
        self.put("casual/checkpoints/checkpoint-4/one.safetensors", lora_bytes())
        self.put("casual/checkpoints/checkpoint-4/two.safetensors", lora_bytes())
        found = self.problems()
        folder = "casual/checkpoints/checkpoint"
        self.assertIn(f"{folder}-1/pytorch_lora_weights.safetensors", found)
        self.assertIn("cut off", found[f"{folder}-2/pytorch_lora_weights.safetensors"])
        self.assertIn("pickle", found[f"{folder}-3/pytorch_lora_weights.bin"])
        self.assertIn("one.safetensors, two.safetensors", found[f"{folder}-4"])
        self.assertFalse(TrainingRun.objects.exists())
        self.assertFalse(Blob.objects.exists())

    def test_a_family_without_a_base_model_is_told_the_next_step(self) -> None:
        self.put_checkpoint(1, lora_bytes(text_width=2048))
        self.assertIn("add one with `manage.py add_base_model`", next(iter(self.problems().values())))

    def test_links_out_of_the_folder_are_not_followed(self) -> None:
        outside = self.root.parent / "outside"
        (outside / "checkpoints" / "checkpoint-1").mkdir(parents=True)
        (outside / "checkpoints" / "checkpoint-1" / "a.safetensors").write_bytes(lora_bytes())
        self.put_checkpoint(2, lora_bytes()).unlink()
        (self.root / "linked").symlink_to(outside)
        inside = self.root / "casual" / "checkpoints" / "checkpoint-2"
        (inside / "a.safetensors").symlink_to(outside / "checkpoints" / "checkpoint-1" / "a.safetensors")
        (self.root / "casual" / "checkpoints" / "checkpoint-3").symlink_to(outside / "checkpoints" / "checkpoint-1")
        (self.root / "casual" / "lora_weights").symlink_to(outside / "checkpoints" / "checkpoint-1")
        self.assertEqual(scan(self.alice).registered, [])
        self.assertFalse(TrainingRun.objects.exists())

    def test_a_run_that_was_trained_here_keeps_its_name(self) -> None:
        trained = TrainingRun.objects.create(
            owner=self.alice, name="casual", base_model=starter(), family=Family.SD15, state="succeeded"
        )
        keep_checkpoint(trained, {"step": 500, "rank": 4, "lora_alpha": 8}, lora_bytes(fill=1))
        self.put_checkpoint(500, lora_bytes(fill=1))
        self.put_checkpoint(600, lora_bytes(fill=2))
        report = scan(self.alice)
        self.assertEqual((report.registered, report.known), ([], ["casual/checkpoint-500"]))
        self.assertIn("was trained here", report.problems[0].problem)

    def test_other_bytes_under_a_known_name_are_reported(self) -> None:
        self.put_checkpoint(500, lora_bytes(fill=1))
        scan(self.alice)
        self.put_checkpoint(500, lora_bytes(fill=2))
        self.assertIn("is registered with other bytes", next(iter(self.problems().values())))

    def test_what_a_training_writes_another_machine_can_scan(self) -> None:
        run = TrainingRun.objects.create(owner=self.alice, name="here", base_model=starter(), family=Family.SD15)
        for step in (100, 200):
            keep_checkpoint(run, {"step": step, "rank": 4, "lora_alpha": 8}, lora_bytes(fill=step))
        write_outputs(run, self.root / "elsewhere")
        self.assertEqual(scan(self.bob).registered, ["elsewhere/checkpoint-100", "elsewhere/checkpoint-200"])

    def test_the_command_prints_new_names_and_the_report_as_json(self) -> None:
        self.put_checkpoint(500, lora_bytes())
        for expected in ("casual/checkpoint-500\n", ""):
            out = StringIO()
            call_command("scan_models", user="alice", stdout=out)
            self.assertEqual(out.getvalue(), expected)
        out = StringIO()
        call_command("scan_models", user="alice", json=True, stdout=out)
        self.assertEqual(
            json.loads(out.getvalue()), {"registered": [], "known": ["casual/checkpoint-500"], "problems": []}
        )


def test_a_runs_name_is_one_line_of_plain_characters() -> None:
    assert is_run_name("casual_3000steps.v2")
    for name in ("", "a b", "../a", "a\n", "ä", "a" * 121, "-a"):
        assert not is_run_name(name), name
