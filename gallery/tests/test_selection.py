"""What can be done with many pictures at once, by whom, and how it is answered."""

from __future__ import annotations

import json
import uuid
from typing import Any

from django.urls import reverse

from gallery.models import Collection, Judgement, Tag, Tagging
from gallery.selection_views import ACTIONS
from generation.models import GeneratedImage, Shelf
from generation.shelves import recount
from shoesai.models import Membership, Team
from shoesai.testing import BaseTestCase, finished_generation


class SelectionCase(BaseTestCase):
    def setUp(self) -> None:
        self.client.force_login(self.alice)
        self.images = list(finished_generation(self.alice, pictures=3, seed=40).images.order_by("seq"))
        self.bobs = finished_generation(self.bob, prompt="blue loafers").images.get()

    def act(self, action: str, images: list[GeneratedImage], *, htmx: bool = False, **fields: Any) -> Any:
        headers = {"HX-Request": "true"} if htmx else {}
        data = {"image": [str(image.pk) for image in images], **fields}
        return self.client.post(reverse(f"selection-{action}"), data, headers=headers)

    def told(self, action: str, images: list[GeneratedImage], **fields: Any) -> str:
        """The sentence that the answer carries."""
        response = self.act(action, images, htmx=True, **fields)
        (detail,) = json.loads(response["HX-Trigger"]).values()
        return str(detail["words"])


class JudgingTest(SelectionCase):
    def judged(self, user: Any = None) -> dict[uuid.UUID, tuple[bool, int | None]]:
        rows = Judgement.objects.filter(user=user or self.alice)
        return {row.image_id: (row.favourite, row.rating) for row in rows}

    def test_a_star_is_ones_own_and_may_be_given_twice(self) -> None:
        for _again in range(2):
            self.assertEqual(self.told("favourite", [*self.images, self.bobs]), "4 pictures are favourites.")
        self.assertEqual(set(self.judged().values()), {(True, None)})
        self.assertEqual(self.judged(self.bob), {})
        self.assertEqual(self.told("unfavourite", self.images), "3 pictures are no favourites.")
        self.assertEqual(list(self.judged()), [self.bobs.pk])

    def test_a_rating_leaves_the_star_and_zero_takes_it_away(self) -> None:
        self.act("favourite", self.images[:1])
        self.assertEqual(self.told("rate", self.images, rating="4"), "3 pictures are rated ★★★★.")
        self.assertEqual(self.judged()[self.images[0].pk], (True, 4))
        self.told("rate", self.images, rating="0")
        self.assertEqual(self.judged(), {self.images[0].pk: (True, None)})

    def test_a_rating_that_is_none_changes_nothing_and_says_what_is_allowed(self) -> None:
        for nonsense in ("6", "-1", "x", ""):
            self.assertIn("1 to 5", self.told("rate", self.images, rating=nonsense))
        self.assertEqual(self.judged(), {})

    def test_all_results_of_a_search_are_judged_whatever_is_ticked(self) -> None:
        self.act("favourite", [], all="1", query="?q=loafers")
        self.assertEqual(list(self.judged()), [self.bobs.pk])

    def test_what_one_may_not_see_is_not_judged(self) -> None:
        foreign = finished_generation(self.charlie).images.get()
        self.assertIn("Nothing was selected", self.told("favourite", [foreign]))
        self.assertFalse(Judgement.objects.exists())

    def test_one_picture_is_judged_by_a_module_that_reads_json(self) -> None:
        address = reverse("image-judge", args=[self.bobs.pk])
        for fields, favourite, rating in (({"favourite": "1"}, True, None), ({"rating": "5"}, True, 5),
                                          ({"favourite": "0", "rating": "0"}, False, None)):  # fmt: skip
            answer = self.client.post(address, fields, headers={"Accept": "application/json"})
            self.assertEqual(answer.json(), {"favourite": favourite, "rating": rating})
        refused = self.client.post(address, {"rating": "9"}, headers={"HX-Request": "true"})
        self.assertEqual(refused.status_code, 422)

    def test_a_form_without_a_module_goes_back_where_it_was(self) -> None:
        address, here = reverse("image-judge", args=[self.bobs.pk]), reverse("image", args=[self.bobs.pk])
        answer = self.client.post(
            address, {"favourite": "1"}, headers={"Accept": "text/html,*/*;q=0.8", "Referer": f"http://testserver{here}?q=a"}
        )
        self.assertRedirects(answer, f"{here}?q=a", fetch_redirect_response=False)
        self.assertEqual(self.judged(), {self.bobs.pk: (True, None)})

    def test_a_picture_of_others_cannot_be_judged(self) -> None:
        foreign = finished_generation(self.charlie).images.get()
        answer = self.client.post(reverse("image-judge", args=[foreign.pk]), {"favourite": "1"})
        self.assertEqual(answer.status_code, 404)


class TagsTest(SelectionCase):
    def test_a_tag_is_written_one_way_and_given_once(self) -> None:
        for words in ("Summer  Sale", "summer sale"):
            self.assertEqual(self.told("tag", self.images, tag=words), "3 pictures are tagged “summer sale”.")
        self.assertEqual(Tagging.objects.count(), 3)

    def test_whoever_sees_a_picture_may_tag_it_and_take_tags_away(self) -> None:
        self.told("tag", [self.images[0], self.bobs], tag="best")
        self.client.force_login(self.bob)
        self.told("untag", [self.images[0]], tag="Best")
        self.assertEqual(Tagging.objects.get().image, self.bobs)
        self.told("untag", [self.bobs], tag="best")
        self.assertFalse(Tag.objects.exists(), "a tag without pictures is no tag")

    def test_a_tag_must_be_words(self) -> None:
        self.assertIn("write one", self.told("tag", self.images, tag="  "))
        self.assertIn("at most 60", self.told("tag", self.images, tag="x" * 61))
        self.assertIn("write one", self.told("tag", self.images, tag="a\x00b"))


class OwnersActionsTest(SelectionCase):
    def test_sku_and_view_change_ones_own_pictures_only_and_say_so(self) -> None:
        words = self.told("sku", [*self.images, self.bobs], sku=" SH-1042 ")
        self.assertEqual(words, "The SKU of 3 pictures is set. 1 belongs to somebody else and stays as it is.")
        self.assertEqual(self.told("view", self.images, view="heel"), "3 pictures show: Heel.")
        self.assertEqual(set(GeneratedImage.objects.filter(owner=self.alice).values_list("sku", "view")),
                         {("SH-1042", "heel")})  # fmt: skip
        self.bobs.refresh_from_db()
        self.assertEqual((self.bobs.sku, self.bobs.view), ("", ""))
        self.told("view", self.images, view="")
        self.assertFalse(GeneratedImage.objects.exclude(view="").exists())

    def test_nonsense_is_refused_by_name(self) -> None:
        self.assertIn("at most 64", self.told("sku", self.images, sku="x" * 65))
        self.assertIn("“upside-down” is no view", self.told("view", self.images, view="upside-down"))

    def test_pictures_of_others_alone_are_refused(self) -> None:
        for action in ("sku", "view", "share", "unshare", "trash"):
            with self.subTest(action):
                self.assertIn("None of these pictures is yours", self.told(action, [self.bobs]))
        self.bobs.refresh_from_db()
        self.assertIsNone(self.bobs.trashed_at)

    def test_what_is_kept_private_is_seen_by_its_owner_alone_until_it_is_shared(self) -> None:
        self.assertEqual(self.told("unshare", self.images), "3 pictures are yours alone now.")
        self.assertEqual(set(GeneratedImage.objects.visible_to(self.bob)), {self.bobs})
        self.assertEqual(GeneratedImage.objects.visible_to(self.alice).count(), 4)
        self.assertEqual(self.told("share", self.images[:2]), "Studio sees 2 pictures more.")
        self.assertEqual(GeneratedImage.objects.visible_to(self.bob).count(), 3)
        self.assertEqual(self.told("share", self.images[:2]), "Studio sees 0 pictures more.")
        self.assertEqual(recount(), 0, "the shelves' numbers are true")

    def test_a_search_for_what_is_private_shares_all_it_found(self) -> None:
        self.told("unshare", self.images)
        self.told("share", [], all="1", query="q=is:private")
        self.assertEqual(GeneratedImage.objects.visible_to(self.bob).count(), 4)

    def test_a_request_is_private_when_all_its_pictures_are(self) -> None:
        generation = self.images[0].generation
        self.told("unshare", self.images[:2])
        generation.refresh_from_db()
        self.assertEqual(generation.team, self.team)
        self.told("unshare", self.images[2:])
        generation.refresh_from_db()
        self.assertIsNone(generation.team)
        self.told("share", self.images[:1])
        generation.refresh_from_db()
        self.assertEqual(generation.team, self.team)

    def test_one_shares_only_with_ones_own_teams(self) -> None:
        strangers = Team.objects.create(name="Strangers")
        Membership.objects.create(team=strangers, user=self.charlie)
        for team in (str(strangers.pk), "x"):
            self.assertIn("no such team", self.told("share", self.images, team=team))
        self.client.force_login(self.charlie)
        mine = finished_generation(self.charlie).images.get()
        Membership.objects.all().delete()
        self.assertIn("nobody to share with", self.told("share", [mine]))

    def test_the_trash_takes_ones_own_and_undo_gives_exactly_them_back(self) -> None:
        earlier = self.images[2]
        self.act("trash", [earlier])
        response = self.act("trash", [*self.images[:2], self.bobs], htmx=True)
        self.assertEqual(response.status_code, 204)
        detail = json.loads(response["HX-Trigger"])["pictures-changed"]
        self.assertIn("2 pictures are in the trash.", detail["words"])
        self.assertEqual(set(GeneratedImage.objects.visible_to(self.alice)), {self.bobs})
        self.client.post(detail["undo"]["url"], detail["undo"]["fields"])
        self.assertEqual(set(GeneratedImage.objects.visible_to(self.alice)), {*self.images[:2], self.bobs})
        self.assertEqual(set(GeneratedImage.objects.visible_to(self.bob)), {*self.images[:2], self.bobs})
        self.assertEqual(recount(), 0)

    def test_nobody_undoes_for_somebody_else(self) -> None:
        response = self.act("trash", self.images, htmx=True)
        undo = json.loads(response["HX-Trigger"])["pictures-changed"]["undo"]
        self.client.force_login(self.bob)
        self.client.post(undo["url"], undo["fields"])
        self.assertFalse(Shelf.objects.filter(owner=self.alice, images__gt=0).exists())


class CollectTest(SelectionCase):
    def test_into_a_new_collection_which_is_private(self) -> None:
        self.assertEqual(self.told("collect", self.images, name="Spring"), "3 pictures are new in “Spring”.")
        collection = Collection.objects.get()
        self.assertEqual((collection.owner, collection.team, collection.items.count()), (self.alice, None, 3))

    def test_into_one_that_is_there_where_nothing_is_twice(self) -> None:
        self.told("collect", self.images[:2], name="Spring")
        into = str(Collection.objects.get().pk)
        self.assertEqual(self.told("collect", self.images, into=into), "1 picture is new in “Spring”.")

    def test_a_name_that_is_taken_or_none_is_refused_and_nothing_is_made(self) -> None:
        self.told("collect", self.images, name="Spring")
        self.assertIn("called “Spring” already", self.told("collect", self.images, name=" Spring "))
        self.assertIn("cannot be blank", self.told("collect", self.images, name=""))
        self.assertEqual(Collection.objects.count(), 1)

    def test_somebody_elses_collection_is_a_404(self) -> None:
        secret = Collection.objects.create(owner=self.charlie, name="Secret")
        private = Collection.objects.create(owner=self.bob, name="Bob's own")
        for collection in (secret, private):
            self.assertEqual(self.act("collect", self.images, into=str(collection.pk)).status_code, 404)
        self.assertEqual(self.act("collect", self.images, into="x").status_code, 404)

    def test_into_a_teams_collection_ones_private_pictures_are_shared(self) -> None:
        self.told("unshare", self.images)
        ours = Collection.objects.create(owner=self.bob, team=self.team, name="Ours")
        words = self.told("collect", [*self.images, self.bobs], into=str(ours.pk))
        self.assertEqual(words, "4 pictures are new in “Ours”. 3 of yours are shared with Studio now.")
        self.assertEqual(GeneratedImage.objects.visible_to(self.bob).count(), 4)

    def test_what_another_team_shows_stays_out_of_a_teams_collection(self) -> None:
        other = Team.objects.create(name="Other")
        for person in (self.alice, self.charlie):
            Membership.objects.create(team=other, user=person)
        charlies = finished_generation(self.charlie).images.get()
        self.assertIn(charlies, GeneratedImage.objects.visible_to(self.alice))
        ours = Collection.objects.create(owner=self.alice, team=self.team, name="Ours")
        words = self.told("collect", [self.images[0], charlies], into=str(ours.pk))
        self.assertEqual(words, "1 picture is new in “Ours”. 1 stayed out, because Studio does not see it.")
        self.assertEqual(ours.items.get().image, self.images[0])


class AnswersTest(SelectionCase):
    def test_a_browser_goes_back_and_reads_what_happened(self) -> None:
        here = f"{reverse('gallery')}?q=red"
        response = self.client.post(
            reverse("selection-trash"), {"image": self.images[0].pk}, headers={"Referer": f"http://testserver{here}"},
            follow=True,
        )  # fmt: skip
        self.assertEqual(response.redirect_chain, [(here, 302)])
        self.assertContains(response, "1 picture is in the trash. The trash gives them back.")

    def test_it_never_goes_to_another_site(self) -> None:
        for fields, headers in (({"next": "https://evil.example/"}, {}), ({}, {"Referer": "https://evil.example/x"})):
            response = self.client.post(
                reverse("selection-favourite"), {"image": self.images[0].pk, **fields}, headers=headers
            )
            self.assertEqual(response["Location"], reverse("gallery"))

    def test_htmx_is_told_by_an_event_and_a_refusal_is_422(self) -> None:
        self.assertEqual(self.act("favourite", self.images, htmx=True).status_code, 204)
        refused = self.act("favourite", [], htmx=True)
        self.assertEqual((refused.status_code, list(json.loads(refused["HX-Trigger"]))), (422, ["toast"]))

    def test_every_action_needs_a_session_and_a_post(self) -> None:
        names = [f"selection-{action}" for action in ACTIONS] + ["selection-restore"]
        for name in names:
            self.assertEqual(self.client.get(reverse(name)).status_code, 405)
        self.client.logout()
        for name in names:
            self.assertIn(reverse("login"), self.client.post(reverse(name), {"image": self.images[0].pk})["Location"])

    def test_no_action_reaches_what_charlie_owns(self) -> None:
        foreign = finished_generation(self.charlie).images.get()
        for action in ACTIONS:
            self.assertIn("Nothing was selected", self.told(action, [foreign], rating="5", tag="a", sku="b", name="c"))
        foreign.refresh_from_db()
        self.assertEqual((foreign.sku, foreign.trashed_at, Judgement.objects.count()), ("", None, 0))
