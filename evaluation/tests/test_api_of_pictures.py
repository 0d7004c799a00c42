"""Pictures of the gallery over the API: by id or by a search, against which photos, and what is refused."""

from __future__ import annotations

from typing import Any

from evaluation.models import EvaluationRun
from evaluation.tests.test_evaluating import run_of
from gallery import trash
from generation.models import GeneratedImage
from shoesai.jobs.engine_child import child_of
from shoesai.jobs.tasks import run_here
from shoesai.models import ApiToken, Job
from shoesai.testing import BaseTestCase, finished_generation
from shoesai.tests.api_client import client_of, fields_of
from training.tests.datasets_for_tests import frozen_of


class PicturesOverTheApi(BaseTestCase):
    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.addClassCleanup(child_of("gpu").kill)

    def setUp(self) -> None:
        self.api = client_of(self.alice)

    def ask(self, client: Any = None, **body: Any) -> Any:
        return (client or self.api).post("/api/evaluations", body, content_type="application/json")

    def test_a_real_one_from_the_request_to_pictures_that_are_gone(self) -> None:
        run_of(self.alice)
        made = finished_generation(self.alice, pictures=3, model_name="spring/checkpoint-40")
        ids = [str(image.pk) for image in made.images.all()]
        told = self.ask(images=ids).json()
        self.assertEqual((told["purpose"], told["subjects"][0]["kind"], told["run"]), ("pictures", "pictures", None))
        self.assertEqual(set(EvaluationRun.objects.get().settings["images"]), set(ids))
        self.assertTrue(run_here(Job.objects.get(pk=told["job"]["id"])))
        scores = self.api.get(told["url"]).json()["subjects"][0]["scores"]
        self.assertEqual((scores["fidelity"]["n"], scores["fidelity"]["n_reference"]), (3, 3))
        before = self.api.get(told["links"]["pictures"]).json()["pictures"]
        self.assertEqual(self.api.get(before[0]["file"])["Content-Type"], "image/png")
        trash.throw_away(self.alice, GeneratedImage.objects.all())
        after = self.api.get(told["links"]["pictures"]).json()["pictures"]
        self.assertEqual([(row["file"], row["prompt"], row["file_name"]) for row in after], [(None, "", "")] * 3)
        self.assertEqual(after[0]["clip_score"], before[0]["clip_score"])
        self.assertEqual(self.api.get(before[0]["file"]).status_code, 404)

    def test_all_results_of_a_search_against_a_chosen_version(self) -> None:
        version = frozen_of(self.alice, name="boots")
        finished_generation(self.alice, pictures=2)
        boots = finished_generation(self.alice, prompt="green boots").images.get()
        self.assertEqual(self.ask(query="q=boots", dataset=str(version.pk)).status_code, 201)
        made = EvaluationRun.objects.get()
        self.assertEqual((made.settings["images"], made.dataset_version), ([str(boots.pk)], version))
        self.assertEqual(self.ask(query="").json()["name"], "3 pictures")

    def test_what_is_refused_names_the_field_and_makes_nothing(self) -> None:
        run_of(self.alice)
        foreign = finished_generation(self.charlie).images.get()
        secret = frozen_of(self.charlie, name="secret")
        own = str(finished_generation(self.alice).images.get().pk)
        for field, words, body in (
            ("run", "exactly one", {}),
            ("query", "exactly one", {"run": "spring", "query": ""}),
            ("dataset", "does not go with run", {"run": "spring", "dataset": str(secret.pk)}),
            ("seeds", "does not go with images", {"images": [own], "seeds": 2}),
            ("images", "1 of these pictures", {"images": [own, str(foreign.pk)]}),
            ("images", "list of 1 to", {"images": []}),
            ("query", "no parameter of a search", {"query": "modle=starter"}),
            ("query", "is no number", {"query": "q=steps:many"}),
            ("images", "at least one picture", {"query": "q=nothing"}),
            ("dataset", "frozen version", {"images": [own], "dataset": str(secret.pk)}),
            ("generated", "is not a field", {"images": [own], "generated": "/etc"}),
        ):
            with self.subTest(field, body=body):
                answer = self.ask(**body)
                self.assertEqual(answer.status_code, 400, answer.content)
                self.assertIn(words, fields_of(answer)[field])
        self.assertFalse(EvaluationRun.objects.exists())

    def test_whoever_may_only_generate_asks_for_none(self) -> None:
        finished_generation(self.alice)
        maker = client_of(self.alice, ApiToken.Scope.READ, ApiToken.Scope.GENERATE)
        self.assertEqual(self.ask(maker, query="").status_code, 403)
