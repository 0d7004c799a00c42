"""Pictures are made safe in children: one that hangs or dies takes its picture along, and nothing else."""

from __future__ import annotations

import io
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from PIL import Image

from shoesai import side_by_side
from shoesai.pictures import NotAPicture, Picture
from shoesai.side_by_side import Reader, read_pictures
from training.importers import Report, read_photos, source_of
from training.tests.pictures_for_tests import encoded

GOOD = [encoded(colour=(40 * number, 90, 120)) for number in range(6)]


def endless(side: int = 6000, scans: int = 3000) -> bytes:
    """A progressive JPEG of 300 kB that refines the same 36 million pixels thousands of times: minutes of work."""
    out = io.BytesIO()
    Image.new("L", (side, side), 128).save(out, "JPEG", progressive=True)
    data = out.getvalue()
    last_scan = data[data.rindex(b"\xff\xda") : -2]
    return data[:-2] + last_scan * scans + data[-2:]


ENDLESS = endless()


@pytest.fixture
def little_time(monkeypatch: pytest.MonkeyPatch) -> float:
    """Enough for a good picture on a busy machine, and so that nobody waits five seconds for each test."""
    monkeypatch.setattr(side_by_side, "SECONDS", 2.0)
    return 2.0


def told(pictures: Iterator[Picture | NotAPicture]) -> list[str]:
    return ["good" if isinstance(picture, Picture) else str(picture) for picture in pictures]


def readers() -> list[psutil.Process]:
    """Other tests of this process may have children of their own."""
    return [child for child in psutil.Process().children() if "shoesai.picture_child" in child.cmdline()]


def child_at_work() -> psutil.Process:
    """The one that has been busy longer than any good picture would keep it."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        for child in readers():
            if child.cpu_times().user > 1.2:
                return child
        time.sleep(0.02)
    raise AssertionError("no child is at work")


@pytest.mark.usefixtures("little_time")
def test_a_picture_that_never_ends_is_told_and_the_others_go_on() -> None:
    began = time.monotonic()
    results = told(read_pictures([GOOD[0], ENDLESS, *GOOD[1:]], children=2))
    assert results == ["good", "takes longer than 2 s.", *["good"] * 5]
    assert time.monotonic() - began < 20
    assert readers() == []


@pytest.mark.usefixtures("little_time")
def test_one_child_alone_is_replaced_after_each_that_hangs() -> None:
    late = "takes longer than 2 s."
    assert told(read_pictures([ENDLESS, GOOD[0], ENDLESS, GOOD[1]], children=1)) == [late, "good", late, "good"]


def test_a_child_that_is_killed_takes_its_picture_along_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(side_by_side, "SECONDS", 60.0)
    killer = threading.Thread(target=lambda: os.kill(child_at_work().pid, signal.SIGKILL))
    killer.start()
    results = told(read_pictures([GOOD[0], ENDLESS, *GOOD[1:]], children=2))
    killer.join()
    reason = "takes more memory than a picture may, or breaks the program that decodes it."
    assert results == ["good", reason, *["good"] * 5]


def test_a_child_that_dies_between_two_pictures_is_nobodys_fault(tmp_path: Path) -> None:
    reader = Reader(str(tmp_path))
    try:
        reader.read(GOOD[0])
        (child,) = readers()
        child.kill()
        while child.status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.01)
        assert reader.read(GOOD[1]).width == 40
    finally:
        reader.close()


def starting_with(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every interpreter that is started runs this first."""
    (tmp_path / "sitecustomize.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))


@pytest.mark.usefixtures("little_time")
def test_how_long_a_child_takes_to_start_is_not_the_first_pictures_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    starting_with("import time; time.sleep(3)", tmp_path, monkeypatch)
    assert told(read_pictures(GOOD[:2], children=2)) == ["good", "good"]


def test_where_no_child_starts_no_picture_is_to_blame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    starting_with("raise SystemExit(1)", tmp_path, monkeypatch)
    with pytest.raises(RuntimeError, match="does not start"):
        told(read_pictures(GOOD[:2], children=2))


@pytest.mark.usefixtures("little_time")
def test_an_import_tells_the_file_and_takes_all_others(tmp_path: Path) -> None:
    for number, data in enumerate([GOOD[0], ENDLESS, *GOOD[1:]]):
        (tmp_path / f"{number}.jpg").write_bytes(data)
    report = Report()
    photos = list(read_photos(source_of(tmp_path), report=report))
    assert [photo.file_name for photo in photos] == ["0.jpg", "2.jpg", "3.jpg", "4.jpg", "5.jpg", "6.jpg"]
    assert [(each.file, each.problem) for each in report.problems] == [("1.jpg", "takes longer than 2 s.")]
