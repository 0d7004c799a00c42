"""The limit for a user's pictures."""

from __future__ import annotations

from typing import Any

from django.core.cache import cache
from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from generation import shelves, storage
from generation.models import GeneratedImage
from generation.services import GenerationRequest, request_generation
from generation.storage import StorageFull
from shoesai.accounts import create_token
from shoesai.models import Job
from shoesai.testing import BaseTestCase, finished_generation
from training.tests.runs import kept_checkpoint, queued_run


class StorageTest(BaseTestCase):
    def setUp(self) -> None:
        cache.clear()
        self.image = finished_generation(self.alice).images.get()
        self.size = self.image.blob.size + self.image.thumbnail.size

    def ask(self) -> Any:
        return request_generation(user=self.alice, request=GenerationRequest("red sneakers"))

    def test_pictures_are_counted_with_their_thumbnails_and_the_trash_is_part_of_it(self) -> None:
        shelves.clear(GeneratedImage.objects.filter(pk=self.image.pk), trashed_at=timezone.now())
        pictures = storage.pictures_of(self.alice)
        self.assertEqual((pictures.used, pictures.in_trash), (self.size, self.size))
        self.assertEqual(storage.pictures_of(self.bob).used, 0)

    def test_it_is_remembered_for_a_minute(self) -> None:
        storage.pictures_of(self.alice)
        with CaptureQueriesContext(connection) as asked:
            storage.pictures_of(self.alice)
        self.assertEqual(len(asked), 0)

    def test_without_a_limit_nothing_is_counted(self) -> None:
        with CaptureQueriesContext(connection) as asked:
            storage.require_room(self.alice)
        self.assertEqual(len(asked), 0)

    def test_a_full_account_is_told_what_to_do_and_nothing_is_queued(self) -> None:
        jobs = Job.objects.count()
        with override_settings(STORAGE_QUOTA=self.size), self.assertRaisesMessage(StorageFull, "empty the trash"):
            self.ask()
        self.assertEqual(Job.objects.count(), jobs)

    def test_an_emptied_trash_makes_room_at_once(self) -> None:
        with override_settings(STORAGE_QUOTA=self.size):
            with self.assertRaises(StorageFull):
                self.ask()
            self.image.delete()
            self.ask()

    def test_the_limit_is_each_users_own(self) -> None:
        with override_settings(STORAGE_QUOTA=self.size):
            request_generation(user=self.bob, request=GenerationRequest("red sneakers"))

    @override_settings(STORAGE_QUOTA=1)
    def test_the_api_answers_429_with_a_code_of_its_own(self) -> None:
        token = create_token(self.alice, "script")
        answer = self.client.post(
            reverse("api-generate"), {"prompt": "red sneakers"}, "application/json",
            headers={"Authorization": f"Token {token}"},
        )  # fmt: skip
        self.assertEqual(answer.status_code, 429)
        self.assertEqual(answer.json()["type"], "urn:shoesai:problem:quota-reached")
        self.assertIn("empty the trash", answer.json()["detail"])

    @override_settings(STORAGE_QUOTA=1)
    def test_the_generate_page_says_it_above_its_button(self) -> None:
        self.client.force_login(self.alice)
        data = {
            "prompt": "red sneakers", "model_name": "starter", "num_images": 1, "num_inference_steps": 25,
            "guidance_scale": 3, "size": "square", "scheduler": "ddim",
        }  # fmt: skip
        self.assertContains(self.client.post(reverse("generate"), data), "empty the trash", status_code=422)

    def test_the_report_counts_each_file_once(self) -> None:
        kept_checkpoint(queued_run(self.alice, "spring"), 100, data=b"x" * 1000)
        before = storage.report_of(self.alice)
        self.assertEqual(before.models, 1000)
        self.assertGreater(before.photos, 0)
        self.assertEqual(storage.report_of(self.bob).photos, 0)
