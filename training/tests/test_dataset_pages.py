"""The workshop's pages: who may open and change what, and what each one does."""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Iterator
from typing import Any

from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from shoesai.jobs import tasks
from shoesai.models import Blob, Job
from shoesai.testing import BaseTestCase
from training import dataset_urls
from training.datasets import uploads
from training.datasets.drafts import edit, open_draft
from training.datasets.freezing import freeze
from training.models import Dataset, DatasetImport, DatasetVersion, Photo
from training.tests.datasets_for_tests import draft_of, frozen_of, plain
from training.tests.pictures_for_tests import encoded
from training.tests.runs import queued_run

LIST = {"datasets", "dataset-new"}
OWNERS = {"dataset-delete"}  # for nobody but its owner; the settings can be read by its team


def addresses(draft: DatasetVersion, extra: dict[str, dict[str, Any]] | None = None) -> Iterator[tuple[str, str]]:
    """Every page of one dataset; a new address that wants arguments unknown here fails."""
    dataset, photo = draft.dataset, draft.photos.all()[0]
    upload = uploads.begin(dataset.owner, dataset)
    known: dict[str, dict[str, Any]] = {
        "dataset-photo": {"pk": photo.pk},
        "dataset-original": {"pk": photo.pk},
        "dataset-caption": {"pk": photo.pk},
        "dataset-upload-file": {"pk": upload.pk},
        "dataset-upload-start": {"pk": upload.pk},
        "dataset-report": {"pk": upload.pk},
        "dataset-augment-picture": {"job_id": upload.pk, "name": "x.png"},
        "dataset-export": {"number": draft.number, "form": "kohya"},
        "dataset-group": {"kind": "duplicate", "group": 1},
        **(extra or {}),
    }
    for pattern in dataset_urls.urlpatterns:
        name = str(pattern.name)  # type: ignore[union-attr]
        if name not in LIST:
            yield name, reverse(name, kwargs={"dataset_id": dataset.pk, **known.get(name, {})})


class PermissionTest(BaseTestCase):
    def setUp(self) -> None:
        self.draft = draft_of(self.alice)

    def statuses(self, user: Any, method: str) -> dict[str, int]:
        client = Client()
        if user:
            client.force_login(user)
        return {name: getattr(client, method)(address).status_code for name, address in addresses(self.draft)}

    def test_a_stranger_gets_a_404_everywhere_and_a_visitor_the_door(self) -> None:
        for method in ("get", "post", "put", "delete"):
            for name, status in self.statuses(self.charlie, method).items():
                self.assertIn(status, (404, 405), (method, name))
            for name, status in self.statuses(None, method).items():
                self.assertIn(status, (302, 405), (method, name))

    def test_a_team_mate_sees_nothing_until_it_is_shared_and_then_works_on_it(self) -> None:
        self.assertEqual(set(self.statuses(self.bob, "get").values()) - {404, 405}, set())
        Dataset.objects.update(team=self.team)
        pages = self.statuses(self.bob, "get")
        self.assertEqual({name for name, status in pages.items() if status == 200} & OWNERS, set())
        self.assertEqual([pages[name] for name in ("dataset", "dataset-captions", "dataset-versions")], [200] * 3)
        posted = self.statuses(self.bob, "post")
        self.assertEqual({posted[name] for name in OWNERS | {"dataset-settings"}}, {404})
        self.assertTrue(Dataset.objects.exists())

    def test_staff_are_nobody_special_here(self) -> None:
        self.charlie.is_staff = self.charlie.is_superuser = True
        self.charlie.save()
        self.assertEqual(set(self.statuses(self.charlie, "get").values()) - {404, 405}, set())

    def test_pictures_of_a_dataset_are_seen_by_whoever_sees_it(self) -> None:
        photo = self.draft.photos.all()[0]
        for user, status in ((self.alice, 200), (self.bob, 404), (self.charlie, 404)):
            self.client.force_login(user)
            for name in ("photo", "photo-thumbnail"):
                self.assertEqual(self.client.get(reverse(name, args=[photo.pk])).status_code, status)


class PagesTestCase(BaseTestCase):
    def setUp(self) -> None:
        self.client.force_login(self.alice)

    def at(self, name: str, version: DatasetVersion, **more: Any) -> str:
        return reverse(name, kwargs={"dataset_id": version.dataset_id, **more})

    def post(self, name: str, version: DatasetVersion, data: dict[str, Any] | None = None, **more: Any) -> Any:
        return self.client.post(self.at(name, version, **more), data or {}, follow=True)


class GridTest(PagesTestCase):
    def test_the_list_shows_own_and_shared_datasets_with_a_constant_number_of_queries(self) -> None:
        draft_of(self.alice, name="mine")
        draft_of(self.bob, name="ours", team=self.team)
        draft_of(self.charlie, name="theirs")
        with CaptureQueriesContext(connection) as few:
            page = self.client.get(reverse("datasets"))
        self.assertContains(page, "mine")
        self.assertContains(page, "ours")
        self.assertNotContains(page, "theirs")
        for number in range(4):
            draft_of(self.alice, name=f"more {number}")
        with CaptureQueriesContext(connection) as many:
            self.client.get(reverse("datasets"))
        self.assertEqual(len(few), len(many))

    def test_an_empty_list_says_how_to_begin(self) -> None:
        self.assertContains(self.client.get(reverse("datasets")), "No datasets yet")

    def test_the_grid_narrows_and_costs_the_same_for_many_photos(self) -> None:
        draft = draft_of(self.alice, [plain(0, "red boots"), plain(1, ""), plain(2, "blue boots", depth=1)])
        with CaptureQueriesContext(connection) as few:
            page = self.client.get(self.at("dataset", draft))
        self.assertEqual(page.content.count(b'class="photo"'), 3)
        for query, number in (("show=bare", 1), ("q=boots+red", 1), ("show=generated", 1), ("show=removed", 0)):
            found = self.client.get(f"{self.at('dataset', draft)}?{query}")
            self.assertEqual(found.content.count(b'class="photo"'), number, query)
        more = draft_of(self.alice, 30, name="more")
        with CaptureQueriesContext(connection) as many:
            self.client.get(self.at("dataset", more))
        self.assertLessEqual(len(many), len(few))

    def test_photos_are_taken_out_put_back_and_held_out_and_it_can_be_undone(self) -> None:
        draft = draft_of(self.alice)
        first = draft.photos.all()[0]
        self.post("dataset-bulk", draft, {"photos": [first.pk], "action": "remove"})
        self.assertTrue(Photo.objects.get(pk=first.pk).removed)
        self.post("dataset-undo", draft)
        self.assertFalse(Photo.objects.get(pk=first.pk).removed)
        self.post("dataset-redo", draft)
        self.post("dataset-bulk", draft, {"photos": [first.pk], "action": "restore"})
        self.post("dataset-bulk", draft, {"all": "1", "query": "q=100001", "action": "hold-out"})
        self.assertEqual([photo.held_out for photo in draft.photos.all()], [True, False, False])
        self.assertContains(self.client.get(self.at("dataset-history", draft)), "Put back")

    def test_generated_pictures_are_never_held_out(self) -> None:
        draft = draft_of(self.alice, [plain(0), plain(1, depth=1)])
        self.post("dataset-bulk", draft, {"all": "1", "query": "", "action": "hold-out"})
        self.assertEqual([photo.held_out for photo in draft.photos.all()], [True, False])

    def test_a_frozen_version_is_changed_in_a_draft_only(self) -> None:
        version = frozen_of(self.alice)
        refused = self.post("dataset-bulk", version, {"photos": [version.photos.all()[0].pk], "action": "remove"})
        self.assertContains(refused, "There is no draft to change")
        self.post("dataset-edit", version)
        self.assertEqual([draft.number for draft in version.dataset.versions.drafts()], [2])

    def test_a_photos_page_tells_everything_about_it(self) -> None:
        draft = draft_of(self.alice, [plain(0, "red boots", extra={"sku": "AB-12"}), plain(1)])
        page = self.client.get(self.at("dataset-photo", draft, pk=draft.photos.all()[0].pk))
        for words in ("red boots", "AB-12", "40 × 32", 'rel="next"'):
            self.assertContains(page, words)
        self.assertEqual(
            self.client.get(self.at("dataset-original", draft, pk=draft.photos.all()[0].pk)).status_code, 404
        )


class FreezingTest(PagesTestCase):
    def test_what_is_in_the_way_is_told_and_then_it_is_frozen(self) -> None:
        draft = draft_of(self.alice, [plain(0), plain(1, "")])
        page = self.client.post(self.at("dataset-freeze", draft), {"licence_note": "ours"})
        self.assertContains(page, "1 photo has no caption", status_code=422)
        edit(draft, self.alice, "captions", {draft.photos.all()[1].pk: {"caption": "blue boots"}})
        page = self.post("dataset-freeze", draft, {"licence_note": "ours"})
        self.assertContains(page, "is frozen and can be trained on")
        version = DatasetVersion.objects.get()
        self.assertEqual((version.is_draft, version.licence_note), (False, "ours"))
        self.assertContains(page, reverse("training-new") + f"?version={version.pk}")

    def test_a_draft_can_be_discarded(self) -> None:
        version = frozen_of(self.alice)
        open_draft(version.dataset)
        self.post("dataset-discard", version)
        self.assertEqual(version.dataset.versions.get(), version)

    def test_two_versions_are_compared_photo_by_photo(self) -> None:
        version = frozen_of(self.alice)
        draft = open_draft(version.dataset)
        photos = list(draft.photos.all())
        edit(draft, self.alice, "captions", {photos[0].pk: {"caption": "another word"}})
        edit(draft, self.alice, "remove", {photos[1].pk: {"removed": True}})
        freeze(draft)
        page = self.client.get(self.at("dataset-compare", version))
        for words in ("another word", "Taken out", "1 photo is the same"):
            self.assertContains(page, words)
        self.assertEqual(self.client.get(f"{self.at('dataset-compare', version)}?before=9").status_code, 404)

    def test_a_version_goes_out_as_a_zip(self) -> None:
        version = frozen_of(self.alice)
        answer = self.client.get(self.at("dataset-export", version, number=1, form="captions-json"))
        with zipfile.ZipFile(io.BytesIO(answer.getvalue())) as archive:
            self.assertIn("images/100001.png", archive.namelist())
        self.assertIn("casual-v1-captions-json.zip", answer["Content-Disposition"])
        self.assertEqual(self.client.get(self.at("dataset-export", version, number=1, form="x")).status_code, 404)


class SettingsTest(PagesTestCase):
    def test_its_owner_renames_and_shares_it(self) -> None:
        draft = draft_of(self.alice)
        fields = {
            "name": "spring",
            "description": "",
            "trigger_words": "acmeshoe",
            "team": self.team.pk,
            "synthetic_percent": "30",
        }
        self.post("dataset-settings", draft, fields)
        dataset = Dataset.objects.get()
        self.assertEqual((dataset.name, dataset.team, dataset.synthetic_cap), ("spring", self.team, 0.3))
        draft_of(self.alice, name="taken")
        page = self.client.post(
            self.at("dataset-settings", draft), fields | {"name": "taken", "synthetic_percent": "101"}
        )
        self.assertContains(page, "choose another name", status_code=422)
        self.assertEqual(Dataset.objects.get(pk=dataset.pk).name, "spring")

    def test_it_is_deleted_with_its_files_when_its_name_is_typed(self) -> None:
        draft = draft_of(self.alice)
        self.assertContains(self.post("dataset-delete", draft, {"name": "x"}), "type the dataset")
        self.post("dataset-delete", draft, {"name": "casual"})
        self.assertFalse(Dataset.objects.exists())

    def test_what_a_run_learned_from_stays(self) -> None:
        run = queued_run(self.alice)
        assert run.dataset_version
        page = self.post("dataset-delete", run.dataset_version, {"name": run.dataset_version.dataset.name})
        self.assertContains(page, "Runs have learned from this dataset")


class UploadTest(PagesTestCase):
    def file(self, name: str, data: bytes) -> SimpleUploadedFile:
        return SimpleUploadedFile(name, data)

    def zipped(self, files: dict[str, bytes]) -> bytes:
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as archive:
            for name, data in files.items():
                archive.writestr(name, data)
        return out.getvalue()

    def test_a_form_with_files_makes_a_dataset_whose_draft_the_worker_fills(self) -> None:
        files = [self.file("a.png", encoded()), self.file("b.jpg", encoded(kind="JPEG")), self.file("c.png", b"broken")]
        self.client.post(reverse("dataset-new"), {"name": "summer", "files": files})
        tasks.run_next("cpu")
        dataset = Dataset.objects.get()
        draft = dataset.versions.get()
        self.assertEqual([photo.file_name for photo in draft.photos.all()], ["a.png", "b.jpg"])
        page = self.client.get(reverse("dataset", args=[dataset.pk]))
        self.assertContains(page, "1 file could not be used")
        self.assertContains(page, "c.png")
        self.post("dataset-report", draft, pk=dataset.imports.get().pk)
        self.assertFalse(DatasetImport.objects.exists())

    def test_the_module_sends_file_by_file_and_starts(self) -> None:
        begun = self.client.post(
            reverse("dataset-new"), {"name": "summer"}, headers={"Accept": "application/json"}
        ).json()
        archive = self.zipped({"shoes/images/a.png": encoded(), "shoes/captions.json": b'{"a.png": "red boots"}'})
        sent = self.client.post(begun["files"], {"name": "shoes.zip", "file": self.file("shoes.zip", archive)})
        self.assertEqual(sent.status_code, 204)
        self.assertEqual(self.client.post(begun["start"]).status_code, 204)
        tasks.run_next("cpu")
        self.assertEqual(Photo.objects.get().caption, "red boots")
        self.assertEqual(self.client.post(begun["files"], {"file": self.file("b.png", encoded())}).status_code, 422)

    def test_nothing_chosen_and_a_name_that_is_taken_are_refused_with_words(self) -> None:
        draft_of(self.alice, name="summer")
        refused = self.client.post(reverse("dataset-new"), {"name": "summer"}, headers={"Accept": "application/json"})
        self.assertEqual((refused.status_code, refused.json()["field"]), (422, "name"))
        page = self.client.post(reverse("dataset-new"), {"name": "winter"})
        self.assertContains(page, "choose some photos or a ZIP", status_code=422)

    def test_a_trap_is_reported_and_nothing_comes_in(self) -> None:
        trap = self.zipped({"../../outside.png": encoded(), "a.png": encoded()})
        self.client.post(reverse("dataset-new"), {"name": "summer", "files": [self.file("trap.zip", trap)]})
        tasks.run_next("cpu")
        self.assertEqual([photo.file_name for photo in Photo.objects.all()], ["a.png"])
        problems = DatasetImport.objects.get().report["problems"]
        self.assertIn("leads out of the archive", json.dumps(problems))

    def test_what_nobody_starts_is_tidied_away(self) -> None:
        draft = draft_of(self.alice)
        upload = uploads.begin(self.alice, draft.dataset)
        DatasetImport.objects.update(created_at="2020-01-01T00:00:00Z")
        uploads.tidy()
        self.assertFalse(DatasetImport.objects.exists())
        self.assertFalse(uploads.folder_of(upload).exists())

    def waiting(self, draft: DatasetVersion) -> tuple[DatasetImport, Job]:
        upload = uploads.begin(self.alice, draft.dataset)
        uploads.add_file(upload, "a.jpg", [encoded(kind="JPEG")])
        return upload, uploads.start(upload)

    def test_a_cancelled_import_leaves_neither_files_nor_rows(self) -> None:
        draft = draft_of(self.alice, 1)
        kept = set(Blob.objects.values_list("pk", flat=True))
        upload, job = self.waiting(draft)
        Job.objects.filter(pk=job.pk).update(cancel_requested=True)
        tasks.run_next("cpu")
        job.refresh_from_db()
        self.assertEqual((job.state, draft.photos.count()), (Job.State.CANCELLED, 1))
        self.assertFalse(uploads.folder_of(upload).exists())
        self.assertEqual(set(Blob.objects.values_list("pk", flat=True)), kept)

    def test_files_are_kept_while_somebody_may_go_on_and_tidied_away_when_the_job_has_ended(self) -> None:
        upload, job = self.waiting(draft_of(self.alice, 1))
        os.utime(uploads.folder_of(upload), (0, 0))
        uploads.tidy()
        self.assertTrue(uploads.folder_of(upload).exists())
        Job.objects.filter(pk=job.pk).update(state=Job.State.FAILED)
        uploads.tidy()
        self.assertFalse(uploads.folder_of(upload).exists())

    def test_a_second_worker_finds_the_report_and_adds_nothing_twice(self) -> None:
        draft = draft_of(self.alice, 1)
        upload = uploads.begin(self.alice, draft.dataset)
        uploads.add_file(upload, "a.png", [encoded()])
        job = uploads.start(upload)
        tasks.run_next("cpu")
        Job.objects.filter(pk=job.pk).update(state=Job.State.QUEUED)
        tasks.run_next("cpu")
        self.assertEqual((draft.photos.count(), Job.objects.get(pk=job.pk).state), (2, Job.State.SUCCEEDED))
