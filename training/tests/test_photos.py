"""The photos that a model has learned from, as a picture's page shows them."""

from __future__ import annotations

from io import BytesIO

from django.urls import reverse
from PIL import Image

from shoesai import files
from shoesai.testing import BaseTestCase
from training.media import webp_of
from training.models import Photo
from training.tests.runs import photos_version


class PhotoTest(BaseTestCase):
    photo: Photo

    @classmethod
    def setUpTestData(cls) -> None:
        super().setUpTestData()
        cls.photo = photos_version(cls.alice, photos=1).photos.get()

    def test_the_team_gets_it_whole_and_small(self) -> None:
        self.client.force_login(self.bob)
        whole = self.client.get(reverse("photo", args=[self.photo.pk]))
        self.assertEqual(whole.content, files.read(self.photo.blob))
        small = self.client.get(reverse("photo-thumbnail", args=[self.photo.pk]))
        self.assertEqual(Image.open(BytesIO(small.content)).format, "WEBP")
        again = self.client.get(
            reverse("photo-thumbnail", args=[self.photo.pk]), headers={"If-None-Match": small["ETag"]}
        )
        self.assertEqual(again.status_code, 304)

    def test_for_others_it_is_not_there(self) -> None:
        for name in ("photo", "photo-thumbnail"):
            self.client.force_login(self.charlie)
            self.assertEqual(self.client.get(reverse(name, args=[self.photo.pk])).status_code, 404)
            self.client.logout()
            self.assertEqual(self.client.get(reverse(name, args=[self.photo.pk])).status_code, 302)

    def test_a_photo_that_lies_on_its_side_is_shown_upright(self) -> None:
        exif = Image.Exif()
        exif[0x0112] = 6  # turn it by 90 degrees
        out = BytesIO()
        Image.new("RGB", (40, 20)).save(out, "JPEG", exif=exif)
        self.assertEqual(Image.open(BytesIO(webp_of(out.getvalue()))).size, (20, 40))
