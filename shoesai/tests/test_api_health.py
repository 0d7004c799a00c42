from __future__ import annotations

import json
import uuid
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import OperationalError, connection
from django.utils import timezone

from shoesai.jobs import queue
from shoesai.models import Job
from shoesai.testing import BaseTestCase
from shoesai.tests.api_client import client_of

URL = "/api/health"
ENGINE = {"event": "ready", "device": "cpu", "dtype": "float32", "pid": 7, "home": "/home/someone"}


class HealthTests(BaseTestCase):
    def sing(self, lane: str, seconds_ago: float = 1.0, **result: Any) -> None:
        job = queue.enqueue(owner=self.bob, kind=f"canary.{lane}")
        moment = timezone.now() - timedelta(seconds=seconds_ago)
        Job.objects.filter(pk=job.pk).update(state="succeeded", finished_at=moment, result=result)

    def status(self) -> str:
        return self.client.get(URL).json()["status"]

    def test_everybody_learns_one_word_and_the_version(self) -> None:
        response = self.client.get(URL)
        self.assertEqual((response.status_code, response.json()), (200, {"status": "ok", "version": "1.0.0"}))
        self.assertEqual(set(client_of(self.alice).get(URL).json()), {"status", "version"})

    def test_jobs_that_wait_in_a_lane_without_a_sign_of_life_degrade(self) -> None:
        self.sing("gpu", settings.CANARY_STALE_SECONDS + 5)
        self.assertEqual(self.status(), "ok")  # nobody waits
        queue.enqueue(owner=self.alice, kind="generate")
        self.assertEqual(self.status(), "degraded")
        self.sing("cpu")
        self.assertEqual(self.status(), "degraded")  # another lane's canary says nothing
        self.sing("gpu")
        self.assertEqual(self.status(), "ok")

    def test_a_long_job_that_beats_is_a_sign_of_life_and_one_that_fell_silent_is_none(self) -> None:
        running = queue.enqueue(owner=self.alice, kind="train", spec={"run": str(uuid.uuid4())})
        queue.enqueue(owner=self.alice, kind="generate")
        Job.objects.filter(pk=running.pk).update(state="running", heartbeat_at=timezone.now())
        self.assertEqual(self.status(), "ok")
        silent = timezone.now() - timedelta(seconds=settings.JOB_LOST_AFTER_SECONDS + 5)
        Job.objects.filter(pk=running.pk).update(heartbeat_at=silent)
        self.assertEqual(self.status(), "degraded")

    def test_staff_learn_what_stands_behind_it_and_no_path_is_among_it(self) -> None:
        self.sing("gpu", 30, engine=ENGINE)
        queue.enqueue(owner=self.alice, kind="generate")
        self.alice.is_staff = True
        self.alice.save()
        response = client_of(self.alice).get(URL)
        told = response.json()
        self.assertEqual(told["database"], {"vendor": connection.vendor, "pending_migrations": 0})
        self.assertEqual((told["queue"]["queued"], told["queue"]["running"]), (1, 0))
        self.assertLess(told["queue"]["oldest_queued_seconds"], 30)
        self.assertEqual(told["lanes"]["gpu"]["engine"], {"device": "cpu", "dtype": "float32", "pid": 7})
        self.assertAlmostEqual(told["lanes"]["gpu"]["canary_age_seconds"], 30, delta=5)
        self.assertEqual((told["lanes"]["gpu"]["alive"], told["lanes"]["cpu"]["alive"]), (True, False))
        self.assertGreater(told["storage"]["free_bytes"], 0)
        self.assertNotIn("/", json.dumps(told))

    def test_staff_learn_it_in_the_browser_too_but_not_with_a_token_that_may_not_read(self) -> None:
        self.alice.is_staff = True
        self.alice.save()
        self.client.force_login(self.alice)
        self.assertIn("queue", self.client.get(URL).json())
        self.assertEqual(client_of(self.alice, "generate").get(URL).status_code, 403)

    def test_a_wrong_token_is_a_401_here_too(self) -> None:
        self.assertEqual(self.client.get(URL, headers={"Authorization": "Token x"}).status_code, 401)

    def test_a_database_that_does_not_answer_is_a_503_even_for_a_token(self) -> None:
        def silent(*_: Any) -> None:
            raise OperationalError("connection refused")

        client = client_of(self.alice)
        with connection.execute_wrapper(silent):
            response = client.get(URL)
        self.assertEqual((response.status_code, response.json()), (503, {"status": "down", "version": "1.0.0"}))
