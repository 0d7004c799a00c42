"""Pictures that are ticked in the gallery are judged as they are: no suite, their own prompts, the run's photos."""

from __future__ import annotations

from django.urls import reverse

from evaluation.files_of_reports import FORMATS
from evaluation.models import EvaluationRun
from evaluation.services import EvaluationProblem, evaluate_images
from evaluation.tests.test_evaluating import run_of
from evaluation.tests.test_verdicts import catalogue_image
from gallery.trash import throw_away
from generation.models import GeneratedImage
from generation.services import GenerationRequest, keep_image, request_generation
from shoesai.jobs.engine_child import child_of
from shoesai.jobs.tasks import run_here
from shoesai.models import Job, User
from shoesai.starter import draw
from shoesai.testing import BaseTestCase


class SelectedPicturesTest(BaseTestCase):
    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.addClassCleanup(child_of("gpu").kill)

    def made_with(self, owner: User, model: str, number: int) -> GeneratedImage:
        generation = request_generation(
            user=owner, request=GenerationRequest("red boots", model_name=model, width=128, height=128)
        )
        Job.objects.filter(pk=generation.job_id).update(state=Job.State.SUCCEEDED)
        shoe = draw.Shoe("ankle boots", "red", "leather", "black", "white", facing="left")
        picture = draw.draw_catalogue(shoe, number, 128)
        return keep_image(generation=generation, seq=0, seed=number, picture=picture, seconds=0.1)

    def judged(self, evaluation: EvaluationRun) -> EvaluationRun:
        assert evaluation.job
        self.assertTrue(run_here(evaluation.job))
        job = Job.objects.get(pk=evaluation.job.pk)
        self.assertEqual(job.state, Job.State.SUCCEEDED, job.error_text)
        evaluation.refresh_from_db()
        return evaluation

    def test_a_tick_and_a_click_lead_to_a_report(self) -> None:
        images = [catalogue_image(self.alice, size=128) for _ in range(3)]
        self.client.force_login(self.bob)
        self.assertContains(self.client.get(reverse("gallery")), reverse("evaluation-selected"))
        answer = self.client.post(reverse("evaluation-selected"), {"image": [image.pk for image in images[:2]]})
        evaluation = EvaluationRun.objects.get()
        self.assertEqual(answer["Location"], reverse("evaluation", args=[evaluation.pk]))
        self.judged(evaluation)
        subject = evaluation.subjects.get()
        self.assertEqual((subject.kind, subject.image_scores.count(), evaluation.run), ("pictures", 2, None))
        score = subject.score("clip_score")
        assert score
        self.assertEqual((score.n, score.extractor), (2, "starter"))
        self.assertContains(self.client.get(reverse("evaluation", args=[evaluation.pk])), "red leather sneakers")
        for kind in FORMATS.values():
            self.assertTrue(kind.write(evaluation, "en"))
        self.client.force_login(self.charlie)
        self.assertEqual(self.client.get(reverse("evaluation", args=[evaluation.pk])).status_code, 404)

    def test_those_of_one_training_are_held_against_its_photos(self) -> None:
        run = run_of(self.alice)
        images = [self.made_with(self.alice, "spring/checkpoint-40", number) for number in (1, 2)]
        evaluation = self.judged(evaluate_images(self.alice, [image.pk for image in images], "two"))
        self.assertEqual(evaluation.run, run)
        scores = {score.metric: score for score in evaluation.subjects.get().scores.all()}
        self.assertIsNotNone(scores["fidelity"].value)
        self.assertIsNotNone(scores["copy_risk"].value)
        mixed = [*images, self.made_with(self.alice, "starter", 3)]
        self.assertIsNone(evaluate_images(self.alice, [image.pk for image in mixed], "three").run)
        self.assertIsNone(evaluate_images(self.charlie, [image.pk for image in images], "not hers").run)

    def test_what_is_thrown_away_meanwhile_is_left_out_and_told(self) -> None:
        images = [catalogue_image(self.alice, size=128) for _ in range(3)]
        evaluation = evaluate_images(self.alice, [image.pk for image in images], "three")
        throw_away(self.alice, GeneratedImage.objects.filter(pk=images[0].pk))
        self.judged(evaluation)
        self.assertEqual(evaluation.subjects.get().image_scores.count(), 2)
        self.assertIn("1 of the pictures were thrown away meanwhile.", evaluation.problems)

    def test_nothing_too_many_and_what_one_may_not_see_are_refused_in_words(self) -> None:
        image = catalogue_image(self.alice, size=128)
        self.client.force_login(self.charlie)
        for chosen in ([], [image.pk]):
            answer = self.client.post(reverse("evaluation-selected"), {"image": chosen}, follow=True)
            self.assertContains(answer, "Nothing was selected")
        with self.assertRaisesMessage(EvaluationProblem, "must be between 1 and 20000."):
            evaluate_images(self.alice, [image.pk] * 20_001, "many")
        self.assertFalse(EvaluationRun.objects.exists())
