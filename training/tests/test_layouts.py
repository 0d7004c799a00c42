"""Every layout goes in and out, from a folder and from a ZIP, and says the same afterwards."""

from __future__ import annotations

import io
import json
import multiprocessing
import os
import resource
import time
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from django.core.management import CommandError, call_command

from shoesai import files
from shoesai.pictures import NotAPicture
from training.datasets.archives import Archive, Unpacking
from training.datasets.drafts import edit, open_draft
from training.datasets.exporting import FORMATS, write_to, zip_of
from training.datasets.freezing import freeze
from training.datasets.sources import SourceProblem
from training.importers import IMPORTERS, Report, read_photos, source_of
from training.models import DatasetVersion
from training.tests.datasets_for_tests import draft_of, frozen_of, plain
from training.tests.pictures_for_tests import encoded
from training.tests.test_datasets import FolderTestCase


def zipped(folder: Path, wrapped_in: str = "") -> Path:
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, f"{wrapped_in}{file.relative_to(folder)}")
    return path


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


class LayoutTestCase(FolderTestCase):
    def write(self, files: Mapping[str, bytes | str]) -> Path:
        for name, content in files.items():
            path = self.folder / "photos" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return self.folder / "photos"

    def read(self, path: Path) -> tuple[list[Any], Report]:
        report = Report()
        return list(read_photos(source_of(path), report=report)), report

    def command(self, called: str, /, *arguments: Any, **options: Any) -> dict[str, Any]:
        out = io.StringIO()
        call_command(called, *arguments, user="alice", json=True, verbosity=0, stdout=out, **options)
        return json.loads(out.getvalue())


class ReadingTest(LayoutTestCase):
    def test_metadata_jsonl_brings_captions_and_keeps_its_other_columns(self) -> None:
        lines = [
            {"file_name": "b.png", "text": " a blue shoe ", "sku": "B-1"},
            {"file_name": "sub/a.jpg", "caption": "a red shoe"},
        ]
        files: dict[str, bytes | str] = {
            "metadata.jsonl": "\n".join(map(json.dumps, lines)),
            "b.png": encoded(),
            "sub/a.jpg": encoded(kind="JPEG"),
        }
        photos, report = self.read(self.write(files))
        self.assertEqual(
            [(photo.file_name, photo.caption) for photo in photos], [("b.png", "a blue shoe"), ("a.jpg", "a red shoe")]
        )
        self.assertEqual((photos[0].extra, report.importer, report.problems), ({"sku": "B-1"}, "imagefolder", []))

    def test_metadata_csv_does_the_same(self) -> None:
        photos, report = self.read(
            self.write({"metadata.csv": 'file_name,text\na.png,"red, white"\n', "a.png": encoded()})
        )
        self.assertEqual([photo.caption for photo in photos], ["red, white"])
        self.assertEqual(report.captions, 1)

    def test_a_sidecar_of_kohya_is_the_caption_of_its_photo(self) -> None:
        files: dict[str, bytes | str] = {"a.png": encoded(), "a.txt": "a red shoe\n", "b.png": encoded()}
        files["c.txt"] = "nobody's"
        photos, report = self.read(self.write(files))
        self.assertEqual([photo.caption for photo in photos], ["a red shoe", ""])
        self.assertEqual([(each.file, each.problem) for each in report.problems], [("c.txt", "belongs to no photo.")])

    def test_pictures_alone_come_without_captions_from_all_folders(self) -> None:
        photos, report = self.read(
            self.write({"one/a.png": encoded(), "two/b.webp": encoded(kind="WEBP"), "x.svg": "<svg/>"})
        )
        self.assertEqual([photo.file_name for photo in photos], ["a.png", "b.webp"])
        self.assertEqual([each.file for each in report.problems], ["x.svg"])

    def test_a_zip_of_a_folder_reads_like_the_folder(self) -> None:
        folder = self.write({"images/a.png": encoded(), "captions.json": '{"a.png": "a red shoe"}'})
        for wrapping in ("", "my shoes/"):
            photos, report = self.read(zipped(folder, wrapping))
            self.assertEqual(([photo.caption for photo in photos], report.importer), (["a red shoe"], "captions_json"))

    def test_what_a_photo_was_before_it_was_made_clean_is_kept(self) -> None:
        photos, _report = self.read(self.write({"a.jpg": encoded(kind="JPEG"), "b.png": encoded()}))
        self.assertEqual([photo.original is None for photo in photos], [False, True])
        version = DatasetVersion.objects.get(
            pk=self.command("import_dataset", self.folder / "photos", name="casual")["id"]
        )
        originals = [photo.original.mime if photo.original else None for photo in version.photos.all()]
        self.assertEqual(originals, ["image/jpeg", None])


class UnpackingTest(LayoutTestCase):
    """What comes out of archives is bounded in all."""

    def archive(self, unpacking: Unpacking, name: str = "a") -> Archive:
        path = self.folder / f"{name}.zip"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a.png", bytes(1000))
        return Archive(path, unpacking)

    def test_it_counts_what_really_comes_out_and_not_what_the_directory_says(self) -> None:
        archive = self.archive(Unpacking(2500))
        self.assertEqual((len(archive.read("a.png")), len(archive.read("a.png"))), (1000, 1000))
        with self.assertRaisesMessage(NotAPicture, "is not unpacked"):
            archive.read("a.png")

    def test_archives_that_come_together_share_it(self) -> None:
        unpacking = Unpacking(2500)
        kept = [self.archive(unpacking, "a"), self.archive(unpacking, "b")]
        with self.assertRaisesMessage(SourceProblem, "unpacks to more than 2.5e-06 GB; send it in parts."):
            self.archive(unpacking, "c")
        self.assertEqual([len(archive.read("a.png")) for archive in kept], [1000, 1000])

    def test_a_whole_studio_comes_through(self) -> None:
        Unpacking().claim(20_000 * 2_500_000)


class CommandTest(LayoutTestCase):
    def test_photos_without_captions_wait_in_a_draft(self) -> None:
        told = self.command("import_dataset", self.write({"a.png": encoded()}), name="casual")
        self.assertEqual((told["state"], told["images"], told["captions"], told["problems"]), ("draft", 1, 0, []))

    def test_skip_broken_imports_the_rest_and_reports_what_is_left_out(self) -> None:
        folder = self.write({"a.png": encoded(), "b.png": b"no picture"})
        told = self.command("import_dataset", folder, name="casual", skip_broken=True)
        self.assertEqual((told["photos"], [row["file"] for row in told["problems"]]), (1, ["b.png"]))

    def test_it_can_be_shared_at_once_with_a_team_of_ones_own(self) -> None:
        folder = self.write({"a.png": encoded()})
        self.command("import_dataset", folder, name="casual", share=self.team.name)
        self.assertEqual(DatasetVersion.objects.get().dataset.team, self.team)
        with self.assertRaisesMessage(CommandError, "no team named 'others'"):
            self.command("import_dataset", folder, name="more", share="others")

    def test_no_archive_at_all_ends_with_4_and_says_so(self) -> None:
        path = self.folder / "a.zip"
        path.write_bytes(b"not a zip")
        with self.assertRaisesMessage(CommandError, "is no ZIP archive") as caught:
            self.command("import_dataset", path, name="casual")
        self.assertEqual(caught.exception.returncode, 4)


class RoundTripTest(LayoutTestCase):
    def version(self) -> DatasetVersion:
        """With everything that a foreign layout has no place for."""
        draft = draft_of(self.alice, [plain(3, extra={"sku": "A-1"}), plain(1), plain(2, "naïve “caption”, ação")])
        edit(draft, self.alice, "split", {draft.photos.all()[1].pk: {"held_out": True}})
        draft.licence_note = "our own photos"
        draft.save()
        return freeze(draft)

    def test_what_is_exported_is_the_same_version_when_it_is_imported(self) -> None:
        version = self.version()
        for form in FORMATS:
            folder = self.folder / form
            self.command("export_dataset", "casual", to=folder, format=form)
            told = self.command("import_dataset", folder, name=f"again {form}")
            self.assertEqual((told["content_hash"], told["problems"]), (version.content_hash, []), form)

    def test_the_download_holds_the_same_files_and_has_its_exact_length(self) -> None:
        version = self.version()
        for form in FORMATS:
            length, chunks = zip_of(version, form)
            body = b"".join(chunks)
            self.assertEqual(len(body), length)
            with zipfile.ZipFile(io.BytesIO(body)) as archive:
                self.assertIsNone(archive.testzip())
                self.assertEqual(archive.namelist(), write_to(self.folder / f"to {form}", version, form))

    def test_a_folder_with_something_in_it_is_left_alone(self) -> None:
        frozen_of(self.alice)
        (self.folder / "mine").write_text("x")
        with self.assertRaisesMessage(CommandError, "Give an empty folder"):
            self.command("export_dataset", "casual", to=self.folder, format="kohya")

    def test_a_folder_that_is_empty_is_filled(self) -> None:
        folder = self.folder / "mine"
        folder.mkdir()
        (self.folder / "link").symlink_to(folder)
        written = write_to(self.folder / "link", self.version(), "kohya")
        self.assertEqual(sorted(path.name for path in folder.iterdir()), sorted(written))
        self.assertEqual(sorted(os.listdir(self.folder)), ["link", "mine"])

    def test_an_export_that_fails_on_its_way_leaves_nothing(self) -> None:
        version = self.version()
        files.path_of(version.photos.order_by("position")[2].blob_id).unlink()
        with self.assertRaisesMessage(CommandError, "No such file"):
            self.command("export_dataset", "casual", to=self.folder / "new", format="kohya")
        self.assertEqual(os.listdir(self.folder), [])

    def test_a_full_disk_leaves_an_empty_folder_empty(self) -> None:
        version = self.version()
        mine = self.folder / "mine"
        mine.mkdir()
        earlier = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (60, earlier[1]))  # less than a picture has
        try:
            with self.assertRaises(OSError):
                write_to(mine, version, "kohya")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, earlier)
        self.assertEqual((os.listdir(self.folder), os.listdir(mine)), (["mine"], []))

    def test_an_export_that_is_killed_has_not_begun_its_folder(self) -> None:
        version = self.version()
        last = files.path_of(version.photos.order_by("position")[2].blob_id)
        last.unlink()
        os.mkfifo(last)  # reading it waits for ever
        arguments = (self.folder / "new", version, "kohya")
        exporting = multiprocessing.get_context("fork").Process(target=write_to, args=arguments)
        exporting.start()
        try:
            wait_until(lambda: len(list(self.folder.rglob("*.png"))) == 3)
        finally:
            exporting.kill()
            exporting.join()
            last.unlink()
        self.assertFalse((self.folder / "new").exists())

    def test_a_version_that_is_not_there_ends_with_3(self) -> None:
        open_draft(frozen_of(self.alice).dataset)
        with self.assertRaises(CommandError) as caught:
            self.command("export_dataset", "casual", to=self.folder / "x", format="kohya", version_number=2)
        self.assertEqual(caught.exception.returncode, 3)

    def test_every_format_can_be_read_again_by_an_importer(self) -> None:
        self.assertEqual({"captions_json", "imagefolder", "kohya"} - set(IMPORTERS), set())
