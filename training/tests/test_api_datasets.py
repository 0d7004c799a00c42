"""Datasets for programs, from an empty one to a ZIP of its frozen version."""

from __future__ import annotations

import io
import json
import uuid
import zipfile
from typing import Any
from unittest.mock import patch

from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client, override_settings
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from rest_framework.exceptions import ValidationError

from shoesai.jobs import tasks
from shoesai.models import Job, Team
from shoesai.testing import BaseTestCase
from shoesai.tests.api_client import client_of, fields_of
from training.dataset_photo_api import in_full
from training.datasets import drafts, uploads
from training.datasets.drafts import edit, open_draft
from training.models import Dataset, DatasetImport, DatasetVersion, Finding, Photo
from training.tests.datasets_for_tests import draft_of, drawn, frozen_of, plain
from training.tests.pictures_for_tests import encoded
from training.tests.runs import queued_run


def kind_of(response: Any) -> tuple[int, str]:
    """Status and problem type of a refusal."""
    return response.status_code, response.json()["type"].rpartition(":")[2]


def url_of(version: DatasetVersion, path: str = "") -> str:
    return f"/api/datasets/{version.dataset_id}{path}"


def zipped(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


class ApiTestCase(BaseTestCase):
    def setUp(self) -> None:
        self.api = client_of(self.alice)

    def send(self, method: str, url: str, body: Any = None, api: Client | None = None) -> Any:
        data = {} if body is None else body
        return getattr(api or self.api, method)(url, data, content_type="application/json")


class DatasetTests(ApiTestCase):
    def create(self, **body: Any) -> Any:
        return self.send("post", "/api/datasets", {"name": "spring", **body})

    def test_a_dataset_is_made_empty_and_tells_where_it_is(self) -> None:
        response = self.create(description="boots", trigger_words=" acme  shoe", team="Studio", synthetic_cap=0.25)
        self.assertEqual(response.status_code, 201, response.content)
        told, dataset = response.json(), Dataset.objects.get()
        self.assertEqual((response["Location"], told["url"]), (f"/api/datasets/{dataset.pk}",) * 2)
        self.assertEqual((told["owner"], told["team"], told["draft"], told["latest"]), ("alice", "Studio", None, None))
        self.assertEqual((dataset.trigger_words, dataset.synthetic_cap, dataset.team), ("acme shoe", 0.25, self.team))
        self.assertEqual(self.api.get(told["links"]["versions"]).json(), {"versions": [], "next": None})

    def test_a_name_is_taken_once_per_owner(self) -> None:
        self.assertEqual(self.create(name=" spring ").status_code, 201)
        self.assertIn("already", fields_of(self.create())["name"])
        self.api = client_of(self.bob)
        self.assertEqual(self.create().status_code, 201)

    def test_bad_input_is_named_and_makes_nothing(self) -> None:
        Team.objects.create(name="Strangers")
        refused: list[tuple[str, Any]] = [
            ("name", ""), ("name", 7), ("name", None), ("name", "x" * 121), ("name", "a\nb"), ("team", "Strangers"),
            ("team", 1), ("synthetic_cap", 1.5), ("synthetic_cap", "half"), ("description", None), ("colour", "red"),
        ]  # fmt: skip
        for name, value in refused:
            with self.subTest(**{name: value}):
                response = self.create(**{name: value})
                self.assertEqual((response.status_code, list(fields_of(response))), (400, [name]))
        self.assertEqual(list(fields_of(self.send("post", "/api/datasets", {}))), ["name"])
        self.assertFalse(Dataset.objects.exists())

    def test_own_and_shared_ones_are_listed_newest_first_in_pages(self) -> None:
        for owner, name, team in ((self.alice, "mine", None), (self.bob, "ours", self.team), (self.bob, "his", None)):
            draft_of(owner, name=name, team=team)
        frozen_of(self.alice, name="last")
        first = self.api.get("/api/datasets?limit=2").json()
        self.assertEqual([row["name"] for row in first["datasets"]], ["last", "ours"])
        self.assertEqual((first["datasets"][0]["latest"]["number"], first["datasets"][0]["draft"]), (1, None))
        self.assertEqual((first["datasets"][1]["draft"]["photo_count"], first["datasets"][1]["latest"]), (3, None))
        second = self.api.get(first["next"]).json()
        self.assertEqual(([row["name"] for row in second["datasets"]], second["next"]), (["mine"], None))
        self.assertEqual(len(self.api.get("/api/datasets?q=IN").json()["datasets"]), 1)
        self.assertEqual(client_of(self.charlie).get("/api/datasets").json()["datasets"], [])

    def test_the_list_costs_the_same_number_of_queries_however_long_it_is(self) -> None:
        for number in range(5):
            draft_of(self.alice, 1, name=f"dataset {number}", team=self.team)
        self.api.get("/api/datasets")
        with self.assertNumQueries(3):  # token, datasets, their versions
            self.api.get("/api/datasets")

    def test_its_owner_changes_settings_one_by_one(self) -> None:
        url = url_of(draft_of(self.alice))
        told = self.send("patch", url, {"name": "summer", "team": "Studio"}).json()
        self.assertEqual((told["name"], told["team"]), ("summer", "Studio"))
        told = self.send("patch", url, {"team": None, "synthetic_cap": 0}).json()
        self.assertEqual((told["name"], told["team"], told["synthetic_cap"]), ("summer", None, 0))
        draft_of(self.alice, name="taken")
        self.assertEqual(list(fields_of(self.send("patch", url, {"name": "taken"}))), ["name"])
        self.assertEqual(self.send("patch", url, {"name": "summer"}).status_code, 200)
        self.assertEqual(self.send("patch", url, {}).status_code, 200)

    def test_the_team_works_on_it_and_leaves_its_settings_alone(self) -> None:
        draft = draft_of(self.alice, team=self.team)
        bob = client_of(self.bob)
        for method in ("patch", "delete"):
            self.assertEqual(kind_of(self.send(method, url_of(draft), {"name": "x"}, bob)), (403, "not-yours"))
        self.assertEqual(bob.get(url_of(draft)).status_code, 200)
        body = {"photos": [{"id": str(draft.photos.all()[0].pk), "caption": "red boots"}]}
        self.assertEqual(self.send("patch", url_of(draft, "/draft/photos"), body, bob).status_code, 200)
        self.assertEqual(self.send("post", url_of(draft, "/freeze"), {}, bob).status_code, 201)

    def test_an_unchanged_dataset_is_a_304(self) -> None:
        draft = draft_of(self.alice)
        etag = self.api.get(url_of(draft))["ETag"]
        self.assertEqual(self.api.get(url_of(draft), headers={"If-None-Match": etag}).status_code, 304)
        edit(draft, self.alice, "remove", {draft.photos.all()[0].pk: {"removed": True}})
        self.assertEqual(self.api.get(url_of(draft), headers={"If-None-Match": etag}).status_code, 200)

    def test_it_is_deleted_unless_a_run_has_learned_from_it(self) -> None:
        self.assertEqual(self.api.delete(url_of(draft_of(self.alice))).status_code, 204)
        self.assertFalse(Dataset.objects.exists())
        version = queued_run(self.alice).dataset_version
        assert version
        refused = self.api.delete(url_of(version))
        self.assertEqual(kind_of(refused), (409, "dataset-in-use"))
        self.assertIn("stays", refused.json()["detail"])
        self.assertTrue(Dataset.objects.exists())

    def test_reading_takes_the_scope_read_and_changing_it_the_scope_train(self) -> None:
        draft = draft_of(self.alice)
        for scopes, statuses in ((["read", "generate"], (200, 403)), (["train"], (403, 200))):
            api = client_of(self.alice, *scopes)
            got, changed = api.get(url_of(draft)), self.send("patch", url_of(draft), {"description": "x"}, api)
            self.assertEqual((got.status_code, changed.status_code), statuses)


class VersionTests(ApiTestCase):
    def setUp(self) -> None:
        super().setUp()
        sources = [plain(0, "red boots", held_out=True), plain(1, "blue boots"), plain(2, depth=1, origin="generated")]
        self.version = frozen_of(self.alice, sources)
        self.url = url_of(self.version, "/versions/1")

    def test_a_version_tells_its_hash_and_what_is_in_it(self) -> None:
        told = self.api.get(self.url).json()
        self.assertEqual((told["id"], told["number"], told["draft"]), (str(self.version.pk), 1, False))
        self.assertEqual(told["content_hash"], self.version.content_hash)
        self.assertEqual((told["photo_count"], told["held_out"], told["synthetic_share"]), (3, 1, 0.5))
        open_draft(self.version.dataset)
        rows = self.api.get(url_of(self.version, "/versions")).json()["versions"]
        self.assertEqual(
            [(row["number"], row["draft"], row["held_out"]) for row in rows], [(2, True, 1), (1, False, 1)]
        )
        for address in (*told["links"].values(), told["url"]):
            self.assertEqual(self.api.get(address).status_code, 200)

    def test_a_version_that_is_not_there_is_a_404(self) -> None:
        for number in (0, 2, 10**30):
            self.assertEqual(self.api.get(url_of(self.version, f"/versions/{number}")).status_code, 404)

    def test_photos_come_in_order_page_by_page(self) -> None:
        first = self.api.get(f"{self.url}/photos?limit=2").json()
        self.assertEqual([row["file_name"] for row in first["photos"]], ["100001.png", "100002.png"])
        self.assertEqual(first["total"], 3)
        second = self.api.get(first["next"]).json()
        self.assertEqual(([row["position"] for row in second["photos"]], second["next"]), ([2], None))
        row, photo = first["photos"][0], self.version.photos.all()[0]
        self.assertEqual((row["id"], row["sha256"], row["held_out"]), (str(photo.pk), photo.blob_id, True))
        self.assertEqual((row["origin"], row["depth"], row["parent"], row["recipe"]), ("imported", 0, None, {}))

    def test_photos_are_chosen_as_on_the_page(self) -> None:
        Finding.objects.create(version=self.version, photo=self.version.photos.all()[1], kind="blurred")
        for query, number in (
            ("show=held-out", 1), ("show=generated", 1), ("show=removed", 0), ("show=flagged", 1), ("q=boots blue", 1),
            ("finding=blurred", 1), ("finding=cut_off", 0), ("q=100002", 1), ("show=held-out&q=blue", 0),
        ):  # fmt: skip
            self.assertEqual(self.api.get(f"{self.url}/photos?{query}").json()["total"], number, query)

    def test_bad_parameters_are_named(self) -> None:
        for path, name, value in (
            ("photos", "show", "best"), ("photos", "finding", "ugly"), ("photos", "cursor", "x"),
            ("photos", "limit", "101"), ("photos", "q", "\x00"), ("export", "format", "rar"),
        ):  # fmt: skip
            response = self.api.get(f"{self.url}/{path}", {name: value})
            self.assertEqual((response.status_code, list(fields_of(response))), (400, [name]))

    def test_a_photos_bytes_are_had_with_a_token(self) -> None:
        row = self.api.get(f"{self.url}/photos?limit=1").json()["photos"][0]
        response = self.api.get(row["file"])
        self.assertEqual((response["Content-Type"], response.content), ("image/png", encoded(colour=(0, 0, 120))))
        self.assertEqual(self.api.get(row["file"], headers={"If-None-Match": response["ETag"]}).status_code, 304)
        self.assertEqual(client_of(self.bob).get(row["file"]).status_code, 404)

    def test_a_version_goes_out_as_a_zip_of_the_length_that_was_told(self) -> None:
        for form, inside in (
            ("captions-json", "captions.json"),
            ("imagefolder", "metadata.jsonl"),
            ("kohya", "100001.txt"),
        ):
            response = self.api.get(f"{self.url}/export?format={form}")
            data = response.getvalue()
            self.assertEqual(
                (response["Content-Type"], len(data)), ("application/zip", int(response["Content-Length"]))
            )
            self.assertIn(f"casual-v1-{form}.zip", response["Content-Disposition"])
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                self.assertIn(inside, archive.namelist())
            asked = self.api.head(f"{self.url}/export?format={form}")
            self.assertEqual((asked["Content-Length"], asked.getvalue()), (str(len(data)), b""))

    def test_findings_are_what_the_doctor_found(self) -> None:
        version = frozen_of(self.alice, [drawn(1), drawn(1)], name="twins")
        response = self.send("post", url_of(version, "/check"))
        self.assertEqual((response.status_code, response.json()["job"]["kind"]), (202, "check_dataset"))
        self.assertEqual(response["Location"], response.json()["job"]["url"])
        again = self.send("post", url_of(version, "/check"), {"version": 1})
        self.assertEqual(again.json()["job"]["id"], response.json()["job"]["id"])
        tasks.run_next("cpu")
        told = self.api.get(url_of(version, "/versions/1/findings")).json()
        self.assertEqual((told["dataset"], told["version"], told["photos"]), ("twins", 1, 2))
        self.assertTrue(told["checked_at"])
        self.assertEqual([row["file"] for row in told["findings"]["duplicate"]], ["shoe-0001.png", "shoe-0001-2.png"])

    def test_there_must_be_something_to_check(self) -> None:
        self.assertEqual(
            list(fields_of(self.send("post", url_of(self.version, "/check"), {"version": 9}))), ["version"]
        )
        empty = Dataset.objects.create(owner=self.alice, name="empty")
        self.assertEqual(kind_of(self.send("post", f"/api/datasets/{empty.pk}/check")), (409, "no-photos"))


class DraftTests(ApiTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.draft = draft_of(self.alice, [plain(0, "red boots"), plain(1, ""), plain(2, depth=1, origin="generated")])
        self.photos = list(self.draft.photos.all())
        Dataset.objects.update(synthetic_cap=1)

    def change(self, *rows: Any) -> Any:
        return self.send("patch", url_of(self.draft, "/draft/photos"), {"photos": list(rows)})

    def row(self, place: int, **fields: Any) -> dict[str, Any]:
        return {"id": str(self.photos[place].pk), **fields}

    def test_many_photos_change_in_one_step_and_one_undo_takes_it_back(self) -> None:
        Photo.objects.update(proposal="a shoe")
        response = self.change(
            self.row(0, held_out=True), self.row(1, caption=" blue\n boots "), self.row(2, removed=True)
        )
        self.assertEqual((response.status_code, response.json()["changed"]), (200, 3), response.content)
        version = response.json()["version"]
        self.assertEqual((version["photo_count"], version["held_out"], version["synthetic_share"]), (2, 1, 0))
        first, second, third = self.draft.photos.all()
        self.assertEqual(
            (first.held_out, second.caption, second.proposal, third.removed), (True, "blue boots", "", True)
        )
        drafts.undo(self.draft)
        self.assertEqual([photo.caption for photo in self.draft.photos.present()], ["red boots", "", "shoe 2"])
        self.assertEqual(self.draft.photos.all()[1].proposal, "a shoe")

    def test_the_history_says_what_was_done(self) -> None:
        for fields in ({"caption": "x"}, {"removed": True}, {"removed": False}, {"held_out": True},
                       {"caption": "y", "held_out": False}):  # fmt: skip
            self.assertEqual(self.change(self.row(0, **fields)).json()["changed"], 1)
        self.assertEqual(
            [step.verb for step in self.draft.edits.all()], ["captions", "remove", "restore", "split", "edit"]
        )
        self.client.force_login(self.alice)
        self.assertContains(self.client.get(reverse("dataset-history", args=[self.draft.dataset_id])), "Changed")

    def test_what_changes_nothing_is_no_step(self) -> None:
        self.assertEqual(self.change(self.row(0, caption="red boots", removed=False)).json()["changed"], 0)
        self.assertFalse(self.draft.edits.exists())

    def test_bad_rows_are_named_and_nothing_is_changed(self) -> None:
        good, elsewhere = self.row(0, caption="new"), draft_of(self.alice, 1, name="other").photos.get()
        refused: list[tuple[str, Any]] = [
            ("photos[1].id", {"id": str(uuid.uuid4()), "caption": "x"}), ("photos[1].id", {"caption": "x"}),
            ("photos[1].id", {"id": str(elsewhere.pk), "caption": "x"}), ("photos[1].id", {"id": "me", "caption": "x"}),
            ("photos[1].id", self.row(0, removed=True)), ("photos[1]", self.row(1)), ("photos[1]", 7),
            ("photos[1].caption", self.row(1, caption="x" * 2001)), ("photos[1].caption", self.row(1, caption=None)),
            ("photos[1].held_out", self.row(2, held_out=True)), ("photos[1].held_out", self.row(1, held_out="yes")),
            ("photos[1].removed", self.row(1, removed=1)), ("photos[1].blob_id", self.row(1, caption="x", blob_id="a")),
        ]  # fmt: skip
        for name, row in refused:
            with self.subTest(**{name: row}):
                response = self.change(good, row)
                self.assertEqual((response.status_code, list(fields_of(response))), (400, [name]), response.content)
        bodies: list[Any] = [{}, {"photos": []}, {"photos": "all"}, {"photos": [good] * 501}]
        for body in bodies:
            response = self.send("patch", url_of(self.draft, "/draft/photos"), body)
            self.assertEqual((response.status_code, list(fields_of(response))), (400, ["photos"]))
        self.assertFalse(self.draft.edits.exists())

    def test_five_hundred_photos_take_few_queries(self) -> None:
        draft = draft_of(self.alice, 500, name="large")
        rows = [{"id": str(pk), "held_out": True} for pk in draft.photos.values_list("pk", flat=True)]
        with CaptureQueriesContext(connection) as asked:
            response = self.send("patch", url_of(draft, "/draft/photos"), {"photos": rows})
        self.assertEqual(response.json()["changed"], 500)
        self.assertLess(len(asked), 20)

    def test_a_draft_is_begun_once_and_discarded(self) -> None:
        version = frozen_of(self.alice, name="spring")
        url = url_of(version, "/draft")
        for method, path in (("delete", "/draft"), ("patch", "/draft/photos"), ("post", "/freeze")):
            body = {"photos": [{"id": str(version.photos.all()[0].pk), "caption": "x"}]} if method == "patch" else {}
            self.assertEqual(kind_of(self.send(method, url_of(version, path), body)), (409, "no-draft"))
        begun, again = self.api.post(url), self.api.post(url)
        self.assertEqual((begun.status_code, again.status_code), (201, 200))
        self.assertEqual((begun["Location"], begun.json()["draft"]), (url_of(version, "/versions/2"), True))
        self.assertEqual(again.json()["id"], begun.json()["id"])
        self.assertEqual(self.api.delete(url).status_code, 204)
        self.assertEqual(version.dataset.versions.get(), version)

    def test_what_is_in_the_way_of_freezing_is_told_and_nothing_has_changed(self) -> None:
        Dataset.objects.update(synthetic_cap=0.1)
        response = self.send("post", url_of(self.draft, "/freeze"), {"licence_note": "ours"})
        self.assertEqual(kind_of(response), (422, "not-ready"))
        words = [error["message"] for error in response.json()["errors"]]
        self.assertRegex(words[0], "1 photo has no caption")
        self.assertRegex(words[1], "33 % of this draft is generated")
        self.assertEqual(DatasetVersion.objects.get().licence_note, "")

    def test_a_draft_is_frozen_with_its_note_and_the_same_again_is_the_same_version(self) -> None:
        self.change(self.row(1, removed=True))
        response = self.send("post", url_of(self.draft, "/freeze"), {"licence_note": "ours"})
        told = response.json()
        self.assertEqual((response.status_code, told["draft"], told["photo_count"]), (201, False, 2), response.content)
        self.assertEqual((told["licence_note"], response["Location"]), ("ours", told["url"]))
        self.assertEqual(len(told["content_hash"]), 64)
        self.api.post(url_of(self.draft, "/draft"))
        again = self.send("post", url_of(self.draft, "/freeze"))
        self.assertEqual((again.status_code, again.json()["id"]), (200, told["id"]))


class UploadTests(ApiTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.dataset = Dataset.objects.create(owner=self.alice, name="casual")
        self.url = f"/api/datasets/{self.dataset.pk}/upload"

    def raw(self, data: bytes, name: str = "a.png", kind: str = "application/octet-stream") -> Any:
        return self.api.generic("POST", f"{self.url}?name={name}", data, content_type=kind)

    def form(self, **fields: Any) -> Any:
        return self.api.post(self.url, fields)

    def test_a_zip_as_the_body_is_read_into_the_draft_by_a_job(self) -> None:
        captions = json.dumps({"a.png": "red boots"}).encode()
        archive = zipped({"images/a.png": encoded(), "images/b.png": b"broken", "captions.json": captions})
        response = self.raw(archive, "shoes.zip")
        self.assertEqual((response.status_code, response.json()["job"]["kind"]), (202, "import_dataset"))
        tasks.run_next("cpu")
        self.assertEqual(self.api.get(response["Location"]).json()["state"], "succeeded")
        self.assertEqual(Photo.objects.get().caption, "red boots")
        told = self.api.get(f"/api/datasets/{self.dataset.pk}").json()
        self.assertEqual(told["draft"]["photo_count"], 1)
        row = told["imports"][0]
        self.assertEqual((row["source"], row["state"], row["images"]), ("shoes.zip", "succeeded", 1))
        self.assertIn("b.png", [problem["file"].rpartition("/")[2] for problem in row["problems"]])

    def test_a_picture_comes_as_a_form_or_as_any_body(self) -> None:
        kinds = ("image/png", "application/x-www-form-urlencoded", "application/json", "")
        for number, kind in enumerate(kinds):
            response = self.raw(encoded(colour=(number, 0, 0)), f"{number}.png", kind)
            self.assertEqual(response.status_code, 202, (kind, response.content))
        self.assertEqual(self.form(file=SimpleUploadedFile("form.jpg", encoded(kind="JPEG"))).status_code, 202)
        named = self.form(file=SimpleUploadedFile("x.jpg", encoded(kind="WEBP")), name="named.webp")
        self.assertEqual(named.status_code, 202)
        tasks.run_next("cpu")
        names = {photo.file_name for photo in Photo.objects.all()}
        self.assertEqual(names, {"0.png", "1.png", "2.png", "3.png", "form.jpg", "named.webp"})

    def test_what_cannot_be_used_is_refused_at_once_and_leaves_nothing(self) -> None:
        picture = SimpleUploadedFile("a.png", encoded())
        for name, response in (
            ("file", self.raw(b"")), ("file", self.raw(b"GIF89a" + b"x" * 50)), ("name", self.raw(encoded(), "")),
            ("name", self.raw(encoded(), "x" * 256)), ("name", self.raw(encoded(), "%00")), ("file", self.form()),
            ("name", self.api.generic("POST", self.url, encoded())), ("file", self.form(file="text")),
            ("colour", self.form(file=picture, colour="red")), ("file", self.form(file=SimpleUploadedFile("a", b""))),
            ("file", self.form(file=[SimpleUploadedFile("a.png", encoded()), SimpleUploadedFile("b.png", encoded())])),
        ):  # fmt: skip
            with self.subTest(name):
                self.assertEqual((response.status_code, list(fields_of(response))), (400, [name]), response.content)
        self.assertFalse(DatasetImport.objects.exists() or Job.objects.exists())

    def test_what_is_larger_than_it_may_be_is_a_413_and_leaves_nothing(self) -> None:
        with patch.object(uploads, "MAX_UPLOAD_BYTES", 50):
            for response in (self.raw(encoded()), self.form(file=SimpleUploadedFile("a.png", encoded()))):
                self.assertEqual(kind_of(response), (413, "body-too-large"))
                self.assertEqual(list(fields_of(response)), ["file"])
        self.assertFalse(DatasetImport.objects.exists() or Job.objects.exists())

    def test_the_same_key_with_the_same_file_is_the_same_job(self) -> None:
        def send(data: bytes, name: str = "a.png") -> Any:
            headers = {"Idempotency-Key": "upload-1"}
            return self.api.generic(
                "POST", f"{self.url}?name={name}", data, "application/octet-stream", headers=headers
            )

        first, again = send(encoded()), send(encoded())
        self.assertEqual((again.status_code, again.json()["job"]["id"]), (202, first.json()["job"]["id"]))
        for other in (send(encoded(colour=7)), send(encoded(), "b.png")):
            self.assertEqual(kind_of(other), (422, "idempotency-key-reused"))
        upload = DatasetImport.objects.get()
        self.assertEqual([folder.name for folder in uploads.folder_of(upload).parent.iterdir()], [str(upload.pk)])

    def test_a_body_that_stops_in_the_middle_or_has_no_length_is_refused(self) -> None:
        with self.assertRaisesMessage(ValidationError, "did not come to its end"):
            list(in_full(io.BytesIO(b"half"), 8))
        headers = {"Transfer-Encoding": "chunked"}
        response = self.api.generic("POST", f"{self.url}?name=a.png", b"", "image/png", headers=headers)
        self.assertEqual(list(fields_of(response)), ["Content-Length"])

    def test_who_has_too_many_jobs_is_asked_to_come_again(self) -> None:
        with override_settings(JOB_MAX_QUEUED_PER_USER=0):
            self.assertEqual(kind_of(self.raw(encoded())), (429, "queue-full"))
        self.assertFalse(DatasetImport.objects.exists())

    def test_a_browser_that_is_signed_in_needs_its_csrf_token(self) -> None:
        browser = Client(enforce_csrf_checks=True)
        browser.force_login(self.alice)
        for kind in (
            "application/octet-stream",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
        ):
            response = browser.generic("POST", f"{self.url}?name=a.png", encoded(), content_type=kind)
            self.assertEqual(response.status_code, 403, kind)
        self.assertFalse(DatasetImport.objects.exists())
