"""Signing in, jobs, tray, tokens, training: the pages around the studio."""

from __future__ import annotations

import uuid

from django.db import connection
from django.template.loader import render_to_string
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from generation.services import GenerationRequest, request_generation
from shoesai.jobs import queue
from shoesai.models import ApiToken, Job
from shoesai.testing import BaseTestCase, finished_generation, starter
from training.models import TrainingMetric, TrainingRun


class SignInTest(BaseTestCase):
    def test_a_name_and_password_open_the_studio_and_signing_out_closes_it(self) -> None:
        response = self.client.post(reverse("login"), {"username": "alice", "password": "a light table"})
        self.assertRedirects(response, reverse("generate"))
        self.assertRedirects(self.client.post(reverse("logout")), reverse("login"))
        self.assertEqual(self.client.get(reverse("gallery")).status_code, 302)

    def test_a_wrong_password_is_said_plainly(self) -> None:
        response = self.client.post(reverse("login"), {"username": "alice", "password": "wrong"})
        self.assertContains(response, "do not match")

    def test_the_front_door_leads_to_generate(self) -> None:
        self.client.force_login(self.alice)
        self.assertRedirects(self.client.get("/"), reverse("generate"))

    def test_every_page_asks_who_is_there(self) -> None:
        for name in ("generate", "gallery", "jobs", "job-tray", "training", "account"):
            self.assertRedirects(self.client.get(reverse(name)), f"/login/?next={reverse(name)}")


class JobPagesTest(BaseTestCase):
    def setUp(self) -> None:
        self.client.force_login(self.alice)
        self.job = request_generation(user=self.alice, request=GenerationRequest("red sneakers")).job

    def test_the_list_shows_my_jobs_and_lives_while_one_of_them_does(self) -> None:
        request_generation(user=self.charlie, request=GenerationRequest("red sneakers"))
        page = self.client.get(reverse("jobs"))
        self.assertEqual(page.context["jobs"], [self.job])
        self.assertContains(page, "every 2s, jobs-changed")
        Job.objects.update(state=Job.State.SUCCEEDED)
        self.assertNotContains(self.client.get(reverse("jobs")), "every 2s")

    def test_canaries_are_not_shown(self) -> None:
        queue.enqueue(owner=self.alice, kind="canary.cpu")
        self.assertEqual(len(self.client.get(reverse("jobs")).context["jobs"]), 1)
        self.assertNotContains(self.client.get(reverse("job-tray")), "anary")

    def test_the_tray_is_on_every_page_and_says_what_runs(self) -> None:
        Job.objects.update(state=Job.State.RUNNING, progress_step=14, progress_total=25)
        self.assertContains(self.client.get(reverse("gallery")), "Step 14/25")

    def test_cancelling_works_with_and_without_htmx(self) -> None:
        other = request_generation(user=self.alice, request=GenerationRequest("red sneakers")).job
        response = self.client.post(reverse("job-cancel", args=[self.job.pk]), {"next": "/generate/"})
        self.assertRedirects(response, "/generate/")
        response = self.client.post(reverse("job-cancel", args=[other.pk]), HTTP_HX_REQUEST="true")
        self.assertEqual((response.status_code, response["HX-Trigger"]), (204, "jobs-changed"))
        self.assertEqual(set(Job.objects.values_list("state", flat=True)), {Job.State.CANCELLED})

    def test_the_next_page_is_never_off_this_site(self) -> None:
        response = self.client.post(reverse("job-cancel", args=[self.job.pk]), {"next": "https://evil.example/"})
        self.assertRedirects(response, reverse("jobs"))

    def test_nobody_sees_or_cancels_a_strangers_job(self) -> None:
        self.client.force_login(self.charlie)
        self.assertEqual(self.client.get(reverse("job-status", args=[self.job.pk])).status_code, 404)
        self.assertEqual(self.client.post(reverse("job-cancel", args=[self.job.pk])).status_code, 404)
        self.job.refresh_from_db()
        self.assertEqual(self.job.state, Job.State.QUEUED)

    def test_a_team_mate_sees_a_job_but_only_its_owner_cancels_it(self) -> None:
        job = finished_generation(self.alice).job
        self.client.force_login(self.bob)
        self.assertContains(self.client.get(reverse("job-status", args=[job.pk])), "red sneakers")
        self.assertEqual(self.client.post(reverse("job-cancel", args=[job.pk])).status_code, 404)


    def test_a_jobs_page_stops_asking_when_the_job_has_ended(self) -> None:
        address = reverse("job-status", args=[self.job.pk])
        self.assertEqual(self.client.get(address, HTTP_HX_REQUEST="true").status_code, 200)
        queue.request_cancel(self.job)
        self.assertEqual(self.client.get(address, HTTP_HX_REQUEST="true").status_code, 286)  # htmx: enough


class TokenPageTest(BaseTestCase):
    def setUp(self) -> None:
        self.client.force_login(self.alice)

    def create(self, **changes: object) -> str:
        data = {"name": "render script", "scopes": ["generate"], "expires": "30", **changes}
        return self.client.post(reverse("account"), data).context["secret"]

    def test_a_new_token_is_shown_once_and_works_by_its_scopes_and_time(self) -> None:
        secret = self.create()
        self.assertTrue(secret.startswith("shoe_"))
        self.assertNotContains(self.client.get(reverse("account")), secret)
        token = ApiToken.objects.get()
        self.assertEqual((token.name, token.scopes), ("render script", ["generate"]))
        self.assertIsNotNone(token.expiry)

    def test_the_page_with_the_secret_is_kept_by_no_cache(self) -> None:
        response = self.client.post(reverse("account"), {"name": "x", "expires": "never"})
        self.assertIn("no-store", response["Cache-Control"])
        self.assertIsNone(ApiToken.objects.get().expiry)

    def test_a_token_without_a_name_is_refused_at_its_field(self) -> None:
        response = self.client.post(reverse("account"), {"name": "", "expires": "30"})
        self.assertEqual(response.status_code, 422)
        self.assertIn("name", response.context["form"].errors)
        self.assertFalse(ApiToken.objects.exists())

    def test_revoking_is_for_the_owner_alone(self) -> None:
        self.create()
        address = reverse("token-revoke", args=[ApiToken.objects.get().public_id])
        self.client.force_login(self.bob)
        self.assertEqual(self.client.post(address).status_code, 404)
        self.client.force_login(self.alice)
        self.assertContains(self.client.post(address, follow=True), "is revoked")
        self.assertFalse(ApiToken.objects.exists())


class TrainingPageTest(BaseTestCase):
    def test_runs_show_step_loss_and_curve_to_those_who_may_see_them(self) -> None:
        run = TrainingRun.objects.create(
            owner=self.alice, team=self.team, name="spring", base_model=starter(), family="starter",
            spec={"max_train_steps": 200},
        )  # fmt: skip
        for step in range(1, 121):
            TrainingMetric.objects.create(run=run, step=step, loss=1 / step, learning_rate=1e-4, grad_norm=1)
        self.client.force_login(self.bob)
        page = self.client.get(reverse("training"))
        self.assertContains(page, "spring")
        self.assertContains(page, "<polyline")
        self.assertContains(page, '<progress max="200" value="120"')
        self.client.force_login(self.charlie)
        self.assertContains(self.client.get(reverse("training")), "No runs yet")

    def test_more_runs_take_no_more_queries(self) -> None:
        self.client.force_login(self.alice)

        def queries() -> int:
            with CaptureQueriesContext(connection) as asked:
                self.client.get(reverse("training"), HTTP_HX_REQUEST="true")
            return len(asked)

        counts = []
        for name in ("spring", "summer", "autumn"):
            run = TrainingRun.objects.create(
                owner=self.alice, name=name, base_model=starter(), family="starter", state="running"
            )
            TrainingMetric.objects.create(run=run, step=1, loss=1, learning_rate=1e-4, grad_norm=1)
            counts.append(queries())
        self.assertEqual(counts[1], counts[2])


class ErrorPagesTest(BaseTestCase):
    def test_a_page_that_is_not_here_says_so_in_our_own_look(self) -> None:
        self.client.force_login(self.charlie)
        for address in ("/nothing-here/", reverse("image", args=[uuid.uuid4()])):
            page = self.client.get(address)
            self.assertContains(page, "This page is not here", status_code=404)

    def test_an_expired_form_says_what_to_do(self) -> None:
        strict = Client(enforce_csrf_checks=True)
        strict.force_login(self.alice)
        self.assertContains(strict.post(reverse("logout")), "This form has expired", status_code=403)

    def test_a_fault_of_ours_needs_no_database_to_be_told(self) -> None:
        self.assertIn("Nothing of yours is lost", render_to_string("500.html"))
