from __future__ import annotations

import base64
import json
import threading
import time
from io import BytesIO
from typing import Any

from django.conf import settings
from django.db import connection
from django.test import Client, TransactionTestCase, override_settings
from django.utils import timezone
from PIL import Image

from generation import api
from generation.models import Generation
from shoesai import files
from shoesai.models import Job
from shoesai.testing import BaseTestCase, People, finished_generation, keep_plain_image, png_bytes, starter
from shoesai.tests.api_client import client_of, fields_of

URL = "/api/generate"
BODY = {"model_name": "starter", "prompt": "red sneakers", "num_images": 2, "num_inference_steps": 5, "seed": 42}


def post(client: Client, body: dict[str, Any] | None = None, **headers: str) -> Any:
    return client.post(URL, BODY if body is None else body, content_type="application/json", headers=headers)


class FinishedInTimeTests(People, TransactionTestCase):
    """A thread plays the worker, so that the waiting request meets real rows in a real database."""

    def setUp(self) -> None:
        starter()
        self.make_people()
        self.api = client_of(self.alice)

    def while_working(self, work: Any, **body: Any) -> Any:
        def worker() -> None:
            try:
                while not (generation := Generation.objects.first()):
                    time.sleep(0.02)
                Job.objects.update(state="running", started_at=timezone.now())
                work(generation)
            finally:
                connection.close()

        thread = threading.Thread(target=worker)
        thread.start()
        try:
            return post(self.api, {**BODY, "wait": 20, **body})
        finally:
            thread.join()

    @staticmethod
    def paint(generation: Generation) -> None:
        for seq in range(generation.num_images):
            keep_plain_image(generation, seq)
        Job.objects.update(state="succeeded", finished_at=timezone.now())

    def test_the_answer_has_the_seeds_shape(self) -> None:
        response = self.while_working(self.paint, guidance_scale=3, scheduler="euler", width=64, height=128)
        self.assertEqual(response.status_code, 200)
        told = response.json()
        self.assertIs(told["success"], True)
        self.assertGreater(told["generation_time"], 0)
        self.assertEqual([image["seed"] for image in told["images"]], [42, 43])
        metadata = told["images"][1]["metadata"]
        self.assertEqual((metadata["model"], metadata["steps"], metadata["guidance_scale"]), ("starter", 5, 3.0))
        self.assertEqual((metadata["seed"], metadata["scheduler"]), (43, "euler"))
        self.assertEqual(told["job"]["state"], "succeeded")

    def test_the_pictures_are_pngs_and_the_same_as_at_their_address(self) -> None:
        for image in self.while_working(self.paint).json()["images"]:
            data = base64.b64decode(image["image"])
            with Image.open(BytesIO(data)) as picture:
                self.assertEqual((picture.format, picture.size), ("PNG", (128, 128)))
                self.assertEqual(json.loads(picture.text["shoesai"])["seed"], image["seed"])  # type: ignore[attr-defined]
            self.assertEqual(b"".join(self.api.get(image["url"])), data)

    def test_a_job_that_fails_meanwhile_is_a_problem_with_its_words(self) -> None:
        def fail(_: Generation) -> None:
            Job.objects.update(state="failed", error_code="out_of_memory", error_text="Too big for the device.")

        response = self.while_working(fail)
        self.assertEqual(response.status_code, 500)
        self.assertEqual(response.json()["type"], "urn:shoesai:problem:generation-failed")
        self.assertEqual(response.json()["detail"], "Too big for the device. (out_of_memory)")

    def test_a_job_that_is_cancelled_meanwhile_is_a_409(self) -> None:
        response = self.while_working(lambda _: Job.objects.update(state="cancelled"))
        self.assertEqual(response.status_code, 409)


class NotYetTests(BaseTestCase):
    def setUp(self) -> None:
        self.api = client_of(self.alice)

    def test_what_is_not_ready_in_time_is_a_202_with_its_address(self) -> None:
        started = time.monotonic()
        response = post(self.api, {**BODY, "wait": 0.3})
        self.assertGreater(time.monotonic() - started, 0.3)
        job = Job.objects.get()
        self.assertEqual((response.status_code, response["Location"]), (202, f"/api/jobs/{job.pk}"))
        self.assertEqual(response["Retry-After"], "1")
        self.assertEqual(response.json()["job"]["id"], str(job.pk))

    def test_respond_async_does_not_wait(self) -> None:
        started = time.monotonic()
        response = post(self.api, Prefer="wait=3, Respond-Async; x=1")
        self.assertLess(time.monotonic() - started, 2)
        self.assertEqual((response.status_code, response["Preference-Applied"]), (202, "respond-async"))

    def test_a_server_on_which_many_wait_answers_at_once(self) -> None:
        taken = [api.WAITERS.acquire(blocking=False) for _ in range(12)]
        try:
            self.assertTrue(all(taken))
            started = time.monotonic()
            self.assertEqual(post(self.api).status_code, 202)
            self.assertLess(time.monotonic() - started, 2)
        finally:
            for _ in taken:
                api.WAITERS.release()

    def test_what_is_left_out_gets_the_seeds_defaults_or_the_models_own(self) -> None:
        post(self.api, {"prompt": " red sneakers ", "wait": 0})
        made = Generation.objects.get()
        self.assertEqual((made.model_name, made.num_images, made.num_inference_steps), ("starter", 1, 50))
        self.assertEqual((made.guidance_scale, made.width, made.height, made.prompt), (3.0, 128, 128, "red sneakers"))

    def test_the_largest_values_are_accepted(self) -> None:
        most = {
            "prompt": "ø" * 2000, "negative_prompt": "b" * 2000, "num_images": 10, "num_inference_steps": 150,
            "guidance_scale": 30, "seed": 2**64 - 10, "width": 1024, "height": 64, "scheduler": "unipc", "wait": 0,
        }  # fmt: skip
        response = post(self.api, most)
        self.assertEqual(response.status_code, 202, response.content)
        least = {**most, "prompt": "ø", "num_images": 1, "num_inference_steps": 1, "guidance_scale": 0, "seed": 0}
        self.assertEqual(post(self.api, least).status_code, 202)

    def test_a_seed_of_64_bits_is_kept_to_the_last_digit(self) -> None:
        for seed in (10**16 + 1, 2**63 - 1, 2**63, 2**64 - 10):
            made = finished_generation(self.alice, seed=seed)
            made.refresh_from_db()
            self.assertEqual((made.first_seed, made.images.get().seed_number), (seed, seed))

    def test_a_full_queue_is_a_429_that_says_when_to_come_again(self) -> None:
        with override_settings(JOB_MAX_QUEUED_PER_USER=1):
            post(self.api, {**BODY, "wait": 0})
            response = post(self.api, {**BODY, "wait": 0})
        self.assertEqual((response.status_code, response["Retry-After"]), (429, "30"))
        self.assertEqual(Job.objects.count(), 1)


class ReferenceTests(BaseTestCase):
    def setUp(self) -> None:
        self.api = client_of(self.alice)

    def test_a_picture_in_base64_becomes_the_reference(self) -> None:
        body = {**BODY, "wait": 0, "reference": base64.b64encode(png_bytes("tan")).decode(), "strength": 0.3}
        for _ in range(2):
            response = post(self.api, body, **{"Idempotency-Key": "k"})
            self.assertEqual(response.status_code, 202, response.content)
        made = Generation.objects.get()
        assert made.reference
        self.assertEqual((made.strength, files.read(made.reference)), (0.3, png_bytes("tan")))

    def test_a_large_photo_fits_into_the_body(self) -> None:
        out = BytesIO()
        Image.effect_noise((1600, 1200), 90).convert("RGB").save(out, "PNG")
        self.assertGreater(out.tell(), settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
        response = post(self.api, {**BODY, "wait": 0, "reference": base64.b64encode(out.getvalue()).decode()})
        self.assertEqual(response.status_code, 202, response.content)

    def test_a_picture_of_the_gallery_can_be_named_and_the_recipe_tells_it(self) -> None:
        image = finished_generation(self.bob).images.get()
        self.assertEqual(post(self.api, {**BODY, "wait": 0, "reference_image": str(image.pk)}).status_code, 202)
        made = Generation.objects.get(owner=self.alice)
        told = self.api.get(f"/api/images/{keep_plain_image(made, 0).pk}").json()["metadata"]
        self.assertEqual(
            (told["reference_image"], told["reference"], told["strength"]), (str(image.pk), image.blob_id, 0.6)
        )
        self.assertEqual(
            post(client_of(self.charlie), {**BODY, "wait": 0, "reference_image": str(image.pk)}).status_code, 400
        )


class IdempotencyTests(BaseTestCase):
    def setUp(self) -> None:
        self.api = client_of(self.alice)

    def post(self, key: str, **body: Any) -> Any:
        return post(self.api, {**BODY, "wait": 0, **body}, **{"Idempotency-Key": key})

    def test_the_same_key_is_the_same_job_even_with_another_wait(self) -> None:
        first, second = self.post("k"), self.post("k", wait=0.1)
        self.assertEqual(first["Location"], second["Location"])
        self.assertEqual(Job.objects.count(), 1)

    def test_it_brings_the_pictures_when_they_are_ready(self) -> None:
        job = finished_generation(self.alice, pictures=2, num_inference_steps=5, seed=42).job
        self.post("k")
        made = Job.objects.exclude(pk=job.pk).get()
        made.delete()
        Job.objects.filter(pk=job.pk).update(idempotency_key="k", request_digest=made.request_digest)
        response = self.post("k")
        self.assertEqual((response.status_code, len(response.json()["images"])), (200, 2))

    def test_the_same_key_with_another_request_is_a_422(self) -> None:
        self.post("k")
        response = self.post("k", seed=43)
        self.assertEqual((response.status_code, list(fields_of(response))), (422, ["Idempotency-Key"]))
        self.assertEqual(Job.objects.count(), 1)

    def test_keys_are_each_users_own(self) -> None:
        self.post("k")
        response = post(client_of(self.bob), {**BODY, "wait": 0}, **{"Idempotency-Key": "k"})
        self.assertEqual(response.status_code, 202)
        self.assertEqual(Job.objects.count(), 2)

    def test_a_key_that_cannot_be_kept_is_named(self) -> None:
        for key in ("", "a b", "k" * 201, "ção"):
            response = self.post(key)
            self.assertEqual((response.status_code, list(fields_of(response))), (400, ["Idempotency-Key"]))
        self.assertEqual(Job.objects.count(), 0)
