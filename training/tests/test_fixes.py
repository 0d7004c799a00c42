"""What is done about findings: one step of the draft each, with rows that tell what was done, and back again."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageFilter

from shoesai import files
from shoesai.photo_mending import CannotMend
from shoesai.starter import draw
from shoesai.starter.draw import Shoe
from shoesai.testing import BaseTestCase
from training.datasets import doctor, drafts, fixes
from training.datasets.drafts import DraftProblem, Source
from training.datasets.fixes import FIXES, Applied
from training.datasets.freezing import freeze
from training.models import AcceptedFinding, DatasetVersion, Finding, Photo
from training.tests.datasets_for_tests import draft_of, source_of

SIDE = 160


def quiet(done: int, total: int) -> None:
    pass


def shoe(number: int = 0) -> Image.Image:
    kinds = ("sneakers", "oxfords", "loafers", "ankle boots")
    return draw.draw_catalogue(Shoe(kinds[number % 4], "red", "leather", "black", "white"), number, SIDE)


def on_grey(number: int = 0) -> Image.Image:
    picture = shoe(number)
    return Image.fromarray((np.asarray(picture) * (0.8, 0.8, 0.8)).astype(np.uint8))


def on_stripes() -> Image.Image:
    values = np.asarray(shoe()).copy()
    values[::8, :20] = values[::8, -20:] = values[:20, ::8] = values[-20:, ::8] = 60
    return Image.fromarray(values)


def small() -> Image.Image:
    paper = Image.new("RGB", (SIDE, SIDE), "white")
    paper.paste(shoe().resize((SIDE // 2, SIDE // 2), Image.Resampling.LANCZOS), (SIDE // 4, SIDE // 4))
    return paper


class FixesTestCase(BaseTestCase):
    def checked(self, *sources: Source) -> DatasetVersion:
        draft = draft_of(self.alice, list(sources))
        doctor.check(draft, quiet)
        return draft

    def apply(self, draft: DatasetVersion, kind: str, fix: str) -> Applied:
        return fixes.apply(draft, self.alice, draft.findings.current().filter(kind=kind), fix)


class PicturesTest(FixesTestCase):
    def assert_mended(self, draft: DatasetVersion, kind: str, fix: str) -> Photo:
        """One photo, whose fault the fix takes away, and whose step can be taken back and done again."""
        before = draft.photos.get()
        applied = self.apply(draft, kind, fix)
        after = draft.photos.get()
        assert applied.step
        self.assertEqual((applied.changed, applied.refused, applied.step.verb), (1, [], fix))
        self.assertNotEqual(after.blob_id, before.blob_id)
        self.assertTrue(files.is_whole(after.blob_id))
        self.assertEqual(fixes.opened(after).size, (after.width, after.height))
        self.assertEqual(after.parent_id, before.parent_id or before.blob_id)
        self.assertEqual(after.recipe["mended"][-1], {"fix": fix, "from": before.blob_id})
        self.assertFalse(draft.findings.current().filter(kind=kind).exists())
        drafts.undo(draft)
        back = draft.photos.get()
        self.assertEqual(
            (back.blob_id, back.parent_id, back.recipe, back.width, back.height),
            (before.blob_id, before.parent_id, before.recipe, before.width, before.height),
        )
        self.assertTrue(draft.findings.current().filter(kind=kind).exists())
        drafts.redo(draft)
        self.assertEqual(draft.photos.get().blob_id, after.blob_id)
        doctor.check(draft, quiet)
        self.assertFalse(draft.findings.filter(kind=kind).exists())
        return after

    def test_white_is_put_behind_it(self) -> None:
        self.assert_mended(self.checked(source_of(on_grey(), "a.png", "red shoe")), "background", "white_background")

    def test_it_is_put_into_the_middle_and_made_larger(self) -> None:
        self.assert_mended(self.checked(source_of(small(), "a.png", "red shoe")), "small_in_frame", "reframe")

    def test_it_is_brightened(self) -> None:
        dark = shoe().point(lambda value: value * 0.45)
        self.assert_mended(self.checked(source_of(dark, "a.png", "red shoe")), "underexposed", "level")

    def test_what_is_mended_twice_remembers_its_first_picture_and_both_steps(self) -> None:
        dark_on_grey = on_grey().point(lambda value: value * 0.55)
        draft = self.checked(source_of(dark_on_grey, "a.png", "red shoe"))
        first = draft.photos.get().blob_id
        self.apply(draft, "underexposed", "level")
        second = draft.photos.get().blob_id
        doctor.check(draft, quiet)
        found = doctor.finding(draft.photos.get(), "background", {})
        found.version = draft
        found.save()
        self.apply(draft, "background", "white_background")
        photo = draft.photos.get()
        self.assertEqual(photo.parent_id, first)
        self.assertEqual(
            photo.recipe["mended"], [{"fix": "level", "from": first}, {"fix": "white_background", "from": second}]
        )

    def test_those_that_cannot_be_mended_stay_and_are_told_and_the_others_are_one_step(self) -> None:
        draft = self.checked(
            source_of(on_grey(0), "0.png", "red shoe"),
            source_of(on_stripes(), "striped.png", "red shoe"),
            source_of(on_grey(1), "1.png", "red shoe"),
        )
        striped = draft.photos.get(file_name="striped.png")
        told: list[tuple[int, int]] = []
        found = draft.findings.filter(kind="background").order_by("photo__position")
        applied = fixes.apply(
            draft, self.alice, found, "white_background", lambda done, total: told.append((done, total))
        )
        self.assertEqual((applied.changed, draft.edits.count(), told), (2, 1, [(0, 3), (1, 3), (2, 3)]))
        ((photo, reason),) = applied.refused
        self.assertEqual(photo, striped)
        self.assertIn("patterned", reason)
        self.assertEqual(draft.photos.get(file_name="striped.png").blob_id, striped.blob_id)

    def test_nothing_is_a_step_when_everything_is_refused(self) -> None:
        draft = self.checked(source_of(on_stripes(), "striped.png", "red shoe"))
        applied = self.apply(draft, "background", "white_background")
        self.assertEqual((applied.step, applied.changed, len(applied.refused)), (None, 0, 1))
        self.assertFalse(draft.edits.exists())
        with self.assertRaises(CannotMend):
            fixes.mended(draft.photos.get(), "white_background")


class RowsTest(FixesTestCase):
    def names(self, draft: DatasetVersion) -> list[str]:
        return list(draft.photos.present().order_by("position").values_list("file_name", flat=True))

    def test_photos_are_taken_out_and_come_back(self) -> None:
        blurred = source_of(shoe(1).filter(ImageFilter.GaussianBlur(3)), "soft.png", "red shoe")
        draft = self.checked(source_of(shoe(), "good.png", "red shoe"), blurred)
        self.apply(draft, "blurred", "take_out")
        self.assertEqual(self.names(draft), ["good.png"])
        drafts.undo(draft)
        self.assertEqual(self.names(draft), ["good.png", "soft.png"])

    def test_of_copies_the_best_stays(self) -> None:
        copies = [source_of(shoe(), f"{n}.png", "red sneakers" if n == 1 else "") for n in range(3)]
        draft = self.checked(*copies, source_of(shoe(1), "other.png", "red oxfords"))
        applied = self.apply(draft, "duplicate", "keep_best")
        self.assertEqual((applied.changed, self.names(draft)), (2, ["1.png", "other.png"]))
        drafts.undo(draft)
        self.assertEqual(self.names(draft), ["0.png", "1.png", "2.png", "other.png"])

    def test_a_caption_is_cut_where_the_model_stops_reading(self) -> None:
        caption = ", ".join(f"red leather sneaker number {n}" for n in range(40))
        draft = self.checked(source_of(shoe(), "a.png", caption))
        self.apply(draft, "caption_too_long", "cut_caption")
        cut = draft.photos.get().caption
        self.assertTrue(cut and caption.startswith(cut) and cut[-1] not in " ,;.-", cut)
        doctor.check(draft, quiet)
        self.assertFalse(draft.findings.filter(kind="caption_too_long").exists())
        drafts.undo(draft)
        self.assertEqual(draft.photos.get().caption, caption)

    def test_the_colour_that_is_seen_is_named(self) -> None:
        draft = self.checked(source_of(shoe(), "a.png", "Blue sneakers on white"))
        self.apply(draft, "caption_contradicts", "name_colour")
        self.assertEqual(draft.photos.get().caption, "red sneakers on white")
        drafts.undo(draft)
        self.assertEqual(draft.photos.get().caption, "Blue sneakers on white")


class RefusalsTest(FixesTestCase):
    def soft(self) -> DatasetVersion:
        return self.checked(source_of(shoe().filter(ImageFilter.GaussianBlur(3)), "soft.png", "red shoe"))

    def test_every_fix_is_of_some_use_here(self) -> None:
        tested = {"take_out", "keep_best", "white_background", "reframe", "level", "cut_caption", "name_colour"}
        self.assertEqual(set(FIXES), tested)

    def test_a_fix_that_is_none_or_that_no_finding_has(self) -> None:
        draft = self.soft()
        for fix, words in (("paint", "no such fix"), ("white_background", "can be mended like this")):
            with self.assertRaisesMessage(DraftProblem, words):
                self.apply(draft, "blurred", fix)

    def test_findings_of_another_draft(self) -> None:
        draft = self.soft()
        other = draft_of(self.alice, 1, name="other")
        with self.assertRaisesMessage(DraftProblem, "not about this draft"):
            fixes.apply(other, self.alice, draft.findings.all(), "take_out")

    def test_a_frozen_version(self) -> None:
        draft = self.soft()
        found = list(draft.findings.filter(kind="blurred"))
        with self.assertRaisesMessage(DraftProblem, "frozen"):
            fixes.apply(freeze(draft), self.alice, found, "take_out")


class AcceptingTest(FixesTestCase):
    def test_what_is_accepted_waits_no_more_until_that_is_taken_back(self) -> None:
        soft = [source_of(shoe(n).filter(ImageFilter.GaussianBlur(3)), f"{n}.png", "red shoe") for n in range(2)]
        draft = self.checked(*soft)
        found = draft.findings.filter(kind="blurred")
        self.assertEqual(fixes.accept(found.all(), self.alice), 2)
        self.assertEqual(fixes.accept(found.all(), self.bob), 0)
        self.assertEqual({row.user for row in AcceptedFinding.objects.all()}, {self.alice})
        self.assertFalse(draft.findings.waiting().filter(kind="blurred").exists())
        one = found.order_by("photo__position")[:1]
        self.assertEqual(fixes.take_acceptance_back(one.all()), 1)
        self.assertEqual(fixes.take_acceptance_back(one.all()), 0)
        waiting = draft.findings.waiting().filter(kind="blurred")
        self.assertEqual([finding.photo.file_name for finding in waiting if finding.photo], ["0.png"])
        self.assertEqual(AcceptedFinding.objects.count(), 1)
        doctor.check(draft, quiet)
        told = Finding.objects.filter(kind="blurred").order_by("photo__position").values_list("accepted", flat=True)
        self.assertEqual(list(told), [False, True])

    def test_a_mended_picture_is_another_one_of_which_nothing_was_accepted(self) -> None:
        draft = self.checked(source_of(on_grey(), "a.png", "red shoe"))
        fixes.accept(draft.findings.filter(kind="background"), self.alice)
        self.apply(draft, "background", "white_background")
        self.assertFalse(draft.findings.current().exists())
        drafts.undo(draft)
        self.assertTrue(draft.findings.current().get(kind="background").accepted)

    def test_what_is_about_the_whole_can_be_accepted_too(self) -> None:
        draft = draft_of(self.alice, 1)
        whole = Finding.objects.create(version=draft, kind="coverage", detail={})
        self.assertEqual(fixes.accept([whole], self.alice), 1)
        self.assertIsNone(AcceptedFinding.objects.get().blob_id)
        whole.refresh_from_db()
        self.assertEqual(fixes.take_acceptance_back([whole]), 1)
        self.assertFalse(AcceptedFinding.objects.exists())
