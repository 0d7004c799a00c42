"""Pictures that start from a picture: whose reference it may be, what is kept of it, and for how long."""

from __future__ import annotations

from datetime import timedelta
from io import BytesIO
from typing import Any
from unittest.mock import patch
from uuid import uuid4

from django.urls import reverse
from django.utils import timezone
from PIL import Image

from generation import limits, references, tasks
from generation.metadata import recipe_of
from generation.models import Generation, Upload
from generation.references import find_reference, keep_reference, sweep_uploads
from generation.services import GenerationRequest, InvalidRequest, request_generation
from shoesai import files
from shoesai.models import Blob, User
from shoesai.pictures import NotAPicture, is_bare_png
from shoesai.testing import BaseTestCase, finished_generation, png_bytes


def upload(user: User, data: bytes | None = None) -> Blob:
    return keep_reference(user, BytesIO(png_bytes("tan") if data is None else data))


def asked(user: User, **request: Any) -> Generation:
    return request_generation(user=user, request=GenerationRequest(**{"prompt": "red sneakers", **request}))


class KeepTests(BaseTestCase):
    def test_a_photo_is_kept_as_a_small_bare_png(self) -> None:
        out = BytesIO()
        Image.new("RGB", (3000, 1500), "tan").save(out, "JPEG", exif=b"Exif\x00\x00secret place")
        kept = files.read(upload(self.alice, out.getvalue()))
        self.assertTrue(is_bare_png(kept))
        with Image.open(BytesIO(kept)) as picture:
            self.assertEqual(picture.size, (2048, 1024))

    def test_the_same_picture_twice_is_one_upload(self) -> None:
        self.assertEqual(upload(self.alice), upload(self.alice))
        self.assertEqual(Upload.objects.count(), 1)

    def test_what_is_no_picture_or_too_large_is_refused_in_words(self) -> None:
        for data, words in (
            (b"GIF89a", "is not a PNG, JPEG or WebP picture"),
            (b"", "is empty"),
            (png_bytes()[:60], "is broken"),
            (png_bytes(size=8), "at least 16 pixels"),
            (bytes(limits.REFERENCE_BYTES + 1), "is larger than 20 MB"),
        ):
            with self.subTest(words), self.assertRaisesMessage(NotAPicture, words):
                upload(self.alice, data)
        self.assertFalse(Upload.objects.exists())


class WhoMayNameWhatTests(BaseTestCase):
    def refusal(self, user: User, **request: Any) -> dict[str, str]:
        with self.assertRaises(InvalidRequest) as caught:
            asked(user, **request)
        return caught.exception.errors

    def test_an_upload_is_its_owners_alone(self) -> None:
        blob = upload(self.alice)
        made = asked(self.alice, reference=blob.pk, strength=0.3)
        self.assertEqual((made.reference, made.strength, made.reference_image), (blob, 0.3, None))
        for other in (self.bob, self.charlie):
            self.assertEqual(list(self.refusal(other, reference=blob.pk)), ["reference"])

    def test_no_other_blob_can_be_named_by_its_hash(self) -> None:
        image = finished_generation(self.alice).images.get()
        photo = files.publish(png_bytes("green"), "image/png")
        for sha256 in (image.blob_id, image.thumbnail_id, photo.pk, "0" * 64, "", "../x", "\x00"):
            with self.subTest(sha256):
                self.assertEqual(list(self.refusal(self.alice, reference=sha256)), ["reference"])

    def test_a_picture_of_the_gallery_can_be_one_for_whoever_sees_it(self) -> None:
        image = finished_generation(self.alice).images.get()
        made = asked(self.bob, reference_image=image.pk)
        self.assertEqual((made.reference_id, made.reference_image), (image.blob_id, image))
        self.assertEqual(made.strength, limits.DEFAULT_STRENGTH)
        self.assertEqual(list(self.refusal(self.charlie, reference_image=image.pk)), ["reference_image"])
        self.assertEqual(list(self.refusal(self.alice, reference_image=uuid4())), ["reference_image"])

    def test_whoever_sees_a_picture_may_start_from_what_it_started_from(self) -> None:
        blob = upload(self.alice)
        finished_generation(self.alice, reference=blob.pk)
        Upload.objects.all().delete()
        self.assertEqual(asked(self.bob, reference=blob.pk).reference, blob)
        self.assertIsNone(find_reference(self.charlie, blob.pk))

    def test_what_cannot_be_meant_is_named(self) -> None:
        blob, image = upload(self.alice), finished_generation(self.alice).images.get()
        both = self.refusal(self.alice, reference=blob.pk, reference_image=image.pk)
        self.assertEqual(list(both), ["reference"])
        self.assertEqual(list(self.refusal(self.alice, strength=0.5)), ["strength"])
        for strength in (0, -1, 1.01, float("nan")):
            errors = self.refusal(self.alice, reference=blob.pk, strength=strength)
            self.assertIn("between 0.01 and 1", errors["strength"])
        self.assertEqual(list(self.refusal(self.alice, template="x" * 2001)), ["template"])

    def test_the_file_is_shown_to_whoever_may_name_it(self) -> None:
        blob = upload(self.alice)
        address = reverse("reference-file", args=[blob.pk])
        self.assertEqual(self.client.get(address).status_code, 302)
        for user, status in ((self.alice, 200), (self.bob, 404), (self.charlie, 404)):
            self.client.force_login(user)
            self.assertEqual(self.client.get(address).status_code, status)


class RecipeTests(BaseTestCase):
    def test_recipe_and_spec_tell_reference_and_strength(self) -> None:
        image = finished_generation(self.alice).images.get()
        made = asked(self.alice, reference_image=image.pk, strength=0.25, template="{red|blue} sneakers")
        recipe = recipe_of(made, 1)
        self.assertEqual(
            (recipe["strength"], recipe["reference"], recipe["reference_image"]), (0.25, image.blob_id, str(image.pk))
        )
        self.assertEqual(made.template, "{red|blue} sneakers")
        self.assertEqual(tasks.spec_of(made, ()).strength, 0.25)
        self.assertNotIn("strength", recipe_of(image.generation, 1))

    def test_the_same_request_has_the_same_digest(self) -> None:
        pk = uuid4()
        first, second = (GenerationRequest("red", reference_image=pk, strength=0.5).digest() for _ in range(2))
        self.assertEqual(first, second)
        self.assertNotEqual(first, GenerationRequest("red", reference_image=pk, strength=0.6).digest())


class SweepTests(BaseTestCase):
    def age(self) -> None:
        Upload.objects.update(created_at=timezone.now() - references.KEPT - timedelta(minutes=1))

    def test_an_old_upload_goes_with_its_bytes_and_a_used_one_keeps_them(self) -> None:
        unused, used = upload(self.alice, png_bytes("blue")), upload(self.alice, png_bytes("pink"))
        asked(self.alice, reference=used.pk)
        self.age()
        with self.captureOnCommitCallbacks(execute=True):
            self.assertEqual(sweep_uploads(), 2)
        self.assertEqual(list(Blob.objects.filter(pk__in=[unused.pk, used.pk])), [used])
        self.assertFalse(files.path_of(unused.pk).exists())
        self.assertTrue(files.path_of(used.pk).exists())

    def test_of_one_user_only_so_many_are_kept(self) -> None:
        other = upload(self.bob, png_bytes("pink"))
        with patch("generation.references.KEPT_PER_USER", 2), self.captureOnCommitCallbacks(execute=True):
            colours = ("pink", "blue", "green", "navy")
            pink, blue, *newest = (upload(self.alice, png_bytes(colour)) for colour in colours)
        kept = Upload.objects.filter(owner=self.alice).values_list("blob", flat=True)
        self.assertEqual(set(kept), {blob.pk for blob in newest})
        self.assertEqual(find_reference(self.bob, pink.pk), other)  # the same bytes, which he has brought too
        self.assertFalse(files.path_of(blue.pk).exists())

    def test_whoever_uploads_sweeps_for_all_and_a_used_upload_is_young_again(self) -> None:
        blob = upload(self.alice)
        self.age()
        asked(self.alice, reference=blob.pk)
        upload(self.bob, png_bytes("blue"))
        self.assertIsNotNone(find_reference(self.alice, blob.pk))
        self.age()
        upload(self.bob, png_bytes("navy"))
        self.assertEqual(Upload.objects.count(), 1)
