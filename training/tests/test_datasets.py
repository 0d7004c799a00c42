"""What an import leaves in the database and on the disk, and what the command says."""

from __future__ import annotations

import json
import tempfile
from io import StringIO
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import CommandError, call_command

from shoesai import files
from shoesai.models import Blob
from shoesai.pictures import is_bare_png
from shoesai.testing import BaseTestCase
from training.datasets.freezing import content_hash
from training.datasets.importing import DatasetNameProblem, import_photos
from training.importers import DatasetProblems, read_captions_json
from training.models import Dataset, DatasetVersion, Photo
from training.tests.pictures_for_tests import encoded, entries, good_dataset, write_dataset


def stored_files() -> set[Path]:
    return {path for path in Path(settings.BLOB_DIR).rglob("*") if path.is_file()}


class FolderTestCase(BaseTestCase):
    def setUp(self) -> None:
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.folder = Path(holder.name)

    def bad_folder(self) -> Path:
        images = {"a.png": encoded(colour=(7, 7, 7)), "b.png": b"half a picture", "c.png": encoded()}
        return write_dataset(self.folder / "bad", entries({"a.png": "a", "b.png": "b", "d.png": "d"}), images)


class ImportPhotosTest(FolderTestCase):
    def import_it(self, folder: Path, name: str = "casual shoes") -> DatasetVersion:
        return import_photos(user=self.alice, name=name, photos=read_captions_json(folder))

    def test_photos_are_stored_in_order_with_their_captions(self) -> None:
        version = self.import_it(good_dataset(self.folder, photos=3))
        photos = list(version.photos.all())
        self.assertEqual([photo.file_name for photo in photos], ["100001.png", "100002.png", "100003.png"])
        self.assertEqual([photo.position for photo in photos], [0, 1, 2])
        self.assertEqual((photos[0].width, photos[0].height), (40, 32))
        self.assertTrue(all(is_bare_png(files.read(photo.blob)) for photo in photos))
        self.assertEqual((version.number, version.photo_count), (1, 3))

    def test_the_team_sees_it_only_when_its_owner_says_so(self) -> None:
        self.import_it(good_dataset(self.folder))
        self.assertEqual(Dataset.objects.visible_to(self.bob).count(), 0)
        Dataset.objects.update(team=self.team)
        self.assertEqual(Dataset.objects.visible_to(self.bob).count(), 1)
        self.assertEqual(Dataset.objects.visible_to(self.charlie).count(), 0)

    def test_the_same_content_twice_is_one_version(self) -> None:
        first = self.import_it(good_dataset(self.folder))
        self.assertEqual(self.import_it(good_dataset(self.folder)), first)
        self.assertEqual(DatasetVersion.objects.count(), 1)

    def test_another_caption_another_photo_or_another_order_is_a_new_version(self) -> None:
        red, blue = encoded(colour=(200, 0, 0)), encoded(colour=(0, 0, 200))
        for number, (captions, images) in enumerate(
            [
                ({"a.png": "red", "b.png": "blue"}, {"a.png": red, "b.png": blue}),
                ({"a.png": "red", "b.png": "dark blue"}, {"a.png": red, "b.png": blue}),
                ({"b.png": "dark blue", "a.png": "red"}, {"a.png": red, "b.png": blue}),
                ({"b.png": "dark blue", "a.png": "red"}, {"a.png": blue, "b.png": blue}),
            ],
            start=1,
        ):
            self.assertEqual(self.import_it(write_dataset(self.folder, entries(captions), images)).number, number)

    def test_the_hash_covers_hashes_and_captions_in_order(self) -> None:
        first, second = ("a", "b", False), ("c", "d", False)
        hashes = {
            content_hash([first, second]), content_hash([second, first]), content_hash([("a", "b", True), second]),
            content_hash([("a", "bc", False)]), content_hash([("ab", "c", False)]),
            content_hash([first, second], "ours"),
        }  # fmt: skip
        self.assertEqual(len(hashes), 6)

    def test_a_bad_folder_leaves_neither_rows_nor_files(self) -> None:
        before = stored_files()
        with self.assertRaises(DatasetProblems) as caught, self.captureOnCommitCallbacks(execute=True):
            self.import_it(self.bad_folder())
        self.assertEqual([each.file for each in caught.exception.problems], ["b.png", "c.png", "d.png"])
        for model in (Dataset, DatasetVersion, Photo, Blob):
            self.assertFalse(model.objects.exists())
        self.assertEqual(stored_files(), before)

    def test_a_version_is_complete_or_not_there(self) -> None:
        def photos_that_end_in_trouble() -> Any:
            yield from read_captions_json(good_dataset(self.folder))
            raise OSError("the disk went away")

        with self.assertRaises(OSError):
            import_photos(user=self.alice, name="half", photos=photos_that_end_in_trouble())
        self.assertFalse(Dataset.objects.exists())
        self.assertFalse(Photo.objects.exists())

    def test_a_name_must_be_a_name(self) -> None:
        for name in ("", "  ", "x" * 121, "two\nlines", "nul\x00", "half \ud800"):
            with self.assertRaises(DatasetNameProblem):
                self.import_it(good_dataset(self.folder), name=name)


class ImportDatasetCommandTest(FolderTestCase):
    def run_it(self, folder: Path, *options: str) -> str:
        out = StringIO()
        call_command("import_dataset", str(folder), *options, "--user", "alice", "-v", "0", stdout=out)
        return out.getvalue()

    def test_it_prints_the_version_as_json(self) -> None:
        printed = json.loads(self.run_it(good_dataset(self.folder), "--name", "casual", "--json"))
        version = DatasetVersion.objects.get()
        self.assertEqual(
            {key: printed[key] for key in ("dataset", "version", "photos", "content_hash")},
            {"dataset": "casual", "version": 1, "photos": 3, "content_hash": version.content_hash},
        )
        self.assertEqual(version.dataset.owner, self.alice)

    def test_a_bad_folder_ends_with_4_and_the_whole_report(self) -> None:
        out = StringIO()
        with self.assertRaises(CommandError) as caught:
            call_command("import_dataset", self.bad_folder(), name="bad", user="alice", json=True, stdout=out)
        self.assertEqual(caught.exception.returncode, 4)
        self.assertIn("3 problems in this dataset; nothing was imported.", str(caught.exception))
        printed = json.loads(out.getvalue())
        self.assertEqual([row["file"] for row in printed["problems"]], ["b.png", "c.png", "d.png"])

    def test_a_missing_folder_and_an_unknown_user_end_with_3_and_a_bad_name_with_2(self) -> None:
        for folder, name, user, code in (
            (self.folder / "nowhere", "x", "alice", 3),
            (self.folder, "x", "nobody", 3),
            (self.folder, "x" * 121, "alice", 2),
        ):
            with self.subTest(code=code), self.assertRaises(CommandError) as caught:
                call_command("import_dataset", folder, name=name, user=user)
            self.assertEqual(caught.exception.returncode, code)
