"""train_lora: the flags, the plan, what is queued, what is written at the end, and how it ends."""

from __future__ import annotations

import json
import tempfile
from dataclasses import fields
from io import StringIO
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from django.core.management import CommandError, call_command
from safetensors.numpy import save_file

from shoesai.engine.specs import TrainSpec
from shoesai.jobs import queue
from shoesai.models import Job
from shoesai.testing import BaseTestCase, png_bytes
from training.management.commands.train_lora import Command
from training.management.photo_source import dataset_name_of
from training.models import BaseModel, Dataset, Family, TrainingRun
from training.results import keep_checkpoint, keep_validation_image
from training.tests.loras import lora_bytes
from training.tests.pictures_for_tests import encoded, good_dataset, write_dataset


class CommandLine(BaseTestCase):
    def setUp(self) -> None:
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.folder = Path(holder.name)
        self.photos = good_dataset(self.folder / "casual_shoes" / "train")

    def train(self, *options: str) -> Any:
        out = StringIO()
        try:
            call_command("train_lora", *options, "--user", "alice", "--json", "-v", "0", stdout=out)
        finally:
            self.printed = out.getvalue()
        return json.loads(self.printed)

    def code_of(self, *options: str) -> int:
        with self.assertRaises(CommandError) as caught:
            self.train(*options)
        self.words = str(caught.exception)
        return caught.exception.returncode

    def make_sd15(self) -> None:
        """Its row, and as much of its UNet as is counted before anything is queued."""
        unet = self.folder / "models" / "sd15" / "unet"
        unet.mkdir(parents=True)
        query = np.zeros((320, 320), np.float32)
        key = np.zeros((320, 768), np.float32)
        save_file({"a.attn1.to_q.weight": query, "a.attn2.to_k.weight": key},
                  unet / "diffusion_pytorch_model.safetensors")  # fmt: skip
        BaseModel.objects.create(
            name="sd15", title="SD 1.5", family=Family.SD15, resolution=512, location="sd15"
        )
        overridden = self.settings(MODELS_DIR=self.folder / "models")
        overridden.enable()
        self.addCleanup(overridden.disable)

    def queue_it(self, *options: str) -> TrainingRun:
        source = ("--dataset_path", str(self.photos)) if "--dataset" not in options else ()
        self.train(*source, "--output_dir", str(self.folder / "out"), "--no-follow", *options)
        return TrainingRun.objects.latest("created_at")


class TrainCommandTest(CommandLine):
    def test_the_first_products_command_line_queues_its_recipe(self) -> None:
        self.make_sd15()
        printed = self.train(
            "--pretrained_model_name_or_path=runwayml/stable-diffusion-v1-5",
            f"--dataset_path={self.photos}",
            f"--output_dir={self.folder / 'lora_casual_shoes_3000steps_full'}",
            "--resolution=512",
            "--train_batch_size=2",
            "--gradient_accumulation_steps=8",
            "--learning_rate=1e-4",
            "--max_train_steps=3000",
            "--checkpointing_steps=500",
            "--validation_steps=500",
            "--no-follow",
        )
        run = TrainingRun.objects.get()
        self.assertEqual((run.name, run.base_model.name), ("lora_casual_shoes_3000steps_full", "sd15"))
        self.assertEqual((printed["run"], printed["state"], printed["dataset"]), (run.name, "queued", "casual_shoes"))
        prompts = [f"a photo of shoe {100001 + number}.png" for number in range(3)]
        as_expected = TrainSpec(validation_prompts=tuple(prompts))
        self.assertEqual(TrainSpec.from_dict(run.spec), as_expected)
        self.assertEqual(Job.objects.get().kind, "train")

    def test_defaults_are_the_specs_and_the_resolution_is_the_base_models(self) -> None:
        spec = self.queue_it().spec
        self.assertEqual(
            (spec["resolution"], spec["max_train_steps"], spec["gradient_checkpointing"]), (128, 3000, True)
        )
        spec = self.queue_it("--run_name", "two", "--no-gradient_checkpointing", "--resolution", "64").spec
        self.assertEqual((spec["resolution"], spec["gradient_checkpointing"]), (64, False))

    def test_validation_prompts_can_be_given_several_times(self) -> None:
        spec = self.queue_it("--validation_prompt", "red shoes", "--validation_prompt", "blue shoes").spec
        self.assertEqual(spec["validation_prompts"], ["red shoes", "blue shoes"])

    def test_without_prompts_captions_are_drawn_unless_nothing_is(self) -> None:
        self.assertEqual(len(self.queue_it().spec["validation_prompts"]), 3)
        self.assertEqual(self.queue_it("--run_name", "two", "--validation_steps", "0").spec["validation_prompts"], [])

    def test_lists_are_given_as_lists(self) -> None:
        spec = self.queue_it("--lora_targets", "to_q", "to_v", "--validation_prompt", "red", "--validation_prompt",
                             "blue", "--validation_seed", "7", "--validation_seed", "8").spec  # fmt: skip
        self.assertEqual((spec["lora_targets"], spec["validation_seeds"]), (["to_q", "to_v"], [7, 8]))

    def test_a_preset_is_where_other_flags_begin(self) -> None:
        spec = self.queue_it("--preset", "quick_look", "--learning_rate", "5e-4").spec
        self.assertEqual((spec["max_train_steps"], spec["train_batch_size"], spec["learning_rate"]), (100, 8, 5e-4))

    def test_the_warm_up_is_a_sixth_of_a_short_run(self) -> None:
        self.assertEqual(self.queue_it("--max_train_steps", "60").spec["lr_warmup_steps"], 10)

    def test_every_setting_of_a_recipe_is_a_flag(self) -> None:
        renamed = {"validation_prompts": "validation_prompt", "validation_seeds": "validation_seed"}
        parser = Command().create_parser("manage.py", "train_lora")
        flags = {flag for action in parser._actions for flag in action.option_strings}
        for each in fields(TrainSpec):
            if each.name != "version":
                self.assertIn(f"--{renamed.get(each.name, each.name)}", flags)

    def test_the_end_can_be_told_by_e_mail(self) -> None:
        self.assertTrue(self.queue_it("--notify").notify)

    def test_settings_that_disagree_are_both_named(self) -> None:
        source = ("--dataset_path", str(self.photos), "--run_name", "x")
        for one, other, options in (
            ("lr_warmup_steps", "max_train_steps", ("--lr_warmup_steps", "20", "--max_train_steps", "10")),
            ("validation_prompts", "validation_steps", ("--validation_prompt", "red", "--validation_steps", "0")),
            ("validation_seeds", "validation_prompts", ("--validation_seed", "1")),
            ("masked_loss", "unmasked_weight", ("--masked_loss", "--unmasked_weight", "1")),
        ):
            with self.subTest(one):
                self.assertEqual(self.code_of(*source, *options), 2)
                self.assertIn(one, self.words)
                self.assertIn(other, self.words)
        self.assertFalse(Dataset.objects.exists())

    def test_a_full_disk_is_said_before_the_run_is_queued(self) -> None:
        with patch("training.plan.shutil.disk_usage") as disk:
            disk.return_value.free = 1000
            self.assertEqual(self.code_of("--dataset_path", str(self.photos), "--run_name", "x"), 2)
        self.assertIn("disk: the run takes up to", self.words)
        self.assertFalse(TrainingRun.objects.exists())

    def test_a_dataset_can_be_named_instead_of_imported(self) -> None:
        self.queue_it("--run_name", "one")
        run = self.queue_it("--run_name", "two", "--dataset", "casual_shoes")
        self.assertEqual(run.dataset_version, TrainingRun.objects.get(name="one").dataset_version)
        self.assertEqual(Dataset.objects.count(), 1)

    def test_a_folder_called_train_is_named_after_the_one_above(self) -> None:
        self.assertEqual(dataset_name_of(Path("/data/casual_shoes/train")), "casual_shoes")
        self.assertEqual(dataset_name_of(Path("/data/boots")), "boots")

    def test_a_dry_run_prints_the_plan_and_stores_nothing(self) -> None:
        source = ("--dataset_path", str(self.photos), "--run_name", "plan", "--dry-run")
        plan = self.train(*source, "--max_train_steps", "30", "--checkpointing_steps", "20")
        self.assertEqual((plan["photos"], plan["effective_batch_size"], plan["epochs"]), (3, 16, 160.0))
        self.assertEqual((plan["checkpoints_written"], plan["checkpoints_kept"], plan["held_out"]), (2, 2, 0))
        self.assertEqual((plan["trainable_parameters"], plan["problems"]), (114_688, []))
        self.assertTrue(any("max_train_steps: every photo is seen 160 times" in text for text in plan["warnings"]))
        self.assertFalse(Dataset.objects.exists() or TrainingRun.objects.exists() or Job.objects.exists())

    def test_what_cannot_be_meant_is_refused_before_anything_is_imported(self) -> None:
        source = ("--dataset_path", str(self.photos), "--run_name", "x")
        for code, words, options in (
            (
                3,
                "manage.py add_base_model stable-diffusion-v1-5/stable-diffusion-v1-5 --name sd15",
                ("--pretrained_model_name_or_path", "runwayml/stable-diffusion-v1-5"),
            ),
            (3, "among those that are here: starter", ("--pretrained_model_name_or_path", "../../etc")),
            (2, "learning_rate: must be above 0", ("--learning_rate", "nan")),
            (2, "resolution: must be a multiple of 8", ("--resolution", "100")),
            (2, "max_train_steps: must be 1 or more", ("--max_train_steps", "-5")),
            (2, "seed: must be between 0", ("--seed", str(2**64))),
            (2, "must be letters, digits", ("--run_name", "a/b")),
        ):
            with self.subTest(words):
                self.assertEqual(self.code_of(*source, *options), code)
                self.assertIn(words, self.words)
        self.assertFalse(Dataset.objects.exists())

    def test_a_bad_folder_ends_with_4_and_the_report(self) -> None:
        bad = write_dataset(self.folder / "bad", [], {"a.png": encoded()})
        self.assertEqual(self.code_of("--dataset_path", str(bad), "--run_name", "x"), 4)
        self.assertEqual(json.loads(self.printed)["problems"][0]["file"], "captions.json")
        self.assertFalse(TrainingRun.objects.exists())

    def test_missing_and_unknown_things_are_named(self) -> None:
        self.assertEqual(self.code_of("--dataset_path", str(self.photos)), 2)
        self.assertEqual(self.code_of("--run_name", "x"), 2)
        self.assertEqual(self.code_of("--run_name", "x", "--dataset", "nowhere"), 3)
        self.assertEqual(self.code_of("--run_name", "x", "--dataset_path", str(self.folder / "nowhere")), 3)
        self.assertEqual(self.code_of("--resume", "nowhere"), 3)
        self.queue_it("--run_name", "taken")
        self.assertEqual(self.code_of("--run_name", "taken", "--dataset_path", str(self.photos)), 2)

    def test_charlie_can_neither_train_on_nor_resume_what_is_alices(self) -> None:
        run = self.queue_it()
        for options in (["--dataset", "casual_shoes", "--run_name", "mine"], ["--resume", run.name]):
            with self.assertRaises(CommandError) as caught:
                call_command("train_lora", *options, user="charlie")
            self.assertEqual(caught.exception.returncode, 3)

    def test_a_stopped_run_is_resumed_and_a_waiting_one_is_not(self) -> None:
        run = self.queue_it()
        self.assertEqual(self.code_of("--resume", run.name, "--no-follow"), 2)
        queue.request_cancel(run.jobs.get())
        self.assertEqual(self.train("--resume", run.name, "--no-follow")["state"], "queued")
        self.assertEqual(run.jobs.count(), 2)


class FollowingTest(CommandLine):
    """The clock is ours: at each look at the table the story goes one step on."""

    def follow(self, *story: Any) -> Any:
        steps = iter(story)
        with patch("shoesai.terminal.time.sleep", side_effect=lambda _: next(steps)()):
            return self.train("--dataset_path", str(self.photos), "--output_dir", str(self.folder / "out"),
                              "--no-final-pipeline")  # fmt: skip

    def learn(self) -> None:
        run = TrainingRun.objects.get()
        for step in (500, 1000):
            keep_checkpoint(run, {"step": step, "rank": 4, "lora_alpha": 8}, lora_bytes(fill=step))
        keep_validation_image(run, {"step": 500, "seq": 0, "prompt": "red shoes", "seed": 42}, png_bytes())

    def end(self, state: Job.State, **fields: Any) -> None:
        claim = queue.claim("gpu")
        assert claim
        claim.finish(state, **fields)

    def test_success_writes_the_output_layout(self) -> None:
        printed = self.follow(self.learn, lambda: self.end(Job.State.SUCCEEDED))
        self.assertEqual(
            (printed["state"], printed["checkpoints"]), ("succeeded", ["out/checkpoint-500", "out/checkpoint-1000"])
        )
        out = self.folder / "out"
        written = {str(path.relative_to(out)): path for path in out.rglob("*") if path.is_file()}
        self.assertEqual(
            set(written),
            {
                "checkpoints/checkpoint-500/pytorch_lora_weights.safetensors",
                "checkpoints/checkpoint-1000/pytorch_lora_weights.safetensors",
                "lora_weights/pytorch_lora_weights.safetensors",
                "validation/step-000500_0_seed42.png",
                "spec.json",
                "metrics.jsonl",
            },
        )
        self.assertEqual(written["lora_weights/pytorch_lora_weights.safetensors"].read_bytes(), lora_bytes(fill=1000))

    def test_a_failure_ends_with_1_and_its_reason(self) -> None:
        with self.assertRaises(CommandError) as caught:
            self.follow(lambda: self.end(Job.State.FAILED, code="out_of_memory", text="The device is full."))
        self.assertEqual(caught.exception.returncode, 1)
        self.assertIn("The device is full.", str(caught.exception))

    def test_ctrl_c_asks_the_run_to_stop_and_ends_with_130(self) -> None:
        def interrupt() -> None:
            raise KeyboardInterrupt

        with self.assertRaises(CommandError) as caught:
            self.follow(interrupt)
        self.assertEqual(caught.exception.returncode, 130)
        self.assertEqual(Job.objects.get().state, Job.State.CANCELLED)
        self.assertEqual(TrainingRun.objects.get().state, TrainingRun.State.CANCELLED)

    def test_a_second_ctrl_c_leaves_at_once(self) -> None:
        def interrupt() -> None:
            raise KeyboardInterrupt

        def start_and_interrupt() -> None:
            queue.claim("gpu")
            raise KeyboardInterrupt

        with self.assertRaises(CommandError) as caught:
            self.follow(start_and_interrupt, interrupt)
        self.assertEqual(caught.exception.returncode, 130)
        job = Job.objects.get()
        self.assertEqual((job.state, job.cancel_requested), (Job.State.RUNNING, True))
