from __future__ import annotations

from datetime import timedelta
from io import StringIO

from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from shoesai.accounts import create_token
from shoesai.models import ApiToken, User
from shoesai.testing import BaseTestCase, finished_generation
from shoesai.tests.api_client import client_of

URL = "/api/models"
BODY = {"prompt": "red sneakers", "wait": 0}


class TokenTests(BaseTestCase):
    def get(self, authorization: str) -> int:
        return self.client.get(URL, headers={"Authorization": authorization}).status_code

    def test_both_keywords_open_the_api_in_any_case(self) -> None:
        secret = create_token(self.alice, "test")
        for keyword in ("Token", "Bearer", "bearer", "TOKEN"):
            with self.subTest(keyword):
                self.assertEqual(self.get(f"{keyword} {secret}"), 200)

    def test_a_wrong_token_is_a_401_that_says_how_to_do_better(self) -> None:
        secret = create_token(self.alice, "test")
        wrong = [
            "Token",
            "Token ",
            f"Token {secret[:-1]}",
            f"Token {secret} x",
            "Bearer ção",
            "Token \x00",
            f"Basic {secret}",
            "",
        ]
        for authorization in wrong:
            with self.subTest(authorization):
                response = self.client.get(URL, headers={"Authorization": authorization})
                self.assertEqual(response.status_code, 401)
                self.assertIn("Bearer", response["WWW-Authenticate"])
                self.assertEqual(response["Content-Type"], "application/problem+json")

    def test_an_expired_a_revoked_and_an_inactive_users_token_open_nothing(self) -> None:
        secrets = [create_token(self.alice, "expired"), create_token(self.alice, "revoked"), create_token(self.bob, "")]
        ApiToken.objects.filter(name="expired").update(expiry=timezone.now())
        ApiToken.objects.filter(name="revoked").delete()
        User.objects.filter(pk=self.bob.pk).update(is_active=False)
        self.assertEqual([self.get(f"Token {secret}") for secret in secrets], [401, 401, 401])

    def test_a_token_without_expiry_works(self) -> None:
        _, secret = ApiToken.objects.create(user=self.alice, expiry=None)
        self.assertEqual(self.get(f"Token {secret}"), 200)

    def test_the_time_of_use_is_written_at_most_once_a_minute(self) -> None:
        token, secret = ApiToken.objects.create(user=self.alice)
        self.get(f"Token {secret}")
        token.refresh_from_db()
        first = token.last_used_at
        with self.assertNumQueries(3):  # token, base models, checkpoints: no write
            self.get(f"Token {secret}")
        token.refresh_from_db()
        self.assertEqual(token.last_used_at, first)
        ApiToken.objects.update(last_used_at=timezone.now() - timedelta(seconds=61))
        self.get(f"Token {secret}")
        token.refresh_from_db()
        assert first
        self.assertGreater(token.last_used_at, first)

    def test_only_the_digest_is_kept(self) -> None:
        secret = create_token(self.alice, "test")
        self.assertNotIn(secret, [str(value) for row in ApiToken.objects.values() for value in row.values()])


class ScopeTests(BaseTestCase):
    def post(self, client: Client) -> int:
        return client.post("/api/generate", BODY, content_type="application/json").status_code

    def test_reading_and_generating_are_two_rights(self) -> None:
        reader, maker = client_of(self.alice, "read"), client_of(self.alice, "generate")
        self.assertEqual((reader.get(URL).status_code, self.post(reader)), (200, 403))
        self.assertEqual((maker.get(URL).status_code, self.post(maker)), (403, 202))

    def test_the_refusal_names_the_scope(self) -> None:
        response = client_of(self.alice, "read").post("/api/generate", BODY, content_type="application/json")
        self.assertIn("'generate'", response.json()["detail"])

    def test_no_scopes_and_the_scope_admin_allow_everything_the_user_may_do(self) -> None:
        for scopes in ((), ("admin",)):
            client = client_of(self.alice, *scopes)
            self.assertEqual((client.get(URL).status_code, self.post(client)), (200, 202))

    def test_stopping_a_training_takes_the_right_to_train(self) -> None:
        job = finished_generation(self.alice).job
        type(job).objects.filter(pk=job.pk).update(kind="train")
        url = f"/api/jobs/{job.pk}/cancel"
        self.assertEqual(client_of(self.alice, "generate").post(url).status_code, 403)
        self.assertEqual(client_of(self.alice, "generate", "train").post(url).status_code, 409)


class SessionTests(BaseTestCase):
    def test_the_portals_session_works_too(self) -> None:
        self.client.force_login(self.alice)
        self.assertEqual(self.client.get(URL).status_code, 200)

    def test_a_session_without_csrf_token_changes_nothing(self) -> None:
        client = Client(enforce_csrf_checks=True)
        client.force_login(self.alice)
        response = client.post("/api/generate", BODY, content_type="application/json")
        self.assertEqual(response.status_code, 403)
        self.assertEqual(response["Content-Type"], "application/problem+json")

    def test_a_token_needs_no_csrf_token(self) -> None:
        client = client_of(self.alice, enforce_csrf_checks=True)
        self.assertEqual(client.post("/api/generate", BODY, content_type="application/json").status_code, 202)


class CreateTokenTests(BaseTestCase):
    def run_command(self, *arguments: str) -> str:
        out = StringIO()
        call_command("create_token", *arguments, stdout=out)
        return out.getvalue()

    def test_it_prints_a_working_token_and_nothing_else(self) -> None:
        printed = self.run_command("alice")
        self.assertRegex(printed, r"\Ashoe_[0-9a-f]{64}\n\Z")
        self.assertEqual(self.client.get(URL, headers={"Authorization": f"Token {printed.strip()}"}).status_code, 200)

    def test_name_scopes_and_lifetime_are_kept(self) -> None:
        self.run_command("alice", "--name", "shop", "--scopes", "read,generate", "--days", "7")
        token = ApiToken.objects.get()
        self.assertEqual((token.name, token.scopes), ("shop", ["read", "generate"]))
        self.assertAlmostEqual((token.expiry - timezone.now()).total_seconds(), 7 * 86_400, delta=60)

    def test_never_means_never(self) -> None:
        self.run_command("alice", "--never")
        self.assertIsNone(ApiToken.objects.get().expiry)

    def test_an_unknown_or_inactive_user_is_exit_code_3(self) -> None:
        User.objects.filter(pk=self.bob.pk).update(is_active=False)
        for name in ("nobody", "bob"):
            with self.assertRaises(CommandError) as caught:
                self.run_command(name)
            self.assertEqual(caught.exception.returncode, 3)
            self.assertIn(name, str(caught.exception))

    def test_bad_options_are_refused_with_what_is_allowed(self) -> None:
        for option, value, words in (
            ("--scopes", "read,fly", "generate"),
            ("--days", "0", "3650"),
            ("--days", "x", "3650"),
        ):
            with self.assertRaisesMessage(CommandError, words):
                self.run_command("alice", option, value)
        self.assertEqual(ApiToken.objects.count(), 0)
