from __future__ import annotations

from contextlib import suppress
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.test import TransactionTestCase
from django.urls import reverse

from evaluation.tests.judged import judged_evaluation
from shoesai import api_urls
from shoesai.accounts import create_token
from shoesai.models import Job, User
from shoesai.testing import BaseTestCase, finished_generation, starter
from shoesai.tests.api_client import client_of
from shoesai.wsgi import application
from training.models import TrainingRun
from training.tests.datasets_for_tests import frozen_of
from training.tests.runs import kept_checkpoint, queued_run

DELETING = {"DELETE /api/datasets/{id}", "DELETE /api/evaluations/{id}"}  # what comes after still needs them
PUBLIC = {"api-health", "api-schema", "api-docs", "api-nothing-here"}


def of_image(public_id: Any) -> dict[str, Any]:
    return {"api-image": public_id, "api-image-file": public_id, "api-image-mend": public_id}


def of_run(run: TrainingRun) -> dict[str, Any]:
    """What stands in the addresses of one run and its checkpoint."""
    names = ("", "-pause", "-resume", "-cancel", "-metrics", "-events")
    return {"api-checkpoint-file": kept_checkpoint(run, 10).pk, **{f"api-run{name}": run.pk for name in names}}


def of_dataset(owner: User) -> dict[str, Any]:
    """What stands in the addresses of one dataset, its version and its photo."""
    version = frozen_of(owner, name="for the API")
    names = ("", "-upload", "-draft", "-draft-photos", "-check", "-freeze", "-augment", "-expand", "-versions")
    numbered = ("version", "photos", "findings", "export")
    return {
        "api-photo-file": version.photos.all()[0].pk,
        **{f"api-dataset{name}": version.dataset_id for name in names},
        **{f"api-dataset-{name}": (version.dataset_id, version.number) for name in numbered},
    }


def of_evaluation(owner: User) -> dict[str, Any]:
    """What stands in the addresses of one evaluation and its picture."""
    evaluation = judged_evaluation(owner)
    names = ("", "-report", "-pictures")
    return {
        "api-judged-picture-file": (evaluation.pk, 0, 0),
        **{f"api-evaluation{name}": evaluation.pk for name in names},
    }


class SchemaTests(BaseTestCase):
    def schema(self) -> dict[str, Any]:
        return self.client.get("/api/schema?format=json").json()

    def test_it_is_valid_and_made_without_a_warning(self) -> None:
        call_command("spectacular", validate=True, fail_on_warn=True, stdout=StringIO())

    def test_every_operation_has_words_an_example_or_a_file_and_its_problems(self) -> None:
        for url, operations in self.schema()["paths"].items():
            for method, operation in operations.items():
                with self.subTest(f"{method} {url}"):
                    self.assertTrue(operation["summary"])
                    problems = [code for code in operation["responses"] if code >= "400"]
                    self.assertIn("401", problems)
                    for code in problems:
                        if code != "503":
                            self.assertIn("application/problem+json", operation["responses"][code]["content"])

    def test_the_page_needs_nothing_from_outside_and_no_inline_script(self) -> None:
        response = self.client.get("/docs")
        self.assertEqual(response.status_code, 200)
        policy = response["Content-Security-Policy"]
        self.assertIn("script-src 'self';", policy + ";")
        self.assertIn("style-src 'self' 'unsafe-inline'", policy)
        page = response.content.decode()
        self.assertNotIn("https://", page)
        self.assertNotRegex(page, r"<script>")

    def test_other_pages_keep_the_strict_policy(self) -> None:
        self.assertNotIn("unsafe-inline", self.client.get("/api/health")["Content-Security-Policy"])


class AuthorizationTests(BaseTestCase):
    def urls(self, ids: dict[str, Any]) -> dict[str, str]:
        """Every address of the API, so that a new one cannot be forgotten here."""
        urls = {}
        for pattern in api_urls.urlpatterns:
            name = str(pattern.name)  # type: ignore[union-attr]
            if name not in PUBLIC:
                here = ids.get(name, ())
                urls[name] = reverse(name, args=here if isinstance(here, tuple) else [here])
        return urls

    def test_without_a_token_every_method_of_every_address_is_a_401(self) -> None:
        generation = finished_generation(self.alice)
        image, job, model = generation.images.get().pk, generation.job_id, starter().pk
        ids = {**of_image(image), "api-job": job, "api-job-cancel": job, "api-model": model}
        ids |= of_run(queued_run(self.alice)) | of_dataset(self.alice) | of_evaluation(self.alice)
        for name, url in self.urls(ids).items():
            for method in ("get", "head", "post", "put", "patch", "delete", "options"):
                with self.subTest(f"{method} {name}"):
                    self.assertEqual(getattr(self.client, method)(url).status_code, 401)

    def test_somebody_elses_things_are_404s_for_every_method_that_exists(self) -> None:
        generation = finished_generation(self.alice)
        image, job = generation.images.get().pk, generation.job_id
        ids = {**of_image(image), "api-job": job, "api-job-cancel": job}
        ids |= of_run(queued_run(self.alice)) | of_dataset(self.alice) | of_evaluation(self.alice)
        urls = {name: url for name, url in self.urls({**ids, "api-model": starter().pk}).items() if name in ids}
        charlie = client_of(self.charlie)
        for name, url in urls.items():
            for method in ("get", "post", "put", "patch", "delete"):
                with self.subTest(f"{method} {name}"):
                    self.assertIn(getattr(charlie, method)(url).status_code, (404, 405))


@pytest.mark.slow
class SchemathesisTests(TransactionTestCase):
    """A machine that reads the schema tries to make a server error, or an answer that the schema does not know."""

    def setUp(self) -> None:
        starter()
        user = User.objects.create_user("alice", password="a light table")
        self.generation = finished_generation(user, prompt="red sneakers")
        self.run_ = queued_run(user)
        self.datasets = of_dataset(user)
        self.evaluation = judged_evaluation(user)
        self.token = create_token(user, "test")

    def test_no_operation_breaks_its_promise(self) -> None:
        import schemathesis
        from hypothesis import HealthCheck, given, settings
        from hypothesis.errors import Unsatisfiable
        from schemathesis.checks import load_all_checks
        from schemathesis.specs.openapi.checks import positive_data_acceptance

        load_all_checks()
        schema = schemathesis.openapi.from_wsgi("/api/schema?format=json", application)
        known = {"/api/images": self.generation.images.get().pk, "/api/jobs": self.generation.job_id}
        known["/api/runs"], known["/api/evaluations"] = self.run_.pk, self.evaluation.pk
        known["/api/datasets"], known["/api/photos"] = self.datasets["api-dataset"], self.datasets["api-photo-file"]
        headers = {"Authorization": f"Token {self.token}", "Prefer": "respond-async"}

        def tried(operation: Any, mode: Any) -> None:
            good = mode is schemathesis.GenerationMode.POSITIVE

            @given(case=operation.as_strategy(generation_mode=mode))
            @settings(max_examples=60, deadline=None, database=None, suppress_health_check=list(HealthCheck))
            def run(case: Any) -> None:
                Job.objects.filter(state__in=Job.LIVE).delete()  # or the queue is full after a hundred
                for prefix, public_id in known.items():
                    is_id = good and len(str(case.path_parameters.get("id"))) == 36
                    if is_id and case.path.startswith(f"{prefix}/") and case.operation.label not in DELETING:
                        case.path_parameters["id"] = str(public_id)
                        if "number" in case.path_parameters:
                            case.path_parameters["number"] = 1
                # A model that is there is no part of the schema, so good data may still be refused.
                case.call_and_validate(headers=headers, excluded_checks=[positive_data_acceptance])

            with suppress(Unsatisfiable):  # an operation that takes nothing cannot be asked wrongly
                run()

        for result in schema.get_all_operations():
            operation = result.ok()  # type: ignore[union-attr]
            for mode in (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE):
                with self.subTest(f"{operation.label} {mode.value}"):
                    tried(operation, mode)
