"""Signing in and up, a forgotten password, and who tried too often."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

from axes.models import AccessAttempt
from django.core import mail
from django.test import Client, RequestFactory, override_settings
from django.urls import reverse
from django.utils import timezone

from shoesai.door import address_of
from shoesai.models import ApiToken, User
from shoesai.testing import PASSWORD, BaseTestCase


class SignInTest(BaseTestCase):
    def sign_in(self, name: str, password: str, **headers: Any) -> Any:
        return self.client.post(reverse("login"), {"username": name, "password": password}, **headers)

    def miss(self, times: int, name: str = "alice", **headers: Any) -> None:
        for _ in range(times):
            self.sign_in(name, "wrong", **headers)

    def test_password_managers_find_their_fields(self) -> None:
        page = self.client.get(reverse("login"))
        self.assertContains(page, 'autocomplete="username"')
        self.assertContains(page, 'autocomplete="current-password"')

    def test_after_five_wrong_passwords_the_name_is_closed_from_there_and_the_page_says_for_how_long(self) -> None:
        self.miss(4)
        self.assertEqual(self.sign_in("alice", "wrong").status_code, 429)
        refused = self.sign_in("alice", PASSWORD)
        self.assertContains(refused, "Try again in 15 minutes", status_code=429)
        self.assertLessEqual(int(refused["Retry-After"]), 15 * 60)
        self.assertNotIn("_auth_user_id", self.client.session)

    def test_another_address_and_another_name_are_not_closed(self) -> None:
        self.miss(6)
        self.assertRedirects(self.sign_in("bob", PASSWORD), reverse("home"))
        self.client.logout()
        self.assertRedirects(self.sign_in("alice", PASSWORD, REMOTE_ADDR="10.1.2.3"), reverse("home"))

    def test_trying_on_does_not_make_the_wait_longer_and_it_ends(self) -> None:
        self.miss(5)
        AccessAttempt.objects.update(attempt_time=timezone.now() - timedelta(minutes=14, seconds=30))
        self.assertContains(self.sign_in("alice", "wrong"), "Try again in 1 minute.", status_code=429)
        AccessAttempt.objects.update(attempt_time=timezone.now() - timedelta(minutes=16))
        self.assertRedirects(self.sign_in("alice", PASSWORD), reverse("home"))

    def test_a_good_password_forgets_the_bad_ones(self) -> None:
        self.miss(4)
        self.sign_in("alice", PASSWORD)
        self.client.logout()
        self.miss(4)
        self.assertRedirects(self.sign_in("alice", PASSWORD), reverse("home"))

    def test_a_closed_name_closes_no_token(self) -> None:
        secret = ApiToken.objects.create(user=self.alice, expiry=None)[1]
        self.miss(6)
        answer = self.client.get(reverse("api-jobs"), headers={"Authorization": f"Token {secret}"})
        self.assertEqual(answer.status_code, 200)

    def test_only_as_many_proxies_are_believed_as_are_ours(self) -> None:
        request = RequestFactory().get("/", HTTP_X_FORWARDED_FOR="6.6.6.6, 10.0.0.9", REMOTE_ADDR="10.0.0.1")
        self.assertEqual(address_of(request), "10.0.0.1")
        with override_settings(PROXIES=1):
            self.assertEqual(address_of(request), "10.0.0.9")
        with override_settings(PROXIES=3):
            self.assertEqual(address_of(request), "10.0.0.1")


class SignUpTest(BaseTestCase):
    DATA = {
        "username": "dora", "email": "dora@example.com", "password1": "a bright window", "password2": "a bright window",
    }  # fmt: skip

    def test_it_is_off_until_somebody_switches_it_on(self) -> None:
        self.assertEqual(self.client.get(reverse("signup")).status_code, 404)
        self.assertEqual(self.client.post(reverse("signup"), self.DATA).status_code, 404)
        self.assertNotContains(self.client.get(reverse("login")), reverse("signup"))
        self.assertFalse(User.objects.filter(username="dora").exists())

    @override_settings(SIGNUP=True)
    def test_who_signs_up_is_in_and_sees_nothing_of_others(self) -> None:
        self.assertContains(self.client.get(reverse("login")), reverse("signup"))
        self.assertRedirects(self.client.post(reverse("signup"), self.DATA), reverse("home"))
        dora = User.objects.get(username="dora")
        self.assertEqual((dora.is_staff, dora.teams.count(), dora.language), (False, 0, "en"))

    @override_settings(SIGNUP=True)
    def test_a_name_that_differs_by_capitals_only_and_a_common_password_are_refused_at_their_fields(self) -> None:
        page = self.client.post(reverse("signup"), {**self.DATA, "username": "Alice"})
        self.assertContains(page, "Somebody has this name already", status_code=422)
        page = self.client.post(reverse("signup"), {**self.DATA, "password1": "password12", "password2": "password12"})
        self.assertEqual(page.status_code, 422)
        self.assertIn("password2", page.context["form"].errors)
        self.assertFalse(User.objects.filter(username="dora").exists())


class ForgottenPasswordTest(BaseTestCase):
    def ask(self, address: str = "alice@example.com") -> Any:
        User.objects.filter(pk=self.alice.pk).update(email="alice@example.com")
        return self.client.post(reverse("password-reset"), {"email": address})

    def link(self) -> str:
        found = re.search(r"https?://[^/]+(/password/\S+)", str(mail.outbox[0].body))
        assert found
        return found[1]

    def test_a_letter_brings_a_link_that_works_once_and_signs_in(self) -> None:
        for _ in range(6):
            self.client.post(reverse("login"), {"username": "alice", "password": "wrong"})
        self.assertRedirects(self.ask(), reverse("password-reset-sent"))
        form = self.client.get(self.link(), follow=True)
        self.assertContains(form, 'autocomplete="new-password"')
        data = {"new_password1": "a north window", "new_password2": "a north window"}
        self.assertRedirects(self.client.post(form.redirect_chain[-1][0], data), reverse("home"))
        self.assertEqual(self.client.session["_auth_user_id"], str(self.alice.pk))
        self.assertContains(Client().get(self.link(), follow=True), "This link works no more")

    def test_it_is_written_in_the_language_of_whoever_reads_it(self) -> None:
        User.objects.filter(pk=self.alice.pk).update(language="pt-br")
        self.ask()
        self.assertEqual(len(mail.outbox), 1)
        self.assertIn("alice", str(mail.outbox[0].body))
        with self.subTest("the page stays in the language of whoever asked"):
            self.assertContains(self.client.get(reverse("password-reset")), 'lang="en"')

    def test_an_unknown_address_is_answered_like_a_known_one(self) -> None:
        self.assertRedirects(self.ask("nobody@example.com"), reverse("password-reset-sent"))
        self.assertEqual(mail.outbox, [])

    @override_settings(EMAIL_BACKEND="django.core.mail.backends.console.EmailBackend")
    def test_a_site_without_a_mail_server_says_so(self) -> None:
        self.assertContains(self.client.get(reverse("password-reset")), "no mail server yet")

    @override_settings(EMAIL_BACKEND="django.core.mail.backends.smtp.EmailBackend", EMAIL_PORT=9)
    def test_a_mail_server_that_is_down_is_nobody_elses_trouble(self) -> None:
        with self.assertLogs("shoesai.letters", "ERROR"):
            self.assertRedirects(self.ask(), reverse("password-reset-sent"))
