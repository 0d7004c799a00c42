"""Pictures that were selected in the gallery: who may have them judged, against which photos, and what is left out."""

from __future__ import annotations

import json
from io import BytesIO
from typing import Any
from unittest.mock import patch

from django.test import Client
from django.urls import reverse
from PIL import Image

from evaluation.gallery_pictures import evaluate_pictures, run_behind, versions_for
from evaluation.models import EvaluationRun, ImageScore
from evaluation.services import EvaluationProblem
from evaluation.tests.test_evaluating import run_of
from gallery import trash
from gallery.filters import visible_images
from generation.models import GeneratedImage, Shelf
from generation.shelves import clear
from shoesai.jobs.engine_child import child_of
from shoesai.jobs.tasks import run_here
from shoesai.models import Job
from shoesai.testing import BaseTestCase, finished_generation
from training.tests.datasets_for_tests import drawn, frozen_of

ASK = "evaluation-of-pictures"


class PicturesCase(BaseTestCase):
    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.addClassCleanup(child_of("gpu").kill)

    def setUp(self) -> None:
        self.client.force_login(self.alice)

    def made_by(self, model_name: str = "starter", pictures: int = 3, **more: Any) -> list[GeneratedImage]:
        owner = more.pop("owner", self.alice)
        made = finished_generation(owner, pictures=pictures, model_name=model_name, **more)
        return list(made.images.order_by("seq"))

    def chosen(self, images: list[GeneratedImage], user: Any = None) -> Any:
        return visible_images(user or self.alice).filter(pk__in=[image.pk for image in images])

    def evaluated(self, evaluation: EvaluationRun) -> EvaluationRun:
        assert evaluation.job
        self.assertTrue(run_here(evaluation.job))
        job = Job.objects.get(pk=evaluation.job.pk)
        self.assertEqual(job.state, Job.State.SUCCEEDED, job.error_text)
        return EvaluationRun.objects.get(pk=evaluation.pk)

    def scores(self, evaluation: EvaluationRun) -> dict[str, Any]:
        return {score.metric: score for score in evaluation.subjects.get().scores.all()}


class JudgedTest(PicturesCase):
    def test_pictures_of_one_run_are_held_against_its_photos(self) -> None:
        run = run_of(self.alice)
        images = self.made_by(f"{run.name}/checkpoint-40")
        evaluation = self.evaluated(evaluate_pictures(self.alice, self.chosen(images)))
        scores = self.scores(evaluation)
        self.assertEqual((evaluation.purpose, evaluation.dataset_version), ("pictures", run.dataset_version))
        self.assertEqual((scores["fidelity"].n, scores["fidelity"].n_reference), (3, 3))
        self.assertEqual(scores["copy_risk"].n_reference, 7)
        rows = ImageScore.objects.order_by("seq")
        self.assertEqual({row.image_id for row in rows}, {image.pk for image in images})
        self.assertEqual({row.prompt for row in rows}, {"red sneakers"})
        self.assertTrue(all(row.checks for row in rows))  # a plain colour is no shoe
        self.assertIsNone(evaluation.run)  # the run's page, which a team sees, says nothing of it

    def test_without_photos_what_needs_them_says_so(self) -> None:
        evaluation = self.evaluated(evaluate_pictures(self.alice, self.chosen(self.made_by())))
        scores = self.scores(evaluation)
        self.assertEqual(scores["clip_score"].n, 3)
        for metric in ("fidelity", "copy_risk", "kid", "fid"):
            self.assertIsNone(scores[metric].value)
            self.assertIn("needs photos", scores[metric].reason)
        page = self.client.get(reverse("evaluation", args=[evaluation.pk]))
        self.assertContains(page, "there are no photos to hold the pictures against")

    def test_a_chosen_version_without_a_split_is_on_both_sides_and_the_report_says_so(self) -> None:
        version = frozen_of(self.alice, [drawn(number) for number in range(4)])
        made = evaluate_pictures(self.alice, self.chosen(self.made_by()), version=version)
        evaluation = self.evaluated(made)
        scores = self.scores(evaluation)
        self.assertEqual((scores["fidelity"].n_reference, scores["copy_risk"].n_reference), (4, 4))
        self.assertTrue(any("held out" in problem for problem in evaluation.problems))

    def test_what_was_deleted_or_is_shared_no_more_is_left_out_and_told(self) -> None:
        own, bobs = self.made_by(), self.made_by(owner=self.bob, pictures=1)
        GeneratedImage.objects.filter(pk=bobs[0].pk).update(team=self.team)
        Shelf.objects.filter(owner=self.bob).update(team=self.team)
        evaluation = evaluate_pictures(self.alice, self.chosen(own + bobs))
        self.assertEqual(len(evaluation.settings["images"]), 4)
        trash.throw_away(self.alice, GeneratedImage.objects.filter(pk=own[0].pk))
        Shelf.objects.filter(owner=self.bob).update(team=None)
        evaluation = self.evaluated(evaluation)
        self.assertEqual(ImageScore.objects.count(), 2)
        self.assertTrue(any(problem.startswith("2 of the chosen pictures") for problem in evaluation.problems))

    def test_nothing_left_is_a_failed_job_with_its_reason(self) -> None:
        evaluation = evaluate_pictures(self.alice, self.chosen(self.made_by()))
        clear(GeneratedImage.objects.all(), trashed_at=evaluation.created_at)
        assert evaluation.job
        run_here(evaluation.job)
        job = Job.objects.get(pk=evaluation.job.pk)
        self.assertEqual(job.state, Job.State.FAILED)
        self.assertIn("no pictures to judge", job.error_text)

    def test_page_and_files_show_what_its_owner_may_see_now(self) -> None:
        images = self.made_by(prompt="green boots")
        evaluation = self.evaluated(evaluate_pictures(self.alice, self.chosen(images)))
        gone = ImageScore.objects.get(image=images[0].pk)
        address = reverse("evaluation-picture", args=[evaluation.pk, gone.subject_id, gone.seq])
        self.assertEqual(self.client.get(address)["Content-Type"], "image/png")
        self.assertContains(self.client.get(reverse("evaluation", args=[evaluation.pk])), "green boots")
        with self.captureOnCommitCallbacks(execute=True):
            trash.throw_away(self.alice, GeneratedImage.objects.filter(pk=images[0].pk))
        self.assertEqual(self.client.get(address).status_code, 404)
        with self.captureOnCommitCallbacks(execute=True):
            trash.delete_forever(GeneratedImage.objects.all())
        report = {form: self.client.get(reverse("evaluation-report", args=[evaluation.pk, form])).content
                  for form in ("html", "json", "grid", "text")}  # fmt: skip
        self.assertEqual(report["html"].count(b"data:image/webp;base64,"), 2)
        self.assertEqual(json.loads(report["json"])["subjects"][0]["kind"], "pictures")
        self.assertEqual(Image.open(BytesIO(report["grid"])).format, "PNG")
        self.assertIn(b"needs photos", report["text"])


class AskingTest(PicturesCase):
    def ask(self, **fields: Any) -> Any:
        return self.client.post(reverse(ASK), fields)

    def test_a_person_selects_looks_and_starts(self) -> None:
        images = self.made_by()
        self.assertContains(self.client.get(reverse("gallery")), reverse(ASK))
        ids = [str(image.pk) for image in images[:2]]
        page = self.ask(image=ids)
        self.assertContains(page, "Evaluate 2 pictures")
        self.assertContains(page, f'name="image" value="{ids[0]}"')
        self.assertFalse(EvaluationRun.objects.exists())
        started = self.ask(image=ids, start="1", name="two of them")
        evaluation = EvaluationRun.objects.get()
        self.assertRedirects(started, reverse("evaluation", args=[evaluation.pk]))
        self.assertEqual((evaluation.name, set(evaluation.settings["images"])), ("two of them", set(ids)))

    def test_all_results_of_a_search_are_meant_whatever_is_ticked(self) -> None:
        images, boots = self.made_by(), self.made_by(prompt="green boots", pictures=2)
        page = self.ask(all="1", query="?q=boots", image=str(images[0].pk))
        self.assertContains(page, "Evaluate 2 pictures")
        self.assertNotContains(page, 'name="image"')
        self.ask(all="1", query="?q=boots", start="1")
        frozen = EvaluationRun.objects.get().settings["images"]
        self.assertEqual(set(frozen), {str(image.pk) for image in boots})

    def test_nobody_has_pictures_photos_or_reports_of_others(self) -> None:
        images = self.made_by()
        version = frozen_of(self.alice, name="secret")
        evaluation = evaluate_pictures(self.alice, self.chosen(images))
        charlie = Client()
        charlie.force_login(self.charlie)
        self.assertEqual(charlie.get(reverse("evaluation", args=[evaluation.pk])).status_code, 404)
        self.assertRedirects(charlie.post(reverse(ASK), {"image": str(images[0].pk)}), reverse("gallery"))
        own = self.made_by(owner=self.charlie, pictures=1)
        data = {"image": str(own[0].pk), "start": "1"}
        page = charlie.post(reverse(ASK), {**data, "dataset": str(version.pk)})
        self.assertContains(page, "valid choice")
        self.assertNotContains(page, "secret")
        with self.assertRaises(EvaluationProblem) as caught:
            evaluate_pictures(self.charlie, self.chosen(own, self.charlie), version=version)
        self.assertEqual(set(caught.exception.errors), {"dataset"})
        self.assertEqual(EvaluationRun.objects.count(), 1)
        self.assertEqual(Client().post(reverse(ASK), data).status_code, 302)

    def test_photos_of_a_run_are_used_only_where_they_may_be_seen(self) -> None:
        run = run_of(self.alice)
        images = self.made_by(f"{run.name}/checkpoint-40")
        self.assertEqual(run_behind(self.alice, self.chosen(images)), run)
        self.assertIsNone(run_behind(self.charlie, self.chosen(images)))
        self.assertIsNone(run_behind(self.alice, self.chosen(images + self.made_by())))
        self.assertFalse(versions_for(self.charlie).exists())

    def test_too_many_and_none_are_refused_with_what_is_allowed(self) -> None:
        images = self.made_by()
        with patch("evaluation.gallery_pictures.MOST_PICTURES", 2), self.assertRaises(EvaluationProblem) as caught:
            evaluate_pictures(self.alice, self.chosen(images))
        self.assertIn("at most 2", caught.exception.errors["images"])
        with self.assertRaises(EvaluationProblem):
            evaluate_pictures(self.alice, visible_images(self.alice).none())
        with patch("evaluation.gallery_views.MOST_PICTURES", 2):
            answer = self.client.post(reverse(ASK), {"all": "1"}, follow=True)
        self.assertContains(answer, "At most 2 pictures are evaluated together")
        self.assertContains(self.client.post(reverse(ASK), {}, follow=True), "Nothing was selected")

    def test_folders_of_the_server_stay_a_matter_of_the_terminal(self) -> None:
        images = self.made_by(pictures=1)
        self.ask(image=str(images[0].pk), start="1", generated="/etc", real="/etc", prompts="x", kind="folder")
        evaluation = EvaluationRun.objects.get()
        self.assertEqual(set(evaluation.settings), {"extractors", "images", "learned_by"})
        self.assertEqual(evaluation.subjects.get().kind, "pictures")
        run = run_of(self.alice)
        self.client.post(reverse("evaluation-new"), {"run": run.pk, "generated": "/etc", "real": "/etc"})
        self.assertFalse(EvaluationRun.objects.filter(subjects__kind="folder").exists())
