"""The trash: what is in it, who sees it, and how it ends."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.test import override_settings
from django.urls import reverse
from django.utils import timezone

from gallery import judging, trash
from gallery.models import Tagging
from generation.models import GeneratedImage
from shoesai import files
from shoesai.jobs import queue, supervisor
from shoesai.jobs.tasks import run_here
from shoesai.models import Blob, Job
from shoesai.testing import BaseTestCase, finished_generation, keep_plain_image
from shoesai.tests.api_client import client_of


class TrashCase(BaseTestCase):
    def setUp(self) -> None:
        self.client.force_login(self.alice)
        self.images = list(finished_generation(self.alice, pictures=3, seed=40).images.order_by("seq"))

    def thrown(self, *images: GeneratedImage, days_ago: float = 0) -> Any:
        chosen = GeneratedImage.objects.filter(pk__in=[image.pk for image in images])
        trash.throw_away(self.alice, chosen)
        chosen.update(trashed_at=timezone.now() - timedelta(days=days_ago))
        return chosen


class TrashPageTest(TrashCase):
    def test_an_empty_one_says_what_it_is_for(self) -> None:
        self.assertContains(self.client.get(reverse("trash")), "The trash is empty")

    def test_it_shows_ones_own_with_the_days_that_are_left(self) -> None:
        self.thrown(self.images[0], days_ago=12.5)
        page = self.client.get(reverse("trash"))
        self.assertEqual(page.context["thrown"], [(self.images[0], 18)])
        self.assertContains(page, "18 days left")

    def test_not_even_the_team_sees_it(self) -> None:
        self.thrown(self.images[0])
        address = reverse("trash-thumbnail", args=[self.images[0].pk])
        self.assertEqual(self.client.get(address).status_code, 200)
        for user in (self.bob, self.charlie):
            self.client.force_login(user)
            self.assertContains(self.client.get(reverse("trash")), "The trash is empty")
            self.assertEqual(self.client.get(address).status_code, 404)
        self.client.logout()
        for name in (reverse("trash"), address):
            self.assertIn(reverse("login"), self.client.get(name)["Location"])

    def test_a_picture_that_is_not_in_it_has_no_thumbnail_there(self) -> None:
        self.assertEqual(self.client.get(reverse("trash-thumbnail", args=[self.images[0].pk])).status_code, 404)

    def test_what_is_in_it_is_nowhere_else(self) -> None:
        gone = self.images[0]
        self.thrown(gone)
        for address in (reverse("image", args=[gone.pk]), reverse("image-file", args=[gone.pk]),
                        reverse("image-thumbnail", args=[gone.pk])):  # fmt: skip
            self.assertEqual(self.client.get(address).status_code, 404)
        self.assertEqual(client_of(self.alice).get(f"/api/images/{gone.pk}").status_code, 404)
        self.assertEqual(self.client.post(reverse("gallery-zip"), {"image": gone.pk}).status_code, 302)

    def test_the_ticked_ones_come_back(self) -> None:
        self.thrown(*self.images)
        chosen = [str(image.pk) for image in self.images[:2]]
        answer = self.client.post(reverse("selection-restore"), {"image": chosen, "next": reverse("trash")})
        self.assertRedirects(answer, reverse("trash"))
        self.assertEqual(GeneratedImage.objects.visible_to(self.bob).count(), 2)

    def test_nothing_ticked_changes_nothing_and_says_so(self) -> None:
        self.thrown(*self.images)
        for name in ("selection-restore", "trash-delete"):
            page = self.client.post(reverse(name), {"next": reverse("trash")}, follow=True)
            self.assertContains(page, "Nothing was selected")
        self.assertEqual(trash.in_trash(self.alice).count(), 3)

    def test_nonsense_is_a_404(self) -> None:
        for fields in ({"image": "x"}, {"moment": "yesterday"}):
            self.assertEqual(self.client.post(reverse("selection-restore"), fields).status_code, 404)


class DeletingTest(TrashCase):
    def test_deleting_for_good_takes_rows_and_files(self) -> None:
        chosen = self.thrown(self.images[0])
        judging.judge(self.alice, chosen, favourite=True)
        judging.tag(self.alice, chosen, "old")
        with self.captureOnCommitCallbacks(execute=True):
            page = self.client.post(reverse("trash-delete"), {"image": self.images[0].pk}, follow=True)
        self.assertContains(page, "1 picture is deleted for good.")
        self.assertFalse(GeneratedImage.objects.filter(pk=self.images[0].pk).exists())
        self.assertFalse(Blob.objects.filter(pk=self.images[0].blob_id).exists())
        self.assertFalse(files.path_of(self.images[0].blob_id).exists())
        self.assertFalse(Tagging.objects.exists())

    def test_bytes_that_somebody_else_holds_stay(self) -> None:
        """Two pictures of one colour have one thumbnail."""
        twin = keep_plain_image(finished_generation(self.bob, pictures=1, seed=5).images.get().generation, 1)
        GeneratedImage.objects.filter(pk=twin.pk).update(thumbnail=self.images[0].thumbnail)
        self.thrown(self.images[0])
        with self.captureOnCommitCallbacks(execute=True):
            self.client.post(reverse("trash-delete"), {"all": "1"})
        self.assertTrue(files.path_of(self.images[0].thumbnail_id).exists())
        self.assertFalse(files.path_of(self.images[0].blob_id).exists())

    def test_only_what_is_in_ones_own_trash_is_deleted(self) -> None:
        self.thrown(self.images[0])
        for user in (self.alice, self.bob, self.charlie):
            self.client.force_login(user)
            chosen = [self.images[1].pk] + ([] if user == self.alice else [self.images[0].pk])
            self.client.post(reverse("trash-delete"), {"image": chosen})
            if user != self.alice:
                self.client.post(reverse("trash-delete"), {"all": "1"})
        self.assertEqual(GeneratedImage.objects.count(), 3)

    def test_emptying_takes_everything_in_it(self) -> None:
        self.thrown(*self.images[:2])
        page = self.client.post(reverse("trash-delete"), {"all": "1"}, follow=True)
        self.assertContains(page, "2 pictures are deleted for good.")
        self.assertEqual(list(GeneratedImage.objects.all()), [self.images[2]])

    def test_deleting_needs_a_session_and_a_post(self) -> None:
        self.assertEqual(self.client.get(reverse("trash-delete")).status_code, 405)
        self.client.logout()
        self.assertIn(reverse("login"), self.client.post(reverse("trash-delete"), {"all": "1"})["Location"])


class PurgeTest(TrashCase):
    def purged(self) -> Job:
        job = queue.enqueue(owner=self.alice, kind="purge_trash")
        with self.captureOnCommitCallbacks(execute=False):
            self.assertTrue(run_here(job))
        job.refresh_from_db()
        return job

    def test_what_is_over_its_days_goes_and_the_rest_stays(self) -> None:
        self.thrown(self.images[0], days_ago=30.1)
        self.thrown(self.images[1], days_ago=29.9)
        job = self.purged()
        self.assertEqual((job.state, job.result), (Job.State.SUCCEEDED, {"pictures": 1}))
        self.assertEqual(set(GeneratedImage.objects.all()), set(self.images[1:]))

    @override_settings(TRASH_DAYS=7)
    def test_the_days_are_a_setting(self) -> None:
        self.thrown(self.images[0], days_ago=8)
        self.purged()
        self.assertEqual(GeneratedImage.objects.count(), 2)

    def test_many_go_in_steps(self) -> None:
        self.thrown(*self.images, days_ago=31)
        trash.AT_ONCE, before = 2, trash.AT_ONCE
        try:
            self.assertEqual(self.purged().result, {"pictures": 3})
        finally:
            trash.AT_ONCE = before

    def test_it_is_due_once_a_day_whatever_workers_start(self) -> None:
        self.assertTrue(supervisor.queue_if_due("purge_trash"))
        self.assertFalse(supervisor.queue_if_due("purge_trash"))
        yesterday = timezone.now() - timedelta(days=1, minutes=1)
        Job.objects.filter(kind="purge_trash").update(created_at=yesterday, state=Job.State.SUCCEEDED)
        self.assertTrue(supervisor.queue_if_due("purge_trash"))
        self.assertEqual(Job.objects.filter(kind="purge_trash").count(), 1)
