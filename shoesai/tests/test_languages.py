"""Two languages: whose choice counts, and what stays the same in both because programs read it."""

from __future__ import annotations

import re
import uuid
from html.parser import HTMLParser

from django.template.loader import render_to_string
from django.test import Client, RequestFactory, override_settings
from django.urls import reverse
from django.utils import translation
from django.views.defaults import bad_request

from generation.services import GenerationRequest, request_generation
from shoesai.models import Job, User
from shoesai.testing import BaseTestCase, finished_generation
from training.models import TrainingMetric
from training.tests.runs import kept_checkpoint, queued_run

PORTUGUESE = {"Accept-Language": "pt-BR,pt;q=0.9"}


class LanguageTest(BaseTestCase):
    def lang_of(self, address: str = "/login/", **headers: str) -> str:
        found = re.search(r'<html lang="([^"]+)"', self.client.get(address, headers=headers).content.decode())
        assert found
        return found[1]

    def test_the_browser_is_asked_first_and_any_portuguese_will_do(self) -> None:
        self.assertEqual(self.lang_of(), "en")
        for wanted in ("pt-BR", "pt", "pt-PT,en;q=0.5"):
            self.assertEqual(self.lang_of(**{"Accept-Language": wanted}), "pt-br")

    def test_the_switcher_on_the_sign_in_page_wins_over_the_browser(self) -> None:
        response = self.client.post(reverse("set_language"), {"language": "pt-br", "next": "/login/"})
        self.assertRedirects(response, "/login/")
        self.assertEqual(self.lang_of(**{"Accept-Language": "en"}), "pt-br")

    def test_the_switcher_leads_to_no_other_site(self) -> None:
        response = self.client.post(reverse("set_language"), {"language": "pt-br", "next": "https://evil.example/"})
        self.assertEqual(response["Location"], "/")

    def test_the_account_wins_over_switcher_and_browser(self) -> None:
        User.objects.filter(pk=self.alice.pk).update(language="en")
        self.client.force_login(self.alice)
        self.client.cookies["django_language"] = "pt-br"
        self.assertEqual(self.lang_of("/account/", **PORTUGUESE), "en")

    def test_a_language_that_is_no_longer_offered_is_passed_over(self) -> None:
        User.objects.filter(pk=self.alice.pk).update(language="xx")
        self.client.force_login(self.alice)
        self.assertEqual(self.lang_of("/account/"), "en")

    def test_one_users_language_does_not_stay_for_the_next(self) -> None:
        User.objects.filter(pk=self.alice.pk).update(language="pt-br")
        self.client.force_login(self.alice)
        self.assertEqual(self.lang_of("/account/"), "pt-br")
        self.assertEqual(Client().get("/login/").headers["Content-Language"], "en")


class Attributes(HTMLParser):
    """What scripts, forms and drawings read."""

    READ_BY_PROGRAMS = re.compile(
        r"value|max|min|step|width|height|x|x1|x2|y|y1|y2|cx|cy|r|dx|dy|viewbox|datetime|"
        r"data-(?!words|undo|done|about|prompt|offline|refused|close|system|light|dark|one|many|step$).*"
    )
    NOT_A_NUMBER = re.compile(r"-?\d+,\d+%?|\d{1,3}(\.\d{3})+,\d+")

    def __init__(self) -> None:
        super().__init__()
        self.broken: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if ("inputmode", "decimal") in attrs or tag == "option":
            return  # fields for people, which take 0,001, and what a script copies into them
        for name, value in attrs:
            if value and self.READ_BY_PROGRAMS.fullmatch(name) and self.NOT_A_NUMBER.fullmatch(value.strip()):
                self.broken.append(f'<{tag} {name}="{value}">')


class NumbersTest(BaseTestCase):
    """In Portuguese 7.5 reads 7,5; in an attribute that would be no number."""

    def setUp(self) -> None:
        User.objects.filter(pk=self.alice.pk).update(language="pt-br", is_staff=True, is_superuser=True)
        self.client.force_login(self.alice)

    def pages(self) -> list[str]:
        generation = finished_generation(self.alice, guidance_scale=7.25, seed=4_000_000_000, pictures=2)
        request_generation(user=self.alice, request=GenerationRequest("red sneakers", guidance_scale=2.5))
        run = queued_run(self.alice)
        for step in (1, 2, 1500):
            TrainingMetric.objects.create(run=run, step=step, loss=0.5 / step, learning_rate=1e-4, grad_norm=1.5)
        kept_checkpoint(run, 1500, loss=0.125)
        Job.objects.filter(pk=run.newest_job().pk).update(state="running", progress_step=1500, progress_total=3000)  # type: ignore[union-attr]
        image = generation.images.all()[0]
        names = ("home", "generate", "gallery", "training", "training-new", "jobs", "account")
        return [
            *(reverse(name) for name in names),
            f"{reverse('generate')}?from={image.pk}",
            reverse("image", args=[image.pk]),
            reverse("training-run", args=[run.pk]),
            f"{reverse('training-compare')}?a={run.pk}",
        ]

    def test_no_attribute_that_a_program_reads_has_a_comma_for_a_point(self) -> None:
        for address in self.pages():
            with self.subTest(address):
                found = Attributes()
                page = self.client.get(address)
                self.assertEqual(page.status_code, 200)
                found.feed(page.content.decode())
                self.assertEqual(found.broken, [])

    def test_people_read_numbers_as_their_language_writes_them(self) -> None:
        image = finished_generation(self.alice, guidance_scale=7.25).images.get()
        self.assertContains(self.client.get(reverse("image", args=[image.pk])), "7,25")


class ErrorPagesTest(BaseTestCase):
    def test_a_page_that_is_not_here_says_so_in_our_own_look(self) -> None:
        self.client.force_login(self.charlie)
        for address in ("/nothing-here/", reverse("image", args=[uuid.uuid4()])):
            self.assertContains(self.client.get(address), "This page is not here", status_code=404)

    def test_an_expired_form_says_what_to_do(self) -> None:
        strict = Client(enforce_csrf_checks=True)
        strict.force_login(self.alice)
        self.assertContains(strict.post(reverse("logout")), "This form has expired", status_code=403)

    def test_what_is_not_mine_to_do_says_whom_to_ask(self) -> None:
        self.client.force_login(self.alice)
        self.assertContains(self.client.post(reverse("demo")), "Ask the person who runs this site", status_code=403)

    def test_a_broken_request_gets_a_page_too(self) -> None:
        answer = bad_request(RequestFactory().get("/"), Exception())
        self.assertContains(answer, "This request cannot be read", status_code=400)

    def test_a_fault_of_ours_needs_no_database_to_be_told(self) -> None:
        self.assertIn("Nothing of yours is lost", render_to_string("500.html"))

    def test_each_of_them_is_in_the_readers_language(self) -> None:
        page = self.client.get("/nothing-here/", headers=PORTUGUESE)
        self.assertContains(page, '<html lang="pt-br"', status_code=404)
        with translation.override("pt-br"):
            for name in ("400.html", "500.html"):
                self.assertIn('<html lang="pt-br"', render_to_string(name))

    @override_settings(DEBUG=False)
    def test_none_of_them_has_anything_inline(self) -> None:
        for name in ("400.html", "403.html", "403_csrf.html", "404.html", "500.html"):
            page = render_to_string(name)
            self.assertNotRegex(page, r"<style|style=|onclick|<script(?![^>]*\ssrc=)", name)
