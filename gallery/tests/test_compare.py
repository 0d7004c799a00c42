"""Two to four pictures beside each other: the differences in their settings and prompts, and whose they may be."""

from __future__ import annotations

import uuid
from typing import Any

from django.test import SimpleTestCase
from django.urls import reverse

from gallery.comparing import WordsRow, words_row
from generation.models import GeneratedImage
from shoesai.testing import BaseTestCase, finished_generation


def own_words(row: WordsRow) -> list[list[str]]:
    return [[piece.text for piece in prompt if piece.own] for prompt in row.prompts]


class WordsTest(SimpleTestCase):
    def test_what_another_prompt_does_not_have_is_marked(self) -> None:
        row = words_row("Prompt", ["a brown leather shoe, side view", "a black leather shoe, front view"])
        self.assertEqual(own_words(row), [["brown", "side"], ["black", "front"]])
        self.assertEqual("".join(f"{piece.text} " for piece in row.prompts[0]), "a brown leather shoe, side view ")

    def test_neighbouring_words_are_marked_together(self) -> None:
        row = words_row("Prompt", ["a shoe", "a very old shoe on sand"])
        self.assertEqual(own_words(row), [[], ["very old", "on sand"]])

    def test_capitals_and_commas_are_no_difference(self) -> None:
        self.assertFalse(words_row("Prompt", ["Red shoe, white sole", "red shoe white sole,"]).differs)

    def test_the_first_of_several_is_marked_where_any_other_differs(self) -> None:
        row = words_row("Prompt", ["a red shoe", "a red boot", "a blue shoe"])
        self.assertEqual(own_words(row), [["red shoe"], ["boot"], ["blue"]])

    def test_nothing_beside_something_is_a_difference(self) -> None:
        self.assertEqual(own_words(words_row("Negative prompt", ["", "blurry"])), [[], ["blurry"]])


class ComparePageTest(BaseTestCase):
    def setUp(self) -> None:
        self.client.force_login(self.bob)
        self.first = finished_generation(self.alice, seed=7, prompt="red shoes").images.get()
        self.second = finished_generation(self.alice, seed=7, prompt="blue shoes", guidance_scale=9).images.get()

    def compare(self, *images: GeneratedImage | str, **query: Any) -> Any:
        wanted = [image if isinstance(image, str) else str(image.pk) for image in images]
        return self.client.get(reverse("image-compare"), {"image": wanted, **query})

    def test_it_says_which_settings_differ(self) -> None:
        page = self.compare(self.first, self.second)
        differs = {row.label: row.differs for row in page.context["rows"]}
        self.assertEqual((differs["Guidance"], differs["Seed"], differs["Model"]), (True, False, False))
        self.assertNotIn("LoRAs", differs)
        self.assertContains(page, "<mark>red</mark>")

    def test_they_stand_in_the_order_of_the_address_each_once(self) -> None:
        page = self.compare(self.second, self.first, self.second)
        self.assertEqual([image for _letter, image, _mine in page.context["sides"]], [self.second, self.first])

    def test_two_may_lie_upon_each_other_and_more_may_not(self) -> None:
        self.assertContains(self.compare(self.first, self.second, view="slider"), 'data-view="slider"')
        self.assertContains(self.compare(self.first, self.second, view="nonsense"), 'data-view="side"')
        third = finished_generation(self.bob).images.get()
        page = self.compare(self.first, self.second, third, view="slider")
        self.assertContains(page, 'data-view="side"')
        self.assertNotContains(page, "data-view-link")

    def test_every_picture_can_be_judged_and_used_from_here(self) -> None:
        page = self.compare(self.first, self.second)
        for image in (self.first, self.second):
            self.assertContains(page, reverse("image-judge", args=[image.pk]))
            self.assertContains(page, f"{reverse('generate')}?from={image.pk}")

    def test_another_number_than_two_to_four_is_explained(self) -> None:
        self.assertContains(self.compare(), "Select two to four pictures")
        for images in ([self.first], finished_generation(self.bob, pictures=5).images.all()):
            self.assertContains(self.compare(*images), "Two to four pictures can be compared", status_code=400)

    def test_one_picture_that_is_not_theirs_is_a_404_for_all(self) -> None:
        for other in (finished_generation(self.charlie).images.get(), str(uuid.uuid4()), "nonsense"):
            self.assertEqual(self.compare(self.first, other).status_code, 404)

    def test_a_stranger_is_sent_to_the_sign_in_page(self) -> None:
        self.client.logout()
        self.assertEqual(self.compare(self.first, self.second).status_code, 302)
