"""`manage.py generate`: what it asks for, what it writes, how it ends."""

from __future__ import annotations

import json
import tempfile
from io import StringIO
from pathlib import Path
from typing import Any
from unittest.mock import patch

from django.core.management import CommandError, call_command
from PIL import Image

from generation.models import Generation
from shoesai import files
from shoesai.jobs import queue
from shoesai.models import Job
from shoesai.testing import BaseTestCase, keep_plain_image, png_bytes, starter
from training.models import Checkpoint, TrainingRun
from training.results import keep_checkpoint


class GenerateCommandTest(BaseTestCase):
    def setUp(self) -> None:
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.out = Path(holder.name) / "pictures"

    def generate(self, *options: str, story: Any = None) -> str:
        """The clock is ours: at its first look at the table the job is done as `story` says."""
        out = StringIO()
        with patch("shoesai.terminal.time.sleep", side_effect=lambda _: (story or self.succeed)()):
            call_command(
                "generate", "--prompt", "red sneakers", "--out", str(self.out), "--user", "alice", "-v", "0", *options,
                stdout=out,
            )  # fmt: skip
        return out.getvalue()

    def succeed(self) -> None:
        claim = queue.claim("gpu")
        assert claim
        for seq in range(claim.job.generation.num_images):
            keep_plain_image(claim.job.generation, seq)
        claim.finish(Job.State.SUCCEEDED)

    def code_of(self, *options: str, story: Any = None) -> int:
        with self.assertRaises(CommandError) as caught:
            self.generate(*options, story=story)
        self.words = str(caught.exception)
        return caught.exception.returncode

    def checkpoint(self) -> Checkpoint:
        run = TrainingRun.objects.create(owner=self.alice, name="casual", base_model=starter(), family="starter")
        return keep_checkpoint(run, {"step": 150, "rank": 8, "lora_alpha": 16}, b"weights")

    def test_it_prints_one_path_a_line_and_the_pictures_are_there(self) -> None:
        printed = self.generate("--num-images", "2", "--seed", "42").splitlines()
        self.assertEqual(printed, [str(self.out / "starter_42.png"), str(self.out / "starter_43.png")])
        for path in printed:
            with Image.open(path) as picture:
                self.assertIn("parameters", picture.info)

    def test_every_option_reaches_the_request(self) -> None:
        self.checkpoint()
        self.generate(
            "--model", "casual/checkpoint-150", "--negative-prompt", "blurry", "--steps", "20", "--guidance", "5.5",
            "--scheduler", "euler_a", "--width", "64", "--height", "72", "--lora", "casual/checkpoint-150:0.5",
        )  # fmt: skip
        made = Generation.objects.get()
        self.assertEqual(
            (made.model_name, made.negative_prompt, made.scheduler), ("casual/checkpoint-150", "blurry", "euler_a")
        )
        self.assertEqual((made.num_inference_steps, made.guidance_scale), (20, 5.5))
        self.assertEqual((made.width, made.height), (64, 72))
        self.assertEqual([lora.weight for lora in made.loras.all()], [1.0, 0.5])
        self.assertEqual(made.owner, self.alice)

    def test_a_file_can_be_the_reference(self) -> None:
        self.out.mkdir()
        photo = self.out / "photo.png"
        photo.write_bytes(png_bytes("tan"))
        self.generate("--reference", str(photo), "--strength", "0.3")
        made = Generation.objects.get()
        assert made.reference
        self.assertEqual((made.strength, files.read(made.reference)), (0.3, png_bytes("tan")))

    def test_what_is_no_reference_names_the_option_and_queues_nothing(self) -> None:
        self.out.mkdir()
        text = self.out / "text.png"
        text.write_text("a shoe")
        self.assertEqual(self.code_of("--reference", str(text)), 4)
        self.assertIn("--reference:", self.words)
        self.assertEqual(self.code_of("--reference", str(self.out / "nothing.png")), 3)
        self.assertEqual(self.code_of("--strength", "0.5"), 2)
        self.assertIn("--strength says how far", self.words)
        self.assertFalse(Job.objects.exists())

    def test_json_names_model_seeds_and_paths(self) -> None:
        self.checkpoint()
        printed = json.loads(self.generate("--model", "casual/checkpoint-150", "--seed", "7", "--json"))
        self.assertEqual(printed["model"], "casual/checkpoint-150")
        self.assertEqual(printed["images"][0]["path"], str(self.out / "casual_checkpoint-150_7.png"))
        self.assertEqual(printed["images"][0]["seed"], 7)

    def test_another_picture_of_the_same_name_is_not_overwritten(self) -> None:
        self.out.mkdir()
        (self.out / "starter_42.png").write_bytes(b"an older picture")
        self.assertEqual(self.generate("--seed", "42").strip(), str(self.out / "starter_42_2.png"))
        self.assertEqual((self.out / "starter_42.png").read_bytes(), b"an older picture")

    def test_what_cannot_be_meant_names_the_option_and_queues_nothing(self) -> None:
        self.checkpoint()
        for words, *options in (
            ("--prompt must not be empty", "--prompt", " "),
            ("--prompt has 10,000 characters", "--prompt", "x" * 10_000),
            ("--num-images must be between 1 and 10", "--num-images", "11"),
            ("--num-images must be between 1 and 10", "--num-images", "0"),
            ("--steps must be between 1 and 150", "--steps", "-1"),
            ("--guidance must be between 0 and 30", "--guidance", "nan"),
            ("--seed must be between", "--seed", str(2**64)),
            ("--seed: invalid whole number", "--seed", "9" * 400),
            ("--width must be a multiple of 8", "--width", "100"),
            ("--lora each weight must be between -2 and 2", "--lora", "casual/checkpoint-150:9"),
        ):
            with self.subTest(words):
                self.assertIn(self.code_of(*options), (1, 2))
                self.assertIn(words, self.words)
        self.assertFalse(Job.objects.exists())

    def test_an_unknown_model_and_somebody_elses_end_with_3(self) -> None:
        self.assertEqual(self.code_of("--model", "nowhere/checkpoint-1"), 3)
        self.checkpoint()
        with self.assertRaises(CommandError) as caught:
            call_command("generate", prompt="x", model="casual/checkpoint-150", user="charlie")
        self.assertEqual(caught.exception.returncode, 3)

    def test_a_failed_job_ends_with_1_and_writes_nothing(self) -> None:
        def fail() -> None:
            claim = queue.claim("gpu")
            assert claim
            claim.finish(Job.State.FAILED, code="internal", text="The engine has no wish to.")

        self.assertEqual(self.code_of(story=fail), 1)
        self.assertIn("The engine has no wish to.", self.words)
        self.assertEqual(list(self.out.iterdir()), [])

    def test_ctrl_c_cancels_the_job_and_ends_with_130(self) -> None:
        def interrupt() -> None:
            raise KeyboardInterrupt

        self.assertEqual(self.code_of(story=interrupt), 130)
        self.assertEqual(Job.objects.get().state, Job.State.CANCELLED)
