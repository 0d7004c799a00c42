"""Variants in a dataset's draft: planned, made by the real engine, kept once, refused where they would do harm."""

from __future__ import annotations

import json
import tempfile
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from django.core.management import CommandError, call_command
from PIL import Image

from shoesai import files
from shoesai.engine.specs import AugmentSpec
from shoesai.jobs import queue, runner
from shoesai.jobs.engine_child import child_of
from shoesai.jobs.tasks import run_here
from shoesai.models import Job
from shoesai.photo_checks import is_white_background
from shoesai.testing import BaseTestCase
from training.augment_tasks import Keeper
from training.datasets import augmenting
from training.datasets.augmenting import AugmentProblem, plan_of, request_augmentation, request_preview
from training.datasets.drafts import Source, edit
from training.datasets.freezing import freeze
from training.models import Dataset, DatasetVersion, Photo
from training.tests.datasets_for_tests import draft_of, drawn, frozen_of, plain, source_of
from training.work import folder_of

SPEC = AugmentSpec(variants=2)


def done(job: Job) -> Job:
    """The job as its worker does it, with the engine's real child."""
    assert run_here(job)
    job.refresh_from_db()
    assert job.state == Job.State.SUCCEEDED, job.error_text
    return job


def variants_of(draft: DatasetVersion) -> list[Photo]:
    return list(draft.photos.filter(origin=Photo.Origin.AUGMENTED).order_by("position"))


def busy(number: int) -> Source:
    chance = np.random.default_rng(number)
    picture = Image.fromarray(chance.integers(0, 255, (64, 64, 3), dtype=np.uint8))
    return source_of(picture, f"busy{number}.png", "a shoe in the woods")


class AugmentDatasetTest(BaseTestCase):
    def setUp(self) -> None:
        self.draft = draft_of(self.alice, [drawn(number, size=64) for number in range(3)])
        self.dataset = self.draft.dataset

    def ask(self, spec: AugmentSpec = SPEC) -> Job:
        return request_augmentation(user=self.alice, dataset=self.dataset, spec=spec)

    def test_each_photo_gets_its_variants_with_its_caption_and_its_recipe(self) -> None:
        job = done(self.ask())
        variants = variants_of(self.draft)
        self.assertEqual((job.result["variants"], len(variants), job.result["total"]), (6, 6, 9))
        parents = {photo.blob_id: photo for photo in self.draft.photos.filter(origin=Photo.Origin.IMPORTED)}
        for variant in variants:
            parent = parents[variant.parent_id]
            self.assertEqual((variant.caption, variant.depth, variant.held_out), (parent.caption, 0, False))
            self.assertRegex(variant.file_name, rf"^{Path(parent.file_name).stem}_var[12]\.png$")
            self.assertEqual(AugmentSpec.from_dict(variant.recipe["settings"]), SPEC)
            self.assertLessEqual(abs(variant.recipe["drawn"]["angle"]), 15)
            with Image.open(files.path_of(variant.blob_id)) as picture:
                self.assertEqual(picture.size, (variant.width, variant.height))
                self.assertTrue(is_white_background(picture))

    def test_the_same_seed_makes_the_same_bytes_in_another_dataset(self) -> None:
        done(self.ask())
        again = draft_of(self.bob, [drawn(number, size=64) for number in (2, 1, 0)], name="again")
        done(request_augmentation(user=self.bob, dataset=again.dataset, spec=SPEC))
        self.assertEqual(
            {photo.blob_id for photo in variants_of(again)}, {photo.blob_id for photo in variants_of(self.draft)}
        )

    def test_a_second_request_makes_only_what_is_missing(self) -> None:
        done(self.ask())
        with self.assertRaisesMessage(AugmentProblem, "there already"):
            self.ask()
        first = {photo.pk for photo in variants_of(self.draft)}
        done(self.ask(AugmentSpec(variants=3)))
        self.assertEqual(len(variants_of(self.draft)), 9)
        self.assertTrue(first < {photo.pk for photo in variants_of(self.draft)})

    def test_what_somebody_took_out_is_not_made_again(self) -> None:
        done(self.ask())
        edit(self.draft, self.alice, "remove", {variants_of(self.draft)[0].pk: {"removed": True}})
        with self.assertRaisesMessage(AugmentProblem, "there already"):
            self.ask()

    def test_variants_have_no_variants_and_held_out_photos_have_none(self) -> None:
        first = self.draft.photos.earliest("position")
        edit(self.draft, self.alice, "hold out", {first.pk: {"held_out": True}})
        job = done(self.ask(AugmentSpec(variants=1)))
        self.assertEqual((job.result["photos"], job.result["held_out"], job.result["variants"]), (2, 1, 2))
        self.assertNotIn(first.blob_id, {photo.parent_id for photo in variants_of(self.draft)})
        plan = plan_of(self.draft, AugmentSpec(variants=1, seed=7))
        self.assertEqual(len(plan.photos), 2)

    def test_copies_of_a_picture_have_their_variants_once(self) -> None:
        draft = draft_of(self.alice, [plain(1), plain(1)], name="copies")
        done(request_augmentation(user=self.alice, dataset=draft.dataset, spec=SPEC))
        self.assertEqual(len(variants_of(draft)), 2)

    def test_a_photo_that_cannot_be_turned_is_named_with_the_reason(self) -> None:
        draft = draft_of(self.alice, [drawn(1, size=64), busy(1)], name="mixed")
        spec = AugmentSpec(recipe="rotations", variants=2)
        job = done(request_augmentation(user=self.alice, dataset=draft.dataset, spec=spec))
        self.assertEqual(job.result["variants"], 2)
        (skipped,) = job.result["skipped"]
        self.assertEqual(skipped["file"], "busy1.png")
        self.assertIn("wedges", skipped["problem"])
        names = [photo.file_name for photo in variants_of(draft)]
        self.assertEqual(names, ["shoe-0001_rot-5.png", "shoe-0001_rot+5.png"])

    def test_a_frozen_dataset_gets_a_new_draft_and_its_version_stays(self) -> None:
        version = frozen_of(self.alice, [drawn(9, size=64)], name="frozen")
        before = version.content_hash
        done(request_augmentation(user=self.alice, dataset=version.dataset, spec=SPEC))
        draft = version.dataset.draft()
        assert draft
        self.assertEqual((draft.photo_count, version.photos.count()), (3, 1))
        version.refresh_from_db()
        self.assertEqual(version.content_hash, before)

    def test_progress_counts_all_variants_and_a_resumed_job_goes_on(self) -> None:
        done(self.ask(AugmentSpec(variants=1)))
        job = done(self.ask(SPEC))
        self.assertEqual((job.progress_step, job.progress_total), (6, 6))

    # --- stopping and going on ----------------------------------------------------------------------------------
    def test_a_worker_that_is_killed_leaves_what_it_kept_and_the_next_makes_the_rest_once(self) -> None:
        job = self.ask(AugmentSpec(variants=4))
        claim = queue.claim("cpu", only=job)
        assert claim
        seen: list[Any] = []

        def die_after_five(keeper: Keeper, event: Any) -> None:
            original(keeper, event)
            seen.append(event)
            if len(seen) == 5:
                raise SystemExit

        original = Keeper.on_variant
        with (
            patch.object(Keeper, "on_variant", die_after_five),
            patch("training.augment_tasks.KEPT_AT_ONCE", 1),
            self.assertRaises(SystemExit),
        ):
            runner.run(claim)
        self.assertFalse(child_of("cpu").alive)
        claim.lose("its worker process is gone")  # as the sweeper finds
        kept = {photo.pk for photo in variants_of(self.draft)}
        self.assertEqual(len(kept), 5)
        done(job)
        after = variants_of(self.draft)
        self.assertEqual(len(after), 12)
        self.assertTrue(kept < {photo.pk for photo in after})
        self.assertEqual(len({(photo.parent_id, photo.recipe["variant"]) for photo in after}), 12)

    def test_a_cancelled_job_stops_and_keeps_what_was_made(self) -> None:
        draft = draft_of(self.alice, [plain(number) for number in range(40)], name="many")
        job = request_augmentation(user=self.alice, dataset=draft.dataset, spec=AugmentSpec(variants=20))
        original = Keeper.on_variant

        def cancel(keeper: Keeper, event: Any) -> None:
            queue.request_cancel(job)
            original(keeper, event)

        with patch.object(Keeper, "on_variant", cancel):
            self.assertTrue(run_here(job))
        job.refresh_from_db()
        self.assertEqual(job.state, Job.State.CANCELLED)
        self.assertGreater(len(variants_of(draft)), 0)
        self.assertLess(len(variants_of(draft)), 800)

    def test_a_draft_that_is_frozen_before_its_turn_fails_the_job_in_words(self) -> None:
        job = self.ask()
        freeze(self.draft)
        self.assertTrue(run_here(job))
        job.refresh_from_db()
        self.assertEqual((job.state, job.error_code), (Job.State.FAILED, "no_draft"))

    # --- refusals -----------------------------------------------------------------------------------------------
    def test_one_augmentation_of_a_draft_at_a_time(self) -> None:
        self.ask()
        with self.assertRaisesMessage(AugmentProblem, "being varied already"):
            self.ask(AugmentSpec(seed=3))

    def test_a_refused_request_begins_no_draft(self) -> None:
        version = frozen_of(self.alice, 1, name="all held out")
        version.photos.update(held_out=True)
        with self.assertRaisesMessage(AugmentProblem, "no photo to vary"):
            request_augmentation(user=self.alice, dataset=version.dataset, spec=SPEC)
        self.assertIsNone(version.dataset.draft())

    def test_more_variants_than_anybody_can_look_through_are_refused_with_the_number(self) -> None:
        with patch.object(augmenting, "MOST_AT_ONCE", 5), self.assertRaisesMessage(AugmentProblem, "6 would be made"):
            self.ask()

    def test_variants_of_generated_pictures_keep_their_depth_and_count_towards_the_limit(self) -> None:
        generated = [plain(90 + number, origin=Photo.Origin.GENERATED, depth=2) for number in range(2)]
        draft = draft_of(self.alice, [plain(1), plain(2), *generated], name="half")
        plan = plan_of(draft, SPEC)
        self.assertEqual(plan.share_after, 0.5)
        done(request_augmentation(user=self.alice, dataset=draft.dataset, spec=SPEC))
        self.assertEqual(sorted(photo.depth for photo in variants_of(draft)), [0, 0, 0, 0, 2, 2, 2, 2])
        Dataset.objects.filter(pk=draft.dataset.pk).update(synthetic_cap=0.4)
        dataset = Dataset.objects.get(pk=draft.dataset.pk)
        with self.assertRaisesMessage(AugmentProblem, "50 % would be generated"):
            request_augmentation(user=self.alice, dataset=dataset, spec=AugmentSpec(seed=5))


class FlipTest(BaseTestCase):
    CAPTIONS = ("a brown boot, left side", "a brown boot", "red sneakers")

    def setUp(self) -> None:
        sources = [plain(number, caption) for number, caption in enumerate(self.CAPTIONS)]
        self.draft = draft_of(self.alice, sources)

    def test_a_photo_whose_caption_names_a_side_is_not_mirrored_and_the_others_are(self) -> None:
        spec = AugmentSpec(variants=3, flip=1.0)
        job = done(request_augmentation(user=self.alice, dataset=self.draft.dataset, spec=spec))
        mirrored = {photo.caption: photo.recipe["drawn"]["flip"] for photo in variants_of(self.draft)}
        self.assertEqual(mirrored, dict(zip(self.CAPTIONS, (False, True, True), strict=True)))
        self.assertEqual(job.result["not_flipped"], 1)

    def test_the_plan_says_why(self) -> None:
        note = plan_of(self.draft, SPEC).flip_note
        self.assertIn("1 photo is not mirrored", note)
        self.assertIn("left", note)
        self.assertEqual(plan_of(self.draft, AugmentSpec(flip=0.0)).flip_note, "")


class PreviewTest(BaseTestCase):
    def test_a_preview_shows_variants_and_leaves_the_dataset_as_it_was(self) -> None:
        version = frozen_of(self.alice, [drawn(number, size=64) for number in range(5)])
        job = done(request_preview(user=self.alice, version=version, spec=SPEC))
        self.assertEqual((len(job.result["photos"]), len(job.result["variants"])), (3, 6))
        self.assertIsNone(version.dataset.draft())
        self.assertEqual(Photo.objects.count(), 5)

    def test_a_preview_is_what_will_be_made(self) -> None:
        draft = draft_of(self.alice, [drawn(1, size=64)])
        job = done(request_preview(user=self.alice, version=draft, spec=SPEC))
        shown = [(folder_of(job) / one["file"]).read_bytes() for one in job.result["variants"]]
        done(request_augmentation(user=self.alice, dataset=draft.dataset, spec=SPEC))
        self.assertEqual([files.read(photo.blob) for photo in variants_of(draft)], shown)


class AugmentCommandTest(BaseTestCase):
    def setUp(self) -> None:
        self.draft = draft_of(self.alice, [drawn(number, size=64) for number in range(2)])

    def run_command(self, *options: str) -> str:
        out = StringIO()
        with patch("shoesai.terminal.time.sleep", side_effect=lambda _: self.work()):
            call_command("augment_dataset", "casual", "--user", "alice", "-v", "0", *options, stdout=out)
        return out.getvalue()

    def work(self) -> None:
        job = Job.objects.filter(state=Job.State.QUEUED).first()
        if job:
            run_here(job)

    def refused(self, *options: str) -> tuple[str, int]:
        with self.assertRaises(CommandError) as caught:
            self.run_command(*options)
        return str(caught.exception), caught.exception.returncode

    def test_it_says_what_was_made(self) -> None:
        told = json.loads(self.run_command("--variants", "2", "--seed", "7", "--json"))
        self.assertEqual((told["photos"], told["variants"], told["total"]), (2, 4, 6))
        self.assertEqual(told["settings"]["seed"], 7)
        self.assertEqual(len(variants_of(self.draft)), 4)

    def test_rotations_are_all_six_angles_of_the_seed(self) -> None:
        self.run_command("--recipe", "rotations")
        angles = {photo.recipe["drawn"]["angle"] for photo in variants_of(self.draft)}
        self.assertEqual(angles, {-15, -10, -5, 5, 10, 15})

    def test_a_preview_goes_into_a_folder_with_what_was_drawn_and_nothing_into_the_draft(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            paths = self.run_command("--preview", folder, "--variants", "2").split()
            self.assertEqual(len(paths), 4)
            for path in paths:
                with Image.open(BytesIO(Path(path).read_bytes())) as picture:
                    self.assertEqual(picture.size, (64, 64))
                self.assertIn("angle", json.loads(Path(path).with_suffix(".json").read_text()))
        self.assertEqual(variants_of(self.draft), [])

    def test_a_setting_that_spoils_a_product_photo_is_refused_by_its_flag_with_the_reason(self) -> None:
        words, code = self.refused("--rotation", "45")
        self.assertTrue(words.startswith("--rotation must be between 0 and 30 degrees"), words)
        self.assertEqual(code, 2)
        self.assertFalse(Job.objects.exists())

    def test_the_only_dataset_need_not_be_named_and_one_of_two_must_be(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            options = ("--user", "alice", "-v", "0", "--variants", "1", "--preview", folder)
            with patch("shoesai.terminal.time.sleep", side_effect=lambda _: self.work()):
                call_command("augment_dataset", *options, stdout=StringIO())
            draft_of(self.alice, 1, name="second")
            with self.assertRaisesMessage(CommandError, "say which dataset"):
                call_command("augment_dataset", *options)

    def test_somebody_elses_dataset_is_as_unknown_as_one_that_never_was(self) -> None:
        with self.assertRaises(CommandError) as caught:
            call_command("augment_dataset", "casual", "--user", "charlie", "-v", "0")
        self.assertEqual(caught.exception.returncode, 3)
