"""check_inference: a real picture through the queue, and what counts as none."""

from __future__ import annotations

import json
import tempfile
from io import BytesIO, StringIO
from pathlib import Path
from unittest.mock import patch

from django.core.management import CommandError, call_command
from django.test import TransactionTestCase
from PIL import Image

from generation.management.commands.check_inference import problems_of
from generation.models import Generation
from shoesai.jobs.engine_child import child_of
from shoesai.jobs.kinds import HOUSEKEEPING
from shoesai.models import Blob, Job
from shoesai.testing import BaseTestCase, People, png_bytes, tiny_base_model


def drawn_png(side: int = 64) -> bytes:
    out = BytesIO()
    Image.radial_gradient("L").resize((side, side)).convert("RGB").save(out, "PNG")
    return out.getvalue()


def test_a_picture_of_its_size_has_no_problems() -> None:
    assert list(problems_of(drawn_png(), 64)) == []


def test_another_size_and_one_flat_colour_are_problems() -> None:
    [problem] = problems_of(drawn_png(32), 64)
    assert problem == "The picture is 32 × 32, not 64 × 64."
    for colour in ("black", "grey"):
        [problem] = problems_of(png_bytes(colour), 64)
        assert "one flat colour" in problem


class CheckInferenceTests(People, TransactionTestCase):
    """Without a worker the command does the work itself, in the real engine."""

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.addClassCleanup(child_of("gpu").kill)  # else it stays warm until the last test has ended

    def setUp(self) -> None:
        self.make_people()
        tiny_base_model()

    def test_it_makes_a_picture_says_how_long_it_took_and_leaves_nothing_behind(self) -> None:
        out = StringIO()
        with tempfile.TemporaryDirectory() as folder, patch("shoesai.terminal.NOBODY_CLAIMS_SECONDS", 0.1):
            path = Path(folder) / "one.png"
            call_command("check_inference", "--base", "tiny", "--steps", "2", "--out", str(path), "--json",
                         "--user", "alice", "-v", "0", stdout=out)  # fmt: skip
            self.assertEqual(list(problems_of(path.read_bytes(), 64)), [])
        told = json.loads(out.getvalue())
        self.assertEqual((told["base_model"], told["width"], told["height"], told["problems"]), ("tiny", 64, 64, []))
        self.assertEqual(told["device"], "cpu")
        self.assertTrue(0 < told["seconds"] < told["total_seconds"])
        self.assertFalse(Generation.objects.exists() or Blob.objects.exists())
        self.assertFalse(Job.objects.exclude(kind__in=HOUSEKEEPING).exists())


class WrongUseTests(BaseTestCase):
    def test_an_unknown_base_is_3_and_an_impossible_number_2(self) -> None:
        for code, options in ((3, ["--base", "nowhere"]), (2, ["--steps", "0"]), (2, ["--seed", "-1"])):
            with self.subTest(options), self.assertRaises(CommandError) as caught:
                call_command("check_inference", *options, "--user", "alice")
            self.assertEqual(caught.exception.returncode, code)
        self.assertFalse(Job.objects.exists())
