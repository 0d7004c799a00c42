"""Collections: who sees them, who may change what, their order, and what is in them."""

from __future__ import annotations

import json
from typing import Any

from django.db import connection
from django.http import QueryDict
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from gallery import arranging, trash
from gallery.filters import ImageFilter
from gallery.models import Collection
from gallery.paging import neighbours, page_before, page_of
from generation.models import GeneratedImage
from generation.shelves import recount
from shoesai.testing import BaseTestCase, finished_generation


class CollectionCase(BaseTestCase):
    def setUp(self) -> None:
        self.client.force_login(self.alice)
        self.images = list(finished_generation(self.alice, pictures=4, seed=40).images.order_by("seq"))
        self.ours = self.made(self.alice, "Ours", self.images, team=self.team)
        self.private = self.made(self.alice, "Private", self.images[:2])

    def made(self, owner: Any, name: str, images: list[GeneratedImage], **fields: Any) -> Collection:
        collection = arranging.create_collection(owner, name, **fields)
        for image in images:
            arranging.add(owner, collection, GeneratedImage.objects.filter(pk=image.pk))
        return collection

    def order(self, collection: Collection, user: Any = None) -> list[int]:
        """The pictures by their number in the generation."""
        return [image.seq for image in arranging.in_collection(user or self.alice, collection)]

    def post(self, name: str, *keys: Any, **fields: Any) -> Any:
        return self.client.post(reverse(name, args=keys), fields)


class ListTest(CollectionCase):
    def test_without_any_it_says_what_they_are_for(self) -> None:
        Collection.objects.all().delete()
        page = self.client.get(reverse("collections"))
        self.assertContains(page, "No collections yet")
        self.assertContains(page, reverse("collection-new"))

    def test_each_has_its_first_pictures_and_its_number(self) -> None:
        covers = {cover.collection.name: cover for cover in self.client.get(reverse("collections")).context["covers"]}
        self.assertEqual(covers["Ours"].images, self.images)
        self.assertEqual((covers["Private"].number, covers["Private"].images), (2, self.images[:2]))

    def test_one_sees_ones_own_and_the_teams(self) -> None:
        self.made(self.bob, "Bob's own", [])
        for user, seen in ((self.alice, {"Ours", "Private"}), (self.bob, {"Ours", "Bob's own"}), (self.charlie, set())):
            self.client.force_login(user)
            covers = self.client.get(reverse("collections")).context["covers"]
            self.assertEqual({cover.collection.name for cover in covers}, seen)

    def test_what_is_counted_and_shown_is_what_one_sees(self) -> None:
        arranging.keep_private(self.alice, GeneratedImage.objects.filter(pk=self.images[0].pk))
        self.client.force_login(self.bob)
        (cover,) = self.client.get(reverse("collections")).context["covers"]
        self.assertEqual((cover.number, cover.images), (3, self.images[1:]))

    def test_twenty_cost_as_many_queries_as_two(self) -> None:
        with CaptureQueriesContext(connection) as few:
            self.client.get(reverse("collections"))
        for number in range(18):
            self.made(self.alice, f"Number {number}", self.images[:1])
        with CaptureQueriesContext(connection) as many:
            self.client.get(reverse("collections"))
        self.assertEqual(len(many), len(few))
        self.assertLessEqual(len(many), 15)


class PageTest(CollectionCase):
    def test_it_shows_its_pictures_in_its_own_order(self) -> None:
        arranging.move(self.ours, self.images[3], before=self.images[0])
        page = self.client.get(self.ours.get_absolute_url())
        self.assertEqual(page.context["images"], [self.images[3], *self.images[:3]])
        self.assertContains(page, "4 pictures")

    def test_it_is_read_page_by_page_in_both_directions(self) -> None:
        ours = ImageFilter(QueryDict(f"collection={self.ours.pk}"), user=self.alice)
        first = page_of(ours, None, 2)
        self.assertEqual((first.images, first.more, first.cursor), (self.images[:2], True, None))
        second = page_of(ours, str(first.next), 2)
        self.assertEqual((second.images, second.more, second.cursor), (self.images[2:], False, self.images[1].pk))
        back = page_before(ours, str(self.images[2].pk), 2)
        self.assertEqual((back.images, back.cursor), (self.images[:2], None))
        self.assertEqual(page_of(ours, "nonsense", 2).images, self.images[:2])

    def test_arrows_and_downloads_follow_its_order(self) -> None:
        arranging.move(self.ours, self.images[3], before=self.images[0])
        ours = ImageFilter(QueryDict(f"collection={self.ours.pk}"), user=self.alice)
        self.assertEqual(neighbours(ours, self.images[0]), (self.images[3], self.images[1]))
        ticked = {"image": [str(image.pk) for image in self.images], "query": f"collection={self.ours.pk}"}
        rows = self.client.post(reverse("gallery-metadata"), ticked | {"format": "json"})
        told = [row["seed"] for row in json.loads(rows.getvalue())]
        self.assertEqual(told, [43, 40, 41, 42])

    def test_a_picture_that_is_not_in_it_has_no_neighbours_there(self) -> None:
        private = ImageFilter(QueryDict(f"collection={self.private.pk}"), user=self.alice)
        self.assertEqual(neighbours(private, self.images[3]), (None, None))

    def test_another_order_can_be_asked_for_and_its_own_only_inside_it(self) -> None:
        def order(query: str) -> str:
            return ImageFilter(QueryDict(query), user=self.alice).order

        self.assertEqual(order(f"collection={self.ours.pk}"), "collection")
        self.assertEqual(order(f"collection={self.ours.pk}&sort=newest"), "newest")
        self.assertEqual((order("sort=collection"), order("collection=nonsense")), ("newest", "newest"))

    def test_what_is_thrown_away_is_gone_from_it_at_once_and_comes_back_to_its_place(self) -> None:
        gone = GeneratedImage.objects.filter(pk=self.images[1].pk)
        trash.throw_away(self.alice, gone)
        self.assertEqual(self.order(self.ours), [0, 2, 3])
        trash.restore(gone)
        self.assertEqual(self.order(self.ours), [0, 1, 2, 3])

    def test_an_empty_one_says_how_to_fill_it(self) -> None:
        empty = self.made(self.alice, "Empty", [])
        self.assertContains(self.client.get(empty.get_absolute_url()), "Nothing is in this collection yet")

    def test_only_its_owner_sees_links_and_edits(self) -> None:
        self.assertContains(self.client.get(self.ours.get_absolute_url()), "Share by link")
        self.client.force_login(self.bob)
        page = self.client.get(self.ours.get_absolute_url())
        self.assertNotContains(page, "Share by link")
        self.assertNotContains(page, reverse("collection-edit", args=[self.ours.pk]))

    def test_for_others_none_of_it_is_there(self) -> None:
        link = self.ours.links.create(created_by=self.alice)
        addresses = [
            reverse(name, args=[self.ours.pk])
            for name in ("collection", "collection-edit", "collection-delete", "collection-take-out",
                         "collection-move", "link-create")
        ] + [reverse("link-revoke", args=[self.ours.pk, link.pk])]  # fmt: skip
        for address in addresses:
            with self.subTest(address):
                self.client.force_login(self.charlie)
                answers = {self.client.get(address).status_code, self.client.post(address).status_code}
                self.assertLessEqual(answers, {404, 405})
                self.assertIn(404, answers)
                self.client.logout()
                self.assertIn(reverse("login"), self.client.post(address)["Location"])

    def test_a_team_member_cannot_do_what_is_its_owners(self) -> None:
        self.client.force_login(self.bob)
        for name in ("collection-edit", "collection-delete", "link-create"):
            answer = self.client.post(reverse(name, args=[self.ours.pk]), {"name": "Mine now"})
            self.assertEqual(answer.status_code, 404)
        self.assertTrue(Collection.objects.filter(pk=self.ours.pk, name="Ours").exists())

    def test_arranging_shows_arrows_that_work_without_a_script(self) -> None:
        page = self.client.get(f"{self.ours.get_absolute_url()}?arrange")
        self.assertContains(page, 'value="earlier"', count=4)
        answer = self.post("collection-move", self.ours.pk, image=self.images[2].pk, by="earlier")
        self.assertRedirects(answer, f"{self.ours.get_absolute_url()}?arrange#i-{self.images[2].pk}")
        self.assertEqual(self.order(self.ours), [0, 2, 1, 3])


class OrderTest(CollectionCase):
    def test_a_picture_is_put_before_another_or_at_the_end(self) -> None:
        self.post("collection-move", self.ours.pk, image=self.images[3].pk, before=self.images[1].pk)
        self.assertEqual(self.order(self.ours), [0, 3, 1, 2])
        self.post("collection-move", self.ours.pk, image=self.images[0].pk, before="")
        self.assertEqual(self.order(self.ours), [3, 1, 2, 0])

    def test_steps_go_from_one_end_to_the_other_and_no_further(self) -> None:
        for _step in range(5):
            arranging.step(self.alice, self.ours, self.images[0], 1)
        self.assertEqual(self.order(self.ours), [1, 2, 3, 0])
        for _step in range(5):
            arranging.step(self.alice, self.ours, self.images[0], -1)
        self.assertEqual(self.order(self.ours), [0, 1, 2, 3])

    def test_a_step_passes_what_one_does_not_see(self) -> None:
        arranging.keep_private(self.alice, GeneratedImage.objects.filter(pk=self.images[1].pk))
        arranging.step(self.bob, self.ours, self.images[2], -1)
        self.assertEqual(self.order(self.ours, self.bob), [2, 0, 3])

    def test_what_is_not_in_it_moves_nothing(self) -> None:
        stranger = finished_generation(self.alice, seed=9).images.get()
        answer = self.post("collection-move", self.ours.pk, image=stranger.pk, before=self.images[0].pk)
        self.assertEqual(answer.status_code, 404)
        self.assertEqual(self.post("collection-move", self.ours.pk, image="x").status_code, 404)
        arranging.move(self.ours, self.images[0], before=stranger)
        self.assertEqual(self.order(self.ours), [0, 1, 2, 3])

    def test_each_collection_has_an_order_of_its_own(self) -> None:
        arranging.move(self.private, self.images[1], before=self.images[0])
        self.assertEqual((self.order(self.private), self.order(self.ours)), ([1, 0], [0, 1, 2, 3]))


class ChangesTest(CollectionCase):
    def test_a_new_one_is_made_with_its_name_and_team(self) -> None:
        answer = self.client.post(
            reverse("collection-new"), {"name": " Look  book ", "description": "For the fair", "team": self.team.pk}
        )
        made = Collection.objects.get(name="Look book")
        self.assertRedirects(answer, made.get_absolute_url())
        self.assertEqual((made.owner, made.team, made.description), (self.alice, self.team, "For the fair"))

    def test_bad_names_and_teams_are_said_beside_their_fields(self) -> None:
        for fields, words in (
            ({"name": ""}, "This field is required"),
            ({"name": "Ours"}, "of this name already"),
            ({"name": "x" * 121}, "at most 120 characters"),
            ({"name": "New", "team": "nonsense"}, "is not a valid UUID"),
        ):
            with self.subTest(words):
                page = self.client.post(reverse("collection-new"), fields)
                self.assertContains(page, words, status_code=422)
        self.assertEqual(Collection.objects.count(), 2)

    def test_sharing_it_shares_its_owners_pictures_and_taking_that_back_leaves_them(self) -> None:
        arranging.keep_private(self.alice, GeneratedImage.objects.filter(owner=self.alice))
        self.assertEqual(self.order(self.ours, self.bob), [])
        address = reverse("collection-edit", args=[self.private.pk])
        page = self.client.post(address, {"name": "Private", "team": self.team.pk}, follow=True)
        self.assertContains(page, "Studio sees this collection, and 2 pictures of yours more.")
        self.assertEqual(self.order(self.private, self.bob), [0, 1])
        page = self.client.post(address, {"name": "Private", "team": ""}, follow=True)
        self.assertContains(page, "Only you see this collection now")
        self.assertFalse(Collection.objects.visible_to(self.bob).filter(pk=self.private.pk).exists())
        self.assertEqual(GeneratedImage.objects.visible_to(self.bob).count(), 2)
        self.assertEqual(recount(), 0)

    def test_a_team_member_adds_and_takes_out(self) -> None:
        bobs = finished_generation(self.bob).images.get()
        self.client.force_login(self.bob)
        self.client.post(reverse("selection-collect"), {"image": bobs.pk, "into": self.ours.pk})
        self.assertEqual(self.ours.items.count(), 5)
        page = self.client.post(
            reverse("collection-take-out", args=[self.ours.pk]), {"image": [self.images[0].pk, bobs.pk]}, follow=True
        )
        self.assertContains(page, "2 pictures are out of “Ours”.")
        self.assertEqual(self.order(self.ours), [1, 2, 3])
        self.assertTrue(GeneratedImage.objects.visible_to(self.bob).filter(pk=bobs.pk).exists())

    def test_deleting_it_leaves_the_pictures(self) -> None:
        self.assertRedirects(self.post("collection-delete", self.ours.pk), reverse("collections"))
        self.assertEqual(GeneratedImage.objects.visible_to(self.alice).count(), 4)
