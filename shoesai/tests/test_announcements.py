"""The end of a job is told once, to its owner."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.test import Client
from django.urls import reverse
from django.utils import timezone

from generation.services import GenerationRequest, request_generation
from shoesai.announcements import MOST_AT_ONCE, NEWS_FOR
from shoesai.jobs import queue
from shoesai.models import Job
from shoesai.testing import BaseTestCase, finished_generation


class AnnouncementTest(BaseTestCase):
    def setUp(self) -> None:
        self.client.force_login(self.alice)

    def tray(self, client: Client | None = None) -> Any:
        return (client or self.client).get(reverse("job-tray"), headers={"HX-Request": "true"})

    def ended(self, state: Job.State = Job.State.SUCCEEDED, **fields: Any) -> Job:
        job = request_generation(user=self.alice, request=GenerationRequest("red sneakers")).job
        Job.objects.filter(pk=job.pk).update(state=state, **{"finished_at": timezone.now(), **fields})
        return job

    def test_a_finished_generation_is_told_once_with_a_link_to_it(self) -> None:
        job = self.ended()
        answer = self.tray()
        self.assertContains(answer, "Generation finished: red sneakers")
        self.assertContains(answer, reverse("generation", args=[job.generation.pk]))
        self.assertEqual(answer["HX-Trigger"], "jobs-ended")
        again = self.tray()
        self.assertNotContains(again, "red sneakers")
        self.assertNotIn("HX-Trigger", again)

    def test_a_second_tab_does_not_tell_it_again(self) -> None:
        second = Client()
        second.force_login(self.alice)
        self.ended()
        self.assertContains(self.tray(second), "Generation finished")
        self.assertNotContains(self.tray(), "Generation finished")

    def test_a_failure_says_why_and_stays_until_it_is_closed(self) -> None:
        job = self.ended(Job.State.FAILED, error_code="out_of_memory", error_text="The device ran out of memory.")
        answer = self.tray()
        self.assertContains(answer, "Generation failed: red sneakers")
        self.assertContains(answer, "The device ran out of memory.")
        self.assertContains(answer, "data-stay")
        self.assertContains(answer, reverse("job-status", args=[job.pk]))

    def test_what_i_cancelled_what_is_old_and_the_machines_own_work_are_not_told(self) -> None:
        self.ended(Job.State.CANCELLED)
        self.ended(finished_at=timezone.now() - NEWS_FOR - timedelta(minutes=1))
        canary = queue.enqueue(owner=self.alice, kind="canary.cpu")
        Job.objects.filter(pk=canary.pk).update(state=Job.State.SUCCEEDED, finished_at=timezone.now())
        self.assertNotIn("HX-Trigger", self.tray())

    def test_it_is_the_owners_news_not_the_teams(self) -> None:
        self.ended()
        self.client.force_login(self.bob)
        self.assertNotIn("HX-Trigger", self.tray())
        self.client.force_login(self.alice)
        self.assertIn("HX-Trigger", self.tray())

    def test_a_page_asks_for_news_at_once_when_there_are_some_and_takes_none_itself(self) -> None:
        self.assertNotContains(self.client.get(reverse("jobs")), "load, jobs-changed")
        self.ended()
        for _ in range(2):
            self.assertContains(self.client.get(reverse("jobs")), "load, jobs-changed")
        self.assertContains(self.tray(), "Generation finished")

    def test_after_a_long_absence_a_few_are_told_and_the_rest_counted(self) -> None:
        for _ in range(MOST_AT_ONCE + 4):
            self.ended()
        answer = self.tray()
        self.assertContains(answer, "Generation finished", count=MOST_AT_ONCE)
        self.assertContains(answer, "4 more jobs have ended")
        self.assertNotIn("HX-Trigger", self.tray())

    def test_words_of_a_prompt_are_no_html(self) -> None:
        generation = finished_generation(self.alice, prompt="<script>alert(1)</script>")
        Job.objects.filter(pk=generation.job_id).update(finished_at=timezone.now())
        self.assertContains(self.tray(), "&lt;script&gt;")
