"""A picture as a call of the API: what is pasted asks for the very same picture."""

from __future__ import annotations

import ast
import json
import shlex
import subprocess
import tempfile
from io import BytesIO
from pathlib import Path
from typing import Any

from generation.api_call import ApiCall, call_of
from generation.metadata import recipe_of
from generation.models import GeneratedImage, Generation
from generation.references import keep_reference
from generation.serializers import GenerateSerializer
from generation.services import LoraChoice, request_generation
from generation.tests.test_portal_generate import checkpoint_of
from shoesai import files
from shoesai.engine.specs import MAX_SEED
from shoesai.testing import BaseTestCase, finished_generation, png_bytes

ADDRESS = "https://studio.example/api/generate"
NASTY = "it's $HOME `whoami` \\ \"red\" — 青い 👟!\nsecond line"


def recipe(generation: Generation, seed: int) -> dict[str, Any]:
    return {**recipe_of(generation, seed), "generation": ""}


class ApiCallTest(BaseTestCase):
    def call(self, image: GeneratedImage) -> ApiCall:
        return call_of(image, self.alice, ADDRESS)

    def sent_by_curl(self, image: GeneratedImage) -> dict[str, Any]:
        """What a real shell gives to curl, which is a function here that prints its arguments and its input."""
        with tempfile.TemporaryDirectory() as folder:
            if image.generation.reference:
                Path(folder, "reference.png").write_bytes(files.read(image.generation.reference))
            fake = 'curl() { printf "%s\\0" "$@"; if [ "${@: -1}" = @- ]; then cat; fi; }\n'
            script = fake + self.call(image).as_curl()
            said = subprocess.run(
                ["bash", "-c", script], cwd=folder, env={"TOKEN": "shoe_1", "PATH": "/usr/bin:/bin"},
                check=True, capture_output=True, text=True,
            ).stdout  # fmt: skip
        *arguments, data = said.rstrip("\0").split("\0")
        self.assertEqual(arguments[:3], ["-sX", "POST", ADDRESS])
        self.assertIn("Authorization: Token shoe_1", arguments)
        return json.loads(data)

    def sent_by_python(self, image: GeneratedImage) -> dict[str, Any]:
        program = ast.parse(self.call(image).as_python())
        return next(ast.literal_eval(line.value) for line in program.body if isinstance(line, ast.Assign))

    def asks_for_the_same(self, image: GeneratedImage, body: dict[str, Any]) -> None:
        given = GenerateSerializer(data=body)
        given.is_valid(raise_exception=True)
        again = request_generation(user=self.alice, request=given.to_request(self.alice))
        seed = again.first_seed + again.num_images - 1
        self.assertEqual(recipe(again, seed), recipe(image.generation, image.seed_number))

    def test_every_setting_is_in_it_and_survives_the_shell(self) -> None:
        checkpoint_of(self.alice)
        checkpoint_of(self.alice, name="style", step=20)
        generation = finished_generation(
            self.alice, pictures=2, prompt=NASTY, negative_prompt="blurry; rm -rf 'x'", seed=41, guidance_scale=6.5,
            model_name="spring/checkpoint-150", scheduler="euler", num_inference_steps=33, width=128, height=96,
            loras=(LoraChoice("style/checkpoint-20", 0.6),),
        )  # fmt: skip
        image = generation.images.get(seq=1)
        for body in (self.sent_by_curl(image), self.sent_by_python(image)):
            self.assertEqual(body["loras"], [{"name": "style/checkpoint-20", "weight": 0.6}])
            self.asks_for_the_same(image, body)

    def test_the_very_last_seed_is_asked_for_as_the_last_of_several(self) -> None:
        generation = finished_generation(self.alice, pictures=10, seed=MAX_SEED - 9)
        image = generation.images.get(seq=9)
        self.assertEqual((image.seed_number, self.call(image).body["num_images"]), (MAX_SEED, 10))
        self.asks_for_the_same(image, self.sent_by_curl(image))

    def test_a_picture_of_the_gallery_as_reference_goes_by_its_name(self) -> None:
        start = finished_generation(self.alice).images.get()
        image = finished_generation(self.alice, reference_image=start.pk, strength=0.4).images.get()
        for body in (self.sent_by_curl(image), self.sent_by_python(image)):
            self.asks_for_the_same(image, body)

    def test_an_uploaded_reference_comes_from_a_file_beside(self) -> None:
        upload = keep_reference(self.alice, BytesIO(png_bytes(size=128)))
        image = finished_generation(self.alice, reference=upload.pk, strength=0.4, prompt=NASTY).images.get()
        self.assertTrue(self.call(image).needs_file)
        self.asks_for_the_same(image, self.sent_by_curl(image))
        self.assertIn("reference.png", self.call(image).as_python())
        self.assertEqual(self.sent_by_python(image)["strength"], 0.4)

    def test_a_dollar_in_the_shell_is_only_the_token(self) -> None:
        image = finished_generation(self.alice, prompt="a $5 shoe").images.get()
        outside_quotes = self.call(image).as_curl().split("'")[::2]
        self.assertEqual("".join(outside_quotes).count("$"), 1)
        self.assertIn(ADDRESS, shlex.split(self.call(image).as_curl()))
