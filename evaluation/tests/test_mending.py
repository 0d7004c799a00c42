"""One click makes a picture fit for a channel: a new one that knows its parent, and says what was done to it."""

from __future__ import annotations

import json

import numpy as np
from django.urls import reverse
from PIL import Image

from evaluation.tests.test_verdicts import SHOE, catalogue_image, told_of
from evaluation.verdicts import judge
from gallery.trash import throw_away
from generation.metadata import AI_ORIGIN
from generation.models import GeneratedImage
from generation.services import keep_image
from shoesai import files
from shoesai.models import User
from shoesai.starter import draw
from shoesai.testing import BaseTestCase, finished_generation
from shoesai.tests.api_client import client_of


class MendingTest(BaseTestCase):
    def setUp(self) -> None:
        self.image = catalogue_image(self.alice)
        judge(self.image)
        self.client.force_login(self.alice)

    def mend(self, image: GeneratedImage, profile: str = "amazon-main") -> str:
        """Where it leads."""
        answer = self.client.post(reverse("image-mend", args=[image.pk]), {"profile": profile})
        return str(answer["Location"]) if answer.status_code == 302 else str(answer.status_code)

    def test_a_click_makes_a_new_picture_that_passes_what_its_parent_failed(self) -> None:
        self.assertTrue(reverse("image-mend", args=[self.image.pk]) in self.page(self.image))
        where = self.mend(self.image)
        made = self.image.mended.get()
        self.assertEqual(where, reverse("image", args=[made.pk]))
        self.assertTrue(told_of(made, "amazon-main").passed, told_of(made, "amazon-main").why)
        self.assertEqual((made.width, made.seed, made.generation, made.owner),
                         (1000, self.image.seed, self.image.generation, self.alice))  # fmt: skip
        page = self.page(made)
        for words in ("Before", "After", "Compare before and after", "resized 256x256 to 1000x1000 (Lanczos)"):
            self.assertTrue(words in page, words)
        self.assertFalse("Re-create with proof" in page)
        self.assertTrue(reverse("image", args=[made.pk]) in self.page(self.image))

    def test_its_paper_is_white_and_its_file_tells_everything(self) -> None:
        self.mend(self.image)
        made = self.image.mended.get()
        with Image.open(files.path_of(made.blob_id)) as stored:
            stored.load()
            recipe, xmp = json.loads(stored.info["shoesai"]), stored.info["XML:com.adobe.xmp"]
            self.assertIn("Mended: ", stored.info["parameters"])
            self.assertEqual(np.asarray(stored)[:20].min(), 255)
        self.assertIn(AI_ORIGIN, xmp)
        self.assertEqual(recipe["mending"]["parent"], str(self.image.pk))
        self.assertEqual(recipe["mending"]["parent_sha256"], self.image.blob_id)
        self.assertEqual(made.mending, recipe["mending"])

    def test_twice_makes_two_and_the_request_keeps_its_number_of_pictures(self) -> None:
        self.mend(self.image)
        self.mend(self.image, "google-merchant")
        self.assertEqual(sorted(self.image.generation.images.values_list("seq", flat=True)), [0, 1, 2])
        told = client_of(self.alice).get(f"/api/jobs/{self.image.generation.job_id}").json()
        self.assertEqual(len(told["images"]), 1)

    def test_the_trash_takes_it_and_the_parent_stays(self) -> None:
        self.mend(self.image)
        throw_away(self.alice, GeneratedImage.objects.filter(parent=self.image))
        self.assertEqual(list(GeneratedImage.objects.visible_to(self.alice)), [self.image])

    def test_only_its_owner_mends_and_a_team_mate_sees_no_button(self) -> None:
        for person, status in ((self.bob, "404"), (self.charlie, "404")):
            self.client.force_login(person)
            self.assertEqual(self.mend(self.image), status)
        self.client.force_login(self.bob)
        self.assertFalse(reverse("image-mend", args=[self.image.pk]) in self.page(self.image))
        self.assertEqual(GeneratedImage.objects.count(), 1)

    def test_what_cannot_be_mended_is_refused_in_words(self) -> None:
        dark = finished_generation(self.alice).images.get()
        empty = self.kept(self.alice, Image.new("RGB", (128, 128), "white"))
        cut = self.kept(self.alice, draw.draw_catalogue(SHOE, 3, 256).crop((0, 0, 128, 256)))
        refusals = {"The background is too dark": dark, "No shoe was found": empty, "The shoe leaves the picture": cut}
        for words, image in refusals.items():
            where = self.mend(image)
            self.assertEqual(where, reverse("image", args=[image.pk]))
            self.assertContains(self.client.get(where), words)
        self.assertEqual(self.mend(self.image, "no-such-channel"), "404")

    def test_the_api_mends_too(self) -> None:
        alice, address = client_of(self.alice), f"/api/images/{self.image.pk}/mend"
        answer = alice.post(address, {"profile": "google-merchant"}, content_type="application/json")
        self.assertEqual(answer.status_code, 201, answer.content)
        told = answer.json()
        self.assertEqual((told["mended_from"], told["width"]), (str(self.image.pk), 1500))
        self.assertEqual(told["metadata"]["mending"]["profile"], "google-merchant")
        self.assertTrue(next(check for check in told["checks"] if check["profile"] == "google-merchant")["passed"])
        dark = finished_generation(self.alice).images.get()
        body = {"profile": "house"}
        refused = alice.post(f"/api/images/{dark.pk}/mend", body, content_type="application/json")
        self.assertEqual(refused.status_code, 422)
        self.assertIn("The background is too dark", refused.json()["detail"])
        other = client_of(self.bob).post(address, body, content_type="application/json")
        self.assertEqual(other.status_code, 404)

    def page(self, image: GeneratedImage) -> str:
        return self.client.get(reverse("image", args=[image.pk])).content.decode()

    @staticmethod
    def kept(owner: User, picture: Image.Image) -> GeneratedImage:
        generation = finished_generation(owner).images.get().generation
        return keep_image(generation=generation, seq=5, seed=5, picture=picture, seconds=0.1)
