"""The Checks and the Split page: what was found is looked at, mended or accepted; and what is held out."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from PIL import Image

from shoesai.jobs import tasks
from shoesai.models import Job
from training.datasets import fixes
from training.datasets.doctor import check
from training.datasets.drafts import Source, edit
from training.datasets.freezing import freeze
from training.models import Dataset, DatasetVersion, Finding, Photo
from training.tests.datasets_for_tests import draft_of, drawn, frozen_of, plain, source_of
from training.tests.photos_for_doctor import FAULTS
from training.tests.photos_for_doctor import drawn as drawn_photo
from training.tests.test_dataset_pages import PagesTestCase
from training.tests.test_doctor_measured import rng_of


def with_fault(kind: str, name: str = "faulty.png") -> Source:
    picture, caption, _colour = drawn_photo(rng_of(1))
    return source_of(FAULTS[kind](picture, rng_of(2)), name, caption)


def checked(version: DatasetVersion) -> DatasetVersion:
    check(version, lambda done, total: None)
    version.refresh_from_db()
    return version


class ChecksPageTest(PagesTestCase):
    def checks(self, version: DatasetVersion, **query: Any) -> Any:
        return self.client.get(self.at("dataset-checks", version), query)

    def finding(self, version: DatasetVersion, kind: str) -> Finding:
        return version.findings.waiting().filter(kind=kind)[0]

    def act(self, version: DatasetVersion, action: str, kind: str, **more: Any) -> Any:
        if "all" not in more:
            more.setdefault("findings", [finding.pk for finding in version.findings.current().filter(kind=kind)])
        return self.post("dataset-findings", version, {"action": action, "kind": kind, **more})

    def test_a_draft_is_checked_by_a_job_and_the_page_shows_each_kind(self) -> None:
        draft = draft_of(self.alice, [drawn(1), drawn(1), plain(3, "")])
        self.assertContains(self.checks(draft), "Not checked yet")
        self.assertContains(self.post("dataset-check", draft), "Looking at the photos")
        tasks.run_next("cpu")
        self.assertEqual(Job.objects.get().state, Job.State.SUCCEEDED)
        page = self.checks(draft)
        for words in ("Duplicates", "No caption", "Look at them and mend"):
            self.assertContains(page, words)
        self.assertContains(self.checks(draft, kind="caption_missing"), "Write the missing captions")
        self.assertEqual(self.checks(draft, kind="no such").status_code, 404)

    def test_pressing_twice_asks_once_and_a_full_queue_is_told(self) -> None:
        draft = draft_of(self.alice)
        for _ in range(2):
            self.post("dataset-check", draft)
        self.assertEqual(Job.objects.count(), 1)
        other = draft_of(self.alice, name="other")
        with override_settings(JOB_MAX_QUEUED_PER_USER=1):
            self.assertContains(self.post("dataset-check", other), "queue")
        self.assertEqual(Job.objects.count(), 1)

    def test_photos_that_came_later_are_said(self) -> None:
        draft = checked(draft_of(self.alice, [drawn(1)]))
        self.assertNotContains(self.checks(draft), "since then")
        edit(draft, self.alice, "mend", {draft.photos.all()[0].pk: {"blob_id": drawn(5).blob_id}})
        self.assertContains(self.checks(draft), "1 photo has come since then")

    def test_of_copies_the_best_is_kept_or_another_one_or_all(self) -> None:
        draft = checked(draft_of(self.alice, [drawn(1), drawn(1), drawn(2), drawn(2), drawn(3), drawn(3)]))
        page = self.checks(draft, kind="duplicate")
        self.assertContains(page, "finding-group", 3)
        groups = [list(draft.findings.filter(group=number).order_by("photo__position")) for number in (1, 2, 3)]
        self.assertEqual([finding.is_best for finding in groups[0]], [True, False])
        other = groups[1][1].photo
        assert other
        self.post("dataset-group", draft, {"action": "keep", "keep": other.pk}, kind="duplicate", group=2)
        self.assertEqual(set(draft.photos.filter(removed=True)), {groups[1][0].photo})
        self.post("dataset-group", draft, {"action": "accept"}, kind="duplicate", group=3)
        self.act(draft, "keep_best", "duplicate", all=1)
        self.assertEqual(set(draft.photos.filter(removed=True)), {groups[1][0].photo, groups[0][1].photo})
        self.assertContains(self.checks(draft, kind="duplicate", accepted=1), "finding-group", 1)
        self.post("dataset-undo", draft)
        self.assertEqual(draft.photos.filter(removed=True).count(), 1)

    def test_a_photo_of_another_group_is_not_kept(self) -> None:
        draft = checked(draft_of(self.alice, [drawn(1), drawn(1), drawn(2)]))
        for keep in (draft.photos.all()[2].pk, "", "x"):
            answer = self.post("dataset-group", draft, {"action": "keep", "keep": keep}, kind="duplicate", group=1)
            self.assertEqual(answer.status_code, 404)
        self.assertFalse(draft.photos.filter(removed=True).exists())

    def test_a_grey_background_is_shown_before_and_after_and_then_white(self) -> None:
        draft = checked(draft_of(self.alice, [with_fault("background")]))
        before = draft.photos.get()
        preview = self.act(draft, "white_background", "background")
        self.assertContains(preview, "data:image/webp;base64,", 2)
        self.assertContains(preview, "Mend 1 photo")
        self.assertEqual(draft.photos.get().blob_id, before.blob_id)
        done = self.act(draft, "white_background", "background", apply=1)
        self.assertContains(done, "1 photo changed.")
        self.assertContains(self.client.get(self.at("dataset-history", draft)), "Put white behind it")
        after = draft.photos.get()
        self.assertNotEqual(after.blob_id, before.blob_id)
        self.assertEqual((after.parent_id, after.recipe["mended"][0]["from"]), (before.blob_id, before.blob_id))
        self.assertFalse(checked(draft).findings.waiting().filter(kind="background").exists())
        self.assertContains(self.client.get(self.at("dataset-photo", draft, pk=after.pk)), "Put white behind it")
        self.post("dataset-undo", draft)
        self.assertEqual(draft.photos.get().blob_id, before.blob_id)

    def test_what_cannot_be_mended_says_why_and_stays(self) -> None:
        striped = Image.new("RGB", (160, 160), "white")
        for x in range(0, 160, 8):
            striped.paste((40, 90, 160), (x, 0, x + 4, 160))
        draft = checked(draft_of(self.alice, [source_of(striped, "striped.png", "blue boots")]))
        preview = self.act(draft, "white_background", "background")
        self.assertContains(preview, "patterned")
        done = self.act(draft, "white_background", "background", apply=1)
        self.assertContains(done, "striped.png: The background is patterned")
        self.assertEqual(draft.edits.count(), 0)

    def test_many_are_mended_by_a_job(self) -> None:
        draft = checked(draft_of(self.alice, [with_fault("background", f"{n}.png") for n in range(2)]))
        with patch.object(fixes, "MOST_AT_ONCE", 1):
            self.act(draft, "white_background", "background", all=1, apply=1)
        self.assertEqual(Job.objects.get().kind, "mend_photos")
        self.assertContains(self.checks(draft), "Mending photos")
        tasks.run_next("cpu")
        self.assertEqual(draft.edits.get().verb, "white_background")
        self.assertNotContains(self.checks(draft), "Mending photos")

    def test_what_was_accepted_stays_accepted_in_the_next_version_and_can_be_taken_back(self) -> None:
        draft = checked(draft_of(self.alice, [with_fault("blurred"), drawn(2)]))
        self.assertContains(self.act(draft, "accept", "blurred"), "1 finding accepted.")
        self.assertEqual(draft.findings.waiting().filter(kind="blurred").count(), 0)
        version = freeze(draft)
        self.post("dataset-check", version, {"edit": "1"})
        tasks.run_next("cpu")
        following = version.dataset.draft()
        assert following
        self.assertEqual(following.findings.filter(kind="blurred", accepted=True).count(), 1)
        self.assertContains(self.checks(following, kind="blurred", accepted=1), "Take the acceptance back")
        self.act(following, "take_back", "blurred")
        self.assertEqual(following.findings.waiting().filter(kind="blurred").count(), 1)

    def test_findings_of_a_frozen_version_are_shown_and_not_mended(self) -> None:
        version = checked(frozen_of(self.alice, [with_fault("blurred")]))
        page = self.checks(version, kind="blurred")
        self.assertNotContains(page, "Take out")
        self.assertContains(page, "Edit and check")
        self.assertContains(self.act(version, "take_out", "blurred"), "There is no draft to change")
        self.assertEqual(version.photos.present().count(), 1)

    def test_findings_of_another_dataset_and_nonsense_change_nothing(self) -> None:
        draft = checked(draft_of(self.alice, [with_fault("blurred")]))
        theirs = checked(draft_of(self.charlie, [with_fault("blurred")], name="theirs"))
        foreign = self.finding(theirs, "blurred").pk
        answer = self.act(draft, "take_out", "blurred", findings=[foreign, "x", "9" * 5000, "-1"])
        self.assertContains(answer, "Nothing was changed")
        self.assertEqual(self.act(draft, "no_such_fix", "blurred").status_code, 404)
        self.assertFalse(Photo.objects.filter(removed=True).exists())
        self.assertFalse(Finding.objects.filter(accepted=True).exists())

    def test_coverage_is_a_table_whose_cells_lead_to_their_photos(self) -> None:
        captions = ["red leather boots, side view", "red suede boots", "blue sandals", "something"]
        draft = draft_of(self.alice, [plain(number, caption) for number, caption in enumerate(captions)])
        page = self.checks(draft, kind="coverage")
        self.assertContains(page, '<th scope="row">boots</th>')
        self.assertContains(page, "1 caption names no type or no colour.")
        found = self.client.get(self.at("dataset", draft), {"type": "boots", "colour": "red"})
        self.assertEqual(found.content.count(b'class="photo"'), 2)

    def test_a_mark_in_the_grid_names_the_fault_and_a_photos_page_mends_it(self) -> None:
        draft = checked(draft_of(self.alice, [with_fault("blurred")]))
        self.assertContains(self.client.get(self.at("dataset", draft)), "Blurred")
        page = self.client.get(self.at("dataset-photo", draft, pk=draft.photos.get().pk))
        self.assertContains(page, "pixels wide")
        self.assertContains(page, 'value="take_out"')

    def test_the_checks_cost_the_same_for_many_photos(self) -> None:
        draft = checked(draft_of(self.alice, [plain(0, ""), plain(1, "")]))
        more = checked(draft_of(self.alice, [plain(number, "") for number in range(40)], name="more"))
        for query in ({}, {"kind": "caption_missing"}):
            with CaptureQueriesContext(connection) as few:
                self.checks(draft, **query)
            with CaptureQueriesContext(connection) as many:
                self.checks(more, **query)
            self.assertLessEqual(len(many), len(few) + 3, query)  # three more kinds have a card of their own

    def test_when_the_best_of_three_is_gone_another_one_is_kept(self) -> None:
        draft = checked(draft_of(self.alice, [drawn(1), drawn(1), drawn(1)]))
        first, second, third = draft.photos.all()
        edit(draft, self.alice, "remove", {first.pk: {"removed": True}})
        self.act(draft, "keep_best", "duplicate", all=1)
        self.assertEqual(list(draft.photos.present()), [second])
        self.assertEqual(draft.findings.waiting().filter(kind="duplicate").count(), 0)
        self.assertEqual(set(draft.photos.filter(removed=True)), {first, third})


class SplitPageTest(PagesTestCase):
    def split(self, version: DatasetVersion, **query: Any) -> Any:
        return self.client.get(self.at("dataset-split", version), query)

    def test_a_split_is_proposed_looked_at_and_made(self) -> None:
        draft = draft_of(self.alice, [plain(number, ("red boots", "blue sandals")[number % 2]) for number in range(20)])
        page = self.split(draft, percent=20, seed=1)
        self.assertContains(page, "Proposed")
        self.assertContains(page, "<b>4</b>")
        self.assertFalse(draft.photos.filter(held_out=True).exists())
        done = self.post("dataset-split", draft, {"percent": 20, "seed": 1})
        self.assertContains(done, "4 photos are held out.")
        held = draft.photos.filter(held_out=True)
        self.assertEqual(sorted(held.values_list("said_colour", flat=True)), ["blue", "blue", "red", "red"])
        self.post("dataset-undo", draft)
        self.assertFalse(held.exists())

    def test_a_part_that_is_none_says_what_is_allowed_and_few_photos_are_all_learned_from(self) -> None:
        draft = draft_of(self.alice, 3)
        self.assertContains(self.split(draft, percent=80, seed=1), "less than or equal to 50")
        answer = self.post("dataset-split", draft, {"percent": "x", "seed": 1})
        self.assertEqual(answer.status_code, 422)
        self.assertContains(self.split(draft, percent=10, seed=1), "none can be spared")

    def test_where_many_photos_were_never_looked_at_the_checks_are_offered(self) -> None:
        draft = draft_of(self.alice, 70)
        self.assertContains(self.split(draft, percent=10, seed=1), "To the checks")

    def test_a_frozen_version_is_shown_and_not_split(self) -> None:
        version = frozen_of(self.alice, 8)
        self.assertContains(self.split(version, percent=20, seed=1), "Press “Edit”")
        self.assertContains(self.post("dataset-split", version, {"percent": 20, "seed": 1}), "There is no draft")
        self.assertFalse(version.photos.filter(held_out=True).exists())


class FacetsTest(PagesTestCase):
    def test_the_grid_is_narrowed_by_what_captions_name_and_counts_lead_to_something(self) -> None:
        captions = ["red leather boots, side view", "red sandals", "blue sandals", ""]
        draft = draft_of(self.alice, [plain(number, caption) for number, caption in enumerate(captions)])
        page = self.client.get(self.at("dataset", draft), {"colour": "red"})
        self.assertContains(page, "boots (1)")
        self.assertContains(page, "sandals (1)")
        self.assertContains(page, "blue (1)")
        self.assertEqual(page.content.count(b'class="photo"'), 2)

    def test_a_changed_caption_is_counted_as_what_it_says_now_and_undoing_counts_back(self) -> None:
        draft = draft_of(self.alice, [plain(0, "red boots")])
        photo = draft.photos.get()
        edit(draft, self.alice, "captions", {photo.pk: {"caption": "sandália azul, vista lateral"}})
        photo.refresh_from_db()
        self.assertEqual((photo.said_type, photo.said_colour, photo.said_view), ("sandals", "blue", "side"))
        self.post("dataset-undo", draft)
        photo.refresh_from_db()
        self.assertEqual((photo.said_type, photo.said_colour, photo.said_view), ("boots", "red", ""))

    def test_a_check_reads_captions_again_for_a_vocabulary_that_has_grown(self) -> None:
        draft = draft_of(self.alice, [plain(0, "red boots")])
        draft.photos.update(said_type="", said_colour="pink")
        checked(draft)
        self.assertEqual(draft.photos.values_list("said_type", "said_colour").get(), ("boots", "red"))


class NobodysTest(PagesTestCase):
    def test_a_dataset_without_photos_says_what_to_do_first(self) -> None:
        dataset = Dataset.objects.create(owner=self.alice, name="empty")
        for name in ("dataset-checks", "dataset-split"):
            self.assertContains(self.client.get(reverse(name, args=[dataset.pk])), "Bring photos first")
