"""How long it will take: only what is known, and in the queue's order."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.utils import timezone

from generation.estimates import Timetable, about
from generation.models import GeneratedImage, Generation
from generation.services import GenerationRequest, request_generation
from shoesai.jobs import queue
from shoesai.models import Job, User
from shoesai.testing import BaseTestCase, finished_generation


class TimetableTest(BaseTestCase):
    def asked(self, owner: User | None = None, **request: Any) -> Generation:
        return request_generation(
            user=owner or self.alice,
            request=GenerationRequest(**{"prompt": "red", "num_images": 2, "num_inference_steps": 50, **request}),
        )

    def left(self, generation: Generation) -> float | None:
        generation.job.refresh_from_db()
        return Timetable().seconds_left(generation.job)

    def made_before(self, seconds: float, **request: Any) -> None:
        """A picture of 50 steps."""
        generation = finished_generation(self.bob, **request)
        GeneratedImage.objects.filter(generation=generation).update(seconds=seconds)

    def test_nothing_is_said_where_nothing_was_made_before(self) -> None:
        self.assertIsNone(self.left(self.asked()))

    def test_each_waits_for_those_before_it(self) -> None:
        self.made_before(5)
        first, second = self.asked(), self.asked(num_images=1)
        self.assertEqual((self.left(first), self.left(second)), (10, 15))

    def test_a_running_one_needs_only_its_remaining_steps(self) -> None:
        self.made_before(5)
        first, second = self.asked(), self.asked()
        Job.objects.filter(pk=first.job_id).update(state="running", progress_step=75, progress_total=100)
        self.assertEqual((self.left(first), self.left(second)), (2.5, 12.5))

    def test_nothing_is_said_while_the_engine_starts(self) -> None:
        self.made_before(5)
        first, second = self.asked(), self.asked()
        Job.objects.filter(pk=first.job_id).update(state="running")
        self.assertEqual((self.left(first), self.left(second)), (None, None))

    def test_pictures_of_the_same_size_count_and_else_their_pixels(self) -> None:
        self.made_before(5)
        larger = self.asked(num_images=1, width=256, height=128)
        self.assertEqual(self.left(larger), 10)
        self.made_before(8, width=256, height=128)
        self.assertEqual(self.left(larger), 8)

    def test_a_training_steps_aside_but_behind_unknown_work_nothing_is_said(self) -> None:
        self.made_before(5)
        queue.enqueue(owner=self.bob, kind="measure_training")
        Job.objects.filter(kind="measure_training").update(kind="train", priority=-1)
        generation = self.asked()
        self.assertEqual(self.left(generation), 10)
        Job.objects.filter(kind="train").update(kind="measure_training")
        self.assertIsNone(self.left(generation))

    def test_nothing_is_promised_when_nobody_takes_the_work(self) -> None:
        self.made_before(5)
        generation = self.asked()
        Job.objects.filter(pk=generation.job_id).update(created_at=timezone.now() - timedelta(minutes=1))
        self.assertIsNone(self.left(generation))

    def test_one_look_serves_a_whole_page(self) -> None:
        self.made_before(5)
        jobs = [self.asked().job for _number in range(3)]
        timetable = Timetable()
        with self.assertNumQueries(3):
            self.assertTrue(all(timetable.seconds_left(job) for job in jobs))

    def test_it_is_said_as_roughly_as_it_is_known(self) -> None:
        said = [about(seconds) for seconds in (2, 13, 41, 97, 130, 7300)]
        self.assertEqual(
            said,
            ["a few seconds left", "about 15 s left", "about 40 s left", "about 100 s left", "about 3 min left",
             "about 3 h left"],
        )  # fmt: skip
