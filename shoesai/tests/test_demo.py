"""The demo's own pieces; the whole of it runs in CI as `make demo ARGS=--no-serve`."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from shoesai.management.commands.demo import ask_questions
from shoesai.starter import draw
from shoesai.testing import BaseTestCase, starter
from training import demo
from training.importers import read_captions_json
from training.models import TrainingRun


def test_the_dataset_is_in_the_seeds_layout_and_half_of_its_captions_name_no_background(tmp_path: Path) -> None:
    demo.draw_dataset(tmp_path)
    entries = json.loads((tmp_path / "captions.json").read_text())
    assert entries[0]["image_file"] == "100001.png" and (tmp_path / "images" / "100001.png").exists()
    assert sum("background" in entry["caption"] for entry in entries) == demo.PHOTOS // 2
    assert len(list(read_captions_json(tmp_path))) == demo.PHOTOS


def test_the_prompts_name_every_colour_equally_often_and_no_background() -> None:
    questions = ask_questions()
    assert len(questions) >= 24 and len({question.prompt for question in questions}) == len(questions)
    assert set(Counter(question.colour for question in questions).values()) == {len(questions) // len(draw.COLOURS)}
    assert not any("background" in question.prompt or "backdrop" in question.prompt for question in questions)


class RunNameTests(BaseTestCase):
    def test_running_again_takes_the_next_free_name(self) -> None:
        assert demo.free_run_name("demo") == "demo"
        TrainingRun.objects.create(owner=self.alice, name="demo", base_model=starter(), family="starter")
        assert demo.free_run_name("demo") == "demo-2"
