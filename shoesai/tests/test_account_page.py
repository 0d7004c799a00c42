"""The account: profile, preferences, theme, tokens, sessions."""

from __future__ import annotations

from typing import Any

from django.core import mail
from django.test import Client
from django.urls import reverse

from shoesai.models import ApiToken, User
from shoesai.testing import PASSWORD, BaseTestCase, finished_generation


class AccountTestCase(BaseTestCase):
    def setUp(self) -> None:
        self.client.force_login(self.alice)

    def again(self) -> User:
        return User.objects.get(pk=self.alice.pk)


class ProfileTest(AccountTestCase):
    DATA = {"first_name": "Alice", "last_name": "Silva", "email": "alice@example.com"}

    def test_everything_here_asks_who_is_there(self) -> None:
        stranger = Client()
        for name in ("account", "password_change"):
            self.assertRedirects(stranger.get(reverse(name)), f"/login/?next={reverse(name)}")
        for name in ("profile", "preferences", "theme", "sessions-end", "token-create", "checklist-close", "demo"):
            self.assertRedirects(stranger.post(reverse(name)), f"/login/?next={reverse(name)}")

    def test_name_and_address_are_kept(self) -> None:
        page = self.client.post(reverse("profile"), self.DATA, follow=True)
        self.assertContains(page, "Your profile is saved.")
        self.assertContains(page, "Alice Silva")

    def test_a_wrong_address_is_refused_at_its_field_and_nothing_is_changed(self) -> None:
        page = self.client.post(reverse("profile"), {**self.DATA, "email": "alice"})
        self.assertEqual(page.status_code, 422)
        self.assertIn("email", page.context["profile"].errors)
        self.assertEqual(self.again().first_name, "")

    def test_the_old_address_is_told_of_a_new_one(self) -> None:
        self.client.post(reverse("profile"), self.DATA)
        with self.captureOnCommitCallbacks(execute=True):
            self.client.post(reverse("profile"), {**self.DATA, "email": "thief@example.com"})
        self.assertEqual([letter.to for letter in mail.outbox], [["alice@example.com"]])
        self.assertIn("thief@example.com", str(mail.outbox[0].body))

    def test_a_new_name_for_signing_in_or_powers_cannot_be_taken(self) -> None:
        self.client.post(reverse("profile"), {**self.DATA, "username": "root", "is_staff": "on"})
        self.assertEqual((self.again().username, self.again().is_staff), ("alice", False))


class PreferencesTest(AccountTestCase):
    DATA = {"language": "", "theme": "system", "single_key_shortcuts": "on", "shares_new_pictures": "on"}

    def save(self, **changes: Any) -> Any:
        data = {name: value for name, value in (self.DATA | changes).items() if value is not None}
        return self.client.post(reverse("preferences"), data, follow=True)

    def test_the_language_of_the_account_wins_over_the_browsers(self) -> None:
        page = self.save(language="pt-br")
        self.assertContains(page, '<html lang="pt-br"')
        page = self.client.get(reverse("account"), headers={"Accept-Language": "en"})
        self.assertContains(page, '<html lang="pt-br"')
        page = self.save(language="")
        page = self.client.get(reverse("account"), headers={"Accept-Language": "en"})
        self.assertContains(page, '<html lang="en"')

    def test_an_unknown_language_is_refused(self) -> None:
        self.assertEqual(self.save(language="xx").status_code, 422)

    def test_the_theme_comes_with_the_page_so_that_nothing_flashes(self) -> None:
        self.assertContains(self.save(theme="dark"), 'data-theme-choice="dark" data-theme="dark"')
        self.assertNotContains(self.save(theme="system"), 'data-theme="')

    def test_single_keys_can_be_switched_off(self) -> None:
        self.assertContains(self.client.get(reverse("account")), 'data-keys="on"')
        self.assertContains(self.save(single_key_shortcuts=None), 'data-keys="off"')

    def test_new_pictures_stay_private_when_sharing_is_off(self) -> None:
        self.assertContains(self.client.get(reverse("account")), "seen by everybody in Studio")
        self.save(shares_new_pictures=None)
        self.assertIsNone(finished_generation(self.again()).images.get().team)
        self.save()
        self.assertEqual(finished_generation(self.again()).images.get().team, self.team)


class ThemeSwitchTest(AccountTestCase):
    def test_the_switch_in_the_rail_is_kept_in_the_account(self) -> None:
        response = self.client.post(reverse("theme"), {"theme": "dark"}, headers={"X-Requested-With": "fetch"})
        self.assertEqual((response.status_code, self.again().theme), (204, "dark"))

    def test_without_javascript_it_leads_back_to_the_page_and_never_off_this_site(self) -> None:
        response = self.client.post(reverse("theme"), {"theme": "light", "next": "/jobs/"})
        self.assertRedirects(response, "/jobs/")
        response = self.client.post(reverse("theme"), {"theme": "light", "next": "https://evil.example/"})
        self.assertRedirects(response, "/")

    def test_it_turns_from_system_to_light_to_dark(self) -> None:
        for now, following in (("system", "light"), ("light", "dark"), ("dark", "system")):
            User.objects.filter(pk=self.alice.pk).update(theme=now)
            self.assertContains(self.client.get(reverse("jobs")), f'name="theme" value="{following}"')

    def test_an_unknown_theme_is_refused(self) -> None:
        self.assertEqual(self.client.post(reverse("theme"), {"theme": "pink"}).status_code, 400)


class TokenTest(AccountTestCase):
    def create(self, **changes: object) -> Any:
        data = {"name": "render script", "scopes": ["generate"], "expires": "30", **changes}
        return self.client.post(reverse("token-create"), data)

    def test_a_new_token_is_shown_once_and_works_by_its_scopes_and_time(self) -> None:
        secret = self.create().context["secret"]
        self.assertTrue(secret.startswith("shoe_"))
        self.assertNotContains(self.client.get(reverse("account")), secret)
        token = ApiToken.objects.get()
        self.assertEqual((token.name, token.scopes), ("render script", ["generate"]))
        self.assertIsNotNone(token.expiry)

    def test_the_page_with_the_secret_is_kept_by_no_cache(self) -> None:
        self.assertIn("no-store", self.create(expires="never")["Cache-Control"])
        self.assertIsNone(ApiToken.objects.get().expiry)

    def test_a_token_without_a_name_is_refused_at_its_field(self) -> None:
        response = self.create(name="")
        self.assertEqual(response.status_code, 422)
        self.assertIn("name", response.context["form"].errors)
        self.assertFalse(ApiToken.objects.exists())

    def test_htmx_gets_the_list_alone(self) -> None:
        data = {"name": "render script", "expires": "30"}
        response = self.client.post(reverse("token-create"), data, headers={"HX-Request": "true"})
        self.assertContains(response, response.context["secret"])
        self.assertNotContains(response, "<html")

    def test_revoking_is_for_the_owner_alone(self) -> None:
        self.create()
        address = reverse("token-revoke", args=[ApiToken.objects.get().public_id])
        self.client.force_login(self.bob)
        self.assertEqual(self.client.post(address).status_code, 404)
        self.client.force_login(self.alice)
        self.assertContains(self.client.post(address, follow=True), "is revoked")
        self.assertFalse(ApiToken.objects.exists())


class SessionsTest(AccountTestCase):
    def test_i_see_where_else_i_am_signed_in_and_end_it_without_touching_others(self) -> None:
        phone, bobs = Client(), Client()
        phone.force_login(self.alice)
        bobs.force_login(self.bob)
        self.assertContains(self.client.get(reverse("account")), "in 1 other browser")
        self.client.post(reverse("sessions-end"))
        self.assertEqual(phone.get(reverse("account")).status_code, 302)
        self.assertEqual(bobs.get(reverse("account")).status_code, 200)
        self.assertContains(self.client.get(reverse("account")), "nowhere else")

    def test_a_new_password_signs_me_out_elsewhere(self) -> None:
        phone = Client()
        phone.force_login(self.alice)
        data = {"old_password": PASSWORD, "new_password1": "a north window", "new_password2": "a north window"}
        self.assertRedirects(self.client.post(reverse("password_change"), data), reverse("account"))
        self.assertEqual(phone.get(reverse("account")).status_code, 302)
