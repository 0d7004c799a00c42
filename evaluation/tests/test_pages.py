"""Reports as pages and files: who sees them, what they say, and what nobody may do."""

from __future__ import annotations

import json
from io import BytesIO, StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from django.core.management import CommandError, call_command
from django.test import Client, TransactionTestCase
from django.urls import reverse
from PIL import Image

from evaluation.models import EvaluationRun, ImageScore, Score, Subject, SuiteImage, Verdict
from evaluation.services import forget
from evaluation.tests.test_evaluating import run_of
from shoesai import files
from shoesai.jobs.engine_child import child_of
from shoesai.models import Job
from shoesai.testing import BaseTestCase, People, png_bytes


def judged(owner: Any, *, extractor: str = "starter", clip: float = 27.5, n: int = 400, **more: Any) -> EvaluationRun:
    """Rows as a worker leaves them, of one subject with two pictures."""
    evaluation = EvaluationRun.objects.create(
        owner=owner, name="autumn", purpose="pictures", extractors=[{"name": extractor, "sha256": "f" * 64}], **more
    )
    subject = Subject.objects.create(evaluation=evaluation, position=0, kind="folder", label="autumn")
    Score.objects.create(
        subject=subject, metric="clip_score", value=clip, low=clip - 1, high=clip + 1, n=n, extractor=extractor,
        extractor_sha256="f" * 64, detail={"std": 2.0, "min": 20.0, "max": 33.0},
    )  # fmt: skip
    for seq, score in enumerate((31.0, 22.0)):
        blob = files.publish(png_bytes(f"#40{seq}040", 64), "image/png")
        ImageScore.objects.create(
            subject=subject, seq=seq, blob=blob, prompt="red boots", clip_score=score, checks=["background"] * seq
        )
    return evaluation


class ReportPageTest(BaseTestCase):
    def setUp(self) -> None:
        self.client.force_login(self.alice)

    def get(self, name: str, evaluation: EvaluationRun, *arguments: Any, **query: Any) -> Any:
        return self.client.get(reverse(name, args=[evaluation.pk, *arguments]), query)

    def test_a_report_shows_values_intervals_and_targets(self) -> None:
        page = self.get("evaluation", judged(self.alice, extractor="clip"))
        for words in ("CLIP score", "27.50", "26.50–28.50", "good alignment", "reached", "red boots"):
            self.assertContains(page, words)
        self.assertContains(page, "frame-good")
        self.assertContains(page, "frame-poor")

    def test_numbers_of_other_features_have_no_band_and_no_verdict(self) -> None:
        page = self.get("evaluation", judged(self.alice))
        self.assertContains(page, "not applicable: needs CLIP ViT-B/32")
        self.assertNotContains(page, "good alignment")

    def test_files_say_the_same_numbers(self) -> None:
        evaluation = judged(self.alice, extractor="clip")
        told = json.loads(self.get("evaluation-report", evaluation, "json").content)
        self.assertEqual(told["subjects"][0]["metrics"]["clip_score"]["value"], 27.5)
        text = self.get("evaluation-report", evaluation, "text", lang="pt").content.decode()
        for line in ("Média: 27.50", "Desvio: 2.00", "Range: [20.00, 33.00]", "✓ META ATINGIDA (clip_score > 25)",
                     "✓ MODELO APROVADO"):  # fmt: skip
            self.assertIn(line, text)
        alone = self.get("evaluation-report", evaluation, "html").content.decode()
        self.assertEqual(alone.count("data:image/webp;base64,"), 2)
        self.assertNotIn("/static/", alone)
        self.assertNotIn("<script", alone)
        grid = Image.open(BytesIO(self.get("evaluation-report", evaluation, "grid").content))
        self.assertEqual(grid.format, "PNG")
        self.assertEqual(self.get("evaluation-report", evaluation, "pdf").status_code, 404)

    def test_strangers_see_nothing_and_team_mates_only_look(self) -> None:
        evaluation = judged(self.alice)
        subject = evaluation.subjects.get()
        addresses = [
            reverse("evaluation", args=[evaluation.pk]),
            reverse("evaluation-report", args=[evaluation.pk, "json"]),
            reverse("evaluation-picture", args=[evaluation.pk, subject.pk, 0]),
        ]
        for user, status in ((self.charlie, 404), (self.bob, 404), (self.alice, 200)):
            client = Client()
            client.force_login(user)
            self.assertEqual([client.get(address).status_code for address in addresses], [status] * 3)
        EvaluationRun.objects.update(team=self.team)
        mate = Client()
        mate.force_login(self.bob)
        self.assertEqual([mate.get(address).status_code for address in addresses], [200] * 3)
        self.assertEqual(mate.post(reverse("evaluation-delete", args=[evaluation.pk])).status_code, 404)
        self.assertTrue(EvaluationRun.objects.exists())
        self.assertEqual(Client().get(addresses[0]).status_code, 302)

    def test_deleting_takes_the_pictures_that_no_other_evaluation_is_about(self) -> None:
        evaluation, other = judged(self.alice), judged(self.alice)
        blob = files.publish(png_bytes("#123456", 64), "image/png")
        evaluation.subjects.update(made_by="a" * 64)
        SuiteImage.objects.create(made_by="a" * 64, seq=0, prompt="x", seed=1, blob=blob)
        other.subjects.update(made_by="a" * 64)
        self.client.post(reverse("evaluation-delete", args=[evaluation.pk]))
        self.assertEqual((EvaluationRun.objects.count(), SuiteImage.objects.count()), (1, 1))
        with self.captureOnCommitCallbacks(execute=True):
            forget(other)
        self.assertFalse(SuiteImage.objects.exists())
        self.assertFalse(files.path_of(blob.pk).exists())

    def test_the_list_and_a_runs_page_lead_to_evaluations(self) -> None:
        self.assertContains(self.client.get(reverse("evaluations")), "Nothing has been evaluated yet")
        run = run_of(self.alice)
        evaluation = judged(self.alice, run=run)
        self.assertContains(self.client.get(reverse("evaluations")), reverse("evaluation", args=[evaluation.pk]))
        page = self.client.get(reverse("training-run", args=[run.pk]))
        self.assertContains(page, "Let the court choose")
        self.assertContains(page, reverse("evaluation", args=[evaluation.pk]))

    def test_a_run_is_evaluated_from_its_page_and_refusals_are_told_there(self) -> None:
        run = run_of(self.alice)
        asked = self.client.post(reverse("evaluation-new"), {"run": run.pk, "court": "1"})
        evaluation = EvaluationRun.objects.get()
        self.assertRedirects(asked, reverse("evaluation", args=[evaluation.pk]))
        self.assertEqual((evaluation.purpose, evaluation.subjects.count()), ("court", 3))
        self.assertContains(self.get("evaluation", evaluation), "At work")
        answer = self.client.post(reverse("evaluation-new"), {"run": run.pk, "prompts": "0"}, follow=True)
        self.assertContains(answer, "greater than or equal to 1")
        self.client.force_login(self.charlie)
        self.assertEqual(self.client.post(reverse("evaluation-new"), {"run": run.pk}).status_code, 404)
        self.assertEqual(self.client.post(reverse("evaluation-new"), {"run": "x"}).status_code, 404)


class CommandTest(People, TransactionTestCase):
    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.addClassCleanup(child_of("gpu").kill)

    def setUp(self) -> None:
        self.make_people()
        self.folder = Path(self.enterContext(TemporaryDirectory()))
        for name, shade in (("generated", 40), ("real", 90)):
            (self.folder / name).mkdir()
            for number in range(3):
                (self.folder / name / f"{number}.png").write_bytes(png_bytes(f"#{shade + number:02x}3040", 64))

    def told(self, *arguments: str, **options: Any) -> dict[str, Any]:
        out = StringIO()
        call_command("evaluate_model", *arguments, user="alice", json=True, verbosity=0, stdout=out, **options)
        return json.loads(out.getvalue())

    def path(self, name: str) -> str:
        return str(self.folder / name)

    def test_the_seeds_line_judges_a_folder_and_writes_its_report(self) -> None:
        (self.folder / "prompts.txt").write_text("red boots\nred boots\n")
        (self.folder / "generated" / "1.png").write_bytes(b"<svg/>")
        told = self.told(
            "--generated", self.path("generated"), "--real", self.path("real"), "--prompts", self.path("prompts.txt"),
            "--output", self.path("report.txt"), "--grid", self.path("grid.png"),
        )  # fmt: skip
        metrics = told["subjects"][0]["metrics"]
        self.assertEqual((metrics["clip_score"]["n"], metrics["diversity"]["n"]), (1, 2))
        self.assertTrue(any("1.png" in problem for problem in told["problems"]))
        self.assertTrue(any("no prompt" in problem for problem in told["problems"]))
        report = (self.folder / "report.txt").read_text()
        self.assertIn("1. CLIP SCORE (Alinhamento Texto-Imagem)", report)
        self.assertIn("Meta não se aplica", report)
        self.assertEqual(Image.open(self.folder / "grid.png").format, "PNG")
        self.assertEqual(Job.objects.get().state, Job.State.SUCCEEDED)

    def test_what_is_not_there_is_named_with_its_option(self) -> None:
        (self.folder / "empty").mkdir()
        good = ["--generated", self.path("generated")]
        for arguments, words, code in (
            ([], "--generated DIR or --checkpoint NAME", 2),
            (["--generated", self.path("none")], "--generated", 3),
            (["--generated", self.path("empty")], "no PNG, JPEG or WebP", 4),
            ([*good, "--prompts", self.path("none.txt")], "--prompts", 3),
            ([*good, "--output", self.path("none/report.txt")], "--output", 2),
            (["--checkpoint", "spring/checkpoint-40"], "no checkpoint named", 3),
            ([*good, "--extractor", "clip"], "SHOESAI_CLIP", 1),
        ):
            with self.subTest(arguments), self.assertRaises(CommandError) as caught:
                self.told(*arguments)
            self.assertIn(words, str(caught.exception))
            self.assertEqual(caught.exception.returncode, code)


class VerdictIsWords(BaseTestCase):
    def test_a_runs_page_names_the_courts_choice(self) -> None:
        run = run_of(self.alice)
        evaluation = judged(self.alice, run=run)
        best = run.checkpoints.order_by("step")[0]
        Verdict.objects.create(run=run, evaluation=evaluation, checkpoint=best,
                               sentence={"step": 40, "judged": 2, "by": [{"metric": "clip_score", "left": 1}],
                                         "tied": []})  # fmt: skip
        self.client.force_login(self.alice)
        self.assertContains(self.client.get(reverse("training-run", args=[run.pk])), best.name)
        page = self.client.get(reverse("evaluation", args=[evaluation.pk]))
        self.assertContains(page, "Step 40 is the best of 2. Others fell behind in: CLIP score.")
