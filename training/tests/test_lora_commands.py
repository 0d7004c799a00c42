"""The commands that need the engine: without a worker they do the work themselves, on the real starter."""

from __future__ import annotations

import json
import tempfile
from io import StringIO
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from diffusers import StableDiffusionPipeline
from django.conf import settings
from django.core.management import CommandError, call_command
from django.test import TransactionTestCase
from PIL import Image, ImageChops

from shoesai import files
from shoesai.models import Blob, Job
from shoesai.testing import People, starter
from training.imports import new_imported_run
from training.models import STARTER_WEIGHTS, Checkpoint, TrainingRun
from training.results import SAFETENSORS
from training.tests.loras import kohya_lora, lora_bytes, starter_lora
from training.tests.pictures_for_tests import good_dataset


class LoraCommandsTest(People, TransactionTestCase):
    def setUp(self) -> None:
        self.make_people()
        starter()
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.folder = Path(holder.name)
        self.enterContext(patch("shoesai.terminal.NOBODY_CLAIMS_SECONDS", 0.1))

    def told_by(self, command: str, *options: str) -> Any:
        out = StringIO()
        call_command(command, *options, "--json", "--user", "alice", "-v", "0", stdout=out)
        return json.loads(out.getvalue())

    def code_of(self, command: str, *options: str) -> int:
        with self.assertRaises(CommandError) as caught:
            self.told_by(command, *options)
        self.words = str(caught.exception)
        return caught.exception.returncode

    def run_of(self, *steps: int) -> TrainingRun:
        run = new_imported_run(self.alice, "spring", starter())
        for step in steps:
            blob = files.publish(starter_lora(step=step, seed=step), SAFETENSORS)
            Checkpoint.objects.create(run=run, step=step, family=run.family, blob=blob, rank=8, lora_alpha=16)
        return run

    def assert_nothing_lies_about(self) -> None:
        ids = [str(job.pk) for job in Job.objects.all()]
        self.assertEqual([path.name for path in Path(settings.WORK_DIR).iterdir() if path.name in ids], [])

    def picture(self, path: str) -> Image.Image:
        with Image.open(path) as opened:
            return opened.convert("RGB")

    def test_a_lora_in_another_tools_naming_is_imported_checked_and_generates(self) -> None:
        path = self.folder / "bought.safetensors"
        path.write_bytes(kohya_lora())
        told = self.told_by("check_checkpoint", str(path))
        self.assertEqual((told["format"], told["rank"], told["alpha"], told["scale"]), ("kohya", 8, 16, 2))
        self.assertEqual((told["fits"], told["base_model"], told["finite"]), (["starter"], "starter", True))
        self.assertGreater(told["change"], 0.01)
        self.assertFalse(Blob.objects.exists())  # the file was only looked at

        self.told_by("import_lora", str(path), "--name", "bought")
        self.assertEqual(self.told_by("check_checkpoint", "bought/checkpoint-0")["change"], told["change"])
        self.assertTrue(Checkpoint.objects.get().blob)

        pictures = {}
        for model in ("starter", "bought/checkpoint-0"):
            made = self.told_by("generate", "--prompt", "red boot", "--model", model, "--steps", "2", "--seed", "7",
                                "--out", str(self.folder / "out"))  # fmt: skip
            pictures[model] = self.picture(made["images"][0]["path"])
        one, other = pictures.values()
        self.assertEqual(one.size, (128, 128))
        self.assertIsNotNone(ImageChops.difference(one, other).getbbox())

    def test_a_lora_of_another_base_is_refused_before_the_engine_is_asked(self) -> None:
        path = self.folder / "sd15.safetensors"
        path.write_bytes(lora_bytes())
        self.assertEqual(self.code_of("check_checkpoint", str(path)), 4)
        self.assertIn("fits none of the base models", self.words)
        self.assertEqual(self.code_of("check_checkpoint", str(path), "--base", "starter"), 4)
        self.assertEqual(self.code_of("check_checkpoint", str(path), "--base", "nowhere"), 3)
        self.assertFalse(Job.objects.exists() or Blob.objects.exists())

    def test_a_try_is_one_picture_without_and_one_with_from_the_same_seed(self) -> None:
        self.run_of(40)
        options = ("spring/checkpoint-40", "--prompt", "red boot", "--steps", "2", "--out", str(self.folder))
        told = self.told_by("try_checkpoint", *options)
        self.assertGreater(told["difference"], 0.5)
        self.assertEqual(Path(told["with"]).name, "spring_checkpoint-40_seed42_with.png")
        bare = self.told_by("generate", "--prompt", "red boot", "--steps", "2", "--seed", "42",
                            "--out", str(self.folder))  # fmt: skip
        drawn = [self.picture(path) for path in (told["without"], bare["images"][0]["path"])]
        self.assertIsNone(ImageChops.difference(*drawn).getbbox())
        self.assert_nothing_lies_about()

    def test_a_try_that_cannot_be_meant_is_refused(self) -> None:
        self.run_of(40)
        out = ("--out", str(self.folder / "out"))
        for options in (["--steps", "0"], ["--steps", "151"], ["--seed", "-1"], ["--prompt", "  "]):
            self.assertEqual(self.code_of("try_checkpoint", "spring/checkpoint-40", *options, *out), 2)
        told = self.told_by("try_checkpoint", "spring/checkpoint-40", "--dry-run", *out)
        self.assertEqual(told["prompt"], "product photo of a shoe")
        self.assertFalse(Job.objects.exists() or (self.folder / "out").exists())

    def test_a_run_is_exported_with_its_final_pipeline_and_stock_diffusers_loads_it(self) -> None:
        self.run_of(20, 40)
        to = self.folder / "spring"
        told = self.told_by("export_run", "spring", "--to", str(to), "--precision", "fp32")
        self.assertIn("final_pipeline/", told["files"])
        merged = self.predict(StableDiffusionPipeline.from_pretrained(str(to / "final_pipeline")))
        stock = StableDiffusionPipeline.from_pretrained(STARTER_WEIGHTS, safety_checker=None)
        bare = self.predict(stock)
        stock.load_lora_weights(str(to / "lora_weights"))
        self.assertLess(float((self.predict(stock) - merged).abs().max()), 1e-5)
        self.assertGreater(float((bare - merged).abs().max()), 0.01)
        origin = json.loads((to / "final_pipeline" / "merged_from.json").read_text())
        self.assertEqual((origin["checkpoint"], origin["scale"]), ("spring/checkpoint-40", 2))
        self.assertEqual({path.name for path in to.iterdir()},
                         {"checkpoints", "lora_weights", "final_pipeline", "spec.json", "metrics.jsonl"})  # fmt: skip
        self.assertFalse([path for path in to.rglob("*.json") if str(settings.BASE_DIR) in path.read_text()])
        self.assert_nothing_lies_about()

    def test_a_training_from_the_terminal_ends_with_the_whole_layout(self) -> None:
        photos, out = good_dataset(self.folder / "casual" / "train"), self.folder / "out"
        self.told_by("train_lora", "--dataset_path", str(photos), "--output_dir", str(out), "--max_train_steps", "2",
                     "--gradient_accumulation_steps", "1", "--checkpointing_steps", "2", "--validation_steps", "0",
                     "--lr_warmup_steps", "0", "--learning_rate", "0.01")  # fmt: skip
        self.assertTrue((out / "final_pipeline" / "model_index.json").is_file())
        spec = json.loads((out / "spec.json").read_text())
        self.assertEqual((spec["rank"], spec["max_train_steps"]), (8, 2))
        losses = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
        self.assertEqual(losses[-1]["step"], 2)
        weights = out / "lora_weights" / "pytorch_lora_weights.safetensors"
        back = self.folder / "back.safetensors"
        for form, target in (("kohya", self.folder / "k.safetensors"), ("peft", self.folder / "peft")):
            self.told_by("convert_lora", str(weights), "--to", form, "--out", str(target))
            self.told_by("convert_lora", str(target), "--to", "diffusers", "--out", str(back))
            self.assertEqual(back.read_bytes(), weights.read_bytes())

    def predict(self, pipeline: StableDiffusionPipeline) -> torch.Tensor:
        generator = torch.Generator().manual_seed(5)
        latents, text = (torch.randn(shape, generator=generator) for shape in ((1, 4, 16, 16), (1, 77, 192)))
        with torch.no_grad():
            found: torch.Tensor = pipeline.unet(latents, torch.tensor([500]), text, return_dict=False)[0]
        return found

    def test_all_checkpoints_become_pipelines_and_again_when_they_are_there(self) -> None:
        self.run_of(20, 40)
        out = self.folder / "pipelines"
        for _ in range(2):
            told = self.told_by("convert_checkpoint", "--all", "spring", "--out", str(out))
            self.assertEqual([row["pipeline"] for row in told["pipelines"]],
                             [str(out / "checkpoint-20"), str(out / "checkpoint-40")])  # fmt: skip
        self.assertEqual(sorted(path.name for path in out.iterdir()), ["checkpoint-20", "checkpoint-40"])
        unets = [(path / "unet" / "diffusion_pytorch_model.safetensors").read_bytes() for path in out.iterdir()]
        self.assertNotEqual(*unets)
        size = (STARTER_WEIGHTS / "unet" / "diffusion_pytorch_model.safetensors").stat().st_size
        self.assertAlmostEqual(len(unets[0]), size, delta=64_000)  # fp16, as the starter's own

    def test_a_merge_that_fails_leaves_nothing_behind(self) -> None:
        self.run_of(40)
        self.assertEqual(self.code_of("convert_checkpoint", "spring/checkpoint-40", "--all", "spring", "--out", "x"), 2)
        checkpoint = Checkpoint.objects.get()
        path = files.path_of(checkpoint.blob_id)
        whole = path.read_bytes()
        self.addCleanup(path.write_bytes, whole)
        path.write_bytes(whole[:-4] + b"\0\0\xc0\x7f")  # a NaN
        out = self.folder / "out"
        self.assertEqual(self.code_of("convert_checkpoint", checkpoint.name, "--out", str(out)), 1)
        self.assertIn("not finite numbers", self.words)
        self.assertEqual(list(self.folder.iterdir()), [])
        self.assert_nothing_lies_about()
