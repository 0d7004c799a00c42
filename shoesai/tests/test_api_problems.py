from __future__ import annotations

import pytest
from django.conf import settings
from django.db import OperationalError
from django.test import SimpleTestCase, override_settings
from django.urls import path
from rest_framework.exceptions import Throttled
from rest_framework.request import Request
from rest_framework.response import Response

from shoesai.api import ApiView
from shoesai.problems import flatten
from shoesai.testing import BaseTestCase
from shoesai.tests.api_client import client_of, fields_of

FAULTS = {
    "secret": RuntimeError("/etc/secret"),
    "database": OperationalError("host=10.0.0.1"),
    "slow": Throttled(wait=3.2),
}


class FaultyView(ApiView):
    permission_classes = []

    def get(self, request: Request, fault: str) -> Response:
        raise FAULTS[fault]


urlpatterns = [path("api/faulty/<str:fault>", FaultyView.as_view())]


class ProblemTests(BaseTestCase):
    def setUp(self) -> None:
        self.api = client_of(self.alice)

    def test_a_problem_has_rfc_9457s_members_and_the_requests_id(self) -> None:
        response = self.api.get("/api/models/none", headers={"X-Request-ID": "abc-1"})
        self.assertEqual(response["Content-Type"], "application/problem+json")
        self.assertEqual(response["X-Request-ID"], "abc-1")
        problem = response.json()
        self.assertEqual(set(problem), {"type", "title", "status", "detail", "errors", "request_id"})
        self.assertEqual((problem["type"], problem["status"]), ("urn:shoesai:problem:not-found", 404))
        self.assertEqual(problem["request_id"], "abc-1")

    def test_every_unknown_address_below_api_is_a_json_404(self) -> None:
        for url in (
            "/api",
            "/api/",
            "/api/nothing",
            "/api/a%0Ab",
            "/api/models%0A",
            "/api/generate/",
            "/api/jobs/1",
            "/api/models/%00",
            "/api/a/b?c=%ff",
        ):
            for method in ("get", "post", "delete", "options"):
                with self.subTest(f"{method} {url}"):
                    response = getattr(self.api, method)(url)
                    self.assertEqual(response.status_code, 404)
                    self.assertEqual(response["Content-Type"], "application/problem+json")

    def test_a_wrong_method_is_a_405_that_names_the_right_ones(self) -> None:
        response = self.api.get("/api/generate")
        self.assertEqual((response.status_code, response["Allow"]), (405, "POST, OPTIONS"))
        self.assertEqual(response["Content-Type"], "application/problem+json")

    def test_another_media_type_is_a_415(self) -> None:
        for media_type in (
            "text/plain",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
            "application/xml",
        ):
            response = self.api.post("/api/generate", "prompt=shoe", content_type=media_type)
            self.assertEqual((response.status_code, response["Content-Type"]), (415, "application/problem+json"))

    def test_a_browsers_accept_header_is_no_error(self) -> None:
        self.assertEqual(self.api.get("/api/models", headers={"Accept": "text/html"}).status_code, 200)

    def test_what_is_not_json_is_a_400_about_the_body(self) -> None:
        bodies = [b"{", b"", b"\xff\xfe", b"[" * 100_000, b'{"prompt": "a", "prompt": "b"}', b"{'prompt': 'a'}"]
        for body in bodies:
            with self.subTest(body[:20]):
                response = self.api.post("/api/generate", body, content_type="application/json")
                self.assertEqual(response.status_code, 400)
                self.assertTrue(set(fields_of(response)) <= {"body", "prompt"})

    def test_a_body_above_the_limit_is_a_413(self) -> None:
        body = b'{"name": "' + b"a" * settings.DATA_UPLOAD_MAX_MEMORY_SIZE + b'"}'
        response = self.api.post("/api/runs", body, content_type="application/json")
        self.assertEqual((response.status_code, list(fields_of(response))), (413, ["body"]))


@override_settings(ROOT_URLCONF=__name__)
class FaultTests(SimpleTestCase):
    def get(self, fault: str) -> tuple[int, str]:
        self.client.raise_request_exception = False
        with self.assertLogs("shoesai.problems" if fault != "slow" else "django", "WARNING"):
            response = self.client.get(f"/api/faulty/{fault}")
        self.assertEqual(response["Content-Type"], "application/problem+json")
        self.headers = response.headers
        return response.status_code, response.content.decode()

    def test_an_unforeseen_fault_is_a_500_without_a_word_of_the_inside(self) -> None:
        status, text = self.get("secret")
        self.assertEqual(status, 500)
        self.assertNotIn("/etc/secret", text)
        self.assertNotIn("RuntimeError", text)

    def test_a_silent_database_is_a_503_that_says_when_to_try_again(self) -> None:
        status, text = self.get("database")
        self.assertEqual((status, self.headers["Retry-After"]), (503, "5"))
        self.assertNotIn("10.0.0.1", text)

    def test_whoever_must_wait_hears_how_long(self) -> None:
        self.assertEqual((self.get("slow")[0], self.headers["Retry-After"]), (429, "4"))


@pytest.mark.parametrize(
    ("detail", "path"),
    [
        ({"prompt": ["no"]}, "prompt"),
        ({"loras": [{}, {"weight": ["no"]}]}, "loras[1].weight"),
        ({"loras": {0: {"name": ["no"]}}}, "loras[0].name"),
        ({"loras": {"non_field_errors": ["no"]}}, "loras"),
        ({"non_field_errors": ["no"]}, "body"),
        (["no"], "body"),
    ],
)
def test_an_errors_field_is_a_path_that_people_read(detail: object, path: str) -> None:
    assert list(flatten(detail)) == [(path, "no")]
