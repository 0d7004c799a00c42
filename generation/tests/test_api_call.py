"""A picture as a call of the API: what is pasted asks for the very same picture."""

from __future__ import annotations

import ast
import json
import shlex
from typing import Any

from generation.api_call import as_curl, as_python, body_of
from generation.metadata import recipe_of
from generation.models import GeneratedImage, Generation
from generation.serializers import GenerateSerializer
from generation.services import LoraChoice, request_generation
from generation.tests.test_portal_generate import checkpoint_of
from shoesai.engine.specs import MAX_SEED
from shoesai.testing import BaseTestCase, finished_generation

ADDRESS = "https://studio.example/api/generate"
NASTY = "it's $HOME `whoami` \\ \"red\" — 青い 👟!\nsecond line"


def recipe(generation: Generation, seed: int) -> dict[str, Any]:
    return {**recipe_of(generation, seed), "generation": ""}


class ApiCallTest(BaseTestCase):
    def body_in_curl(self, image: GeneratedImage) -> dict[str, Any]:
        words = shlex.split(as_curl(body_of(image, self.alice), ADDRESS))
        self.assertEqual(words[:4], ["curl", "-sX", "POST", ADDRESS])
        self.assertIn("Authorization: Token $TOKEN", words)
        return json.loads(words[words.index("-d") + 1])

    def body_in_python(self, image: GeneratedImage) -> dict[str, Any]:
        program = ast.parse(as_python(body_of(image, self.alice), ADDRESS))
        return next(ast.literal_eval(line.value) for line in program.body if isinstance(line, ast.Assign))

    def asks_for_the_same(self, image: GeneratedImage) -> None:
        for body in (self.body_in_curl(image), self.body_in_python(image)):
            given = GenerateSerializer(data=body)
            given.is_valid(raise_exception=True)
            again = request_generation(user=self.alice, request=given.to_request())
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
        self.assertEqual(body_of(image, self.alice)["loras"], [{"name": "style/checkpoint-20", "weight": 0.6}])
        self.asks_for_the_same(image)

    def test_the_very_last_seed_is_asked_for_as_the_last_of_several(self) -> None:
        generation = finished_generation(self.alice, pictures=10, seed=MAX_SEED - 9)
        image = generation.images.get(seq=9)
        self.assertEqual((image.seed_number, body_of(image, self.alice)["num_images"]), (MAX_SEED, 10))
        self.asks_for_the_same(image)

    def test_a_dollar_in_the_shell_is_only_the_token(self) -> None:
        image = finished_generation(self.alice, prompt="a $5 shoe").images.get()
        outside_quotes = as_curl(body_of(image, self.alice), ADDRESS).split("'")[::2]
        self.assertEqual("".join(outside_quotes).count("$"), 1)
