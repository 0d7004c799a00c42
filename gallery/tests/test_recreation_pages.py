"""Re-create with proof on the picture's page: the wish, how far it is, and what came of it."""

from __future__ import annotations

from io import BytesIO
from typing import Any
from uuid import uuid4

from django.test import override_settings
from django.urls import reverse
from django.utils import timezone
from PIL import Image

from gallery import trash
from generation.models import GeneratedImage, Recreation
from generation.recreating import UNRECORDED, difference_of, keep_verdict, request_recreation
from generation.references import keep_reference
from shoesai import files
from shoesai.models import Blob, Job
from shoesai.testing import BaseTestCase, finished_generation, png_bytes

HTMX = {"HX-Request": "true"}


class RecreationTestCase(BaseTestCase):
    def setUp(self) -> None:
        self.image = finished_generation(self.alice).images.get()
        self.client.force_login(self.alice)

    def ask(self, **headers: str) -> Any:
        return self.client.post(reverse("image-recreate", args=[self.image.pk]), headers=headers)

    def look(self, recreation: Recreation, name: str = "recreation", **headers: str) -> Any:
        return self.client.get(reverse(name, args=[self.image.pk, recreation.pk]), headers={**HTMX, **headers})

    def ended(self, colour: str = "blue", state: str = "succeeded", **changes: Any) -> Recreation:
        recreation = request_recreation(self.alice, self.image)
        Job.objects.filter(pk=recreation.job_id).update(state=state, finished_at=timezone.now(), **changes)
        recreation.refresh_from_db()
        if state == "succeeded":
            again = Image.new("RGB", (self.image.width, self.image.height), colour)
            with Image.open(files.path_of(self.image.blob_id)) as stored:
                difference = difference_of(stored, again)
            keep_verdict(recreation, again, difference, [UNRECORDED])
        return recreation


class PageTests(RecreationTestCase):
    def test_a_plain_post_queues_it_and_leads_back_to_the_picture(self) -> None:
        response = self.ask()
        self.assertRedirects(response, f"/gallery/{self.image.pk}/#recreation", fetch_redirect_response=False)
        self.assertEqual(Recreation.objects.get().job.kind, "recreate")

    def test_htmx_gets_the_fragment_which_asks_again_only_while_the_job_lives(self) -> None:
        response = self.ask(**HTMX)
        self.assertContains(response, "Next in the queue")
        self.assertContains(response, "every 1s")
        self.assertEqual(response["HX-Trigger"], "jobs-changed")
        recreation = Recreation.objects.get()
        for state in Job.FINAL:
            Job.objects.update(state=state)
            self.assertNotContains(self.look(recreation), "every 1s")

    def test_nothing_new_is_a_304(self) -> None:
        recreation = request_recreation(self.alice, self.image)
        etag = self.look(recreation)["ETag"]
        self.assertEqual(self.look(recreation, **{"If-None-Match": etag}).status_code, 304)
        Job.objects.update(state="running", progress_step=3, progress_total=50)
        response = self.look(recreation, **{"If-None-Match": etag})
        self.assertContains(response, "Step 3/50")

    def test_an_identical_one_says_so(self) -> None:
        response = self.look(self.ended(colour="#c81e28"))
        self.assertContains(response, "Byte-identical")
        self.assertContains(response, "Every pixel is the same")
        self.assertNotContains(response, "<img")

    def test_a_different_one_shows_figures_reasons_and_both_pictures(self) -> None:
        recreation = self.ended()
        response = self.look(recreation)
        self.assertContains(response, "Different")
        self.assertContains(response, "of 255 in the mean")
        self.assertContains(response, "was not recorded then")
        self.assertContains(response, "<img", count=2)
        self.assertTrue(self.look(recreation, "recreation-file").getvalue().startswith(b"\x89PNG"))

    def test_an_identical_one_has_no_second_file(self) -> None:
        self.assertEqual(self.look(self.ended(colour="#c81e28"), "recreation-file").status_code, 404)

    def test_a_failure_and_a_cancellation_are_said_in_words(self) -> None:
        gone = self.ended(state="failed", error_text="The base model tiny is gone.")
        self.assertContains(self.look(gone), "The base model tiny is gone.")
        self.assertContains(self.look(self.ended(state="cancelled")), "Cancelled")

    def test_a_full_queue_is_said_in_the_fragment_and_on_the_page(self) -> None:
        with override_settings(JOB_MAX_QUEUED_PER_USER=0):
            self.assertContains(self.ask(**HTMX), "at most 0", status_code=422)
            response = self.client.post(reverse("image-recreate", args=[self.image.pk]), follow=True)
            self.assertContains(response, "at most 0")

    def test_the_pictures_page_shows_the_newest_one_and_a_button_to_whoever_sees_it(self) -> None:
        self.ended()
        self.client.force_login(self.bob)
        page = self.client.get(reverse("image", args=[self.image.pk]))
        for words in ("Re-create with proof", "Different", reverse("image-recreate", args=[self.image.pk])):
            self.assertContains(page, words)

    def test_the_list_of_jobs_names_the_picture(self) -> None:
        self.ask()
        response = self.client.get(reverse("jobs"))
        self.assertContains(response, f"/gallery/{self.image.pk}/#recreation")


class WhoMayTests(RecreationTestCase):
    def test_whoever_sees_the_picture_sees_its_proof(self) -> None:
        recreation = self.ended()
        self.client.force_login(self.bob)
        self.assertContains(self.look(recreation), "Different")
        self.assertEqual(self.look(recreation, "recreation-file").status_code, 200)

    def test_others_get_404s_and_who_is_not_signed_in_the_door(self) -> None:
        recreation = self.ended()
        self.client.force_login(self.charlie)
        for response in (self.ask(), self.look(recreation), self.look(recreation, "recreation-file")):
            self.assertEqual(response.status_code, 404)
        self.client.logout()
        for response in (self.ask(), self.look(recreation), self.look(recreation, "recreation-file")):
            self.assertIn("/login/", response["Location"])
        self.assertEqual(Recreation.objects.count(), 1)

    def test_a_proof_is_found_at_its_own_picture_only(self) -> None:
        recreation, other = self.ended(), finished_generation(self.alice).images.get()
        for image, pk in ((other.pk, recreation.pk), (self.image.pk, uuid4()), (uuid4(), recreation.pk)):
            response = self.client.get(reverse("recreation", args=[image, pk]), headers=HTMX)
            self.assertEqual(response.status_code, 404)


class LeavingTests(RecreationTestCase):
    def test_bytes_of_proof_and_reference_go_with_the_last_picture(self) -> None:
        reference = keep_reference(self.alice, BytesIO(png_bytes("navy")))
        self.image.generation.reference, self.image.generation.strength = reference, 0.5
        self.image.generation.save()
        second = self.ended().blob
        assert second
        trash.throw_away(self.alice, GeneratedImage.objects.all())
        with self.captureOnCommitCallbacks(execute=True):
            trash.delete_forever(GeneratedImage.objects.all())
        self.assertFalse(Blob.objects.filter(pk=second.pk).exists())
        self.assertTrue(Blob.objects.filter(pk=reference.pk).exists())  # an upload is kept for its week
        self.image.generation.refresh_from_db()
        self.assertIsNone(self.image.generation.reference)
