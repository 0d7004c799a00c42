"""The court while a run trains: it sits after each checkpoint, takes its pins back, and may end the training."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import pytest
from django.test import TransactionTestCase

from evaluation import on_the_way
from evaluation.models import EvaluationRun, Score, Subject, Verdict
from evaluation.sittings import conclude
from evaluation.tests.test_court import BASE, GOOD
from shoesai.engine.specs import TrainSpec
from shoesai.jobs.engine_child import child_of
from shoesai.jobs.tasks import run_next
from shoesai.models import Job
from shoesai.testing import BaseTestCase, People, starter
from shoesai.tests.api_client import client_of
from training.models import TrainingRun
from training.services import cancel_training, start_training
from training.tests.datasets_for_tests import drawn, frozen_of
from training.tests.runs import kept_checkpoint, queued_run, taken

JUDGE, STOP = TrainingRun.Court.JUDGE, TrainingRun.Court.STOP


class RealTrainingTest(People, TransactionTestCase):
    @pytest.mark.slow
    def test_training_steps_aside_for_each_sitting_and_the_second_look_is_taken_at_the_end(self) -> None:
        self.addCleanup(child_of("gpu").kill)
        starter()
        self.make_people()
        spec = TrainSpec(
            resolution=128, train_batch_size=2, gradient_accumulation_steps=1, max_train_steps=6,
            checkpointing_steps=2, lr_warmup_steps=0, validation_steps=0, validation_fraction=0.3,
            validation_guidance_scale=1.5, gradient_checkpointing=False,
        )  # fmt: skip
        with patch("evaluation.on_the_way.STEPS", 3):
            run = start_training(
                user=self.alice, name="spring", base_model=starter(), spec=spec, court=JUDGE,
                dataset_version=frozen_of(self.alice, [drawn(number) for number in range(6)]),
            )  # fmt: skip
            run_next("gpu")
        run.refresh_from_db()
        self.assertEqual(run.state, TrainingRun.State.SUCCEEDED, list(run.events.values_list("message", flat=True)))
        self.assertEqual(set(Job.objects.values_list("state", flat=True)), {"succeeded"})
        self.assertGreater(run.newest_job().attempts, 1)  # type: ignore[union-attr]  # it stepped aside
        purposes = list(run.evaluations.order_by("created_at").values_list("purpose", flat=True))
        self.assertEqual(purposes, ["court", "second_look"])  # earlier sittings say nothing any more
        court = run.evaluations.get(purpose="court")
        self.assertEqual(
            [subject.label for subject in court.subjects.all()][1:], [c.name for c in run.checkpoints.order_by("step")]
        )
        self.assertEqual(court.suite["guidance_scale"], 1.5)
        self.assertEqual(Verdict.objects.get().evaluation, court)
        self.assertTrue(Verdict.objects.get().second_look)
        self.assertGreater(run.events.filter(message__startswith="The court: ").count(), 1)


class OnTheWayTest(BaseTestCase):
    def trained(self, court: str = STOP, steps: tuple[int, ...] = (10, 20, 30, 40)) -> TrainingRun:
        """At work, with these checkpoints."""
        run = queued_run(self.alice, max_train_steps=1000, checkpointing_steps=10, milestone_steps=10)
        TrainingRun.objects.filter(pk=run.pk).update(court=court)
        self.claim = taken(run)
        for step in steps:
            kept_checkpoint(run, step)
        run.refresh_from_db()
        return run

    def sat(self, run: TrainingRun, scores: list[dict[str, Any]]) -> Verdict:
        """A sitting whose scores are known, as a job would conclude it."""
        evaluation = EvaluationRun.objects.create(
            owner=self.alice, name=run.name, purpose="court", run=run, settings={"on_the_way": True}
        )
        for position, given in enumerate([BASE, *scores]):
            checkpoint = list(run.checkpoints.order_by("step"))[position - 1] if position else None
            subject = Subject.objects.create(
                evaluation=evaluation, position=position, kind="checkpoint" if position else "base",
                label=checkpoint.name if checkpoint else "base", checkpoint=checkpoint,
            )  # fmt: skip
            for metric, (value, low, high) in given.items():
                Score.objects.create(
                    subject=subject, metric=metric, value=value, low=low, high=high, n=24, extractor="starter",
                    extractor_sha256="f" * 64,
                )  # fmt: skip
        verdict = conclude(evaluation)
        assert verdict
        on_the_way.tell(evaluation, verdict)
        return verdict

    def test_a_run_that_no_longer_improves_is_ended_as_a_success_and_says_why(self) -> None:
        run = self.trained()
        self.assertTrue(on_the_way.settle(self.sat(run, [GOOD] * 4)))
        self.assertTrue(self.claim.beat().cancel)
        self.claim.finish(Job.State.CANCELLED)
        run.refresh_from_db()
        self.assertEqual(run.state, TrainingRun.State.SUCCEEDED)
        said = list(run.events.values_list("message", flat=True))
        self.assertIn("The court ends the training: of 3 later checkpoints none is better than step 10.", said)
        self.assertFalse(run.is_resumable)

    def test_one_that_improves_one_that_is_young_and_one_that_is_only_judged_go_on(self) -> None:
        better = {**GOOD, "fidelity": (0.8, 0.75, 0.85)}
        run = self.trained()
        self.assertFalse(on_the_way.settle(self.sat(run, [GOOD, GOOD, GOOD, better])))
        TrainingRun.objects.update(court=JUDGE)
        self.assertFalse(on_the_way.settle(self.sat(run, [GOOD] * 4)))
        TrainingRun.objects.update(court=STOP)
        run.checkpoints.filter(step=40).delete()
        self.assertFalse(on_the_way.settle(self.sat(run, [GOOD] * 3)))
        self.assertFalse(self.claim.beat().cancel)

    def test_one_that_was_cancelled_meanwhile_stays_cancelled(self) -> None:
        run = self.trained()
        verdict = self.sat(run, [GOOD] * 4)
        cancel_training(run)
        self.claim.finish(Job.State.CANCELLED)
        self.assertFalse(on_the_way.settle(verdict))
        run.refresh_from_db()
        self.assertEqual(run.state, TrainingRun.State.CANCELLED)

    def test_the_court_takes_its_own_pin_back_and_leaves_a_persons(self) -> None:
        run = self.trained(JUDGE)
        run.checkpoints.filter(step=20).update(pinned=True)
        better = {**GOOD, "fidelity": (0.8, 0.75, 0.85)}
        for best, pinned in ((0, [10, 20]), (1, [20]), (2, [20, 30]), (2, [20, 30])):
            self.sat(run, [better if place == best else GOOD for place in range(4)])
            steps = run.checkpoints.filter(pinned=True).order_by("step").values_list("step", flat=True)
            self.assertEqual(list(steps), pinned)
        self.assertEqual(EvaluationRun.objects.count(), 4)  # none was finished, so none is forgotten

    def test_it_sits_once_for_a_checkpoint_and_says_when_it_cannot(self) -> None:
        run = self.trained(JUDGE, steps=(10,))
        with self.captureOnCommitCallbacks(execute=True):
            on_the_way.follow_training(None, run=run)
            on_the_way.follow_training(None, run=run)
        self.assertEqual(run.evaluations.count(), 1)
        TrainingRun.objects.update(court=TrainingRun.Court.NEVER)
        run.refresh_from_db()
        with self.captureOnCommitCallbacks(execute=True) as asked:
            on_the_way.follow_training(None, run=run)
        self.assertEqual(asked, [])
        Job.objects.filter(kind="evaluate").delete()
        with self.settings(JOB_MAX_QUEUED_PER_USER=1):
            on_the_way.sit(run.pk)
        self.assertTrue(run.events.filter(message__startswith="The court could not sit: ").exists())

    def test_the_form_the_api_and_a_clone_carry_the_wish(self) -> None:
        run = self.trained(STOP, steps=())
        alice = client_of(self.alice)
        told = alice.get(f"/api/runs/{run.pk}").json()
        self.assertEqual(told["court"], "stop")
        body = {
            "name": "autumn",
            "dataset": "casual",
            "base_model": "starter",
            "court": "judge",
            "max_train_steps": 100,
        }
        made = alice.post("/api/runs", body, content_type="application/json")
        self.assertEqual(made.status_code, 201, made.content)
        self.assertEqual(TrainingRun.objects.get(name="autumn").court, "judge")
        refused = alice.post("/api/runs", {**body, "name": "x", "court": "jury"}, content_type="application/json")
        self.assertEqual(refused.status_code, 400)
        self.assertEqual([error["field"] for error in refused.json()["errors"]], ["court"])
        self.client.force_login(self.alice)
        page = self.client.get(f"/training/new/?clone={run.pk}")
        self.assertContains(page, '<option value="stop" selected>')
