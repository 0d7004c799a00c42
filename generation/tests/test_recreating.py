"""Pictures made again as proof, by the real engine with a tiny base."""

from __future__ import annotations

import json
from io import BytesIO, StringIO
from typing import Any
from unittest.mock import patch

import numpy as np
from django.conf import settings
from django.core.management import CommandError, call_command
from django.test import TransactionTestCase, override_settings
from PIL import Image

from generation.models import GeneratedImage, Generation, Recreation
from generation.recreating import (
    CLOSE_MEAN,
    Difference,
    difference_of,
    engine_changes,
    newest_recreation,
    queue_recreation,
    request_recreation,
    size_change,
    words_of,
)
from generation.references import keep_reference
from generation.services import GenerationRequest, request_generation
from shoesai import files
from shoesai.jobs.engine_child import child_of
from shoesai.jobs.queue import QueueFull
from shoesai.jobs.tasks import run_here
from shoesai.models import Job, User
from shoesai.testing import BaseTestCase, People, finished_generation, png_bytes, tiny_base_model
from training.models import TrainingRun
from training.results import keep_checkpoint

SAME, CLOSE, OTHER = Recreation.Verdict.IDENTICAL, Recreation.Verdict.CLOSE, Recreation.Verdict.DIFFERENT


def made(owner: User, **request: Any) -> Generation:
    """By the engine, in this process."""
    tiny_base_model()
    wanted = {"prompt": "a red boot", "model_name": "tiny", "num_inference_steps": 4, "seed": 7, **request}
    generation = request_generation(user=owner, request=GenerationRequest(**wanted))
    assert run_here(generation.job)
    generation.refresh_from_db()
    assert generation.job.state == Job.State.SUCCEEDED, generation.job.error_text
    return generation


class EngineTestCase(BaseTestCase):
    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.addClassCleanup(child_of("gpu").kill)  # else it stays warm until the last test has ended

    def again(self, image: GeneratedImage) -> Recreation:
        recreation = request_recreation(self.alice, image)
        self.assertTrue(run_here(recreation.job))
        recreation.refresh_from_db()
        return recreation


class ProofTests(EngineTestCase):
    def test_a_picture_made_twice_again_is_identical_and_only_the_verdict_is_kept(self) -> None:
        generation = made(self.alice)
        self.assertEqual(generation.engine["device"], "cpu")
        image = generation.images.get()
        for _ in range(2):
            proof = self.again(image)
            self.assertEqual(proof.job.state, Job.State.SUCCEEDED, proof.job.error_text)
            self.assertEqual((proof.verdict, proof.max_difference, proof.mean_difference), (SAME, 0, 0.0))
            self.assertEqual((proof.reasons, proof.blob), ([], None))
        self.assertEqual(GeneratedImage.objects.get().blob_id, image.blob_id)
        self.assertEqual(newest_recreation(image), proof)
        self.assertFalse(any(settings.WORK_DIR.glob(f"{proof.job_id}*")))

    def test_one_of_several_is_made_again_beside_those_it_was_made_with(self) -> None:
        reference = keep_reference(self.alice, BytesIO(png_bytes("tan")))
        generation = made(self.alice, num_images=6, reference=reference.pk, strength=0.5, scheduler="euler_a")
        for seq, total in ((2, 4 * 2), (5, 2 * 2)):  # in batches of four, and half of four steps
            proof = self.again(generation.images.get(seq=seq))
            self.assertEqual((proof.verdict, proof.job.progress_total), (SAME, total))

    def test_one_whose_batch_is_not_known_is_close_at_least(self) -> None:
        generation = made(self.alice, num_images=3)
        Generation.objects.update(engine={})
        self.assertIn(self.again(generation.images.get(seq=2)).verdict, (SAME, CLOSE))

    def test_a_picture_that_was_made_otherwise_is_different_with_figures_and_kept_beside_it(self) -> None:
        image = made(self.alice).images.get()
        GeneratedImage.objects.update(seed=8)
        image.refresh_from_db()
        first, second = self.again(image), self.again(image)
        first.refresh_from_db()
        assert second.blob and second.max_difference and second.mean_difference
        self.assertEqual(second.verdict, OTHER)
        self.assertGreater(second.mean_difference, CLOSE_MEAN)
        self.assertIsNone(first.blob)  # one is enough to look at
        with Image.open(BytesIO(files.read(second.blob))) as picture:
            self.assertEqual(json.loads(picture.text["shoesai"])["seed"], 8)  # type: ignore[attr-defined]
        self.assertIn("a driver, or the stored picture", words_of(second)[0])

    def test_a_stored_file_that_has_rotted_is_named(self) -> None:
        image = made(self.alice).images.get()
        files.path_of(image.blob_id).write_bytes(png_bytes("blue", 64))
        proof = self.again(image)
        self.assertEqual(proof.verdict, OTHER)
        self.assertIn("The stored file is damaged", words_of(proof)[0])

    def test_a_base_model_whose_files_are_others_is_named(self) -> None:
        generation = made(self.alice)
        generation.base_model.sha256, generation.base_model.family = "0" * 64, "sd15"
        generation.base_model.save()
        GeneratedImage.objects.update(seed=8)
        proof = self.again(generation.images.get())
        self.assertIn({"what": "base"}, proof.reasons, proof.job.error_text)

    def test_another_engine_is_named_even_where_it_made_the_same(self) -> None:
        generation = made(self.alice)
        generation.engine |= {"torch": "1.0"}
        generation.save()
        proof = self.again(generation.images.get())
        self.assertEqual(proof.verdict, SAME)
        self.assertIn("torch was 1.0 and is", words_of(proof)[0])


class GoneTests(EngineTestCase):
    """What is gone fails the job in words, before anything is made."""

    def assert_fails(self, image: GeneratedImage, words: str) -> None:
        proof = self.again(image)
        self.assertEqual((proof.job.state, proof.verdict), (Job.State.FAILED, ""))
        self.assertIn(words, proof.job.error_text)
        self.assertNotIn("/", proof.job.error_text.replace("casual/checkpoint-10", ""))

    def test_the_base_model(self) -> None:
        generation = made(self.alice)
        generation.base_model.location = "moved"
        generation.base_model.save()
        self.assert_fails(generation.images.get(), "The base model tiny is gone")

    def test_a_checkpoint(self) -> None:
        image = finished_generation(self.alice, model_name=tiny_base_model().name).images.get()
        run = TrainingRun.objects.create(
            owner=self.alice, name="casual", base_model=tiny_base_model(), family="starter"
        )
        checkpoint = keep_checkpoint(run, {"step": 10, "rank": 8, "lora_alpha": 16}, b"weights")
        image.generation.loras.create(checkpoint=checkpoint, position=0)
        files.path_of(checkpoint.blob_id).write_bytes(b"other weights")
        self.assert_fails(image, "The checkpoint casual/checkpoint-10 is gone")

    def test_the_reference(self) -> None:
        tiny_base_model()
        reference = keep_reference(self.alice, BytesIO(png_bytes("navy")))
        image = finished_generation(self.alice, model_name="tiny", reference=reference.pk).images.get()
        files.path_of(reference.pk).unlink()
        self.assert_fails(image, "The reference is gone")

    def test_the_stored_picture(self) -> None:
        tiny_base_model()
        image = finished_generation(self.alice, model_name="tiny", prompt="gone").images.get()
        for broken in (b"no picture", png_bytes()[:50]):
            files.path_of(image.blob_id).write_bytes(broken)
            self.assert_fails(image, "The file of the picture is missing")
        files.path_of(image.blob_id).unlink()
        self.assert_fails(image, "The file of the picture is missing")

    def test_the_picture_itself(self) -> None:
        image = finished_generation(self.alice).images.get()
        job = request_recreation(self.alice, image).job
        image.delete()
        self.assertTrue(run_here(job))
        job.refresh_from_db()
        self.assertIn("The picture was deleted", job.error_text)


class AskingTests(BaseTestCase):
    def setUp(self) -> None:
        self.image = finished_generation(self.alice).images.get()

    def test_whoever_sees_a_picture_may_ask_and_nobody_else(self) -> None:
        self.assertEqual(request_recreation(self.bob, self.image).owner, self.bob)
        with self.assertRaises(GeneratedImage.DoesNotExist):
            request_recreation(self.charlie, self.image)

    def test_a_second_wish_while_the_first_lives_is_the_same(self) -> None:
        first = request_recreation(self.alice, self.image)
        self.assertEqual(request_recreation(self.alice, self.image), first)
        Job.objects.filter(pk=first.job_id).update(state=Job.State.FAILED)
        self.assertNotEqual(request_recreation(self.alice, self.image), first)

    def test_the_quota_counts_it(self) -> None:
        with override_settings(JOB_MAX_QUEUED_PER_USER=0), self.assertRaises(QueueFull):
            request_recreation(self.alice, self.image)
        self.assertFalse(Recreation.objects.exists())


class DifferenceTests(BaseTestCase):
    def difference(self, most: int, pixels: int) -> Difference:
        values = np.full((10, 10, 3), 100, np.uint8)
        other = values.copy()
        other.reshape(-1)[:pixels] += most
        return difference_of(Image.fromarray(values), Image.fromarray(other))

    def test_the_tolerance(self) -> None:
        for most, pixels, verdict in ((0, 0, SAME), (1, 1, CLOSE), (2, 15, CLOSE), (2, 16, OTHER), (3, 1, OTHER)):
            with self.subTest(most=most, pixels=pixels):
                self.assertEqual(self.difference(most, pixels).verdict, verdict)

    def test_another_size_is_different_without_figures(self) -> None:
        pictures = Image.new("RGB", (8, 8)), Image.new("RGB", (8, 16))
        apart = difference_of(*pictures)
        self.assertEqual((apart, apart.verdict), (Difference(None, None), OTHER))
        words = words_of(Recreation(verdict=OTHER, reasons=size_change(*pictures)))
        self.assertEqual(words, ["The stored picture has 8 × 8 pixels and the new one 8 × 16."])

    def test_only_what_both_records_tell_is_compared(self) -> None:
        then = {"device": "cuda", "torch": "2.0", "name": "x"}
        now = {"device": "cpu", "torch": "2.0", "threads": 2}
        self.assertEqual(engine_changes(then, now), [{"what": "device", "then": "cuda", "now": "cpu"}])
        self.assertEqual(engine_changes({}, now), [{"what": "unrecorded"}])


class VerifyImagesTests(People, TransactionTestCase):
    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.addClassCleanup(child_of("gpu").kill)

    def setUp(self) -> None:
        self.make_people()

    def verify(self, *options: str) -> Any:
        out = StringIO()
        try:
            with patch("shoesai.terminal.NOBODY_CLAIMS_SECONDS", 0.1):
                call_command("verify_images", "-v", "0", *options, stdout=out)
        finally:
            self.printed = out.getvalue()
        return self.printed

    def test_a_sample_is_proven_and_the_same_seed_takes_the_same(self) -> None:
        made(self.alice, num_images=3)
        first = json.loads(self.verify("--user", "alice", "--sample", "2", "--json"))
        again = json.loads(self.verify("--sample", "2", "--json"))
        self.assertEqual((first["pictures"], first["different"], first["failed"]), (2, 0, 0))
        self.assertEqual([row["id"] for row in first["images"]], [row["id"] for row in again["images"]])

    def test_a_different_one_and_one_that_cannot_be_made_end_with_1(self) -> None:
        made(self.alice)
        GeneratedImage.objects.update(seed=9)
        gone = finished_generation(self.bob, model_name="tiny").images.get()
        files.path_of(gone.blob_id).unlink()
        with self.assertRaises(CommandError) as caught:
            self.verify("--sample", "9")
        self.assertEqual(caught.exception.returncode, 1)
        different, failed = self.printed.splitlines()[0], self.printed.splitlines()[-2]
        self.assertRegex(different, r"^different \(max \d+, mean [\d.]+ of 255\)  [0-9a-f-]{36}  tiny · 9$")
        self.assertTrue(failed.startswith("failed"))

    def test_without_pictures_it_ends_with_3_and_with_nonsense_with_2(self) -> None:
        for options, code in ((("--user", "charlie"), 3), (("--sample", "0"), 2)):
            with self.assertRaises(CommandError) as caught:
                self.verify(*options)
            self.assertEqual(caught.exception.returncode, code)

    def test_the_site_checks_what_its_user_could_not_ask_for(self) -> None:
        image = finished_generation(self.alice, model_name=tiny_base_model().name).images.get()
        self.assertEqual(queue_recreation(self.charlie, image).owner, self.charlie)
