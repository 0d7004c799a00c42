"""The court's rule on scores whose best is known: gates first, then one measure after the other."""

from __future__ import annotations

from typing import Any

from evaluation.court import decide, gate
from evaluation.court_words import refusals, sentence
from evaluation.models import EvaluationRun, Score, Subject, Verdict
from evaluation.scoring import wilson
from evaluation.sittings import conclude
from evaluation.tests.test_evaluating import run_of
from shoesai.testing import BaseTestCase

GOOD: dict[str, tuple[float, float, float]] = {
    "checks_passed": (0.9, 0.8, 0.95), "fidelity": (0.5, 0.45, 0.55), "clip_score": (60, 55, 65),
    "diversity": (0.8, 0.7, 0.9), "copy_risk": (0.0, 0.0, 0.0),
}  # fmt: skip
BASE = {**GOOD, "checks_passed": (0.1, 0.02, 0.2), "fidelity": (0.2, 0.15, 0.25)}


class CourtTest(BaseTestCase):
    def setUp(self) -> None:
        self.run_ = run_of(self.alice)
        self.evaluation = EvaluationRun.objects.create(
            owner=self.alice, name="spring", purpose="court", run=self.run_, dataset_version=self.run_.dataset_version
        )
        self.base = self.subject(0, BASE)

    def subject(self, position: int, scores: dict[str, tuple[float, float, float]], **changes: Any) -> Subject:
        checkpoints = list(self.run_.checkpoints.order_by("step"))
        subject = Subject.objects.create(
            evaluation=self.evaluation, position=position, kind="checkpoint" if position else "base",
            label=f"step {position}", checkpoint=checkpoints[position - 1] if position else None,
        )  # fmt: skip
        for metric, (value, low, high) in {**scores, **changes}.items():
            Score.objects.create(
                subject=subject, metric=metric, value=value, low=low, high=high, n=24, extractor="starter",
                extractor_sha256="f" * 64,
            )  # fmt: skip
        return subject

    def test_the_earliest_of_those_that_cannot_be_told_apart_is_taken(self) -> None:
        first, second = self.subject(1, GOOD), self.subject(2, GOOD, fidelity=(0.52, 0.47, 0.57))
        decided = decide(self.base, [first, second])
        self.assertEqual((decided.best, decided.tied, decided.by), (first, [second], []))

    def test_who_is_worse_beyond_the_interval_is_out_and_the_measure_is_named(self) -> None:
        first, second = self.subject(1, GOOD, fidelity=(0.3, 0.25, 0.35)), self.subject(2, GOOD)
        decided = decide(self.base, [first, second])
        self.assertEqual((decided.best, decided.by), (second, [("fidelity", 1)]))

    def test_a_copying_one_a_broken_one_and_one_that_forgot_its_prompts_are_refused(self) -> None:
        copying = self.subject(1, GOOD, copy_risk=(0.6, 0.4, 0.8))
        self.assertEqual(gate(self.base, copying).gate, "copy_risk")  # type: ignore[union-attr]
        broken = self.subject(2, GOOD, checks_passed=(0.0, 0.0, 0.1))
        self.assertEqual(gate(self.base, broken).gate, "checks_passed")  # type: ignore[union-attr]
        Score.objects.filter(subject=broken, metric="checks_passed").update(value=0.9)
        Score.objects.filter(subject=broken, metric="clip_score").update(value=20, low=10, high=30)
        again = Subject.objects.get(pk=broken.pk)
        self.assertEqual(gate(self.base, again).gate, "clip_score")  # type: ignore[union-attr]
        decided = decide(self.base, [copying, again])
        self.assertEqual((decided.best, len(decided.rejected)), (None, 2))

    def test_scores_of_other_features_are_not_held_against_each_other(self) -> None:
        other = self.subject(1, GOOD, clip_score=(10, 9, 11))
        Score.objects.filter(subject=other, metric="clip_score").update(extractor_sha256="e" * 64)
        self.assertIsNone(gate(self.base, Subject.objects.get(pk=other.pk)))

    def test_the_choice_is_pinned_written_down_and_said_in_words(self) -> None:
        self.subject(1, GOOD)
        self.subject(2, GOOD, copy_risk=(0.6, 0.4, 0.8))
        verdict = conclude(self.evaluation)
        assert verdict and verdict.checkpoint
        self.assertEqual(verdict.checkpoint.step, 40)
        self.assertEqual(list(self.run_.checkpoints.filter(pinned=True)), [verdict.checkpoint])
        self.assertEqual(sentence(verdict), "Step 40 is the best of 2.")
        self.assertEqual(
            list(refusals(verdict)),
            ["step 2 was refused: 60 % of its pictures are copies of photos that it learned from."],
        )
        conclude(self.evaluation)
        self.assertEqual(Verdict.objects.count(), 1)

    def test_where_all_fail_nobody_is_pinned(self) -> None:
        self.subject(1, GOOD, copy_risk=(0.9, 0.8, 1.0))
        verdict = conclude(self.evaluation)
        assert verdict
        self.assertIsNone(verdict.checkpoint)
        self.assertIn("No checkpoint is fit", sentence(verdict))

    def test_wilsons_interval_is_right_at_its_ends(self) -> None:
        self.assertEqual(wilson(0, 10)[0], 0.0)
        self.assertAlmostEqual(wilson(0, 10)[1], 0.2775, places=3)
        self.assertAlmostEqual(wilson(5, 10)[0], 0.2366, places=3)
        self.assertAlmostEqual(wilson(10, 10)[1], 1.0)
