"""One folder, everything that can be wrong with it, one report."""

from __future__ import annotations

import os
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from training.importers import IMPORTERS, MAX_CAPTION, DatasetProblems, PhotoFile, read_captions_json
from training.tests.pictures_for_tests import encoded, entries, good_dataset, write_dataset

PNG = encoded()


def problems_of(folder: Path) -> dict[str, str]:
    with pytest.raises(DatasetProblems) as caught:
        list(read_captions_json(folder))
    return {each.file: each.problem for each in caught.value.problems}


def photos_of(folder: Path) -> list[PhotoFile]:
    return list(read_captions_json(folder))


def test_it_yields_the_photos_in_the_order_of_the_captions(tmp_path: Path) -> None:
    captions = entries({"b.png": "second name first", "a.png": "then the first"})
    photos = photos_of(write_dataset(tmp_path, captions, {"a.png": PNG, "b.png": PNG}))
    assert [(photo.file_name, photo.caption) for photo in photos] == [
        ("b.png", "second name first"),
        ("a.png", "then the first"),
    ]


def test_it_accepts_a_map_and_a_byte_order_mark(tmp_path: Path) -> None:
    photos = photos_of(write_dataset(tmp_path, b'\xef\xbb\xbf{"a.png": " a red shoe "}', {"a.png": PNG}))
    assert [photo.caption for photo in photos] == ["a red shoe"]


def test_every_importer_in_the_table_lists_files_and_says_what_it_is() -> None:
    assert all(callable(row.list) and row.label for row in IMPORTERS.values())


def test_one_report_lists_every_problem_by_file(tmp_path: Path) -> None:
    captions: list[Any] = entries(
        {
            "good.png": "a shoe",
            "missing.png": "a shoe that is not there",
            "broken.png": "half a picture",
            "empty.png": "nothing",
            "text.png": "not a picture",
            "long.png": "x" * (MAX_CAPTION + 1),
            "number.png": 7,
            "blank.png": "  ",
            "surrogate.png": "half \ud800",
            "nul.png": "a\x00b",
            "../outside.png": "a trick",
        }
    )
    captions += [
        {"image_file": "good.png", "caption": "again"},
        {"caption": "no file"},
        "a word",
        {"image_file": "none.png"},
    ]
    fine = (
        "good.png",
        "long.png",
        "number.png",
        "blank.png",
        "surrogate.png",
        "nul.png",
        "none.png",
        "uncaptioned.png",
    )
    images = dict.fromkeys(fine, PNG) | {
        "broken.png": PNG[:-30],
        "empty.png": b"",
        "text.png": b"GIF89a not really",
    }
    with pytest.raises(DatasetProblems) as caught:
        photos_of(write_dataset(tmp_path, captions, images))
    report = str(caught.value)
    for words in (
        "15 problems in this dataset; nothing was imported.",
        "missing.png: is named in captions.json but is not in images/",
        "broken.png: is broken",
        "empty.png: is empty",
        "text.png: is not a PNG, JPEG or WebP picture",
        "long.png: its caption has 2,001 characters; at most 2,000",
        "number.png: its caption must be text, not a number",
        "blank.png: its caption is empty",
        "surrogate.png: its caption contains characters that are not text",
        "nul.png: its caption contains characters that are not text",
        "captions.json: entry 11: image_file '../outside.png' must be the plain name of a file",
        "good.png: has more than one caption (again in entry 12)",
        'captions.json: entry 13: must be {"image_file"',
        'captions.json: entry 14: must be {"image_file"',
        "none.png: has no caption in its entry",
        "uncaptioned.png: has no caption in captions.json",
    ):
        assert words in report, words
    assert "good.png: is" not in report
    assert len(report.splitlines()) == 1 + len(caught.value.problems)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "is not JSON"),
        (b"[", "is not JSON"),
        (b'[{"image_file": "a.png", "caption": NaN}]', "NaN is not a JSON value"),
        (b"\xff\xfe[]", "is not UTF-8 text"),
        (b"[" * 200_000, "nested too deeply"),
        (b"9" * 10_000, "is not JSON"),
        (b"[]", "names no photos"),
        (b"{}", "names no photos"),
        (b"null", "must be a list"),
        (b'"a.png"', "must be a list"),
    ],
)
def test_captions_that_cannot_be_read_at_all_are_one_problem(tmp_path: Path, text: bytes, words: str) -> None:
    found = problems_of(write_dataset(tmp_path, text, {"a.png": PNG, "b.png": PNG}))
    assert list(found) == ["captions.json"]
    assert words in found["captions.json"]


def test_a_missing_captions_json_and_a_missing_images_folder_are_both_named(tmp_path: Path) -> None:
    assert set(problems_of(tmp_path)) == {"captions.json", "images/"}


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "..", "", "a/b.png", "a\\b.png", "x" * 300, "\ud800.png", "n\x00.png", 5]
)
def test_names_with_paths_and_tricks_are_refused(tmp_path: Path, name: Any) -> None:
    captions = [{"image_file": "a.png", "caption": "a shoe"}, {"image_file": name, "caption": "a trick"}]
    found = problems_of(write_dataset(tmp_path, captions, {"a.png": PNG}))
    assert list(found) == ["captions.json"]
    assert found["captions.json"].startswith("entry 2: image_file")


def test_a_link_out_of_the_folder_and_a_pipe_are_refused(tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    secret.write_bytes(PNG)
    captions = entries({"link.png": "a", "pipe.png": "b", "loop.png": "c"})
    folder = write_dataset(tmp_path / "dataset", captions, {})
    (folder / "images" / "link.png").symlink_to(secret)
    (folder / "images" / "loop.png").symlink_to("loop.png")
    os.mkfifo(folder / "images" / "pipe.png")
    found = problems_of(folder)
    assert found["link.png"] == "is a link that leads out of the dataset's folder."
    assert found["pipe.png"] == "is not a plain file."
    assert found["loop.png"].startswith("cannot be read")


def test_folders_are_reported_and_desktop_litter_is_not(tmp_path: Path) -> None:
    images = {"a.png": PNG, ".DS_Store": b"litter", "Thumbs.db": b"litter"}
    folder = write_dataset(tmp_path, entries({"a.png": "a shoe"}), images)
    assert len(photos_of(folder)) == 1
    (folder / "images" / "more").mkdir()
    assert problems_of(folder) == {"more/": "is a folder; photos lie in images/ itself."}


def test_a_file_name_cannot_speak_to_the_terminal(tmp_path: Path) -> None:
    images = {"a.png": PNG, "evil\x1b[2J\n.png": PNG}
    found = problems_of(write_dataset(tmp_path, entries({"a.png": "a shoe"}), images))
    assert list(found) == ["evil\\x1b[2J\\n.png"]


def test_an_accent_is_the_same_however_the_disk_writes_it(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path, entries({"caf\u00e9.png": "a shoe"}), {"cafe\u0301.png": PNG})
    assert [photo.file_name for photo in photos_of(folder)] == ["caf\u00e9.png"]


def test_pictures_are_judged_by_their_bytes(tmp_path: Path) -> None:
    animation = BytesIO()
    frames = [Image.new("RGB", (40, 32), colour) for colour in ("red", "blue")]
    frames[0].save(animation, "WEBP", save_all=True, append_images=frames[1:])
    images = {
        "jpeg_called.png": encoded(kind="JPEG"),
        "bitmap_called.png": encoded(kind="BMP"),
        "gif.png": encoded("L", kind="GIF"),
        "animated.webp": animation.getvalue(),
        "tiny.png": encoded(size=(8, 8)),
        "strip.png": encoded(size=(1000, 20)),
        "huge.png": encoded("1", size=(8000, 6000), colour=1),
        "bomb.png": encoded("1", size=(30_000, 15_000), colour=1),
    }
    found = problems_of(write_dataset(tmp_path, entries(dict.fromkeys(images, "a shoe")), images))
    assert "jpeg_called.png" not in found
    assert found["bitmap_called.png"] == found["gif.png"] == "is not a PNG, JPEG or WebP picture."
    assert "animated" in found["animated.webp"]
    assert "at least 16 pixels" in found["tiny.png"]
    assert "8 times the other" in found["strip.png"]
    assert "40,000,000 pixels" in found["huge.png"]
    assert "40,000,000 pixels" in found["bomb.png"]


def test_nothing_is_left_behind_in_the_working_folder(tmp_path: Path, settings: Any) -> None:
    settings.WORK_DIR = tmp_path / "work"
    settings.WORK_DIR.mkdir()
    photos_of(good_dataset(tmp_path / "good"))
    problems_of(write_dataset(tmp_path / "bad", entries({"a.png": "a", "b.png": "b"}), {"a.png": PNG}))
    assert list(settings.WORK_DIR.iterdir()) == []
