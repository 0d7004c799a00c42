"""Taking a picture away in the format that is wanted, with its recipe inside or without."""

from __future__ import annotations

import json
from io import BytesIO
from typing import Any
from xml.etree import ElementTree

from django.urls import reverse
from PIL import ExifTags, Image, ImageChops, ImageDraw, ImageStat

from generation.metadata import AI_ORIGIN
from generation.models import GeneratedImage
from generation.services import GenerationRequest, keep_image, request_generation
from shoesai import files
from shoesai.testing import BaseTestCase, finished_generation
from shoesai.tests.api_client import client_of

PROMPT = 'azul — 青い <sneakers> & "laces" 👟\x0b'
IPTC = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType"
RECIPE = "{urn:shoesai:recipe:1}recipe"


def drawn_picture() -> Image.Image:
    picture = Image.new("RGB", (128, 96), "white")
    ImageDraw.Draw(picture).ellipse((20, 30, 110, 80), fill=(180, 40, 30))
    return picture


def user_comment(picture: Image.Image) -> str:
    comment = picture.getexif().get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment]
    assert comment.startswith(b"UNICODE\0")
    return str(comment[8:].decode("utf-16-be"))


def xmp_words(picture: Image.Image, tag: str) -> str | None:
    xmp = picture.info["xmp"]
    packet = (xmp if isinstance(xmp, bytes) else xmp.encode()).strip(b"\0")
    return ElementTree.fromstring(packet).findtext(f".//{tag}")  # noqa: S314  our own packet


class DownloadTest(BaseTestCase):
    image: GeneratedImage
    stored: Image.Image

    @classmethod
    def setUpTestData(cls) -> None:
        super().setUpTestData()
        request = GenerationRequest(prompt=PROMPT, negative_prompt="blurry", seed=7, width=128, height=96)
        generation = request_generation(user=cls.alice, request=request)
        cls.image = keep_image(generation=generation, seq=0, seed=7, picture=drawn_picture(), seconds=1)

    def setUp(self) -> None:
        self.client.force_login(self.bob)
        self.url = reverse("image-file", args=[self.image.pk])
        self.stored = Image.open(BytesIO(files.read(self.image.blob)))

    def take(self, **query: Any) -> tuple[Any, Image.Image]:
        response = self.client.get(self.url, query)
        return response, Image.open(BytesIO(response.getvalue()))

    def test_without_wishes_it_is_the_stored_png_byte_for_byte(self) -> None:
        for query in ({}, {"format": "png"}, {"format": "png", "metadata": "1"}):
            response = self.client.get(self.url, query)
            self.assertEqual(response.getvalue(), files.read(self.image.blob))
            self.assertEqual(response["ETag"], f'"{self.image.blob_id}"')

    def test_every_format_is_what_it_says_and_shows_the_same_picture(self) -> None:
        for name, suffix, most in (("png", "png", 0), ("webp", "webp", 1.5), ("jpeg", "jpg", 1)):
            for metadata in ("1", "0"):
                with self.subTest(f"{name} {metadata}"):
                    response, picture = self.take(format=name, metadata=metadata, download="")
                    self.assertEqual(response["Content-Type"], f"image/{name}")
                    self.assertEqual((picture.format, picture.size), (name.upper(), (128, 96)))
                    self.assertIn("attachment", response["Content-Disposition"])
                    self.assertIn(f"_7.{suffix}", response["Content-Disposition"])
                    difference = ImageChops.difference(picture.convert("RGB"), self.stored.convert("RGB"))
                    self.assertLessEqual(max(ImageStat.Stat(difference).mean), most)

    def test_webp_and_jpeg_carry_what_the_png_carries(self) -> None:
        for name in ("webp", "jpeg"):
            with self.subTest(name):
                _response, picture = self.take(format=name)
                self.assertEqual(user_comment(picture), self.stored.info["parameters"])
                self.assertIn("Negative prompt: blurry", user_comment(picture))
                recipe = xmp_words(picture, RECIPE)
                assert recipe
                self.assertEqual(json.loads(recipe), json.loads(self.stored.info["shoesai"]))
                self.assertEqual(json.loads(recipe)["prompt"], PROMPT.strip())
                self.assertEqual(xmp_words(picture, IPTC), AI_ORIGIN)

    def test_without_metadata_only_the_mark_of_origin_stays(self) -> None:
        for name in ("png", "webp", "jpeg"):
            with self.subTest(name):
                response = self.client.get(self.url, {"format": name, "metadata": "0"})
                data = response.getvalue()
                for secret in ("sneakers", "blurry", "shoesai", "starter", "Steps"):
                    self.assertNotIn(secret.encode(), data)
                    self.assertNotIn(secret.encode("utf-16-be"), data)
                picture = Image.open(BytesIO(data))
                self.assertEqual(xmp_words(picture, IPTC), AI_ORIGIN)
                self.assertEqual(dict(picture.getexif()), {})

    def test_a_picture_from_elsewhere_without_a_recipe_can_be_taken_too(self) -> None:
        out = BytesIO()
        drawn_picture().save(out, "PNG")
        GeneratedImage.objects.filter(pk=self.image.pk).update(blob=files.publish(out.getvalue(), "image/png"))
        _response, picture = self.take(format="jpeg")
        self.assertEqual((dict(picture.getexif()), xmp_words(picture, RECIPE)), ({}, None))

    def test_each_variant_has_its_own_etag_and_costs_nothing_twice(self) -> None:
        queries = [{"format": name, "metadata": flag} for name in ("png", "webp", "jpeg") for flag in "10"]
        etags = [self.client.get(self.url, query)["ETag"] for query in queries]
        self.assertEqual(len(set(etags)), 6)
        for query, etag in zip(queries, etags, strict=True):
            again = self.client.get(self.url, query, headers={"If-None-Match": etag})
            self.assertEqual((again.status_code, again["ETag"]), (304, etag))
        self.assertEqual(self.client.get(self.url, headers={"If-None-Match": etags[2]}).status_code, 200)

    def test_an_unknown_wish_is_refused_by_name_with_what_there_is(self) -> None:
        for query, words in (({"format": "gif"}, "format must be one of png, webp, jpeg"),
                             ({"metadata": "no"}, "metadata must be one of 1, 0")):  # fmt: skip
            self.assertContains(self.client.get(self.url, query), words, status_code=400)

    def test_the_api_takes_the_same_wishes(self) -> None:
        url, bob = f"/api/images/{self.image.pk}/file", client_of(self.bob)
        response = bob.get(url, {"format": "webp", "metadata": "0"})
        self.assertEqual(response.getvalue(), self.client.get(self.url, {"format": "webp", "metadata": "0"}).getvalue())
        refused = bob.get(url, {"format": "gif", "metadata": "yes"})
        self.assertEqual(refused.status_code, 400)
        self.assertEqual({error["field"] for error in refused.json()["errors"]}, {"format", "metadata"})

    def test_no_variant_is_there_for_strangers(self) -> None:
        self.client.force_login(self.charlie)
        self.assertEqual(self.client.get(self.url, {"format": "webp"}).status_code, 404)
        self.client.logout()
        self.assertEqual(self.client.get(self.url, {"format": "webp"}).status_code, 302)

    def test_a_lost_file_is_a_404_in_every_format(self) -> None:
        lost = finished_generation(self.alice, seed=8).images.get()  # its recipe makes it a file of its own
        files.path_of(lost.blob_id).unlink()
        with self.assertLogs("generation.media", "ERROR"):
            gone = self.client.get(reverse("image-file", args=[lost.pk]), {"format": "webp"})
        self.assertEqual(gone.status_code, 404)
