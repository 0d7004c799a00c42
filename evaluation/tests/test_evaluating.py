"""An evaluation through the real queue and the real engine: pictures once, numbers with their names, a verdict."""

from __future__ import annotations

from typing import Any

from evaluation.models import EvaluationRun, ImageScore, SuiteImage
from evaluation.reports import report_of
from evaluation.services import EvaluationProblem, Settings, evaluate_checkpoints
from evaluation.suite import sides_of, two_suites
from evaluation.text_report import text_report
from shoesai.jobs.engine_child import child_of
from shoesai.jobs.tasks import run_here
from shoesai.models import Job
from shoesai.testing import BaseTestCase, starter
from training.models import Checkpoint, TrainingRun
from training.results import keep_checkpoint
from training.tests.datasets_for_tests import drawn, frozen_of
from training.tests.loras import starter_lora

QUICK = Settings(prompts=2, seeds=1, num_inference_steps=3)


def run_of(owner: Any, photos: int = 10, name: str = "spring") -> TrainingRun:
    """Succeeded, with drawn photos, of which some were held out, and two checkpoints."""
    version = frozen_of(owner, [drawn(number) for number in range(photos)], name=name)
    run = TrainingRun.objects.create(
        owner=owner, name=name, base_model=starter(), family="starter", dataset_version=version,
        spec={"validation_fraction": 0.3, "seed": 1}, state=TrainingRun.State.SUCCEEDED,
    )  # fmt: skip
    for step in (40, 80):
        keep_checkpoint(run, {"step": step, "rank": 8, "lora_alpha": 16.0}, starter_lora(seed=step, step=step))
    return run


class SuiteTest(BaseTestCase):
    def test_two_suites_share_neither_prompt_nor_seed_and_begin_with_captions_nobody_learned_from(self) -> None:
        run = run_of(self.alice)
        sides = sides_of(run)
        self.assertEqual((len(sides.unseen), len(sides.learned)), (3, 7))
        first, second = two_suites(sides, 128, 7.5, prompts=4)
        self.assertFalse(set(first.prompts) & set(second.prompts))
        self.assertFalse({unit.seed for unit in first.units()} & {unit.seed for unit in second.units()})
        self.assertIn(first.prompts[0], {photo.caption for photo in sides.unseen})
        self.assertEqual(first, two_suites(sides, 128, 7.5, prompts=4)[0])
        self.assertNotEqual(first.sha256, second.sha256)


class EvaluatingTest(BaseTestCase):
    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.addClassCleanup(child_of("gpu").kill)

    def setUp(self) -> None:
        self.run_ = run_of(self.alice)
        self.checkpoints: list[Checkpoint] = list(self.run_.checkpoints.order_by("step"))

    def evaluated(self, settings: Settings = QUICK, checkpoints: list[Checkpoint] | None = None) -> EvaluationRun:
        made = evaluate_checkpoints(self.alice, self.run_, checkpoints or self.checkpoints, settings)
        assert made.job
        self.assertTrue(run_here(made.job))
        job = Job.objects.get(pk=made.job.pk)
        self.assertEqual(job.state, Job.State.SUCCEEDED, job.error_text)
        made.refresh_from_db()
        return made

    def test_base_and_checkpoints_are_judged_on_the_same_pictures_and_told_apart(self) -> None:
        evaluation = self.evaluated()
        subjects = list(evaluation.subjects.all())
        self.assertEqual([subject.kind for subject in subjects], ["base", "checkpoint", "checkpoint"])
        for subject in subjects:
            scores = {score.metric: score for score in subject.scores.all()}
            self.assertLessEqual(
                {"clip_score", "diversity", "fidelity", "copy_risk", "checks_passed", "kid"}, set(scores)
            )
            self.assertEqual((scores["clip_score"].extractor, scores["clip_score"].n), ("starter", 2))
            self.assertTrue(scores["clip_score"].extractor_sha256)
            self.assertIsNone(scores["kid"].value)
            self.assertIn("at least 50", scores["kid"].reason)
        self.assertEqual(SuiteImage.objects.count(), 6)
        self.assertEqual(ImageScore.objects.exclude(nearest=None).count(), 6)
        self.assertTrue(evaluation.finished_at)

    def test_what_was_made_for_an_earlier_one_is_not_made_again(self) -> None:
        self.evaluated(checkpoints=self.checkpoints[:1])
        before = set(SuiteImage.objects.values_list("pk", "blob"))
        self.evaluated()
        after = set(SuiteImage.objects.values_list("pk", "blob"))
        self.assertEqual((len(before), len(after)), (4, 6))
        self.assertLess(before, after)

    def test_with_the_starters_features_no_target_is_passed_or_failed(self) -> None:
        evaluation = self.evaluated(Settings(**{**QUICK.__dict__, "targets": "final"}), self.checkpoints[:1])
        report = report_of(evaluation)
        for subject in report["subjects"]:
            verdicts = {row["metric"]: row["verdict"] for row in subject["targets"]}
            self.assertEqual(
                verdicts,
                {"clip_score": "not_applicable", "fid": "not_measured", "inception_score": "not_measured",
                 "diversity": "not_applicable"},
            )  # fmt: skip
            self.assertEqual(subject["verdict"], "open")
        text = text_report(report)
        self.assertIn("RELATÓRIO DE AVALIAÇÃO DO MODELO", text)
        self.assertIn("Meta não se aplica: precisa de CLIP ViT-B/32", text)
        self.assertIn("MODELO NÃO JULGADO", text)
        self.assertIn("Target not applicable: needs CLIP ViT-B/32", text_report(report, "en"))

    def test_nothing_to_ask_for_and_settings_that_are_none_are_refused(self) -> None:
        bare = TrainingRun.objects.create(owner=self.alice, name="bare", base_model=starter(), family="starter")
        with self.assertRaises(EvaluationProblem) as caught:
            evaluate_checkpoints(self.alice, bare, self.checkpoints)
        self.assertIn("no photos with captions", caught.exception.errors["run"])
        with self.assertRaises(EvaluationProblem) as caught:
            evaluate_checkpoints(self.alice, self.run_, [], Settings(prompts=0, seeds=500, targets="best"))
        self.assertEqual(set(caught.exception.errors), {"checkpoints", "prompts", "seeds", "targets"})
        self.assertFalse(EvaluationRun.objects.exists())
