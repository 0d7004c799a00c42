"""`manage.py results_gallery`: real pictures through a real worker, and a page that people may write in."""

from __future__ import annotations

import json
import re
import shlex
import tempfile
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from PIL import Image

from generation.management.commands.generate import Command as Generate
from generation.models import GeneratedImage, Generation
from shoesai.management.commands.results_gallery import SHEET_BYTES
from shoesai.management.results import Settings, as_command, chapters
from shoesai.management.results_page import with_block
from shoesai.testing import BaseTestCase, WorkerTestCase, starter
from shoesai.tests.test_worker import RECIPE, some_photos
from training.models import TrainingRun
from training.results import keep_checkpoint
from training.services import start_training

MODELS = ("starter", "casual/checkpoint-100", "casual/checkpoint-200")


def test_every_picture_can_be_asked_for_with_the_printed_command() -> None:
    parser = Generate().create_parser("manage.py", "generate")
    for chapter in chapters(Settings(MODELS, 25, 1.5, 42), "a" * 64):
        for wish in (wish for row in chapter.rows for wish in row.wishes):
            name, *words = shlex.split(as_command(wish.request, "photo.webp"))
            options, asked = parser.parse_args(words), wish.request
            assert name == "generate"
            assert (options.model, options.prompt, options.seed) == (asked.model_name, asked.prompt, asked.seed)
            assert (options.steps, options.guidance) == (asked.num_inference_steps, asked.guidance_scale)
            assert (options.scheduler, options.strength) == (asked.scheduler, asked.strength)
            assert bool(options.reference) == bool(asked.reference)


def test_no_prompt_mentions_a_background_and_each_row_has_a_picture_for_each_caption() -> None:
    for chapter in chapters(Settings(MODELS, 25, 1.5, 42), "a" * 64):
        assert {len(row.wishes) for row in chapter.rows} == {len(chapter.captions)}
        prompts = {wish.request.prompt for row in chapter.rows for wish in row.wishes}
        assert not any("background" in prompt for prompt in prompts)


def test_a_block_takes_its_own_place_and_leaves_peoples_words_alone() -> None:
    page = with_block(with_block("", "a", "Part A", "one"), "b", "Part B", "two")
    page = page.replace("## Part B", "Sandals are bad.\n\n## Part B")
    again = with_block(page, "a", "Part A", r"three \1")
    assert again == page.replace("one", r"three \1")


@pytest.mark.cluster
class ResultsGalleryTests(WorkerTestCase):
    def setUp(self) -> None:
        super().setUp()
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.out = Path(holder.name) / "docs"

    def make(self, *options: str) -> Any:
        out = StringIO()
        call_command("results_gallery", "--run", "casual", "--out", str(self.out), "--steps", "2", "--columns", "1",
                     "--user", "alice", "--json", "-v", "0", *options, stdout=out)  # fmt: skip
        return json.loads(out.getvalue())

    @pytest.mark.slow
    def test_it_writes_sheets_figures_and_a_page_whose_links_lead_somewhere(self) -> None:
        spec = RECIPE.from_dict(RECIPE.to_dict() | {"max_train_steps": 4, "checkpointing_steps": 2})
        run = start_training(
            user=self.alice, name="casual", dataset_version=some_photos(self.alice), base_model=self.base, spec=spec
        )
        self.wait_until_final(run.jobs.get())

        told = self.make()
        page = Path(told["page"]).read_text("utf-8")
        links = re.findall(r"\]\(([^)]+)\)", page)
        self.assertEqual(len(links), 6)
        for link in links:
            sheet = self.out / link
            self.assertLessEqual(sheet.stat().st_size, SHEET_BYTES)
            with Image.open(sheet) as picture:
                picture.load()
                self.assertEqual(picture.format, "WEBP")
                self.assertIn(b"trainedAlgorithmicMedia", picture.info["xmp"])
        self.assertEqual(list(told["figures"]["types"]), ["tiny", "checkpoint-2", "checkpoint-4"])
        self.assertEqual(told["figures"]["summary"]["tiny"]["pictures"], 3)
        self.assertIn("`casual` on `tiny`", page)

        made = Generation.objects.count()
        self.out.joinpath("gallery.md").write_text(page.replace("## By type", "Seen by eye.\n\n## By type"))
        self.make()
        self.assertEqual(Generation.objects.count(), made)
        GeneratedImage.objects.earliest("created_at").delete()
        for _ in range(2):
            self.make()
            self.assertEqual(Generation.objects.count(), made + 1)
        self.assertIn("Seen by eye.", self.out.joinpath("gallery.md").read_text("utf-8"))


class WrongUseTests(BaseTestCase):
    def code_of(self, *options: str) -> int:
        with tempfile.TemporaryDirectory() as folder, self.assertRaises(CommandError) as caught:
            call_command("results_gallery", "--out", folder, "--user", "charlie", *options)
        self.words = str(caught.exception)
        return caught.exception.returncode

    def test_a_run_that_is_not_there_or_is_somebody_elses_is_3_and_no_column_2(self) -> None:
        run = TrainingRun.objects.create(owner=self.alice, name="casual", base_model=starter(), family="starter")
        keep_checkpoint(run, {"step": 150, "rank": 8, "lora_alpha": 16}, b"weights")
        self.assertEqual(self.code_of("--run", run.name), 3)
        self.assertIn("--run: there is no training run 'casual'", self.words)
        self.assertEqual(self.code_of("--columns", "0"), 2)
