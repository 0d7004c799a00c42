"""Signing in, jobs, tray, training: the pages around the studio."""

from __future__ import annotations

from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from generation.services import GenerationRequest, request_generation
from shoesai.jobs import queue
from shoesai.models import Job
from shoesai.testing import BaseTestCase, finished_generation, starter
from training.models import TrainingMetric, TrainingRun


class SignInTest(BaseTestCase):
    def test_a_name_and_password_open_the_studio_and_signing_out_closes_it(self) -> None:
        response = self.client.post(reverse("login"), {"username": "alice", "password": "a light table"})
        self.assertRedirects(response, reverse("home"))
        self.assertRedirects(self.client.post(reverse("logout")), reverse("login"))
        self.assertEqual(self.client.get(reverse("gallery")).status_code, 302)

    def test_a_wrong_password_is_said_plainly(self) -> None:
        response = self.client.post(reverse("login"), {"username": "alice", "password": "wrong"})
        self.assertContains(response, "do not match")

    def test_every_page_asks_who_is_there(self) -> None:
        for name in ("home", "generate", "gallery", "jobs", "job-tray", "training", "account"):
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
