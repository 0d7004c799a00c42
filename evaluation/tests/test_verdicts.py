"""Every picture is judged once it is there, by each channel, and says why it fails."""

from __future__ import annotations

import json
from io import StringIO

from django.core.management import call_command
from django.db.models import QuerySet
from PIL import Image

from evaluation.models import ChannelVerdict, PictureCheck
from evaluation.profiles import PROFILES
from evaluation.verdict_models import Told
from evaluation.verdicts import judge, unjudged
from generation.models import GeneratedImage
from generation.services import GenerationRequest, keep_image, request_generation
from shoesai import files
from shoesai.jobs import queue
from shoesai.jobs.tasks import run_next
from shoesai.models import Job, User
from shoesai.starter import draw
from shoesai.testing import BaseTestCase, finished_generation

SHOE = draw.Shoe("sneakers", "red", "leather", "black", "white", facing="left")


def catalogue_image(owner: User, prompt: str = "red leather sneakers", size: int = 256) -> GeneratedImage:
    """A drawn catalogue photo in the gallery; not judged yet."""
    generation = request_generation(user=owner, request=GenerationRequest(prompt, width=size, height=size))
    Job.objects.filter(pk=generation.job_id).update(state=Job.State.SUCCEEDED)
    picture = draw.draw_catalogue(SHOE, 3, size)
    return keep_image(generation=generation, seq=0, seed=generation.first_seed, picture=picture, seconds=0.1)


def told_of(image: GeneratedImage, profile: str) -> Told:
    return next(told for told in image.photo_check.told if told.profile == profile)


class AfterAGenerationTest(BaseTestCase):
    def test_its_pictures_are_judged_by_a_job_that_nobody_waits_for(self) -> None:
        generation = request_generation(user=self.alice, request=GenerationRequest("red sneakers"))
        claim = queue.claim("gpu")
        assert claim
        picture = draw.draw_catalogue(SHOE, 3, 128)
        keep_image(generation=generation, seq=0, seed=1, picture=picture, seconds=1)
        claim.finish(Job.State.SUCCEEDED)
        self.assertEqual(ChannelVerdict.objects.count(), 0)
        self.assertEqual(self.waiting().count(), 1)
        run_next("cpu")
        self.assertEqual(Job.objects.get(kind="judge_images").result, {"judged": 1, "unreadable": 0})
        verdicts = {verdict.profile: verdict.passed for verdict in generation.images.get().channel_verdicts.all()}
        self.assertEqual(
            verdicts, {"house": True, "shopify": True, "amazon-main": False, "google-merchant": False}
        )

    def test_many_generations_share_one_waiting_job(self) -> None:
        for _number in range(3):
            generation = request_generation(user=self.alice, request=GenerationRequest("red sneakers"))
            claim = queue.claim("gpu")
            assert claim
            keep_image(generation=generation, seq=0, seed=1, picture=Image.new("RGB", (64, 64)), seconds=1)
            claim.finish(Job.State.SUCCEEDED)
        self.assertEqual(self.waiting().count(), 1)
        run_next("cpu")
        self.assertEqual(PictureCheck.objects.count(), 3)

    def test_one_that_made_nothing_queues_nothing(self) -> None:
        queue.request_cancel(request_generation(user=self.alice, request=GenerationRequest("red sneakers")).job)
        self.assertEqual(self.waiting().count(), 0)

    @staticmethod
    def waiting() -> QuerySet[Job]:
        return Job.objects.filter(kind="judge_images", state=Job.State.QUEUED)


class VerdictTest(BaseTestCase):
    def test_reasons_are_sentences_with_the_numbers(self) -> None:
        image = catalogue_image(self.alice)
        judge(image)
        amazon = told_of(image, "amazon-main")
        self.assertFalse(amazon.passed)
        self.assertIn("256 pixels on the longer side; zoom needs 1000.", amazon.why)
        google = told_of(image, "google-merchant")
        self.assertEqual(google.why, ["256 pixels on the shorter side; from 31 January 2027 at least 500."])
        self.assertIn("256 pixels on the shorter side; 1500 are advised.", google.advice)

    def test_the_colour_is_held_against_the_prompt(self) -> None:
        image = catalogue_image(self.alice, prompt="green leather sneakers")
        judge(image)
        words = told_of(image, "house").why
        self.assertEqual(words, ["The shoe has another colour than the prompt asks for: red ≠ green."])

    def test_an_empty_picture_has_one_fault(self) -> None:
        image = finished_generation(self.alice).images.get()
        judge(image)
        self.assertEqual(told_of(image, "house").why, ["No shoe was found."])

    def test_a_rule_that_changes_makes_old_verdicts_stale(self) -> None:
        image = catalogue_image(self.alice)
        self.assertEqual(list(unjudged()), [image])
        judge(image)
        self.assertEqual(list(unjudged()), [])
        PictureCheck.objects.update(rules="of yesterday")
        self.assertEqual(list(unjudged()), [image])
        judge(image)
        self.assertEqual(ChannelVerdict.objects.count(), len(PROFILES))

    def test_a_verdict_of_a_profile_that_is_gone_still_shows(self) -> None:
        verdict = Told(profile="old-channel", passed=False, broken=[{"rule": 0, "value": 1}])
        self.assertEqual((verdict.label, verdict.why, verdict.advice), ("old-channel", [], []))


class CommandTest(BaseTestCase):
    def judge_images(self, *args: str) -> dict[str, object]:
        out = StringIO()
        call_command("judge_images", "--json", *args, stdout=out)
        answer: dict[str, object] = json.loads(out.getvalue())
        return answer

    def test_it_judges_what_is_new_and_with_all_everything(self) -> None:
        catalogue_image(self.alice)
        self.assertEqual(self.judge_images()["judged"], 1)
        self.assertEqual(self.judge_images()["judged"], 0)
        told = self.judge_images("--all")
        self.assertEqual(told["judged"], 1)
        self.assertEqual(told["channels"]["house"], {"pictures": 1, "passed": 1})  # type: ignore[index]

    def test_a_missing_file_is_told_and_holds_nobody_up(self) -> None:
        broken, image = finished_generation(self.alice).images.get(), catalogue_image(self.alice)
        files.path_of(broken.blob_id).unlink()
        with self.assertLogs("evaluation.verdicts", "WARNING"):
            told = self.judge_images()
        self.assertEqual((told["judged"], told["unreadable"]), (1, 1))
        self.assertTrue(PictureCheck.objects.filter(image=image).exists())
