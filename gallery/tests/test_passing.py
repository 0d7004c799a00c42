"""Verdicts of the channels' photo checks in the gallery: badge, search, facet, API and what is taken out."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from unittest.mock import patch

from django.urls import reverse

from evaluation.tests.test_verdicts import catalogue_image
from evaluation.verdicts import judge
from gallery.filters import ImageFilter
from shoesai.models import User
from shoesai.testing import BaseTestCase, finished_generation
from shoesai.tests.api_client import client_of


class PassingTest(BaseTestCase):
    def setUp(self) -> None:
        self.good = catalogue_image(self.alice)
        self.bad = finished_generation(self.alice, prompt="red boots").images.get()
        self.unjudged = finished_generation(self.alice, prompt="red sandals").images.get()
        for image in (self.good, self.bad):
            judge(image)
        self.client.force_login(self.bob)

    def found(self, user: User | None = None, **query: object) -> list[object]:
        return list(ImageFilter(query, user=user or self.bob).qs)

    def test_a_search_finds_what_passes_and_with_a_minus_the_rest(self) -> None:
        self.assertEqual(self.found(q="passes:house"), [self.good])
        self.assertEqual(self.found(q="-passes:house"), [self.unjudged, self.bad])
        self.assertEqual(self.found(q="passes:amazon-main"), [])
        self.assertEqual(self.found(q="passes:amazon-main|shopify"), [self.good])
        self.assertEqual(self.found(self.charlie, q="passes:house"), [])

    def test_a_channel_that_is_not_there_is_told_with_those_that_are(self) -> None:
        narrowed = ImageFilter({"q": "passes:ebay"}, user=self.bob)
        known = "house, amazon-main, google-merchant, shopify"
        self.assertEqual(narrowed.problems, [f"“ebay” is no channel; known are {known}."])

    def test_the_facet_counts_where_it_is_opened_and_narrows(self) -> None:
        page = self.client.get(reverse("gallery-facet", args=["passes"]))
        self.assertContains(page, "House style")
        self.assertNotContains(page, "Amazon main image")  # nothing that leads nowhere
        self.assertEqual(self.found(passes=["amazon-main", "shopify"]), [self.good])
        with patch("gallery.facets.COUNTED_AT_ONCE", 0):
            page = self.client.get(reverse("gallery-facet", args=["passes"]))
            self.assertContains(page, "Amazon main image")
        page = self.client.get(reverse("gallery"), {"passes": "house"})
        self.assertContains(page, "Passes the checks of: House style")

    def test_a_tile_says_how_many_channels_it_passes_and_which_not(self) -> None:
        page = self.client.get(reverse("gallery"))
        self.assertContains(page, ">2/4</span>")
        self.assertContains(page, "Passes House style, Shopify. Fails Amazon main image:")
        self.assertContains(page, ">0/4</span>")
        self.assertContains(page, 'class="passes"', count=2)

    def test_the_picture_page_gives_the_reasons(self) -> None:
        self.assertContains(self.client.get(reverse("image", args=[self.bad.pk])), "No shoe was found.")
        self.assertContains(self.client.get(reverse("image", args=[self.unjudged.pk])), "Not judged yet")

    def test_the_api_tells_and_narrows(self) -> None:
        answer = client_of(self.bob).get("/api/images?passes=house").json()
        self.assertEqual([image["id"] for image in answer["images"]], [str(self.good.pk)])
        checks = {check["profile"]: check for check in answer["images"][0]["checks"]}
        self.assertTrue(checks["house"]["passed"])
        self.assertIn("256 pixels on the longer side; zoom needs 1000.", checks["amazon-main"]["reasons"])
        one = client_of(self.bob).get(f"/api/images/{self.good.pk}").json()
        self.assertEqual(one["checks"], answer["images"][0]["checks"])
        self.assertEqual(client_of(self.bob).get(f"/api/images/{self.unjudged.pk}").json()["checks"], [])
        self.assertEqual(client_of(self.bob).get("/api/images?q=passes:ebay").status_code, 400)

    def test_a_zip_tells_it_in_both_lists(self) -> None:
        answer = self.client.post(reverse("gallery-zip"), {"image": [self.good.pk, self.bad.pk]})
        with zipfile.ZipFile(io.BytesIO(b"".join(answer))) as archive:  # type: ignore[arg-type]
            rows = json.loads(archive.read("metadata.json"))
            table = list(csv.DictReader(io.StringIO(archive.read("metadata.csv").decode("utf-8-sig"))))
        passed = {row["id"]: [check["profile"] for check in row["checks"] if check["passed"]] for row in rows}
        self.assertEqual(passed[str(self.good.pk)], ["house", "shopify"])
        told = {row["id"]: (row["passes"], row["fails"]) for row in table}
        self.assertEqual(told[str(self.good.pk)], ("house, shopify", "amazon-main, google-merchant"))
        self.assertEqual(told[str(self.bad.pk)][0], "")
