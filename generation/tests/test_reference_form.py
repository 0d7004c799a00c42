"""Starting from a picture on the Generate page: with and without JavaScript, and never a stranger's picture."""

from __future__ import annotations

from typing import Any

from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from generation import limits
from generation.models import Generation, Upload
from generation.tests.test_portal_generate import HTMX, asked
from shoesai.models import Job
from shoesai.testing import BaseTestCase, finished_generation, keep_plain_image, png_bytes


def upload(data: bytes | None = None, name: str = "shoe.png") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, png_bytes() if data is None else data, "image/png")


class ReferenceFormTest(BaseTestCase):
    def setUp(self) -> None:
        self.client.force_login(self.alice)

    def post(self, **changes: Any) -> Any:
        return self.client.post(reverse("generate"), asked(**changes))

    def dropped(self, file: SimpleUploadedFile, **changes: Any) -> Any:
        return self.client.post(reverse("generate-reference"), asked(reference_file=file, **changes), **HTMX)

    def test_without_javascript_the_file_comes_with_the_form(self) -> None:
        self.assertEqual(self.post(reference_file=upload(), strength="0.4").status_code, 302)
        generation = Generation.objects.get()
        self.assertEqual((generation.reference, generation.strength), (Upload.objects.get().blob, 0.4))

    def test_a_dropped_file_is_kept_and_shown_before_anything_is_made(self) -> None:
        piece = self.dropped(upload())
        sha256 = Upload.objects.get().blob_id
        self.assertContains(piece, f'value="{sha256}"')
        self.assertContains(piece, reverse("reference-file", args=[sha256]))
        self.assertContains(piece, 'name="strength"')
        self.post(reference=sha256)
        self.assertEqual(Generation.objects.get().strength, limits.DEFAULT_STRENGTH)

    def test_what_is_no_picture_is_refused_in_words_and_the_one_before_stays(self) -> None:
        self.dropped(upload())
        sha256 = Upload.objects.get().blob_id
        piece = self.dropped(upload(b"GIF89a not a picture"), reference=sha256)
        self.assertContains(piece, "The picture is not a PNG, JPEG or WebP picture.", status_code=422)
        self.assertContains(piece, f'value="{sha256}"', status_code=422)

    def test_a_file_beyond_the_limit_is_not_even_read_to_its_end(self) -> None:
        piece = self.dropped(upload(b"\x89PNG" + bytes(limits.REFERENCE_BYTES)))
        self.assertContains(piece, "larger than 20 MB", status_code=422)
        self.assertFalse(Upload.objects.exists())

    def test_a_refusal_elsewhere_does_not_lose_the_file(self) -> None:
        page = self.post(prompt="", reference_file=upload())
        self.assertContains(page, f'value="{Upload.objects.get().blob_id}"', status_code=422)

    def test_a_picture_of_the_gallery_can_be_used(self) -> None:
        image = finished_generation(self.bob).images.get()
        page = self.client.get(reverse("generate"), {"reference": str(image.pk)})
        self.assertContains(page, f'name="reference_image" value="{image.pk}"')
        self.assertContains(page, reverse("image-thumbnail", args=[image.pk]))
        self.post(reference_image=str(image.pk), strength="0.3", prompt="blue boots")
        generation = Generation.objects.get(prompt="blue boots")
        self.assertEqual((generation.reference_image, generation.reference), (image, image.blob))

    def test_a_new_file_takes_the_place_of_the_picture_of_the_gallery(self) -> None:
        image = finished_generation(self.alice).images.get()
        piece = self.dropped(upload(), reference_image=str(image.pk))
        self.assertNotContains(piece, str(image.pk))

    def test_somebody_elses_picture_or_upload_is_refused_like_one_that_never_was(self) -> None:
        self.dropped(upload())
        theirs = Upload.objects.get().blob_id
        image = finished_generation(self.alice).images.get()
        self.client.force_login(self.charlie)
        Job.objects.all().delete()
        for changes in ({"reference": theirs}, {"reference_image": str(image.pk)}, {"reference": "../../etc"}):
            response = self.post(**changes)
            self.assertEqual(response.status_code, 422)
            self.assertTrue(response.context["form"].reference_errors())
        self.assertFalse(Job.objects.exists())

    def test_it_can_be_taken_away_and_everything_else_stays(self) -> None:
        image = finished_generation(self.alice).images.get()
        posted = asked(prompt="green clogs", reference_image=str(image.pk), change="no_reference")
        form = self.client.post(reverse("generate-form"), posted, **HTMX).context["form"]
        self.assertEqual((form["prompt"].value(), form.has_reference()), ("green clogs", False))

    def test_all_settings_of_a_picture_bring_its_reference_back(self) -> None:
        image = finished_generation(self.alice, prompt="first").images.get()
        self.post(reference_image=str(image.pk), strength="0.3")
        second = Generation.objects.exclude(prompt="first").get()
        made = keep_plain_image(second, 0)
        form = self.client.get(reverse("generate"), {"from": str(made.pk)}).context["form"]
        self.assertEqual((form["reference_image"].value(), form["strength"].value()), (str(image.pk), "0.3"))

    def test_an_upload_needs_the_forms_own_token(self) -> None:
        strict = Client(enforce_csrf_checks=True)
        strict.force_login(self.alice)
        for name in ("generate", "generate-reference", "generate-form"):
            response = strict.post(reverse(name), asked(reference_file=upload()))
            self.assertEqual(response.status_code, 403, name)
        self.assertFalse(Upload.objects.exists())

    def test_a_stranger_is_sent_to_the_sign_in_page(self) -> None:
        self.client.logout()
        self.assertEqual(self.dropped(upload()).status_code, 302)
        self.assertFalse(Upload.objects.exists())
