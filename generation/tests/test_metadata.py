"""What travels inside a picture."""

from __future__ import annotations

import json
from io import BytesIO

from PIL import Image

from generation.metadata import AI_ORIGIN
from shoesai import files
from shoesai.testing import BaseTestCase, finished_generation


class PictureMetadataTests(BaseTestCase):
    def setUp(self) -> None:
        generation = finished_generation(
            self.alice, prompt="azul — 青い sneakers", negative_prompt="blurry", seed=7, pictures=2,
            scheduler="dpmpp_2m_karras",
        )
        self.image = generation.images.get(seq=1)
        self.picture = Image.open(BytesIO(files.read(self.image.blob)))

    def test_a_picture_carries_the_parameters_that_other_tools_read(self) -> None:
        lines = self.picture.info["parameters"].splitlines()
        assert lines[0] == "azul — 青い sneakers"
        assert lines[1] == "Negative prompt: blurry"
        assert "Sampler: DPM++ 2M Karras" in lines[2] and "Seed: 8" in lines[2] and "Size: 128x128" in lines[2]

    def test_a_picture_carries_our_recipe_with_its_own_seed(self) -> None:
        recipe = json.loads(self.picture.info["shoesai"])
        assert recipe["seed"] == 8 and recipe["base_model"] == "starter" and recipe["loras"] == []

    def test_a_picture_says_in_xmp_that_it_was_made_by_a_model(self) -> None:
        assert AI_ORIGIN.encode() in files.read(self.image.blob)

    def test_the_thumbnail_is_a_webp_without_the_prompt(self) -> None:
        data = files.read(self.image.thumbnail)
        assert Image.open(BytesIO(data)).format == "WEBP"
        assert b"sneakers" not in data
