"""The Augment page: what would be made, a look at it before anything is written, and the work."""

from __future__ import annotations

from typing import Any

from django.urls import reverse

from shoesai.jobs.tasks import run_here
from shoesai.models import Job
from shoesai.testing import BaseTestCase
from training.datasets.drafts import edit
from training.models import Photo
from training.tests.datasets_for_tests import draft_of, drawn, frozen_of, plain

PRODUCT: dict[str, Any] = {"recipe": "product", "variants": "2", "seed": "42"}


class AugmentPageTest(BaseTestCase):
    def setUp(self) -> None:
        self.draft = draft_of(self.alice, [drawn(number, size=64) for number in range(2)])
        self.url = reverse("dataset-augment", args=[self.draft.dataset_id])
        self.client.force_login(self.alice)

    def post(self, action: str, **changes: Any) -> Any:
        return self.client.post(self.url, {**PRODUCT, "action": action, **changes})

    def test_it_says_how_many_will_come_and_what_the_draft_has_then(self) -> None:
        page = self.client.get(self.url, {**PRODUCT, "variants": "3"})
        self.assertContains(page, "6 variants")
        self.assertContains(page, "<dd>8</dd>")
        self.assertContains(self.client.get(self.url), "10 variants")

    def test_it_says_which_photos_are_not_mirrored_and_why(self) -> None:
        photo = self.draft.photos.earliest("position")
        edit(self.draft, self.alice, "caption", {photo.pk: {"caption": "a boot, left side"}})
        self.assertContains(self.client.get(self.url), "is not mirrored, because its caption names a side (left)")
        self.assertNotContains(self.client.get(self.url, {**PRODUCT, "flip": "0"}), "is not mirrored")

    def test_a_setting_that_spoils_a_photo_is_refused_at_its_field_with_the_reason(self) -> None:
        page = self.post("start", rotation="45")
        self.assertContains(page, "does not stand on its sole", status_code=422)
        self.assertContains(page, 'value="45"', status_code=422)
        self.assertFalse(Job.objects.exists())

    def test_a_preview_shows_photos_beside_their_variants_and_writes_nothing(self) -> None:
        response = self.post("preview")
        job = Job.objects.get()
        self.assertIn(f"preview={job.pk}", response["Location"])
        self.assertContains(self.client.get(response["Location"]), "hx-trigger=\"every 1s\"")
        self.assertTrue(run_here(job))
        page = self.client.get(response["Location"])
        self.assertContains(page, "<figure>", count=6)
        self.assertEqual(self.draft.photos.count(), 2)
        job.refresh_from_db()
        picture = reverse(
            "dataset-augment-picture", args=[self.draft.dataset_id, job.pk, job.result["variants"][0]["file"]]
        )
        self.assertTrue(b"".join(self.client.get(picture)).startswith(b"\x89PNG"))
        self.assertEqual(self.client.get(picture + "x").status_code, 404)
        self.client.force_login(self.charlie)
        self.assertEqual(self.client.get(picture).status_code, 404)

    def test_starting_shows_progress_and_then_what_was_made(self) -> None:
        self.assertRedirects(self.post("start", recipe="rotations", variants="", angles=["-5", "5"]), self.url)
        self.assertContains(self.client.get(self.url), "Varying photos")
        self.assertTrue(run_here(Job.objects.get()))
        self.assertContains(self.client.get(self.url), "4 variants of 2 photos are in the draft")
        angles = [photo.recipe["drawn"]["angle"] for photo in self.draft.photos.filter(origin=Photo.Origin.AUGMENTED)]
        self.assertEqual(sorted(angles), [-5, -5, 5, 5])

    def test_what_cannot_be_started_says_why(self) -> None:
        self.post("start")
        self.assertContains(self.post("start"), "being varied already", status_code=422)

    def test_a_frozen_dataset_is_previewed_without_beginning_a_draft(self) -> None:
        version = frozen_of(self.alice, [plain(1)], name="frozen")
        url = reverse("dataset-augment", args=[version.dataset_id])
        self.assertEqual(self.client.post(url, {**PRODUCT, "action": "preview"}).status_code, 302)
        self.assertIsNone(version.dataset.draft())

    def test_a_dataset_without_photos_says_so(self) -> None:
        version = frozen_of(self.alice, [plain(1)], name="bare")
        version.delete()
        page = self.client.get(reverse("dataset-augment", args=[version.dataset_id]))
        self.assertContains(page, "Bring photos first")

    def test_whoever_may_not_see_the_dataset_finds_nothing_here(self) -> None:
        self.client.force_login(self.charlie)
        self.assertEqual(self.client.get(self.url).status_code, 404)
        self.assertEqual(self.post("start").status_code, 404)

    def test_team_mates_may_vary_a_shared_dataset(self) -> None:
        self.draft.dataset.team = self.team
        self.draft.dataset.save()
        self.client.force_login(self.bob)
        self.assertRedirects(self.post("start"), self.url)
