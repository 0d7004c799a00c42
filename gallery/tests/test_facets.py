"""Facets count what is there; shelves never lie."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any
from unittest.mock import patch

from django.db import connection
from django.http import QueryDict
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from gallery.facets import COUNTED_TO, ON_DEMAND, Facets, count_words, facets_of, total_of
from gallery.filters import ImageFilter
from gallery.models import Judgement, Tag, Tagging
from gallery.paging import neighbours, page_of
from generation import shelves
from generation.models import GeneratedImage, Shelf, Stack
from generation.tests.test_portal_generate import checkpoint_of
from shoesai.models import User
from shoesai.testing import BaseTestCase, finished_generation

PARAMETERS = {
    "q": ["", "red", "sneakers -blue", "steps:>30", "is:favourite", "rating:>=3", "tag:hero", "-user:bob"],
    "scheduler": ["ddim", "euler"],
    "owner": ["alice", "bob"],
    "size": ["128x128", "128x96"],
    "rating": ["5", "3"],
    "tag": ["hero", "draft"],
    "date": ["today", "week", "older", f"{timezone.localdate():%Y-%m}"],
}


def narrowed_by(user: User, **parameters: Any) -> ImageFilter:
    query = QueryDict(mutable=True)
    for name, values in parameters.items():
        query.setlist(name, values if isinstance(values, list) else [values])
    return ImageFilter(query, user=user)


class FilledGallery(BaseTestCase):
    hero: Tag
    draft: Tag

    @classmethod
    def setUpTestData(cls) -> None:
        super().setUpTestData()
        chance = random.Random(4)
        cls.hero, cls.draft = Tag.objects.create(name="hero"), Tag.objects.create(name="draft")
        checkpoint = checkpoint_of(cls.alice, cls.team)
        for number in range(24):
            generation = finished_generation(
                chance.choice([cls.alice, cls.alice, cls.bob, cls.charlie]) if number else cls.alice,
                pictures=chance.randint(1, 3),
                prompt=f"{chance.choice(['red', 'blue'])} {chance.choice(['sneakers', 'boots'])}",
                scheduler=chance.choice(["ddim", "euler"]),
                num_inference_steps=chance.choice([25, 50]),
                height=chance.choice([96, 128]),
            )
            cls.make_something_of(generation.images.all(), chance)
        finished_generation(cls.bob, model_name=checkpoint.name)
        shelves.recount()  # some were made older

    @classmethod
    def make_something_of(cls, images: Any, chance: random.Random) -> None:
        for image in images:
            if chance.random() < 0.5:
                rating = chance.choice([None, 3, 5])
                Judgement.objects.create(user=cls.alice, image=image, favourite=chance.random() < 0.5, rating=rating)
            for tag in (cls.hero, cls.draft):
                if chance.random() < 0.3:
                    Tagging.objects.create(tag=tag, image=image)
            if chance.random() < 0.3:
                old = timezone.now() - timedelta(days=900)
                GeneratedImage.objects.filter(pk=image.pk).update(created_at=old)


class FacetsTest(FilledGallery):
    def test_every_count_is_what_choosing_the_option_shows(self) -> None:
        """Against the plain queryset, for random combinations of everything."""
        chance = random.Random(9)
        for _ in range(12):
            chosen = {name: [chance.choice(values)] for name, values in PARAMETERS.items() if chance.random() < 0.3}
            narrowed = narrowed_by(self.alice, **chosen)
            facets = facets_of(narrowed, opened=ON_DEMAND)
            self.assertEqual(facets.total, narrowed.qs.count(), chosen)
            self.assertEqual(total_of(narrowed), facets.total)
            self.compare_with_choosing(facets, chosen)

    def compare_with_choosing(self, facets: Facets, chosen: dict[str, list[str]]) -> None:
        for facet in facets.facets:
            for option in facet.options:
                if "-" in option.value:  # a month that was chosen; it is no option and leads nowhere by itself
                    continue
                shown = narrowed_by(self.alice, **{**chosen, facet.name: [option.value]}).qs.count()
                self.assertEqual(option.count, shown, (chosen, facet.name, option.value))
                self.assertTrue(option.count or option.selected)

    def test_walking_and_fetching_count_alike(self) -> None:
        with patch("gallery.filters.FEW", 0), patch("gallery.searching.COMMON", 0):
            self.test_every_count_is_what_choosing_the_option_shows()

    def test_tags_and_ratings_are_counted_when_they_are_looked_at(self) -> None:
        def counted(*opened: str, **parameters: Any) -> set[str]:
            found = facets_of(narrowed_by(self.alice, **parameters), opened)
            return {facet.name for facet in found.facets if facet.is_counted}

        self.assertNotIn("tag", counted())
        self.assertNotIn("tag", counted(tag="hero"))
        self.assertIn("tag", counted("tag"))

    def test_others_pictures_are_in_no_facet(self) -> None:
        owners = next(facet for facet in facets_of(narrowed_by(self.alice)).facets if facet.name == "owner")
        self.assertEqual({option.value for option in owners.options}, {"alice", "bob"})

    def test_what_is_chosen_stays_even_when_nothing_has_it(self) -> None:
        facets = facets_of(narrowed_by(self.alice, scheduler="unipc", tag="no such"), ["tag"])
        gone = {facet.name: facet.options[-1] for facet in facets.facets if facet.name in ("scheduler", "tag")}
        self.assertEqual((gone["scheduler"].count, gone["scheduler"].selected), (0, True))
        self.assertEqual((gone["tag"].count, gone["tag"].selected), (0, True))

    def test_conditions_that_exclude_each_other_count_nothing(self) -> None:
        found = facets_of(narrowed_by(self.alice, q="user:alice", owner="bob"))
        self.assertEqual(found.total, 0)

    def test_a_few_queries_are_enough(self) -> None:
        for parameters in ({}, {"q": "red -boots rating:>3", "tag": "hero", "date": "today", "owner": "bob"}):
            with CaptureQueriesContext(connection) as queries:
                narrowed = narrowed_by(self.alice, **parameters)
                page_of(narrowed, None)
                facets_of(narrowed, opened=ON_DEMAND)
            self.assertLessEqual(len(queries), 15)

    def test_numbers_are_exact_up_to_ten_thousand(self) -> None:
        self.assertEqual(count_words(9_999), "9,999")
        self.assertEqual(count_words(COUNTED_TO), "10,000")
        self.assertEqual(count_words(COUNTED_TO + 1), "10,000+")
        with patch("gallery.facets.COUNTED_TO", 2):
            dates = next(facet for facet in facets_of(narrowed_by(self.alice)).facets if facet.name == "date")
        self.assertEqual(max(option.count or 0 for option in dates.options), 3)


class PagingTest(FilledGallery):
    def test_pages_in_every_order_hold_each_picture_once_and_neighbours_agree(self) -> None:
        GeneratedImage.objects.filter(seq=1).update(created_at=timezone.now())
        shelves.recount()
        for parameters in ({}, {"sort": "oldest"}, {"sort": "rating"}, {"q": "red", "sort": "rating"}):
            narrowed = narrowed_by(self.alice, **parameters)
            everything = list(narrowed.qs)
            paged: list[GeneratedImage] = []
            page = page_of(narrowed, None, 3)
            while page.more:
                paged += page.images
                page = page_of(narrowed, page.next, 3)
            self.assertEqual(paged + page.images, everything)
            for number, image in enumerate(everything):
                before = everything[number - 1] if number else None
                after = everything[number + 1] if number + 1 < len(everything) else None
                self.assertEqual(neighbours(narrowed, image), (before, after))

    def test_a_page_goes_on_after_a_picture_that_was_thrown_away(self) -> None:
        narrowed = narrowed_by(self.alice)
        first, second, *_ = narrowed.qs
        shelves.clear(GeneratedImage.objects.filter(pk=first.pk), trashed_at=timezone.now())
        self.assertEqual(page_of(narrowed, first.pk).images[0], second)

    def test_the_best_rated_come_first_and_only_ones_own_ratings_count(self) -> None:
        rated = list(narrowed_by(self.alice, sort="rating").qs)
        stars = [image.judged[0].rating for image in rated]  # type: ignore[attr-defined]
        self.assertEqual(stars, sorted(stars, reverse=True))
        self.assertEqual(list(narrowed_by(self.bob, sort="rating").qs), [])


class ShelvesTest(FilledGallery):
    def assert_true(self) -> None:
        for shelf in Shelf.objects.all():
            self.assertEqual(shelf.images, GeneratedImage.objects.filter(shelf=shelf).count())
        self.assertEqual(shelves.recount(), 0)

    def test_numbers_stay_true_through_trash_restoring_and_sharing(self) -> None:
        chance = random.Random(2)
        everything = list(GeneratedImage.objects.all())
        for _ in range(12):
            some = chance.sample(everything, 5)
            chosen = GeneratedImage.objects.filter(pk__in=[image.pk for image in some])
            match chance.choice(["clear", "place", "share", "keep"]):
                case "clear":
                    shelves.clear(chosen, trashed_at=timezone.now())
                case "place":
                    shelves.place(some)
                case "share":
                    chosen.update(team=self.team)
                    shelves.place(some)
                case "keep":
                    chosen.update(team=None)
                    shelves.place(some)
            self.assert_true()

    def test_what_its_owner_keeps_private_is_not_seen_by_the_team(self) -> None:
        image = GeneratedImage.objects.filter(owner=self.bob).first()
        assert image
        GeneratedImage.objects.filter(pk=image.pk).update(team=None)
        shelves.place([image])
        self.assertFalse(GeneratedImage.objects.visible_to(self.alice).filter(pk=image.pk).exists())
        self.assertTrue(GeneratedImage.objects.visible_to(self.bob).filter(pk=image.pk).exists())

    def test_a_wrong_number_is_found_and_mended(self) -> None:
        Shelf.objects.update(images=77)
        stack = Stack.objects.first()
        assert stack
        stack.delete()
        self.assertEqual(shelves.recount(), Shelf.objects.count() + 1)
        self.assert_true()

    def test_new_pictures_are_private_for_whoever_wants_that(self) -> None:
        self.alice.shares_new_pictures = False
        self.alice.save()
        image = finished_generation(self.alice).images.get()
        self.assertIsNone(image.team)
        self.assertFalse(GeneratedImage.objects.visible_to(self.bob).filter(pk=image.pk).exists())
