"""Evaluations over the API: asked for, polled, read, taken out as files, deleted."""

from __future__ import annotations

from typing import Any

from evaluation.models import EvaluationRun, Subject, Verdict
from evaluation.tests.judged import judged_evaluation
from evaluation.tests.test_evaluating import run_of
from shoesai.accounts import create_token
from shoesai.jobs import queue
from shoesai.models import ApiToken, Job
from shoesai.testing import BaseTestCase
from shoesai.tests.api_client import client_of


class EvaluationApiTest(BaseTestCase):
    def setUp(self) -> None:
        self.alice_ = client_of(self.alice)

    def post(self, **body: Any) -> Any:
        return self.alice_.post("/api/evaluations", body, content_type="application/json")

    def test_all_checkpoints_some_and_the_court(self) -> None:
        run_of(self.alice)
        made = self.post(run="spring", prompts=2, seeds=1, guidance_scale=1.5)
        self.assertEqual(made.status_code, 201, made.content)
        told = made.json()
        self.assertEqual([subject["kind"] for subject in told["subjects"]], ["base", "checkpoint", "checkpoint"])
        self.assertEqual((told["state"], told["purpose"], told["run"]), ("queued", "comparison", "spring"))
        self.assertEqual((told["suite"]["guidance_scale"], len(told["suite"]["prompts"])), (1.5, 2))
        self.assertEqual(made["Location"], told["url"])
        self.assertIn("Retry-After", self.alice_.get(told["url"]))
        self.assertEqual(len(self.post(run="spring", checkpoints=[80]).json()["subjects"]), 2)
        self.assertEqual(self.post(run="spring", sitting=True).json()["purpose"], "court")
        self.assertEqual(Job.objects.filter(kind="evaluate").count(), 3)
        rows = self.alice_.get("/api/evaluations?run=spring&purpose=court").json()["evaluations"]
        self.assertEqual([row["purpose"] for row in rows], ["court"])

    def test_what_cannot_be_meant_names_its_field(self) -> None:
        run_of(self.alice)
        for body, field in (
            ({"run": "summer"}, "run"), ({}, "run"), ({"run": "spring", "checkpoints": [41]}, "checkpoints"),
            ({"run": "spring", "prompts": 0}, "prompts"), ({"run": "spring", "targets": "best"}, "targets"),
            ({"run": "spring", "prompts": 2000, "seeds": 100}, "seeds"),
        ):  # fmt: skip
            answer = self.post(**body)
            self.assertEqual(answer.status_code, 400, (body, answer.content))
            self.assertEqual([error["field"] for error in answer.json()["errors"]], [field], body)
        self.assertFalse(EvaluationRun.objects.exists())

    def test_numbers_pictures_and_files_of_one_that_has_ended(self) -> None:
        evaluation = judged_evaluation(self.alice)
        address = f"/api/evaluations/{evaluation.pk}"
        answer = self.alice_.get(address)
        scores = answer.json()["subjects"][0]["scores"]
        self.assertEqual((scores["clip_score"]["value"], scores["clip_score"]["low"]), (60.5, 55.0))
        self.assertEqual((scores["kid"]["value"], scores["kid"]["reason"]), (None, "at least 50 are needed"))
        self.assertEqual(self.alice_.get(address, headers={"If-None-Match": answer["ETag"]}).status_code, 304)
        [picture] = self.alice_.get(f"{address}/pictures").json()["pictures"]
        self.assertEqual((picture["prompt"], picture["checks"]), ("red boots", ["background"]))
        self.assertEqual(self.alice_.get(picture["file"])["Content-Type"], "image/png")
        self.assertEqual(self.alice_.get(f"{address}/pictures?subject=1").json()["pictures"], [])
        for form, mime in (("json", "application/json"), ("text", "text/plain; charset=utf-8"), ("grid", "image/png"),
                           ("html", "text/html; charset=utf-8")):  # fmt: skip
            report = self.alice_.get(f"{address}/report?format={form}")
            self.assertEqual((report.status_code, report["Content-Type"]), (200, mime))
        self.assertIn(b"EVALUATION REPORT", self.alice_.get(f"{address}/report?format=text&lang=en").content.upper())
        self.assertEqual(self.alice_.get(f"{address}/report?format=pdf").status_code, 400)

    def test_the_courts_verdict_is_told_in_words(self) -> None:
        run = run_of(self.alice)
        evaluation = judged_evaluation(self.alice, run=run, purpose="court")
        checkpoint = run.checkpoints.get(step=40)
        sentence = {"step": 40, "judged": 2, "by": [], "tied": [80], "values": {}}
        Verdict.objects.create(run=run, evaluation=evaluation, checkpoint=checkpoint, sentence=sentence)
        told = self.alice_.get(f"/api/evaluations/{evaluation.pk}").json()["verdict"]
        self.assertEqual(told["checkpoint"], "spring/checkpoint-40")
        self.assertIn("Step 40 is the best of 2.", told["sentence"])

    def test_a_team_mate_reads_and_does_not_delete_and_nobody_deletes_what_is_at_work(self) -> None:
        evaluation = judged_evaluation(self.alice)
        address, bob, charlie = f"/api/evaluations/{evaluation.pk}", client_of(self.bob), client_of(self.charlie)
        self.assertEqual((bob.get(address).status_code, bob.delete(address).status_code), (200, 403))
        self.assertEqual((charlie.get(address).status_code, charlie.delete(address).status_code), (404, 404))
        self.assertEqual(charlie.get("/api/evaluations").json()["evaluations"], [])
        evaluation.job = queue.enqueue(owner=self.alice, kind="evaluate")
        evaluation.save()
        self.assertEqual(self.alice_.delete(address).status_code, 409)
        Job.objects.update(state=Job.State.SUCCEEDED)
        self.assertEqual(self.alice_.delete(address).status_code, 204)
        self.assertFalse(Subject.objects.exists())

    def test_a_token_that_may_only_read_starts_and_deletes_nothing(self) -> None:
        evaluation = judged_evaluation(self.alice)
        token = create_token(self.alice, "reader", scopes=[ApiToken.Scope.READ])
        headers = {"Authorization": f"Token {token}"}
        self.assertEqual(self.client.get(f"/api/evaluations/{evaluation.pk}", headers=headers).status_code, 200)
        self.assertEqual(self.client.delete(f"/api/evaluations/{evaluation.pk}", headers=headers).status_code, 403)
        self.assertEqual(self.client.post("/api/evaluations", headers=headers).status_code, 403)
