from __future__ import annotations

import base64
import uuid
from typing import Any

from generation.services import GenerationRequest, request_generation
from shoesai.jobs import queue
from shoesai.models import Job
from shoesai.testing import BaseTestCase, finished_generation
from shoesai.tests.api_client import client_of, fields_of

BEFORE_ALL_TIME = base64.urlsafe_b64encode(f"0001-01-01T00:00:00+14:00 {uuid.uuid4()}".encode()).decode()


class JobTests(BaseTestCase):
    def setUp(self) -> None:
        self.api = client_of(self.alice)

    def queued(self, **request: Any) -> Job:
        return request_generation(user=self.alice, request=GenerationRequest("red sneakers", **request)).job

    def test_a_job_tells_how_far_it_is(self) -> None:
        job = self.queued()
        Job.objects.filter(pk=job.pk).update(state="running", progress_step=12, progress_total=48, progress_message="m")
        response = self.api.get(f"/api/jobs/{job.pk}")
        told = response.json()
        self.assertEqual((told["id"], told["state"], told["kind"]), (str(job.pk), "running", "generate"))
        self.assertEqual(told["progress"], {"step": 12, "total": 48, "message": "m", "percent": 25})
        self.assertEqual((told["position"], told["error"], told["images"]), (0, None, []))
        self.assertEqual((told["url"], response["Retry-After"]), (f"/api/jobs/{job.pk}", "1"))

    def test_a_queued_job_knows_its_place(self) -> None:
        self.queued()
        job = self.queued()
        self.assertEqual(self.api.get(f"/api/jobs/{job.pk}").json()["position"], 1)

    def test_a_finished_generation_links_its_pictures_in_order(self) -> None:
        job = finished_generation(self.alice, pictures=3, seed=42).job
        images = self.api.get(f"/api/jobs/{job.pk}").json()["images"]
        self.assertEqual([image["seed"] for image in images], [42, 43, 44])
        self.assertEqual([self.api.get(image["url"]).status_code for image in images], [200, 200, 200])

    def test_a_failed_job_says_why(self) -> None:
        job = self.queued()
        Job.objects.filter(pk=job.pk).update(state="failed", error_code="out_of_memory", error_text="Too big.")
        told = self.api.get(f"/api/jobs/{job.pk}").json()
        self.assertEqual(told["error"], {"code": "out_of_memory", "text": "Too big."})

    def test_an_unchanged_job_is_a_304_and_a_changed_one_is_not(self) -> None:
        job = self.queued()
        etag = self.api.get(f"/api/jobs/{job.pk}")["ETag"]
        again = self.api.get(f"/api/jobs/{job.pk}", headers={"If-None-Match": etag})
        self.assertEqual((again.status_code, again.content), (304, b""))
        Job.objects.filter(pk=job.pk).update(progress_step=1)
        self.assertEqual(self.api.get(f"/api/jobs/{job.pk}", headers={"If-None-Match": etag}).status_code, 200)

    def test_the_team_sees_a_job_and_for_others_it_is_as_if_it_never_was(self) -> None:
        job = self.queued()
        self.assertEqual(client_of(self.bob).get(f"/api/jobs/{job.pk}").status_code, 200)
        charlie = client_of(self.charlie)
        hers, nobodys = charlie.get(f"/api/jobs/{job.pk}"), charlie.get(f"/api/jobs/{uuid.uuid4()}")
        self.assertEqual((hers.status_code, nobodys.status_code), (404, 404))
        self.assertEqual(hers.json()["detail"], nobodys.json()["detail"])
        self.assertEqual(charlie.post(f"/api/jobs/{job.pk}/cancel").status_code, 404)
        self.assertEqual(Job.objects.get(pk=job.pk).state, "queued")


class CancelTests(BaseTestCase):
    def setUp(self) -> None:
        self.api = client_of(self.alice)
        self.job = request_generation(user=self.alice, request=GenerationRequest("red sneakers")).job

    def test_a_team_member_who_sees_a_job_cannot_stop_it(self) -> None:
        response = client_of(self.bob).post(f"/api/jobs/{self.job.pk}/cancel")
        self.assertEqual((response.status_code, response.json()["type"].rpartition(":")[2]), (403, "not-yours"))
        self.assertEqual(Job.objects.get(pk=self.job.pk).state, "queued")

    def test_a_queued_job_ends_at_once(self) -> None:
        response = self.api.post(f"/api/jobs/{self.job.pk}/cancel")
        self.assertEqual((response.status_code, response.json()["state"]), (202, "cancelled"))
        self.assertEqual(response["Location"], f"/api/jobs/{self.job.pk}")

    def test_a_running_job_is_asked_to_stop_and_asking_twice_is_fine(self) -> None:
        claim = queue.claim("gpu")
        assert claim
        for _ in range(2):
            response = self.api.post(f"/api/jobs/{self.job.pk}/cancel")
            self.assertEqual((response.status_code, response.json()["state"]), (202, "running"))
        self.assertTrue(response.json()["cancel_requested"])
        self.assertTrue(claim.beat().cancel)

    def test_a_job_that_has_ended_is_a_409(self) -> None:
        job = finished_generation(self.alice).job
        response = self.api.post(f"/api/jobs/{job.pk}/cancel")
        self.assertEqual((response.status_code, response.json()["type"]), (409, "urn:shoesai:problem:job-ended"))
        self.assertEqual(Job.objects.get(pk=job.pk).state, "succeeded")


class JobListTests(BaseTestCase):
    def setUp(self) -> None:
        self.api = client_of(self.alice)
        self.made = [finished_generation(self.alice).job for _ in range(5)]

    def ids(self, url: str) -> tuple[list[str], str | None]:
        page = self.api.get(url).json()
        return [job["id"] for job in page["jobs"]], page["next"]

    def test_pages_follow_each_other_newest_first_and_new_jobs_shift_nothing(self) -> None:
        newest_first = [str(job.pk) for job in reversed(self.made)]
        first, following = self.ids("/api/jobs?limit=2")
        assert following
        finished_generation(self.alice)
        second, following = self.ids(following)
        assert following
        third, end = self.ids(following)
        self.assertEqual(first + second + third, newest_first)
        self.assertIsNone(end)

    def test_jobs_of_the_same_moment_are_neither_skipped_nor_doubled(self) -> None:
        Job.objects.update(created_at=self.made[0].created_at)
        seen: list[str] = []
        url: str | None = "/api/jobs?limit=1"
        while url:
            page, url = self.ids(url)
            seen += page
        self.assertEqual(sorted(seen), sorted(str(job.pk) for job in self.made))

    def test_a_state_narrows_and_stays_in_the_next_page(self) -> None:
        Job.objects.filter(pk__in=[job.pk for job in self.made[:2]]).update(state="failed")
        first, following = self.ids("/api/jobs?limit=1&state=failed")
        assert following
        self.assertEqual(first + self.ids(following)[0], [str(self.made[1].pk), str(self.made[0].pk)])

    def test_the_list_costs_the_same_number_of_queries_however_long_it_is(self) -> None:
        for _ in range(3):
            request_generation(user=self.alice, request=GenerationRequest("red sneakers"))  # waits, and asks its place
        self.api.get("/api/jobs")
        with self.assertNumQueries(3):  # token, jobs with their generations, pictures
            self.api.get("/api/jobs?limit=100")

    def test_a_stranger_sees_none_and_nobody_sees_canaries(self) -> None:
        queue.enqueue(owner=self.alice, kind="canary.gpu")
        self.assertEqual(client_of(self.charlie).get("/api/jobs").json(), {"jobs": [], "next": None})
        self.assertEqual(len(client_of(self.bob).get("/api/jobs").json()["jobs"]), 5)

    def test_bad_parameters_are_named(self) -> None:
        bad = {
            "limit": ["0", "101", "-1", "1.5", "", "x", "²", "9" * 30],
            "state": ["", "done"],
            "cursor": ["", "x", "é", "AAAA", BEFORE_ALL_TIME],
        }
        for name, values in bad.items():
            for value in values:
                with self.subTest(f"{name}={value}"):
                    response = self.api.get("/api/jobs", {name: value})
                    self.assertEqual((response.status_code, list(fields_of(response))), (400, [name]))
