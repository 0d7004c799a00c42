"""The gallery's page: rows of pictures, what narrows them, the ways on, and the bar of a selection."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from unittest.mock import patch
from urllib.parse import parse_qsl, urlsplit

from django.conf import settings
from django.contrib.staticfiles import finders
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from gallery.facets import Option
from gallery.models import Collection, CollectionItem, Judgement, Tag, Tagging
from gallery.templatetags.gallery import folded, ratio
from generation.models import GeneratedImage
from generation.tests.test_portal_generate import checkpoint_of
from shoesai.testing import BaseTestCase, finished_generation

QUERIES = 15
KILOBYTES = 150


class GridTestCase(BaseTestCase):
    def setUp(self) -> None:
        self.client.force_login(self.alice)

    def page(self, **query: Any) -> Any:
        return self.client.get(reverse("gallery"), query)

    def part(self, target: str = "", **query: Any) -> Any:
        headers = {"HX-Request": "true"} | ({"HX-Target": target} if target else {})
        return self.client.get(reverse("gallery"), query, headers=headers)

    def ids(self, response: Any) -> list[str]:
        return re.findall(r'<li class="tile" id="i-([^"]+)"', response.content.decode())


class TilesTest(GridTestCase):
    def test_a_tile_knows_its_shape_and_colour_before_its_picture_is_there(self) -> None:
        image = finished_generation(self.alice, width=128, height=96).images.get()
        page = self.page()
        self.assertContains(page, 'data-ratio="1.33"')
        self.assertContains(page, f'fill="{image.colour}"')
        self.assertContains(page, 'loading="lazy"')
        self.assertNotContains(page, "style=")

    def test_a_shape_beyond_all_measure_is_cropped(self) -> None:
        self.assertEqual(ratio(GeneratedImage(width=1024, height=64)), "3.30")
        self.assertEqual(ratio(GeneratedImage(width=64, height=1024)), "0.30")

    def test_a_tile_shows_what_one_thinks_oneself_and_not_what_others_do(self) -> None:
        image = finished_generation(self.alice).images.get()
        Judgement.objects.create(user=self.alice, image=image, favourite=True, rating=4)
        self.assertContains(self.page(), 'aria-pressed="true"')
        self.assertContains(self.page(), 'aria-label="4 stars"')
        self.client.force_login(self.bob)
        self.assertNotContains(self.page(), 'class="heart" aria-pressed="true"')
        self.assertNotContains(self.page(), 'data-rating="4"')

    def test_only_ones_own_pictures_are_marked_as_ones_own(self) -> None:
        finished_generation(self.alice)
        finished_generation(self.bob)
        self.assertContains(self.page(), " data-mine>", count=1)

    def test_prompts_are_text(self) -> None:
        finished_generation(self.alice, prompt='"><script>alert(1)</script>')
        self.assertNotContains(self.page(), "<script>alert")

    def test_whoever_is_not_signed_in_is_asked_to(self) -> None:
        self.client.logout()
        for name in ("gallery", "gallery-complete"):
            self.assertRedirects(self.client.get(reverse(name)), f"{reverse('login')}?next={reverse(name)}")


class PagesTest(GridTestCase):
    def setUp(self) -> None:
        super().setUp()
        finished_generation(self.alice, pictures=7)
        self.all = self.ids(self.page())
        patcher = patch("gallery.paging.PAGE", 3)
        patcher.start()
        self.addCleanup(patcher.stop)

    def link(self, response: Any, mark: str) -> dict[str, str]:
        found = re.search(rf'href="([^"]+)"[^>]*{mark}', response.content.decode())
        assert found, f"no link {mark}"
        return dict(parse_qsl(urlsplit(found[1].replace("&amp;", "&")).query))

    def test_load_more_is_a_link_that_goes_on_where_the_page_ends(self) -> None:
        first = self.page(q="red")
        self.assertEqual(self.ids(first), self.all[:3])
        second = self.page(**self.link(first, "data-more"))
        self.assertEqual(self.ids(second), self.all[3:6])
        self.assertEqual(self.link(first, "data-more")["q"], "red")

    def test_a_page_further_down_leads_back_to_what_came_before_it(self) -> None:
        third = self.page(cursor=self.all[5])
        self.assertEqual(self.ids(third), self.all[6:])
        second = self.page(**self.link(third, "data-newer"))
        self.assertEqual(self.ids(second), self.all[3:6])
        first = self.page(**self.link(second, "data-newer"))
        self.assertEqual(self.ids(first), self.all[:3])
        self.assertNotContains(first, "data-newer")

    def test_the_first_tile_of_a_page_names_the_place_for_the_address(self) -> None:
        self.assertNotContains(self.page(), "data-page")
        self.assertContains(self.part(cursor=self.all[2]), f'data-page="{self.all[2]}"', count=1)

    def test_htmx_gets_tiles_and_the_way_on_at_the_asked_end_only(self) -> None:
        older = self.part(cursor=self.all[2])
        self.assertNotContains(older, "<html")
        self.assertNotContains(older, "data-newer")
        self.assertContains(older, "data-more")
        newer = self.part(before=self.all[6])
        self.assertEqual(self.ids(newer), self.all[3:6])
        self.assertContains(newer, "data-newer")
        self.assertNotContains(newer, "data-more")

    def test_a_place_after_which_nothing_is_left_says_so_and_leads_to_the_beginning(self) -> None:
        page = self.page(cursor=self.all[-1], q="red")
        self.assertContains(page, "Nothing further")
        self.assertContains(page, 'href="/gallery/?q=red"')

    def test_a_page_and_its_parts_are_kept_apart_by_caches(self) -> None:
        self.assertIn("HX-Request", self.page()["Vary"])
        self.assertIn("no-cache", self.part(cursor=self.all[2])["Cache-Control"])


class NarrowingTest(GridTestCase):
    def test_a_changed_filter_brings_pictures_facets_and_words_but_no_frame(self) -> None:
        finished_generation(self.alice, prompt="red shoes")
        finished_generation(self.bob, prompt="blue shoes")
        found = self.part("found", owner="bob")
        self.assertEqual(len(self.ids(found)), 1)
        self.assertNotContains(found, "<html")
        self.assertContains(found, '<div id="facet-list" hx-swap-oob="innerHTML">')
        self.assertContains(found, 'id="found-words"')

    def test_in_a_large_gallery_the_pictures_come_first_and_their_number_follows(self) -> None:
        finished_generation(self.alice, prompt="red shoes")
        finished_generation(self.bob, prompt="red boots")
        with patch("gallery.facets.COUNTED_AT_ONCE", 1):
            page, again = self.page(q="red", owner="bob"), self.part("found", q="red", owner="bob")
            numbers = self.part("facet-list", q="red", owner="bob", counted="1")
            self.assertContains(self.page(q="red", counted="1"), "<b>2</b> pictures")
            self.assertContains(self.page(owner="bob"), "<b>1</b> picture")
        for response in (page, again):
            self.assertEqual(len(self.ids(response)), 1)
            self.assertContains(response, "Counting…")
            self.assertContains(response, "Made by: bob")
            self.assertContains(response, "Select all results")
        self.assertContains(page, 'value="bob" id="facet-owner-bob" checked')
        self.assertNotContains(again, 'id="facet-list"')
        for words in ('data-number="1"', "<b>1</b> picture", 'id="found-words"', 'id="facet-owner-alice"'):
            self.assertContains(numbers, words)

    def test_what_is_chosen_is_a_chip_whose_link_takes_it_away(self) -> None:
        finished_generation(self.alice, prompt="red shoes")
        finished_generation(self.bob, prompt="red shoes")
        page = self.page(q="red", owner=["alice", "bob"])
        self.assertContains(page, "Made by: bob")
        self.assertContains(page, 'href="/gallery/?q=red&amp;owner=alice"')

    def test_a_single_option_that_every_picture_has_is_no_choice(self) -> None:
        finished_generation(self.alice)
        self.assertNotContains(self.page(), 'name="owner"')
        self.assertContains(self.page(owner="alice"), 'name="owner"')

    def test_a_chosen_option_that_is_empty_now_stays(self) -> None:
        finished_generation(self.alice, prompt="red shoes")
        finished_generation(self.bob, prompt="blue shoes")
        self.assertContains(self.page(q="red", owner="bob"), 'class="is-empty"')
        self.assertContains(self.page(q="red", owner="bob"), "No picture matches")

    def test_what_cannot_be_meant_is_told_and_what_was_typed_stays(self) -> None:
        finished_generation(self.alice)
        page = self.page(q="red seed:x")
        self.assertContains(page, "“x” is no seed")
        self.assertContains(page, 'value="red seed:x"')
        self.assertContains(page, 'aria-describedby="search-problems"')

    def test_best_rated_first_counts_only_what_is_rated(self) -> None:
        rated, _other = finished_generation(self.alice, pictures=2).images.all()
        Judgement.objects.create(user=self.alice, image=rated, rating=2)
        page = self.page(sort="rating")
        self.assertEqual((page.context["total"], self.ids(page)), (1, [str(rated.pk)]))

    def test_ratings_and_tags_are_counted_when_somebody_looks(self) -> None:
        image = finished_generation(self.alice).images.get()
        Tagging.objects.create(tag=Tag.objects.create(name="hero"), image=image)
        self.assertNotContains(self.page(), 'value="hero"')
        self.assertContains(self.client.get(reverse("gallery-facet", args=["tag"])), 'value="hero"')
        self.assertContains(self.page(opened="tag"), 'name="tag" value="hero"')
        self.assertEqual(self.client.get(reverse("gallery-facet", args=["model"])).status_code, 404)

    def test_the_tags_of_others_are_not_offered(self) -> None:
        image = finished_generation(self.charlie).images.get()
        Tagging.objects.create(tag=Tag.objects.create(name="secret"), image=image)
        finished_generation(self.alice)
        self.assertNotContains(self.client.get(reverse("gallery-facet", args=["tag"])), "secret")

    def test_a_collection_is_named_only_to_whoever_may_see_it(self) -> None:
        shoe = finished_generation(self.alice).images.get()
        mine = Collection.objects.create(owner=self.alice, name="Spring")
        CollectionItem.objects.create(collection=mine, image=shoe, position=1)
        foreign = Collection.objects.create(owner=self.charlie, name="Secret")
        self.assertContains(self.page(collection=mine.pk), "Collection: Spring")
        self.assertEqual(len(self.ids(self.page(collection=mine.pk))), 1)
        self.assertNotContains(self.page(collection=foreign.pk), "Secret")
        self.assertContains(self.page(collection="nonsense"), "not there any more")

    def test_long_lists_of_options_are_folded_except_what_is_chosen(self) -> None:
        options = [Option(str(number), str(number), 1, number == 11) for number in range(12)]
        shown, rest = folded(options)
        self.assertEqual([option.value for option in shown], [*map(str, range(8)), "11"])
        self.assertEqual(len(rest), 3)


class CompletionTest(GridTestCase):
    def offers(self, text: str, caret: int | None = None) -> list[str]:
        place = len(text) if caret is None else caret
        response = self.client.get(reverse("gallery-complete"), {"q": text, "caret": str(place)})
        return [offer.text for offer in response.context["completion"].offers]

    def test_a_begun_key_is_completed_and_nothing_typed_offers_all(self) -> None:
        self.assertEqual(self.offers("red sche"), ["scheduler:"])
        self.assertIn("model:", self.offers(""))
        self.assertEqual(self.offers("-ta"), ["-tag:"])

    def test_the_term_under_the_caret_is_the_one(self) -> None:
        response = self.client.get(reverse("gallery-complete"), {"q": "is:fav white", "caret": "5"})
        completion = response.context["completion"]
        self.assertEqual((completion.start, completion.end), (0, 6))
        self.assertEqual([offer.text for offer in completion.offers], ["is:favourite"])

    def test_values_are_those_that_the_user_has(self) -> None:
        checkpoint_of(self.alice)
        finished_generation(self.alice, model_name="spring/checkpoint-150")
        checkpoint_of(self.charlie, name="secret")
        finished_generation(self.charlie, model_name="secret/checkpoint-150")
        self.assertEqual(self.offers("model:"), ["model:starter", "model:spring"])
        self.assertEqual(self.offers("lora:s"), ["lora:spring/checkpoint-150"])
        self.assertEqual(self.offers("user:"), ["user:alice"])
        self.assertEqual(self.offers("size:1"), ["size:128x128"])

    def test_words_with_a_blank_are_quoted_and_a_bar_begins_another(self) -> None:
        image = finished_generation(self.alice).images.get()
        for name in ("summer sale", "hero"):
            Tagging.objects.create(tag=Tag.objects.create(name=name), image=image)
        foreign = finished_generation(self.charlie).images.get()
        Tagging.objects.create(tag=Tag.objects.create(name="secret"), image=foreign)
        self.assertEqual(self.offers("tag:s"), ['tag:"summer sale"'])
        self.assertEqual(self.offers("tag:hero|su"), ['tag:hero|"summer sale"'])

    def test_articles_and_collections_are_offered_too(self) -> None:
        image = finished_generation(self.alice).images.get()
        GeneratedImage.objects.filter(pk=image.pk).update(sku="AB-12")
        Collection.objects.create(owner=self.bob, name="Not shared")
        Collection.objects.create(owner=self.alice, name="Spring")
        self.assertEqual(self.offers("sku:a"), ["sku:AB-12"])
        self.assertEqual(self.offers("collection:"), ["collection:Spring"])

    def test_every_offered_value_can_be_meant(self) -> None:
        finished_generation(self.alice)
        for key in ("model", "user", "size", "scheduler", "steps", "rating", "view", "is", "date", "after", "before"):
            offers = self.offers(f"{key}:")
            self.assertTrue(offers, key)
            for offer in offers:
                self.assertEqual(self.page(q=offer).context["filter"].problems, [], offer)

    def test_nonsense_is_harmless(self) -> None:
        for text, caret in (("model:\x00", 7), ('"', 1), ("nokey:x", 7), ("a" * 5000, 4000), ("x", 99)):
            self.offers(text, caret)
        response = self.client.get(reverse("gallery-complete"), {"q": "x", "caret": "-1"})
        self.assertEqual(response.status_code, 200)


class BarTest(GridTestCase):
    def test_all_results_can_be_taken_by_the_search_that_found_them(self) -> None:
        finished_generation(self.alice, pictures=3)
        page = self.page(q="red")
        self.assertContains(page, "Select all 3 results")
        self.assertContains(page, '<input type="hidden" name="query" value="q=red">')

    def test_it_offers_only_ones_own_teams_and_collections(self) -> None:
        finished_generation(self.alice)
        Collection.objects.create(owner=self.charlie, name="Secret")
        Collection.objects.create(owner=self.alice, name="Spring")
        self.assertContains(self.page(), "Share with Studio")
        self.assertContains(self.page(), "<span>Spring</span>")
        self.assertNotContains(self.page(), "Secret")

    def test_two_to_four_pictures_go_to_the_page_that_compares_them(self) -> None:
        pictures = finished_generation(self.alice, pictures=2).images.all()
        answer = self.client.post(reverse("compare-selected"), {"image": [image.pk for image in pictures]})
        self.assertEqual(urlsplit(answer["Location"]).path, reverse("image-compare"))
        self.assertEqual({value for _name, value in parse_qsl(urlsplit(answer["Location"]).query)},
                         {str(image.pk) for image in pictures})  # fmt: skip

    def test_somebody_elses_picture_is_not_compared(self) -> None:
        foreign = finished_generation(self.charlie).images.get()
        answer = self.client.post(reverse("compare-selected"), {"image": foreign.pk})
        self.assertNotIn(str(foreign.pk), answer["Location"])


class WeightTest(GridTestCase):
    def test_queries_do_not_grow_with_the_pictures(self) -> None:
        for pictures in (1, 9):
            finished_generation(self.alice, pictures=pictures)
            for address in (self.page, lambda: self.page(q="red", owner="alice"), lambda: self.part("found", q="red")):
                with CaptureQueriesContext(connection) as queries:
                    address()
                self.assertLessEqual(len(queries), QUERIES)

    def test_css_and_scripts_stay_light(self) -> None:
        finished_generation(self.alice)
        addresses = re.findall(r'(?:href|src)="/static/([^"]+\.(?:css|js))"', self.page().content.decode())
        weight = sum(len(text) for text in with_imports({Path(str(finders.find(name))) for name in addresses}).values())
        self.assertLess(weight / 1024, KILOBYTES)


def with_imports(scripts: set[Path]) -> dict[Path, bytes]:
    """The files and every module that they import."""
    found: dict[Path, bytes] = {}
    while scripts:
        path = scripts.pop()
        found[path] = path.read_bytes()
        if path.is_relative_to(settings.BASE_DIR):
            names = re.findall(rb'^import (?:[^"]* from )?"(\.[^"]+)"', found[path], re.M)
            scripts |= {(path.parent / name.decode()).resolve() for name in names} - found.keys()
    return found
