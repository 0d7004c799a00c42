"""Taking many pictures out: ZIP, metadata, contact sheet."""

from __future__ import annotations

import csv
import io
import json
import tracemalloc
import uuid
import zipfile
from collections.abc import Iterator
from typing import Any

from django.test import SimpleTestCase
from django.urls import reverse
from django.utils import timezone
from PIL import Image

from gallery import arranging, judging
from gallery.archives import archive_of
from generation.metadata import AI_ORIGIN
from generation.models import GeneratedImage
from shoesai import files
from shoesai.testing import BaseTestCase, finished_generation
from shoesai.zip_stream import Measure, Member, zip_stream


class ZipFormatTest(SimpleTestCase):
    def members(self, number: int) -> Iterator[Member]:
        return (Member(f"{place:06d}_tênis.png", 5, (b"ab", b"cde")) for place in range(number))

    def test_the_length_is_known_before_and_what_comes_is_a_good_archive(self) -> None:
        for number in (0, 1, 3, 65_534, 65_535, 65_600):  # beyond 65,535 members the format needs wider fields
            with self.subTest(number):
                measure = Measure()
                for member in self.members(number):
                    measure.add(member.name, member.size)
                body = b"".join(zip_stream(self.members(number)))
                self.assertEqual(len(body), measure.length)
                archive = zipfile.ZipFile(io.BytesIO(body))
                self.assertEqual(len(archive.namelist()), number)
                if number:
                    self.assertEqual(archive.read(f"{number - 1:06d}_tênis.png"), b"abcde")

    def test_its_memory_does_not_grow_with_its_members(self) -> None:
        tracemalloc.start()
        try:
            peaks = []
            for number in (100, 20_000):
                tracemalloc.reset_peak()
                for _chunk in zip_stream(self.members(number)):
                    pass
                peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
        self.assertLess(peaks[1], peaks[0] + 300_000)

    def test_a_member_that_is_not_what_it_promised_breaks_the_archive_off(self) -> None:
        with self.assertRaisesMessage(RuntimeError, "a.png has 3 bytes and not 4"):
            list(zip_stream([Member("a.png", 4, (b"abc",))]))


class ExportCase(BaseTestCase):
    def setUp(self) -> None:
        self.client.force_login(self.alice)
        self.images = list(
            finished_generation(self.alice, pictures=3, prompt="=Red sneakers!", seed=40).images.order_by("seq")
        )

    def take(self, name: str, images: list[GeneratedImage], **fields: Any) -> Any:
        return self.client.post(reverse(name), {"image": [str(image.pk) for image in images], **fields})

    def opened(self, response: Any) -> zipfile.ZipFile:
        body = response.getvalue()
        self.assertEqual(int(response["Content-Length"]), len(body))
        return zipfile.ZipFile(io.BytesIO(body))


class ZipTest(ExportCase):
    def test_it_holds_pictures_captions_and_metadata_and_has_its_exact_length(self) -> None:
        response = self.take("gallery-zip", self.images[:2])
        self.assertIn("attachment", response["Content-Disposition"])
        archive = self.opened(response)
        self.assertIsNone(archive.testzip())
        stems = ["1_red-sneakers_41", "2_red-sneakers_40"]
        files_of = [f"{stem}.{suffix}" for stem in stems for suffix in ("png", "txt")]
        self.assertEqual(sorted(archive.namelist()), sorted([*files_of, "metadata.json", "metadata.csv"]))
        self.assertEqual(archive.read("1_red-sneakers_41.txt").decode(), "=Red sneakers!")
        self.assertEqual(archive.read("1_red-sneakers_41.png"), files.read(self.images[1].blob))
        rows = json.loads(archive.read("metadata.json"))
        self.assertEqual([row["file"] for row in rows], [f"{stem}.png" for stem in stems])
        self.assertEqual({row["prompt"] for row in rows}, {"=Red sneakers!"})
        table = list(csv.DictReader(io.StringIO(archive.read("metadata.csv").decode("utf-8-sig"))))
        self.assertEqual({row["prompt"] for row in table}, {"'=Red sneakers!"})

    def test_the_same_prompt_and_seed_twice_are_two_files(self) -> None:
        again = finished_generation(self.alice, prompt="=Red sneakers!", seed=40, guidance_scale=9).images.get()
        archive = self.opened(self.take("gallery-zip", [self.images[0], again]))
        self.assertIn("1_red-sneakers_40.png", archive.namelist())
        self.assertIn("2_red-sneakers_40.png", archive.namelist())

    def test_it_says_what_the_user_thinks_of_the_pictures(self) -> None:
        chosen = GeneratedImage.objects.filter(pk=self.images[0].pk)
        judging.judge(self.alice, chosen, favourite=True, rating=4)
        judging.judge(self.bob, chosen, rating=1)
        judging.tag(self.bob, chosen, "Summer")
        (row,) = json.loads(self.opened(self.take("gallery-zip", self.images[:1])).read("metadata.json"))
        self.assertEqual((row["favourite"], row["rating"], row["tags"]), (True, 4, ["summer"]))

    def test_a_missing_file_is_told_of_and_the_archive_is_whole(self) -> None:
        gone = self.images[1]
        files.path_of(gone.blob_id).unlink()
        with self.assertLogs("gallery.archives", "ERROR"):
            archive = self.opened(self.take("gallery-zip", self.images))
        self.assertIsNone(archive.testzip())
        self.assertIn(gone.blob_id, archive.read("missing.txt").decode())
        self.assertEqual(sum(name.endswith(".png") for name in archive.namelist()), 2)
        rows = {row["id"]: row["file"] for row in json.loads(archive.read("metadata.json"))}
        self.assertEqual((len(rows), rows[str(gone.pk)]), (3, ""))

    def test_a_damaged_file_counts_as_missing(self) -> None:
        path = files.path_of(self.images[0].blob_id)
        path.write_bytes(path.read_bytes()[:-10])
        with self.assertLogs("gallery.archives", "ERROR"):
            archive = self.opened(self.take("gallery-zip", self.images))
        self.assertIn("missing.txt", archive.namelist())
        files.publish(b"", "image/png")

    def test_what_disappears_while_it_is_sent_breaks_it_off(self) -> None:
        archive = archive_of(GeneratedImage.objects.filter(pk=self.images[0].pk), self.alice)
        files.path_of(self.images[0].blob_id).unlink()
        with self.assertLogs("gallery.archives", "ERROR"), self.assertRaises(FileNotFoundError):
            list(archive.stream())

    def test_a_whole_search_goes_out_whatever_is_ticked_and_names_itself(self) -> None:
        finished_generation(self.alice, prompt="blue loafers")
        response = self.take("gallery-zip", [], all="1", query="q=red+sneakers")
        self.assertIn(f"shoes-{timezone.localdate():%Y-%m-%d}-red-sneakers.zip", response["Content-Disposition"])
        self.assertEqual(sum(name.endswith(".png") for name in self.opened(response).namelist()), 3)

    def test_a_collection_goes_out_in_its_own_order(self) -> None:
        collection = arranging.create_collection(self.alice, "Spring: Look Book")
        for image in (self.images[1], self.images[0], self.images[2]):
            arranging.add(self.alice, collection, GeneratedImage.objects.filter(pk=image.pk))
        response = self.take("gallery-zip", [], collection=str(collection.pk))
        names = [name for name in self.opened(response).namelist() if name.endswith(".png")]
        self.assertEqual(names, [f"{place}_red-sneakers_{seed}.png" for place, seed in ((1, 41), (2, 40), (3, 42))])
        self.assertIn("spring-look-book.zip", response["Content-Disposition"])

    def test_somebody_elses_collection_is_a_404(self) -> None:
        collection = arranging.create_collection(self.charlie, "Secret")
        for name in ("gallery-zip", "gallery-metadata", "gallery-sheet"):
            self.assertEqual(self.take(name, [], collection=str(collection.pk)).status_code, 404)

    def test_others_pictures_never_come_along(self) -> None:
        foreign = finished_generation(self.charlie).images.get()
        archive = self.opened(self.take("gallery-zip", [self.images[0], foreign]))
        self.assertEqual(len(json.loads(archive.read("metadata.json"))), 1)
        self.assertRedirects(self.take("gallery-zip", [foreign]), reverse("gallery"))

    def test_an_empty_selection_goes_back_and_says_so(self) -> None:
        response = self.client.post(reverse("gallery-zip"), {}, follow=True)
        self.assertContains(response, "Nothing was selected")

    def test_nonsense_and_unknown_ids_are_nothing(self) -> None:
        self.assertEqual(self.client.post(reverse("gallery-zip"), {"image": "x"}).status_code, 302)
        self.assertEqual(self.client.post(reverse("gallery-zip"), {"image": uuid.uuid4()}).status_code, 302)

    def test_taking_out_needs_a_post_and_a_session(self) -> None:
        for name in ("gallery-zip", "gallery-metadata", "gallery-sheet"):
            self.assertEqual(self.client.get(reverse(name)).status_code, 405)
        self.client.logout()
        for name in ("gallery-zip", "gallery-metadata", "gallery-sheet"):
            self.assertRedirects(
                self.take(name, self.images), f"{reverse('login')}?next={reverse(name)}", fetch_redirect_response=False
            )


class MetadataTest(ExportCase):
    def test_of_a_selection_it_is_a_list_as_json(self) -> None:
        response = self.take("gallery-metadata", self.images)
        rows = json.loads(response.getvalue())
        self.assertEqual({row["id"] for row in rows}, {str(image.pk) for image in self.images})
        self.assertEqual([row["seed"] for row in rows], [42, 41, 40])
        self.assertIn(".json", response["Content-Disposition"])

    def test_of_a_selection_it_is_a_table_as_csv(self) -> None:
        response = self.take("gallery-metadata", self.images, format="csv")
        table = list(csv.DictReader(io.StringIO(response.getvalue().decode("utf-8-sig"))))
        self.assertEqual([row["seed"] for row in table], ["42", "41", "40"])
        self.assertIn(".csv", response["Content-Disposition"])

    def test_another_format_is_a_404(self) -> None:
        self.assertEqual(self.take("gallery-metadata", self.images, format="xml").status_code, 404)

    def test_others_pictures_never_come_along(self) -> None:
        foreign = finished_generation(self.charlie).images.get()
        rows = json.loads(self.take("gallery-metadata", [self.images[0], foreign]).getvalue())
        self.assertEqual([row["id"] for row in rows], [str(self.images[0].pk)])


class ContactSheetTest(ExportCase):
    def test_it_is_one_png_that_says_that_it_is_made_by_ai(self) -> None:
        response = self.take("gallery-sheet", self.images)
        sheet = Image.open(io.BytesIO(response.content))
        self.assertEqual((sheet.format, response["Content-Type"]), ("PNG", "image/png"))
        self.assertIn(AI_ORIGIN, sheet.info["XML:com.adobe.xmp"])
        corner = sheet.getpixel((24 + 110, 64 + 110))
        assert isinstance(corner, tuple)
        self.assertTrue(corner[0] > 180 and corner[1] < 60, "the pictures are on it")

    def test_more_than_two_hundred_are_refused_with_the_remedy(self) -> None:
        first = self.images[0]
        first.pk = None
        copies = []
        for seq in range(10, 208):
            copy = GeneratedImage.objects.get(pk=self.images[1].pk)
            copy.pk, copy.seq = uuid.uuid4(), seq
            copies.append(copy)
        GeneratedImage.objects.bulk_create(copies)
        page = self.client.post(reverse("gallery-sheet"), {"all": "1", "query": ""}, follow=True)
        self.assertContains(page, "at most 200 pictures, and 201 are selected")

    def test_a_missing_thumbnail_leaves_its_place_in_the_pictures_colour(self) -> None:
        files.path_of(self.images[0].thumbnail_id).unlink()
        self.assertEqual(self.take("gallery-sheet", self.images).status_code, 200)
