"""Everything that cannot be meant: a 4xx that names the field and what is allowed, and no job."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.conf import settings

from generation import limits
from generation.models import Generation
from shoesai.models import Job
from shoesai.testing import BaseTestCase
from shoesai.tests.api_client import client_of, fields_of

GOOD = {"model_name": "starter", "prompt": "red sneakers", "num_images": 1, "seed": 42, "wait": 0}
STEPS, IMAGES, SIDE = "between 1 and 150", "between 1 and 10", "multiple of 8 between 64 and 1024"
TEXT, SCALE, SEED = "at most 2,000 characters", "between 0 and 30", "between 0 and 18446744073709551606"

# field, value (raw JSON when it is bytes), what the message must say
BAD: list[tuple[str, Any, str]] = [
    ("model_name", "nothing", "among those you can use"),
    ("model_name", "nothing/checkpoint-150", "among those you can use"),
    ("model_name", "../../etc/passwd", "among those you can use"),
    ("model_name", "a/checkpoint-99999999999999999999", "among those you can use"),
    ("model_name", "", "must not be empty"),
    ("model_name", "a" * 201, "at most 200 characters"),
    ("model_name", "a\x00", "not text"),
    ("model_name", None, "must not be null"),
    ("model_name", ["starter"], "string"),
    ("prompt", "", "must not be empty"),
    ("prompt", " \n\t ", "must not be empty"),
    ("prompt", "a" * 10_000, TEXT),
    ("prompt", "red\x00shoe", "not text"),
    ("prompt", b'"\\ud800"', "not text"),
    ("prompt", 5, TEXT),
    ("prompt", True, TEXT),
    ("prompt", {"text": "red"}, TEXT),
    ("prompt", None, "must not be null"),
    ("negative_prompt", "a" * 10_000, TEXT),
    ("negative_prompt", 5, TEXT),
    ("num_images", 0, IMAGES),
    ("num_images", 11, IMAGES),
    ("num_images", -1, IMAGES),
    ("num_images", 1.0, IMAGES),
    ("num_images", 1.5, IMAGES),
    ("num_images", "1", IMAGES),
    ("num_images", True, IMAGES),
    ("num_images", None, "must not be null"),
    ("num_images", 10**30, IMAGES),
    ("num_images", b"9" * 5000, IMAGES),
    ("num_inference_steps", -5, STEPS),
    ("num_inference_steps", 0, STEPS),
    ("num_inference_steps", 151, STEPS),
    ("num_inference_steps", 50.0, STEPS),
    ("guidance_scale", b"NaN", SCALE),
    ("guidance_scale", b"Infinity", SCALE),
    ("guidance_scale", b"-Infinity", SCALE),
    ("guidance_scale", b"1e999", SCALE),
    ("guidance_scale", "7.5", SCALE),
    ("guidance_scale", False, SCALE),
    ("guidance_scale", -0.1, SCALE),
    ("guidance_scale", 30.1, SCALE),
    ("guidance_scale", 10**39, SCALE),
    ("seed", -1, SEED),
    ("seed", 2**64, SEED),
    ("seed", 2**64 - 9, SEED),
    ("seed", 2**200, SEED),
    ("seed", 42.0, SEED),
    ("seed", "42", SEED),
    ("seed", True, SEED),
    ("width", 100, SIDE),
    ("width", 8, SIDE),
    ("width", 1032, SIDE),
    ("width", "128", SIDE),
    ("height", 130, SIDE),
    ("height", 128.0, SIDE),
    ("scheduler", "magic", "ddim"),
    ("scheduler", None, "must not be null"),
    ("scheduler", ["ddim"], "ddim"),
    ("loras", "casual/checkpoint-150", "list"),
    ("loras", [{"name": "nothing/checkpoint-1"}], "among those you can use"),
    ("loras", [{"name": "a"}] * 5, "4"),
    ("loras[0]", ["a"], "JSON object"),
    ("loras[0].name", [{"weight": 1}], "is required"),
    ("loras[0].weight", [{"name": "a", "weight": 9}], "between -2 and 2"),
    ("loras[0].weight", b'[{"name": "a", "weight": NaN}]', "between -2 and 2"),
    ("loras[0].size", [{"name": "a", "size": 1}], "allowed are name, weight"),
    ("reference", "no base64!", "in base64"),
    ("reference", "aGVsbG8=", "is not a PNG, JPEG or WebP picture"),
    ("reference", "", "is empty"),
    ("reference", 5, "in base64"),
    ("reference", ["aGVsbG8="], "in base64"),
    ("reference", "\u0000", "in base64"),
    ("reference_image", "5", "the id of a picture"),
    ("reference_image", 5, "the id of a picture"),
    ("reference_image", True, "the id of a picture"),
    ("reference_image", "0b0f6a53-3c53-4a8e-8f0a-6a4f3d7c9e10", "among the pictures that you can see"),
    ("strength", 0.5, "name one, or leave it out"),
    ("strength", 0, "between 0.01 and 1"),
    ("strength", 1.1, "between 0.01 and 1"),
    ("strength", "0.5", "between 0.01 and 1"),
    ("strength", b"NaN", "between 0.01 and 1"),
    ("wait", -1, "between 0 and 300"),
    ("wait", 301, "between 0 and 300"),
    ("wait", "60", "between 0 and 300"),
    ("wait", b"NaN", "between 0 and 300"),
    ("steps", 50, "num_inference_steps"),
    ("__class__", 1, "not a field"),
]


def body_with(field: str, value: Any) -> bytes:
    name = field.split("[")[0]
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    others = {key: other for key, other in GOOD.items() if key != name}
    return json.dumps(others)[:-1].encode() + b', "' + name.encode() + b'": ' + raw + b"}"


def name_of(case: tuple[str, Any, str]) -> str:
    return f"{case[0]}={str(case[1])[:20]}".encode("ascii", "backslashreplace").decode().replace("\x00", "NUL")


class BadInputTests(BaseTestCase):
    def setUp(self) -> None:
        self.api = client_of(self.alice)

    def tearDown(self) -> None:
        self.assertEqual((Job.objects.count(), Generation.objects.count()), (0, 0))

    def post(self, body: bytes) -> Any:
        return self.api.post("/api/generate", body, content_type="application/json")

    def test_every_bad_value_is_refused_by_name_with_what_is_allowed(self) -> None:
        for case in BAD:
            field, value, allowed = case
            with self.subTest(name_of(case)):
                response = self.post(body_with(field, value))
                self.assertEqual(response.status_code, 400)
                self.assertEqual(response["Content-Type"], "application/problem+json")
                self.assertIn(allowed, fields_of(response)[field])
                self.assertEqual(set(fields_of(response)), {field})

    def test_a_body_that_is_no_object_is_refused(self) -> None:
        for body in (b"[]", b'"red"', b"5", b"true", b"null", b"NaN"):
            response = self.post(body)
            self.assertEqual((response.status_code, list(fields_of(response))), (400, ["body"]))

    def test_what_is_missing_is_named(self) -> None:
        for body in (b"{}", b""):
            response = self.post(body)
            self.assertEqual((response.status_code, fields_of(response)), (400, {"prompt": "is required."}))

    def test_deep_and_huge_bodies_are_refused(self) -> None:
        deep = self.post(b'{"prompt": ' + b'{"a":' * 50_000 + b"1" + b"}" * 50_000 + b"}")
        self.assertEqual(deep.status_code, 400)
        most = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        huge = self.post(json.dumps({**GOOD, "reference": "a" * (most + limits.REFERENCE_BYTES * 4 // 3)}).encode())
        many = self.post(json.dumps({**GOOD, "loras": [1] * most}).encode())
        self.assertEqual((huge.status_code, many.status_code), (413, 413))

    def test_all_mistakes_are_told_at_once(self) -> None:
        response = self.post(json.dumps({"prompt": "", "num_images": 11, "seed": -1, "x": 1}).encode())
        self.assertEqual(set(fields_of(response)), {"prompt", "num_images", "seed", "x"})

    def test_a_field_name_that_is_not_text_does_no_harm(self) -> None:
        for name in (b"\\ud800", b"\\u0000", b"a" * 100_000, b"<script>"):
            self.assertEqual(self.post(b'{"prompt": "red", "' + name + b'": 1}').status_code, 400)

    def test_many_unknown_fields_do_not_make_a_long_answer(self) -> None:
        response = self.post(json.dumps({**GOOD, **{f"field{number}": 1 for number in range(10_000)}}).encode())
        self.assertEqual(response.status_code, 400)
        self.assertLess(len(response.content), 10_000)

    def test_a_wrong_token_is_a_401(self) -> None:
        response = self.client.post(
            "/api/generate", GOOD, content_type="application/json", headers={"Authorization": "Token shoe_wrong"}
        )
        self.assertEqual(response.status_code, 401)


@pytest.mark.parametrize("field", ["num_images", "num_inference_steps", "guidance_scale", "seed", "strength"])
def test_the_service_and_the_schema_agree_on_the_limits(field: str) -> None:
    from generation.serializers import GenerateSerializer
    from generation.services import GenerationRequest, check_numbers

    api_field: Any = GenerateSerializer().fields[field]
    for value, good in (
        (api_field.min_value, True),
        (api_field.max_value, True),
        (api_field.min_value - 1, False),
        (api_field.max_value + 1, False),
    ):
        said = check_numbers(GenerationRequest(prompt="red", **{field: value}))
        assert (field not in said) == good
