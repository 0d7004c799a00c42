"""The doctor as a job and a command, and a split that lets nothing leak."""

from __future__ import annotations

import io
import json
from typing import Any

from django.core.management import CommandError, call_command
from django.test import TransactionTestCase

from shoesai.testing import BaseTestCase, People
from training.datasets import splitting
from training.datasets.drafts import DraftProblem, undo
from training.holdout import held_out, kin_of
from training.models import Photo
from training.tests.datasets_for_tests import draft_of, drawn, plain


class CheckCommandTest(People, TransactionTestCase):
    def setUp(self) -> None:
        self.make_people()

    def check(self, *arguments: str, **options: Any) -> dict[str, Any]:
        out = io.StringIO()
        call_command("check_dataset", *arguments, user="alice", json=True, verbosity=0, stdout=out, **options)
        return json.loads(out.getvalue())

    def test_it_prints_findings_by_kind_with_their_files(self) -> None:
        draft = draft_of(self.alice, [drawn(1), drawn(1), plain(3, "")])
        told = self.check("casual")
        draft.refresh_from_db()
        self.assertEqual((told["photos"], told["checked_at"] is None), (3, False))
        self.assertEqual({row["file"] for row in told["findings"]["duplicate"]}, {"shoe-0001.png", "shoe-0001-2.png"})
        self.assertEqual([row["file"] for row in told["findings"]["caption_missing"]], ["100004.png"])
        self.assertEqual(draft.findings.filter(kind="caption_missing").get().photo, draft.photos.all()[2])

    def test_strict_ends_with_4_where_something_is_open_and_an_unknown_dataset_with_3(self) -> None:
        draft_of(self.alice, [plain(3, "")])
        for arguments, options, code in ((["casual"], {"strict": True}, 4), (["no such"], {}, 3)):
            with self.assertRaises(CommandError) as caught:
                self.check(*arguments, **options)
            self.assertEqual(caught.exception.returncode, code)


class SplittingTest(BaseTestCase):
    def test_copies_and_variants_stay_on_one_side_and_what_a_model_made_is_learned_from(self) -> None:
        photos = [drawn(number) for number in range(8)]
        draft = draft_of(self.alice, [*photos, photos[0], plain(9, "red boots", depth=1)])
        chosen = splitting.propose(draft, 0.3, seed=1)
        self.assertEqual(chosen, splitting.propose(draft, 0.3, seed=1))
        step = splitting.apply(draft, self.alice, chosen)
        assert step
        held = {photo.blob_id for photo in draft.photos.filter(held_out=True)}
        learned = {photo.blob_id for photo in draft.photos.filter(held_out=False)}
        self.assertTrue(held)
        self.assertEqual(held & learned, set())
        self.assertFalse(draft.photos.filter(held_out=True, depth__gt=0).exists())
        undo(draft)
        self.assertFalse(draft.photos.filter(held_out=True).exists())

    def test_a_fraction_that_is_none_and_a_split_that_leaves_nothing_are_refused(self) -> None:
        draft = draft_of(self.alice, 3)
        with self.assertRaises(DraftProblem):
            splitting.propose(draft, 0.9, seed=1)
        with self.assertRaises(DraftProblem):
            splitting.apply(draft, self.alice, {photo.pk for photo in draft.photos.all()})

    def test_a_variant_of_a_held_out_photo_is_neither_learned_from_nor_measured_on(self) -> None:
        draft = draft_of(self.alice, 6)
        first, second = draft.photos.all()[:2]
        Photo.objects.filter(pk=first.pk).update(held_out=True)
        Photo.objects.filter(pk=second.pk).update(parent=first.blob, origin=Photo.Origin.AUGMENTED)
        photos = list(draft.photos.all())
        unseen = held_out(photos, 0.1, 1)
        self.assertEqual(unseen, {first.blob_id})
        self.assertEqual(kin_of(photos, unseen), {second.blob_id})
