"""The gallery: who sees what, searching, and one picture."""

from __future__ import annotations

import uuid
from typing import Any
from unittest.mock import patch

from django.urls import reverse
from django.utils import timezone

from generation.models import GeneratedImage
from generation.tests.test_portal_generate import checkpoint_of
from shoesai.testing import BaseTestCase, finished_generation


class GalleryTest(BaseTestCase):
    def setUp(self) -> None:
        self.client.force_login(self.alice)

    def shown(self, **query: Any) -> list[GeneratedImage]:
        return self.client.get(reverse("gallery"), query).context["page"].images

    def test_an_empty_gallery_shows_the_next_step(self) -> None:
        page = self.client.get(reverse("gallery"))
        self.assertContains(page, "The gallery is empty")
        self.assertContains(page, reverse("generate"))

    def test_one_sees_ones_own_and_ones_teams_pictures_only(self) -> None:
        mine = finished_generation(self.alice).images.get()
        ours = finished_generation(self.bob).images.get()
        finished_generation(self.charlie)
        self.assertEqual(self.shown(), [ours, mine])
        self.client.force_login(self.charlie)
        self.assertEqual(len(self.shown()), 1)

    def test_search_wants_every_word_in_any_order(self) -> None:
        finished_generation(self.alice, prompt="red leather sneakers")
        finished_generation(self.alice, prompt="red suede loafers")
        self.assertEqual(len(self.shown(q="Leather RED")), 1)
        self.assertEqual(len(self.shown(q="red")), 2)
        self.assertContains(self.client.get(reverse("gallery"), {"q": "green"}), "No picture matches")

    def test_a_search_of_a_thousand_words_is_a_search(self) -> None:
        finished_generation(self.alice, prompt="red sneakers")
        self.assertEqual(len(self.shown(q="red " * 1000)), 1)

    def test_the_facets_name_no_model_of_others(self) -> None:
        checkpoint_of(self.charlie, name="secret")
        finished_generation(self.charlie, model_name="secret/checkpoint-150")
        finished_generation(self.alice)
        self.assertNotContains(self.client.get(reverse("gallery")), "secret")

    def test_pages_follow_each_other_without_gap_or_repetition_even_at_one_moment(self) -> None:
        finished_generation(self.alice, pictures=7)
        GeneratedImage.objects.update(created_at=timezone.now())
        seen: list[GeneratedImage] = []
        with patch("gallery.paging.PAGE", 3):
            page = self.shown()
            while page:
                seen += page
                page = self.shown(cursor=page[-1].pk)
        self.assertEqual(len(seen), 7)
        self.assertEqual(len(set(seen)), 7)

    def test_htmx_gets_only_the_next_tiles_and_they_lead_on(self) -> None:
        finished_generation(self.alice, pictures=5)
        with patch("gallery.paging.PAGE", 2):
            first = self.shown(q="red")
            response = self.client.get(
                reverse("gallery"), {"q": "red", "cursor": str(first[-1].pk)}, HTTP_HX_REQUEST="true"
            )
        self.assertNotContains(response, "<html")
        self.assertContains(response, 'name="image"', count=2)
        self.assertContains(response, f"?q=red&amp;cursor={response.context['page'].images[-1].pk}")

    def test_a_cursor_that_names_no_picture_begins_at_the_beginning(self) -> None:
        picture = finished_generation(self.alice).images.get()
        self.assertEqual(self.shown(cursor="7"), [picture])
        self.assertEqual(self.shown(cursor=uuid.uuid4()), [picture])
