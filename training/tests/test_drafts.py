"""The draft: begun as a copy, edited, undone, frozen, compared."""

from __future__ import annotations

from shoesai.models import Blob
from shoesai.testing import BaseTestCase
from training.datasets.comparing import compare_versions
from training.datasets.drafts import DraftProblem, add_photos, discard, edit, free_name, open_draft, redo, undo
from training.datasets.freezing import FreezeProblem, freeze, synthetic_share
from training.models import Dataset, DatasetVersion, Photo
from training.tests.datasets_for_tests import draft_of, frozen_of, plain


def captions_of(version: DatasetVersion) -> list[str]:
    return list(version.photos.present().order_by("position").values_list("caption", flat=True))


class OpeningTest(BaseTestCase):
    def test_editing_a_frozen_version_begins_a_draft_that_is_its_copy(self) -> None:
        version = frozen_of(self.alice)
        draft = open_draft(version.dataset)
        self.assertEqual((draft.number, draft.is_draft, draft.photo_count), (2, True, 3))
        self.assertEqual(captions_of(draft), captions_of(version))
        self.assertFalse(set(draft.photos.values_list("pk")) & set(version.photos.values_list("pk")))

    def test_there_is_one_draft_however_often_it_is_asked_for(self) -> None:
        version = frozen_of(self.alice)
        self.assertEqual(open_draft(version.dataset), open_draft(version.dataset))
        self.assertEqual(version.dataset.latest(), version)

    def test_photos_with_a_name_that_is_taken_get_a_number(self) -> None:
        draft = draft_of(self.alice, 1)
        add_photos(draft, [plain(0), plain(0)])
        names = list(draft.photos.values_list("file_name", flat=True))
        self.assertEqual(names, ["100001.png", "100001-2.png", "100001-3.png"])

    def test_a_name_without_ending_gets_a_number_too(self) -> None:
        self.assertEqual([free_name("shoe", {"shoe"}), free_name("a.b.png", {"a.b.png"})], ["shoe-2", "a.b-2.png"])

    def test_what_is_discarded_takes_its_bytes_along_and_leaves_those_of_others(self) -> None:
        version = frozen_of(self.alice, 2)
        draft = open_draft(version.dataset)
        add_photos(draft, [plain(99)])
        with self.captureOnCommitCallbacks(execute=True):
            discard(draft)
        self.assertEqual(version.dataset.draft(), None)
        self.assertEqual(Blob.objects.count(), 2)


class EditingTest(BaseTestCase):
    def setUp(self) -> None:
        self.draft = draft_of(self.alice)
        self.first, self.second, self.third = self.draft.photos.order_by("position")

    def rewrite(self, photo: Photo, caption: str) -> None:
        edit(self.draft, self.alice, "captions", {photo.pk: {"caption": caption}})

    def test_every_step_can_be_taken_back_and_done_again(self) -> None:
        self.rewrite(self.first, "red")
        self.rewrite(self.first, "blue")
        undo(self.draft)
        self.assertEqual(captions_of(self.draft)[0], "red")
        undo(self.draft)
        self.assertEqual(captions_of(self.draft)[0], "shoe 0")
        self.assertIsNone(undo(self.draft))
        redo(self.draft)
        redo(self.draft)
        self.assertEqual(captions_of(self.draft)[0], "blue")
        self.assertIsNone(redo(self.draft))

    def test_a_new_step_ends_what_could_be_done_again(self) -> None:
        self.rewrite(self.first, "red")
        undo(self.draft)
        self.rewrite(self.second, "green")
        self.assertIsNone(redo(self.draft))
        self.assertEqual(captions_of(self.draft), ["shoe 0", "green", "shoe 2"])

    def test_what_changes_nothing_is_no_step(self) -> None:
        self.assertIsNone(edit(self.draft, self.alice, "captions", {self.first.pk: {"caption": "shoe 0"}}))
        self.assertFalse(self.draft.edits.exists())

    def test_a_photo_that_is_taken_out_is_counted_out_and_comes_back(self) -> None:
        edit(self.draft, self.alice, "remove", {self.second.pk: {"removed": True}})
        self.draft.refresh_from_db()
        self.assertEqual((self.draft.photo_count, captions_of(self.draft)), (2, ["shoe 0", "shoe 2"]))
        undo(self.draft)
        self.draft.refresh_from_db()
        self.assertEqual(self.draft.photo_count, 3)

    def test_a_frozen_version_and_a_photo_of_another_are_refused(self) -> None:
        other = draft_of(self.alice, 1, name="other")
        with self.assertRaisesMessage(DraftProblem, "not in the draft any more"):
            edit(other, self.alice, "captions", {self.first.pk: {"caption": "x"}})
        with self.assertRaisesMessage(DraftProblem, "frozen and cannot be changed"):
            edit(freeze(self.draft), self.alice, "captions", {self.first.pk: {"caption": "x"}})
        with self.assertRaisesMessage(ValueError, "position"):
            edit(other, self.alice, "x", {other.photos.get().pk: {"position": 7}})


class FreezingTest(BaseTestCase):
    def test_what_was_taken_out_is_gone_and_the_rest_is_hashed(self) -> None:
        draft = draft_of(self.alice)
        edit(draft, self.alice, "remove", {draft.photos.all()[0].pk: {"removed": True}})
        version = freeze(draft)
        self.assertEqual((version.photo_count, version.photos.count(), len(version.content_hash)), (2, 2, 64))
        self.assertFalse(version.is_draft)
        self.assertFalse(version.edits.exists())

    def test_everything_that_is_in_the_way_is_said_at_once(self) -> None:
        photos = [plain(0, caption=""), plain(1, depth=1, origin="generated")]
        draft = draft_of(self.alice, photos)
        draft.photos.update(held_out=True)
        with self.assertRaises(FreezeProblem) as caught:
            freeze(draft)
        self.assertEqual(len(caught.exception.problems), 3)
        self.assertIn("1 photo has no caption", caught.exception.problems[0])

    def test_an_empty_draft_cannot_be_frozen(self) -> None:
        with self.assertRaisesMessage(FreezeProblem, "no photos"):
            freeze(draft_of(self.alice, 0))

    def test_the_share_of_generated_pictures_is_capped(self) -> None:
        draft = draft_of(self.alice, [plain(0), plain(1, depth=1), plain(2, depth=2)])
        self.assertAlmostEqual(synthetic_share(draft), 2 / 3)
        with self.assertRaisesMessage(FreezeProblem, "67 % of this draft is generated; this dataset allows 50 %."):
            freeze(draft)
        Dataset.objects.update(synthetic_cap=0.7)
        draft.refresh_from_db()
        self.assertFalse(freeze(draft).is_draft)

    def test_a_draft_without_changes_is_the_version_that_it_came_from(self) -> None:
        version = frozen_of(self.alice)
        self.assertEqual(freeze(open_draft(version.dataset)), version)
        self.assertEqual(version.dataset.versions.count(), 1)

    def test_another_split_or_licence_is_another_version(self) -> None:
        version = frozen_of(self.alice)
        draft = open_draft(version.dataset)
        edit(draft, self.alice, "split", {draft.photos.all()[0].pk: {"held_out": True}})
        second = freeze(draft)
        third = open_draft(version.dataset)
        third.licence_note = "ours"
        third.save()
        self.assertEqual(len({version.content_hash, second.content_hash, freeze(third).content_hash}), 3)


class ComparingTest(BaseTestCase):
    def test_two_versions_tell_what_came_what_went_and_what_is_called_otherwise(self) -> None:
        before = frozen_of(self.alice, 4)
        draft = open_draft(before.dataset)
        first, second, third, _fourth = draft.photos.order_by("position")
        edit(draft, self.alice, "captions", {first.pk: {"caption": "red"}, second.pk: {"held_out": True}})
        edit(draft, self.alice, "remove", {third.pk: {"removed": True}})
        add_photos(draft, [plain(50), plain(3)])  # the last is a second copy of the fourth
        told = compare_versions(before, draft)
        self.assertEqual([photo.caption for photo in told.added], ["shoe 50", "shoe 3"])
        self.assertEqual([photo.caption for photo in told.removed], ["shoe 2"])
        self.assertEqual([(pair.before.caption, pair.after.caption) for pair in told.recaptioned], [("shoe 0", "red")])
        self.assertEqual([pair.after.pk for pair in told.moved], [second.pk])
        self.assertEqual((told.unchanged, told.is_same), (1, False))

    def test_a_version_is_the_same_as_itself(self) -> None:
        version = frozen_of(self.alice)
        self.assertTrue(compare_versions(version, version).is_same)
