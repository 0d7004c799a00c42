"""Searches under a name."""

from __future__ import annotations

from django.template.loader import render_to_string
from django.urls import reverse

from gallery.models import SavedSearch
from gallery.searches import meant_by, save_search, saved_searches_of, words_of
from shoesai.models import Team
from shoesai.testing import BaseTestCase


class SavedSearchTest(BaseTestCase):
    def setUp(self) -> None:
        self.client.force_login(self.alice)
        self.search = save_search(self.alice, "Red ones", "q=red")

    def test_what_is_saved_is_what_narrows(self) -> None:
        self.assertEqual(meant_by("?q=red+shoes&model=a&model=b&sort=rating&cursor=1&image=2&tag="),
                         "q=red+shoes&model=a&model=b&sort=rating")  # fmt: skip

    def test_saving_leads_to_what_it_finds_and_again_changes_it(self) -> None:
        answer = self.client.post(reverse("searches"), {"name": " Red  ones", "query": "?q=red+boots&cursor=x"})
        self.assertRedirects(answer, f"{reverse('gallery')}?q=red+boots")
        self.search.refresh_from_db()
        self.assertEqual(self.search.query, "q=red+boots")

    def test_nothing_is_not_saved_nor_without_a_name(self) -> None:
        for fields, words in (({"name": "All", "query": "cursor=x"}, "no search to save"),
                              ({"name": "", "query": "q=a"}, "cannot be blank"),
                              ({"name": "x" * 121, "query": "q=a"}, "at most 120"),
                              ({"name": "Long", "query": "q=" + "a" * 5000}, "no search to save")):  # fmt: skip
            page = self.client.post(reverse("searches"), fields, follow=True)
            self.assertContains(page, words)
        self.assertEqual(SavedSearch.objects.count(), 1)

    def test_a_team_sees_what_is_shared_with_it(self) -> None:
        save_search(self.alice, "Mine", "q=mine")
        self.client.post(reverse("search-change", args=[self.search.pk]), {"name": "Red", "team": self.team.pk})
        self.assertEqual([search.name for search in saved_searches_of(self.bob)], ["Red"])
        self.assertEqual(saved_searches_of(self.charlie).count(), 0)
        self.client.force_login(self.bob)
        self.assertContains(self.client.get(reverse("searches")), "by alice")

    def test_it_is_renamed_unshared_and_deleted_by_its_owner_only(self) -> None:
        self.search.team = self.team
        self.search.save()
        for user in (self.bob, self.charlie):
            self.client.force_login(user)
            for name in ("search-change", "search-delete"):
                answer = self.client.post(reverse(name, args=[self.search.pk]), {"name": "Stolen"})
                self.assertEqual(answer.status_code, 404)
        self.client.force_login(self.alice)
        self.client.post(reverse("search-change", args=[self.search.pk]), {"name": "Crimson", "team": ""})
        self.search.refresh_from_db()
        self.assertEqual((self.search.name, self.search.team), ("Crimson", None))
        self.client.post(reverse("search-delete", args=[self.search.pk]))
        self.assertFalse(SavedSearch.objects.exists())

    def test_a_name_that_is_taken_or_a_foreign_team_is_refused(self) -> None:
        save_search(self.alice, "Blue ones", "q=blue")
        address = reverse("search-change", args=[self.search.pk])
        self.assertContains(self.client.post(address, {"name": "Blue ones"}, follow=True), "called “Blue ones” already")
        foreign = Team.objects.create(name="Foreign")
        page = self.client.post(address, {"name": "Red", "team": foreign.pk}, follow=True)
        self.assertContains(page, "no such team")
        self.search.refresh_from_db()
        self.assertEqual((self.search.name, self.search.team), ("Red ones", None))

    def test_a_search_is_told_in_words(self) -> None:
        words = words_of("q=red+shoes&model=starter&tag=a&tag=b")
        self.assertEqual(words, ["red shoes", "Model: starter", "Tag: a, b"])

    def test_the_menu_offers_them_and_keeps_the_present_one(self) -> None:
        menu = render_to_string(
            "gallery/_saved_searches.html", {"searches": saved_searches_of(self.alice), "query": "q=blue"}
        )
        self.assertInHTML('<input type="hidden" name="query" value="q=blue">', menu)
        self.assertIn("Red ones", menu)

    def test_every_address_needs_a_session(self) -> None:
        self.client.logout()
        for name, keys in (("searches", []), ("search-change", [self.search.pk]), ("search-delete", [self.search.pk])):
            self.assertIn(reverse("login"), self.client.post(reverse(name, args=keys))["Location"])
