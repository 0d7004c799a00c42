"""What is offered while somebody types a prompt."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

from django.utils import timezone

from generation.models import Generation
from generation.services import GenerationRequest, request_generation
from generation.suggestions import suggest
from shoesai.models import Job, User
from shoesai.pictures import read_picture
from shoesai.testing import BaseTestCase, png_bytes
from training.datasets.importing import import_photos
from training.importers import PhotoFile
from training.models import Dataset


def dataset(owner: User, *captions: str, name: str = "autumn") -> None:
    picture = read_picture(png_bytes())
    import_photos(user=owner, name=name, photos=[PhotoFile(f"{n}.png", c, picture) for n, c in enumerate(captions)])


class SuggestionsTest(BaseTestCase):
    def ask(self, text: str, user: User | None = None, field: Any = "prompt") -> list[str]:
        return [found.text for found in suggest(user or self.alice, field, text)]

    def made(self, prompt: str, *, days: int = 0, owner: User | None = None, negative: str = "", **more: Any) -> None:
        request = GenerationRequest(prompt=prompt, negative_prompt=negative)
        generation = request_generation(user=owner or self.alice, request=request)
        at = timezone.now() - timedelta(days=days)
        Generation.objects.filter(pk=generation.pk).update(created_at=at, **more)

    def test_ones_own_prompts_come_first_the_usual_and_recent_before_the_rest(self) -> None:
        self.made("old red boots", days=60)
        self.made("red loafers", days=3)
        for _time in range(3):
            self.made("red sneakers", days=4)
        self.assertEqual(self.ask("red")[:3], ["red sneakers", "red loafers", "old red boots"])
        first = suggest(self.alice, "prompt", "red")[0]
        self.assertEqual((first.source, first.whole, first.uses), ("history", True, 3))

    def test_every_typed_word_must_begin_a_word_of_the_prompt(self) -> None:
        self.made("white sneakers, red sole")
        self.assertIn("white sneakers, red sole", self.ask("sole whi"))
        self.assertNotIn("white sneakers, red sole", self.ask("sneakers hite"))
        self.assertNotIn("white sneakers, red sole", self.ask("white sneakers, red sole"))

    def test_nobody_is_offered_what_others_have_written(self) -> None:
        self.made("secret prototype", owner=self.bob)
        dataset(self.charlie, "secret colourway, side view")
        self.assertEqual([text for text in self.ask("secret") if "secret" in text], [])

    def test_captions_of_the_teams_datasets_are_offered_phrase_by_phrase(self) -> None:
        dataset(self.bob, "red clogs, view from the heel", "blue clogs, view from the heel.", "view")
        self.assertNotIn("view from the heel", self.ask("wooden clogs, view"))
        Dataset.objects.update(team=self.team)
        self.assertEqual(self.ask("wooden clogs, view")[:1], ["view from the heel"])
        offered = suggest(self.alice, "prompt", "wooden clogs, view")[0]
        self.assertEqual((offered.source, offered.uses, offered.start), ("captions", 2, len("wooden clogs, ")))

    def test_only_the_newest_version_of_a_dataset_speaks(self) -> None:
        dataset(self.alice, "quaint phrase")
        dataset(self.alice, "newer phrase")
        self.assertEqual((self.ask("quaint"), self.ask("newer")), ([], ["newer phrase"]))

    def test_the_trades_phrases_complete_the_last_word_and_are_not_offered_twice(self) -> None:
        found = suggest(self.alice, "prompt", "red leather sneak")[0]
        self.assertEqual((found.text, found.start), ("sneakers", len("red leather ")))
        self.assertNotIn("side view", self.ask("sneakers, side view, side"))

    def test_inside_a_choice_the_choice_goes_on(self) -> None:
        found = suggest(self.alice, "prompt", "{loafers|oxf")[0]
        self.assertEqual((found.text, found.start), ("oxfords", len("{loafers|")))

    def test_a_template_is_offered_as_it_was_typed_and_counts_once(self) -> None:
        for prompt in ("red clogs", "blue clogs"):
            self.made(prompt, template="{red|blue} clogs")
        found = suggest(self.alice, "prompt", "clogs")[0]
        self.assertEqual((found.text, found.uses), ("{red|blue} clogs", 1))

    def test_the_negative_prompt_has_a_history_and_phrases_of_its_own(self) -> None:
        self.made("red boots", negative="muddy water")
        self.assertEqual(self.ask("mud", field="negative_prompt"), ["muddy water"])
        self.assertEqual(self.ask("water", field="negative_prompt"), ["muddy water", "watermark"])
        self.assertNotIn("red boots", self.ask("red", field="negative_prompt"))

    def test_an_answer_is_quick_after_thousands_of_generations(self) -> None:
        self.made("red sneakers")
        first = Generation.objects.get()
        jobs = Job.objects.bulk_create(Job(owner=self.alice, kind="generate") for _number in range(3000))
        fields = {"owner": self.alice, "base_model": first.base_model, "model_name": "starter", "num_images": 1,
                  "num_inference_steps": 25, "guidance_scale": 3, "seed": 1, "width": 128, "height": 128}  # fmt: skip
        Generation.objects.bulk_create(
            Generation(job=job, prompt=f"red sneakers number {n}", **fields) for n, job in enumerate(jobs)
        )
        started = time.process_time()
        with self.assertNumQueries(2):
            self.assertEqual(len(self.ask("red sne")), 6)
        self.assertLess(time.process_time() - started, 0.15)
