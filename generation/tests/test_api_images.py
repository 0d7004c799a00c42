from __future__ import annotations

import uuid

from generation.models import GeneratedImage
from shoesai import files
from shoesai.testing import BaseTestCase, finished_generation
from shoesai.tests.api_client import client_of


class ImageTests(BaseTestCase):
    image: GeneratedImage

    @classmethod
    def setUpTestData(cls) -> None:
        super().setUpTestData()
        cls.image = finished_generation(cls.alice, seed=42).images.get()

    def setUp(self) -> None:
        self.api = client_of(self.alice)
        self.url = f"/api/images/{self.image.pk}"

    def test_the_file_is_the_stored_png(self) -> None:
        response = self.api.get(f"{self.url}/file")
        self.assertEqual(b"".join(response), files.read(self.image.blob))
        self.assertEqual((response["Content-Type"], response["X-Content-Type-Options"]), ("image/png", "nosniff"))
        self.assertIn("red-sneakers_42.png", response["Content-Disposition"])
        self.assertIn("private", response["Cache-Control"])

    def test_a_caller_who_has_it_gets_a_304(self) -> None:
        etag = self.api.get(f"{self.url}/file")["ETag"]
        self.assertEqual(self.api.get(f"{self.url}/file", headers={"If-None-Match": etag}).status_code, 304)

    def test_any_accept_header_gets_the_picture(self) -> None:
        for accept in ("image/png", "image/*", "application/json", "text/html"):
            self.assertEqual(self.api.get(f"{self.url}/file", headers={"Accept": accept}).status_code, 200)

    def test_the_recipe_tells_all_that_is_needed_to_make_it_again(self) -> None:
        told = self.api.get(self.url).json()
        self.assertEqual((told["seed"], told["metadata"]["seed"]), (42, 42))
        self.assertEqual((told["metadata"]["prompt"], told["url"]), ("red sneakers", f"{self.url}/file"))
        self.assertEqual(told["job"], str(self.image.generation.job_id))

    def test_the_team_sees_it_and_for_others_it_is_as_if_it_never_was(self) -> None:
        for url in (self.url, f"{self.url}/file"):
            self.assertEqual(client_of(self.bob).get(url).status_code, 200)
            charlie = client_of(self.charlie)
            absent = charlie.get(url.replace(str(self.image.pk), str(uuid.uuid4())))
            self.assertEqual([charlie.get(url).status_code, absent.status_code], [404, 404])
            self.assertEqual(charlie.get(url).json()["detail"], absent.json()["detail"])

    def test_a_lost_file_is_a_404_and_no_server_error(self) -> None:
        image = finished_generation(self.alice, seed=7).images.get()  # its recipe makes it a file of its own
        files.path_of(image.blob_id).unlink()
        with self.assertLogs("generation.media", "ERROR"):
            response = self.api.get(f"/api/images/{image.pk}/file")
        self.assertEqual((response.status_code, response["Content-Type"]), (404, "application/problem+json"))
