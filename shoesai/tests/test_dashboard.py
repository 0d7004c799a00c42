"""Home: the first steps of somebody new, what runs, what came out, and the demo."""

from __future__ import annotations

from typing import Any

from django.core.cache import cache
from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from generation.services import GenerationRequest, request_generation
from shoesai.accounts import create_token
from shoesai.jobs import queue
from shoesai.models import Job, User
from shoesai.testing import BaseTestCase, finished_generation
from training.models import Checkpoint
from training.tests.runs import kept_checkpoint, queued_run


def a_checkpoint(owner: User, name: str = "spring") -> Checkpoint:
    return kept_checkpoint(queued_run(owner, name), 100)


class HomeTest(BaseTestCase):
    def setUp(self) -> None:
        cache.clear()
        self.client.force_login(self.alice)

    def home(self) -> Any:
        return self.client.get(reverse("home"))

    def staff(self) -> None:
        User.objects.filter(pk=self.alice.pk).update(is_staff=True)

    def steps(self) -> dict[str, bool]:
        return {step.name: step.done for step in self.home().context["steps"]}

    def test_an_empty_portal_explains_itself_and_offers_staff_the_demo(self) -> None:
        self.assertContains(self.home(), "still empty")
        self.assertNotContains(self.home(), "Make the demo data")
        self.staff()
        self.assertContains(self.home(), "Make the demo data")

    def test_the_demo_is_queued_once_however_often_it_is_asked_for(self) -> None:
        self.staff()
        for _ in range(2):
            self.assertRedirects(self.client.post(reverse("demo")), reverse("home"))
        job = Job.objects.get(kind="make_demo")
        self.assertEqual((job.owner, job.state, job.lane), (self.alice, "queued", "cpu"))
        self.assertContains(self.home(), "Demo data")

    def test_the_demo_is_for_staff(self) -> None:
        self.assertEqual(self.client.post(reverse("demo")).status_code, 403)
        self.assertFalse(Job.objects.exists())

    def test_pictures_and_checkpoints_of_my_team_are_here_and_a_stranger_sees_none(self) -> None:
        image = finished_generation(self.alice).images.get()
        checkpoint = a_checkpoint(self.alice)
        self.client.force_login(self.bob)
        page = self.home()
        self.assertContains(page, reverse("image", args=[image.pk]))
        self.assertContains(page, f"{reverse('generate')}?model={checkpoint.name.replace('/', '%2F')}")
        self.client.force_login(self.charlie)
        self.assertContains(self.home(), "still empty")

    def test_the_list_of_first_steps_ticks_itself_off(self) -> None:
        finished_generation(self.bob)
        self.assertEqual(self.steps(), {"photos": False, "run": False, "picture": False, "token": False})
        finished_generation(self.alice)
        create_token(self.alice, "script")
        self.assertEqual(self.steps(), {"photos": False, "run": False, "picture": True, "token": True})
        self.staff()
        self.assertTrue(self.steps()["mate"])
        a_checkpoint(self.alice)
        self.assertEqual(self.steps(), {}, "all is done, so the list is gone")

    def test_the_list_can_be_hidden_for_good(self) -> None:
        finished_generation(self.alice)
        self.assertContains(self.home(), "First steps")
        self.assertRedirects(self.client.post(reverse("checklist-close")), reverse("home"))
        self.assertNotContains(self.home(), "First steps")

    def test_what_runs_is_polled_while_it_lives(self) -> None:
        job = request_generation(user=self.alice, request=GenerationRequest("red sneakers")).job
        part = {"HX-Request": "true", "HX-Target": "home-jobs"}
        page = self.client.get(reverse("home"), headers=part)
        self.assertContains(page, "red sneakers")
        self.assertContains(page, "every 2s")
        self.assertNotContains(page, "<html")
        queue.request_cancel(job)
        self.assertNotContains(self.client.get(reverse("home"), headers=part), "every 2s")

    def test_jobs_that_nobody_takes_are_told_of(self) -> None:
        request_generation(user=self.alice, request=GenerationRequest("red sneakers"))
        self.assertContains(self.home(), "no worker takes them")

    def test_storage_is_shown_with_its_limit(self) -> None:
        finished_generation(self.alice)
        self.assertContains(self.home(), "Your pictures take")
        with override_settings(STORAGE_QUOTA=1):
            self.assertContains(self.home(), "There is no room for new pictures")

    def test_more_of_everything_takes_no_more_queries(self) -> None:
        def queries() -> int:
            with CaptureQueriesContext(connection) as asked:
                self.home()
            return len(asked)

        finished_generation(self.alice)
        a_checkpoint(self.alice, name="spring")
        request_generation(user=self.alice, request=GenerationRequest("red sneakers"))
        self.home()
        before = queries()
        finished_generation(self.alice, pictures=3)
        a_checkpoint(self.alice, name="summer")
        request_generation(user=self.alice, request=GenerationRequest("red sneakers"))
        self.assertEqual(queries(), before)
        self.assertLessEqual(before, 15)
