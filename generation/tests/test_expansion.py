"""Generated pictures in a dataset's draft: made by the real starter model, judged, varied, counted, made once."""

from __future__ import annotations

import json
import tempfile
from io import StringIO
from pathlib import Path
from typing import Any
from unittest.mock import patch

from django.core.management import CommandError, call_command
from PIL import Image, ImageChops

from generation import expansion_tasks
from generation.expansion import (
    MOST_TRIES,
    ExpansionRequest,
    Room,
    pictures_of,
    request_expansion,
    seed_of,
    statistics,
)
from generation.expansion_checks import REASONS, KnownPhotos
from generation.expansion_prompts import BadPrompts, read_prompts
from generation.models import Expansion, ExpansionTry
from generation.services import GenerationRequest, InvalidRequest, request_generation
from shoesai import files
from shoesai.jobs import queue, runner
from shoesai.jobs.engine_child import child_of
from shoesai.jobs.tasks import run_here
from shoesai.models import Job
from shoesai.photo_checks import is_white_background
from shoesai.testing import BaseTestCase, starter
from training.datasets.drafts import discard, edit
from training.datasets.freezing import freeze, synthetic_share
from training.models import Checkpoint, Dataset, DatasetVersion, Photo, TrainingRun
from training.results import keep_checkpoint
from training.tests.datasets_for_tests import draft_of, drawn, frozen_of, plain, source_of

GOOD = ["a red leather sneaker, side view, white background", "black leather boots on a white background"]
BAD = ["a shoe"]  # of which the starter knows no white background
QUICK: dict[str, Any] = {"num_inference_steps": 4, "seed": 7}


def asked(dataset: Dataset, prompts: list[str] | None = None, images: int = 1, variants: int = 1,
          **pictures: Any) -> ExpansionRequest:  # fmt: skip
    request = GenerationRequest(prompt="", **{**QUICK, **pictures})
    return ExpansionRequest(dataset, GOOD if prompts is None else prompts, images, variants, request)


class ExpansionTestCase(BaseTestCase):
    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.addClassCleanup(child_of("gpu").kill)  # else it stays warm until the last test has ended

    def setUp(self) -> None:
        self.draft = draft_of(self.alice, [drawn(number) for number in range(4)])
        self.dataset = self.draft.dataset
        Dataset.objects.filter(pk=self.dataset.pk).update(synthetic_cap=0.9)
        self.dataset.refresh_from_db()

    def ask(self, prompts: list[str] | None = None, **changes: Any) -> Expansion:
        return request_expansion(user=self.alice, request=asked(self.dataset, prompts, **changes))

    def done(self, expansion: Expansion) -> Job:
        self.assertTrue(run_here(expansion.job))
        job = Job.objects.get(pk=expansion.job_id)
        self.assertEqual(job.state, Job.State.SUCCEEDED, job.error_text)
        return job


class MakingTest(ExpansionTestCase):
    def test_prompts_times_pictures_times_variants_come_into_the_draft_with_the_seeds_statistics(self) -> None:
        expansion = self.ask(images=2, variants=3)
        result = self.done(expansion).result
        self.assertEqual(
            {name: result[name] for name in ("total_prompts", "images_generated", "images_augmented", "total_images")},
            {"total_prompts": 2, "images_generated": 4, "images_augmented": 12, "total_images": 16},
        )
        self.draft.refresh_from_db()
        self.assertEqual(self.draft.photo_count, 20)
        for photo in pictures_of(expansion):
            self.assertEqual((photo.depth, photo.held_out, photo.caption), (1, False, photo.recipe["prompt"]))
            self.assertEqual((photo.recipe["model"], photo.recipe["num_inference_steps"]), ("starter", 4))
            self.assertIn("device", photo.recipe["engine"])
            with Image.open(files.path_of(photo.blob_id)) as picture:
                self.assertTrue(is_white_background(picture))
                self.assertEqual(picture.info, {})
        variants = self.draft.photos.filter(origin=Photo.Origin.AUGMENTED)
        self.assertEqual({photo.depth for photo in variants}, {1})
        self.assertEqual({photo.parent_id for photo in variants}, {photo.blob_id for photo in pictures_of(expansion)})
        self.assertAlmostEqual(synthetic_share(self.draft), 16 / 20)

    def test_each_picture_is_what_its_recipe_says(self) -> None:
        expansion = self.ask(GOOD[:1], images=2, variants=0)
        self.done(expansion)
        photos = list(pictures_of(expansion))
        self.assertEqual([photo.recipe["seed"] for photo in photos], [7, 8])
        self.assertEqual([photo.file_name for photo in photos], ["prompt0000_gen0.png", "prompt0000_gen1.png"])
        wish = GenerationRequest(prompt=GOOD[0], num_images=2, **QUICK)
        generation = request_generation(user=self.alice, request=wish)
        self.assertTrue(run_here(generation.job))
        for photo, image in zip(photos, generation.images.order_by("seq"), strict=True):
            with Image.open(files.path_of(photo.blob_id)) as ours, Image.open(files.path_of(image.blob_id)) as theirs:
                self.assertEqual(ours.convert("RGB").tobytes(), theirs.convert("RGB").tobytes())

    def test_a_picture_that_fails_its_checks_is_tried_again_with_other_seeds_and_then_given_up(self) -> None:
        expansion = self.ask(BAD, images=1, variants=2)
        result = self.done(expansion).result
        self.assertEqual((result["images_generated"], result["total_images"]), (0, 0))
        self.assertEqual((result["images_rejected"], result["images_missing"]), (MOST_TRIES, 1))
        self.assertEqual(result["rejected"]["background"], MOST_TRIES)
        tries = list(expansion.tries.all())
        self.assertEqual(len({one.seed for one in tries}), MOST_TRIES)
        for one in tries:
            self.assertTrue(bytes(one.preview or b"").startswith(b"RIFF"))
            self.assertTrue(set(one.reasons) <= set(REASONS))
        self.assertEqual(self.draft.photos.count(), 4)

    def test_a_picture_that_is_there_already_is_not_taken_twice(self) -> None:
        self.done(self.ask(GOOD[:1], variants=0))
        result = self.done(self.ask(GOOD[:1], variants=0)).result
        self.assertEqual(result["rejected"]["copy"], 1)
        self.assertEqual(result["images_generated"], 1)  # by its second seed
        self.assertEqual(self.draft.photos.filter(origin=Photo.Origin.GENERATED).count(), 2)

    def test_the_same_request_makes_the_same_pictures_elsewhere(self) -> None:
        other = draft_of(self.bob, [drawn(number) for number in range(4)], name="other").dataset
        Dataset.objects.update(synthetic_cap=0.9)
        other.refresh_from_db()
        first = self.ask(GOOD[:1], variants=2)
        second = request_expansion(user=self.bob, request=asked(other, GOOD[:1], variants=2))
        self.done(first)
        self.done(second)
        made = [
            set(Photo.objects.filter(version=one.draft, depth=1).values_list("blob_id", flat=True))
            for one in (first, second)
        ]
        self.assertEqual(made[0], made[1])
        self.assertEqual(len(made[0]), 3)

    def test_generated_pictures_never_enter_the_held_out_part(self) -> None:
        self.done(self.ask(GOOD[:1]))
        photo = self.draft.photos.filter(depth=1).earliest("position")
        edit(self.draft, self.alice, "hold out", {photo.pk: {"held_out": True}})
        with self.assertRaisesMessage(Exception, "Generated pictures are held out"):
            freeze(self.draft)

    # --- stopping and going on ----------------------------------------------------------------------------------
    def test_a_worker_that_is_killed_leaves_what_it_made_and_the_next_makes_the_rest_once(self) -> None:
        expansion = self.ask(images=2, variants=2)
        claim = queue.claim("gpu", only=expansion.job)
        assert claim
        original, seen = expansion_tasks._Work._judge, []

        def die_after_three(work: Any, *told: Any) -> None:
            original(work, *told)
            seen.append(told)
            if len(seen) == 3:
                raise SystemExit

        with patch.object(expansion_tasks._Work, "_judge", die_after_three), self.assertRaises(SystemExit):
            runner.run(claim)
        before = set(expansion.tries.values_list("pk", flat=True))
        self.assertEqual(len(before), 3)
        claim.lose("its worker process is gone")  # as the sweeper finds
        result = self.done(expansion).result
        self.assertTrue(before < set(expansion.tries.values_list("pk", flat=True)))
        self.assertEqual((result["images_generated"], result["images_augmented"]), (4, 8))
        self.assertEqual(expansion.tries.count(), 4)
        made = Photo.objects.filter(version=self.draft, depth=1).values_list("blob_id", flat=True)
        self.assertEqual(len(made), len(set(made)))

    def test_it_steps_aside_for_somebody_who_waits_and_goes_on_afterwards(self) -> None:
        expansion = self.ask(images=1, variants=0)
        claim = queue.claim("gpu", only=expansion.job)
        assert claim
        original = expansion_tasks._Work._judge

        def and_somebody_comes(work: Any, *told: Any) -> None:
            original(work, *told)
            if not Job.objects.filter(kind="generate").exists():
                request_generation(user=self.bob, request=GenerationRequest(prompt="boots", **QUICK))

        with patch.object(expansion_tasks._Work, "_judge", and_somebody_comes):
            runner.run(claim)
        expansion.job.refresh_from_db()
        self.assertEqual((expansion.job.state, expansion.tries.count()), (Job.State.QUEUED, 1))
        self.assertEqual(self.done(expansion).result["images_generated"], 2)

    def test_a_draft_that_is_gone_fails_the_job_in_words(self) -> None:
        expansion = self.ask(GOOD[:1])
        discard(self.draft)
        self.assertTrue(run_here(expansion.job))
        job = Job.objects.get(pk=expansion.job_id)
        self.assertEqual((job.state, job.error_code), (Job.State.FAILED, "no_draft"))


class DepthTest(ExpansionTestCase):
    def checkpoint(self, version: DatasetVersion | None) -> Checkpoint:
        run = TrainingRun.objects.create(
            owner=self.alice, name="casual", base_model=starter(), family="starter", dataset_version=version
        )
        return keep_checkpoint(run, {"step": 150, "rank": 8, "lora_alpha": 16}, b"weights")

    def test_a_base_model_makes_pictures_of_depth_one(self) -> None:
        self.assertEqual(self.ask().depth, 1)

    def test_a_checkpoint_makes_pictures_one_deeper_than_what_it_learned_from(self) -> None:
        photos = [plain(1), plain(2), plain(3, origin=Photo.Origin.GENERATED, depth=2)]
        name = self.checkpoint(frozen_of(self.alice, photos, name="second hand")).name
        expansion = self.ask(model_name=name)
        self.assertEqual(expansion.depth, 3)
        self.assertEqual([told["name"] for told in expansion.loras], [name])

    def test_an_imported_checkpoint_counts_as_learned_from_photos(self) -> None:
        self.assertEqual(self.ask(model_name=self.checkpoint(None).name).depth, 1)


class CopyTest(ExpansionTestCase):
    def known(self) -> KnownPhotos:
        return KnownPhotos.of([self.draft], lambda done, total: None)

    def test_a_copy_of_a_photo_is_known_though_it_was_saved_and_lit_otherwise(self) -> None:
        with Image.open(files.path_of(self.draft.photos.earliest("position").blob_id)) as photo:
            copy = photo.convert("RGB").resize((120, 120), Image.Resampling.LANCZOS).point(lambda level: level * 0.97)
        self.assertIn("copy", self.known().faults_of(copy))

    def test_another_shoe_is_no_copy(self) -> None:
        with Image.open(files.path_of(drawn(77).blob_id)) as other:
            self.assertNotIn("copy", self.known().faults_of(other.convert("RGB")))

    def test_what_model_learned_from_counts_too_but_generated_pictures_do_not(self) -> None:
        draft = draft_of(self.alice, [drawn(5, ), source_of(Image.new("RGB", (64, 64)), "g.png", "g", depth=1)], "two")
        self.assertEqual(len(KnownPhotos.of([draft, self.draft], lambda done, total: None).hashes), 5)

    def test_good_photos_have_no_faults_and_each_fault_is_told_by_name(self) -> None:
        known = KnownPhotos({})
        with Image.open(files.path_of(drawn(3).blob_id)) as photo:
            good = photo.convert("RGB")
        self.assertEqual(known.faults_of(good), [])
        self.assertEqual(known.faults_of(Image.new("RGB", (128, 128), "white")), ["no_subject"])
        small = Image.new("RGB", (300, 300), good.getpixel((0, 0)))
        small.paste(good, (86, 86))
        self.assertIn("small_in_frame", known.faults_of(small))
        box = (40, 0, 128, 128)
        self.assertIn("cut_off", known.faults_of(good.crop(box)))
        blue = ImageChops.multiply(good, Image.new("RGB", good.size, (150, 170, 255)))
        self.assertIn("background", known.faults_of(blue))


class RefusalTest(ExpansionTestCase):
    def errors(self, prompts: list[str] | None = None, **changes: Any) -> dict[str, str]:
        with self.assertRaises(InvalidRequest) as refused:
            self.ask(prompts, **changes)
        self.assertFalse(Job.objects.exists())
        return refused.exception.errors

    def test_what_would_go_beyond_the_limit_is_refused_with_the_number_that_fits(self) -> None:
        Dataset.objects.filter(pk=self.dataset.pk).update(synthetic_cap=0.5)
        self.dataset.refresh_from_db()
        words = self.errors(images=2, variants=1)["images_per_prompt"]
        self.assertIn("8 new pictures would make 67 %", words)
        self.assertIn("At most 2 generated pictures with 1 variants each fit", words)
        self.ask(images=1, variants=1)

    def test_room_is_exactly_what_the_limit_bears(self) -> None:
        for learned, synthetic, cap in ((100, 0, 0.5), (10, 3, 0.5), (7, 1, 0.3), (50, 40, 0.5), (9, 0, 0.0)):
            room = Room(learned, synthetic, cap)
            if synthetic / learned <= cap:
                self.assertLessEqual(room.share_with(room.most), cap + 1e-9)
                self.assertGreater(room.share_with(room.most + 1), cap)
            else:
                self.assertEqual(room.most, 0)

    def test_each_setting_is_refused_by_its_name(self) -> None:
        self.assertEqual(set(self.errors(images=0)), {"images_per_prompt"})
        self.assertEqual(set(self.errors(variants=21)), {"augmentations_per_image"})
        self.assertEqual(set(self.errors(num_inference_steps=0)), {"num_inference_steps"})
        self.assertEqual(set(self.errors(model_name="nobody/checkpoint-1")), {"model_name"})
        self.assertEqual(set(self.errors([])), {"prompts"})
        self.assertIn("number 2", self.errors(["boots", " "])["prompts"])
        self.assertIn("at most 20,000", self.errors(images=100, variants=20, prompts=[f"boot {n}" for n in range(20)])
                      ["images_per_prompt"])  # fmt: skip

    def test_one_expansion_of_a_dataset_at_a_time(self) -> None:
        self.ask()
        with self.assertRaises(InvalidRequest) as refused:
            self.ask(seed=9)
        self.assertIn("dataset", refused.exception.errors)

    def test_the_same_key_with_the_same_request_is_the_same_expansion(self) -> None:
        first = request_expansion(user=self.alice, request=asked(self.dataset), idempotency_key="k")
        self.assertEqual(request_expansion(user=self.alice, request=asked(self.dataset), idempotency_key="k"), first)
        with self.assertRaises(queue.KeyReused):
            request_expansion(user=self.alice, request=asked(self.dataset, seed=8), idempotency_key="k")

    def test_every_picture_and_try_has_a_seed_of_its_own(self) -> None:
        expansion = self.ask(images=3)
        seeds = {seed_of(expansion, seq, attempt) for seq in range(6) for attempt in range(MOST_TRIES)}
        self.assertEqual(len(seeds), 18)


class PromptListTest(BaseTestCase):
    def bad(self, data: bytes) -> list[tuple[int, str]]:
        with self.assertRaises(BadPrompts) as refused:
            read_prompts(data)
        return [(line.line, line.problem) for line in refused.exception.lines]

    def test_empty_lines_and_comments_say_nothing(self) -> None:
        self.assertEqual(read_prompts(b"\xef\xbb\xbfred boots\r\n\r\n# later\n  tenis  \n"), ["red boots", "tenis"])

    def test_every_bad_line_is_named(self) -> None:
        problems = dict(self.bad(b"red\nblue\x00\n\xff\xfe\nred\n" + b"x" * 2001))
        self.assertEqual(set(problems), {2, 3, 4, 5})
        self.assertIn("UTF-8", problems[3])
        self.assertIn("same as line 1", problems[4])

    def test_a_list_without_a_prompt_is_refused(self) -> None:
        self.assertIn("there is no prompt", self.bad(b"# nothing\n")[0][1])

    def test_too_many_are_refused_at_the_first_that_is_too_much(self) -> None:
        self.assertEqual(self.bad("\n".join(f"boot {n}" for n in range(1001)).encode())[0][0], 1001)


class ExpandCommandTest(ExpansionTestCase):
    def run_command(self, prompts: str, *options: str, user: str = "alice") -> str:
        out = StringIO()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "prompts.txt"
            path.write_text(prompts)
            with patch("shoesai.terminal.time.sleep", side_effect=lambda _: self.work()):
                call_command(
                    "expand_dataset", "casual", "--prompts", str(path), "--user", user, "-v", "0", *options, stdout=out
                )
        return out.getvalue()

    def work(self) -> None:
        job = Job.objects.filter(state=Job.State.QUEUED).first()
        if job:
            run_here(job)

    def test_it_prints_the_seeds_statistics(self) -> None:
        told = json.loads(
            self.run_command(GOOD[0], "--images-per-prompt", "2", "--augmentations-per-image", "1", "--steps", "4",
                             "--seed", "7", "--json")
        )
        self.assertEqual((told["total_prompts"], told["images_generated"], told["total_images"]), (1, 2, 4))
        self.assertEqual((told["seed"], told["model"]), (7, "starter"))
        self.assertEqual(told, {**told, **statistics(Expansion.objects.get())})

    def test_bad_lines_are_named_and_nothing_is_made(self) -> None:
        with self.assertRaises(CommandError) as refused:
            self.run_command("red boots\nred boots\n")
        self.assertEqual(refused.exception.returncode, 4)
        self.assertIn("line 2", str(refused.exception))
        self.assertFalse(ExpansionTry.objects.exists() or Job.objects.exists())

    def test_somebody_elses_dataset_is_unknown(self) -> None:
        with self.assertRaises(CommandError) as refused:
            self.run_command(GOOD[0], user="charlie")
        self.assertEqual(refused.exception.returncode, 3)
