"""The doctor looks at a version: what it finds, groups, keeps and lets rest."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from PIL import Image, ImageFilter

from shoesai import files
from shoesai.starter import draw
from shoesai.starter.draw import Shoe
from shoesai.testing import BaseTestCase
from training.datasets import doctor, drafts, fixes
from training.datasets.drafts import Source
from training.datasets.freezing import freeze
from training.models import AcceptedFinding, DatasetVersion, Finding, PhotoMeasure
from training.tests.datasets_for_tests import draft_of, source_of

SIDE = 160


def quiet(done: int, total: int) -> None:
    pass


def shoe(number: int = 0, **fixed: str) -> Image.Image:
    rng = np.random.default_rng(number)
    return draw.draw_catalogue(draw.random_shoe(rng, background="white", **fixed), number, SIDE)


def red(number: int = 0) -> Image.Image:
    return draw.draw_catalogue(Shoe("sneakers", "red", "leather", "black", "white"), number, SIDE)


def photo(picture: Image.Image, name: str = "a.png", caption: str = "shoe") -> Source:
    return source_of(picture, name, caption)


def kinds(version: DatasetVersion) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for finding in Finding.objects.filter(version=version).select_related("photo").order_by("photo__position"):
        found.setdefault(finding.kind, []).append(finding.photo.file_name if finding.photo else "")
    return found


class DoctorTests(BaseTestCase):
    def checked(self, *sources: Source) -> DatasetVersion:
        version = draft_of(self.alice, list(sources))
        doctor.check(version, quiet)
        return version

    def test_nothing_is_held_against_good_photos(self) -> None:
        types = ("sneakers", "oxfords", "ankle boots", "sandals")
        version = self.checked(*[photo(shoe(n, type=type_), f"{n}.png") for n, type_ in enumerate(types)])
        self.assertEqual(kinds(version), {})
        version.refresh_from_db()
        self.assertIsNotNone(version.checked_at)

    def test_each_fault_is_held_against_its_photo(self) -> None:
        tiny = shoe(1, type="oxfords").resize((64, 64), Image.Resampling.LANCZOS)
        version = self.checked(
            photo(red(), "good.png"),
            photo(tiny, "tiny.png"),
            photo(shoe(2, type="loafers").filter(ImageFilter.GaussianBlur(3)), "soft.png"),
            photo(shoe(3, type="sandals").point(lambda value: value * 0.3), "dark.png"),
            photo(Image.new("RGB", (SIDE, SIDE), (250, 250, 250)), "empty.png"),
        )
        self.assertEqual(
            kinds(version),
            {"too_small": ["tiny.png"], "blurred": ["soft.png"], "underexposed": ["dark.png"],
             "no_subject": ["empty.png"]},
        )  # fmt: skip

    def test_copies_are_grouped_and_the_described_one_is_to_be_kept(self) -> None:
        version = self.checked(
            photo(red(), "1.png", ""), photo(red(), "2.png", "red sneakers"), photo(shoe(5, type="oxfords"), "3.png")
        )
        found = list(version.findings.filter(kind="duplicate").select_related("photo").order_by("photo__position"))
        self.assertEqual([each.photo.file_name for each in found], ["1.png", "2.png"])
        self.assertEqual({each.group for each in found}, {1})
        self.assertEqual({each.detail["best"] for each in found}, {str(found[1].photo_id)})

    def test_a_smaller_copy_is_a_near_duplicate_and_the_same_shoe_in_blue_is_not(self) -> None:
        small = red().resize((130, 130), Image.Resampling.LANCZOS)
        blue = draw.draw_catalogue(Shoe("sneakers", "blue", "leather", "black", "white"), 0, SIDE)
        version = self.checked(photo(small, "small.png"), photo(red(), "large.png"), photo(blue, "blue.png"))
        self.assertEqual(kinds(version), {"near_duplicate": ["small.png", "large.png"]})
        found = Finding.objects.filter(kind="near_duplicate")[0]
        self.assertEqual(found.detail["best"], str(version.photos.get(file_name="large.png").pk))

    def test_a_variant_is_no_near_duplicate_of_its_parent(self) -> None:
        parent = photo(red(), "parent.png")
        lighter = red().point(lambda value: min(255, value * 1.03))
        variant = source_of(lighter, "variant.png", "shoe", parent_id=parent.blob_id, origin="augmented")
        self.assertEqual(kinds(self.checked(parent, variant)), {})

    def test_captions_that_are_missing_too_long_or_untrue(self) -> None:
        version = self.checked(
            photo(red(1), "bare.png", ""),
            photo(shoe(2, type="oxfords"), "long.png", "a shoe " * 60),
            photo(shoe(3, type="ankle boots", colour="blue"), "untrue.png", "orange ankle boots, white background"),
            photo(shoe(4, type="sandals", colour="green"), "true.png", "green sandals with an orange sole"),
        )
        self.assertEqual(
            kinds(version),
            {"caption_missing": ["bare.png"], "caption_too_long": ["long.png"], "caption_contradicts": ["untrue.png"]},
        )
        detail = version.findings.get(kind="caption_contradicts").detail
        self.assertEqual((detail["said"], detail["seen"]), ("orange", "blue"))

    def test_a_photo_is_small_beside_large_ones_that_is_not_small_beside_its_like(self) -> None:
        small = photo(red().resize((140, 140), Image.Resampling.LANCZOS), "small.png")
        large = [photo(shoe(n, type=t).resize((300, 300), Image.Resampling.LANCZOS), f"{n}.png")
                 for n, t in enumerate(("oxfords", "sandals", "ankle boots"))]  # fmt: skip
        self.assertNotIn("too_small", kinds(self.checked(small)))
        version = draft_of(self.alice, [small, *large], name="large")
        doctor.check(version, quiet)
        self.assertEqual(kinds(version)["too_small"], ["small.png"])

    def test_what_most_photos_are_is_said_once_for_the_version(self) -> None:
        draft = draft_of(self.alice, [photo(red(n), f"{n}.png", "black boots") for n in range(1)])
        captions = ["black boots, side view"] * 24 + ["red sandals, front view"] * 3 + ["blue loafers"] * 3
        drafts.add_photos(draft, [photo(red(), f"x{n}.png", caption) for n, caption in enumerate(captions)])
        doctor.check(draft, quiet)
        whole = draft.findings.filter(photo=None)
        heavy = {each.detail["field"]: each.detail["value"] for each in whole.filter(kind="imbalance")}
        self.assertEqual(heavy, {"type": "boots", "colour": "black", "view": "side"})
        gaps = whole.get(kind="coverage").detail
        self.assertEqual((gaps["cells"], gaps["missing"]), (9, 6))

    def test_a_picture_is_measured_once_for_all_its_versions(self) -> None:
        version = self.checked(photo(red()))
        freeze(version)
        PhotoMeasure.objects.update(phash="0" * 16)
        doctor.check(drafts.open_draft(version.dataset), quiet)
        self.assertEqual(PhotoMeasure.objects.get().phash, "0" * 16)

    def test_it_tells_how_far_it_is(self) -> None:
        told: list[tuple[int, int]] = []
        draft = draft_of(self.alice, [photo(red(n), f"{n}.png") for n in range(3)])
        doctor.check(draft, lambda done, total: told.append((done, total)))
        self.assertEqual((told[0], told[-1]), ((0, 3), (3, 3)))

    def test_what_was_accepted_rests_in_every_later_version_with_this_picture(self) -> None:
        version = self.checked(photo(red().filter(ImageFilter.GaussianBlur(3)), "soft.png", "red shoe"))
        fixes.accept(version.findings.filter(kind="blurred"), self.alice)
        self.assertTrue(version.findings.get().accepted)
        self.assertEqual(AcceptedFinding.objects.get().user, self.alice)
        frozen = freeze(version)
        again = drafts.open_draft(frozen.dataset)
        doctor.check(again, quiet)
        self.assertTrue(again.findings.get().accepted)
        self.assertFalse(again.findings.waiting().exists())

    def test_findings_about_what_a_photo_no_longer_has_are_not_shown(self) -> None:
        version = self.checked(photo(red(), "bare.png", ""))
        bare = version.photos.get()
        self.assertEqual(version.findings.current().count(), 1)
        drafts.edit(version, self.alice, "caption", {bare.pk: {"caption": "red sneakers"}})
        self.assertEqual(version.findings.current().count(), 0)
        drafts.undo(version)
        self.assertEqual(version.findings.current().count(), 1)
        drafts.edit(version, self.alice, "take_out", {bare.pk: {"removed": True}})
        self.assertEqual(version.findings.current().count(), 0)


def opened(sha256: str) -> Image.Image:
    return Image.open(BytesIO(files.path_of(sha256).read_bytes()))
