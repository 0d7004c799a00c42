"""Takes the pictures that docs/datasets.md shows: a folder that nobody prepared, from its upload to a frozen version.

    SHOESAI_TAKE_PICTURES=docs/images/datasets .venv/bin/pytest -m slow training/tests/test_dataset_pictures.py
"""

from __future__ import annotations

import os
import re
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from shoesai.jobs import tasks
from shoesai.tests.test_browser import Studio, chromium, studio  # noqa: F401 (fixtures)
from training.tests.messy_folder import write_messy_folder
from training.tests.photos_for_doctor import FAULTS, WORLDS
from training.tests.test_doctor_measured import rng_of

WHERE = os.environ.get("SHOESAI_TAKE_PICTURES", "")
MOST_BYTES = 100_000
pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(not WHERE, reason="SHOESAI_TAKE_PICTURES names no folder for the pictures"),
]


def write_folder(folder: Path) -> list[Path]:
    """The messy folder, more photographs, and some that went wrong."""
    write_messy_folder(folder)
    for number in range(14):
        picture, _caption, _colour = WORLDS[("drawn", "photographic")[number % 2]](rng_of(50, number))
        if number in (3, 4, 9):
            picture = FAULTS[("background", "small_in_frame", "background")[number % 3]](picture, rng_of(number))
        picture.save(folder / f"DSC_{4100 + number}.jpg", quality=90)
    return sorted(folder.iterdir())


def take(page: Any, name: str) -> None:
    page.wait_for_timeout(400)
    page.evaluate("document.querySelectorAll('.toast').forEach(each => each.remove())")
    shot = Image.open(BytesIO(page.screenshot())).convert("RGB")
    for quality in (85, 75, 65, 50):
        out = BytesIO()
        shot.save(out, "WEBP", quality=quality, method=6)
        if len(out.getvalue()) <= MOST_BYTES:
            break
    path = Path(WHERE) / f"{name}.webp"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(out.getvalue())
    assert len(out.getvalue()) <= MOST_BYTES


def test_the_story_is_photographed(studio: Studio, tmp_path: Path) -> None:  # noqa: F811
    page = studio.signed_in(viewport={"width": 1280, "height": 860}, device_scale_factor=1)
    page.goto("/datasets/new/")
    page.get_by_label("Name").fill("Autumn shoes")
    page.locator("[data-files]").first.set_input_files(write_folder(tmp_path / "shoes"))
    take(page, "upload")
    page.get_by_role("button", name="Import photos").click()
    page.wait_for_url(re.compile(r"/datasets/[0-9a-f-]{36}/$"))
    for _job in ("the import", "the check that it asks for"):
        tasks.run_next("cpu")
    page.locator(".photo").first.wait_for()
    page.reload()
    take(page, "photos")
    here = page.url

    page.goto(f"{here}checks/")
    page.wait_for_load_state("networkidle")
    take(page, "checks")
    page.goto(f"{here}checks/?kind=near_duplicate")
    page.get_by_role("button", name="Keep the best of every group").click()
    page.goto(f"{here}checks/?kind=background")
    page.get_by_label("This page").check()
    page.get_by_role("button", name="Put white behind it").click()
    page.locator(".mend-pairs").wait_for()
    take(page, "mending")
    page.get_by_role("button", name=re.compile("^Mend")).click()

    page.goto(f"{here}captions/")
    page.get_by_role("button", name="Propose captions").click()
    page.get_by_role("progressbar").first.wait_for()
    tasks.run_next("gpu")
    page.get_by_text(re.compile(r"\d+ proposals? waits?\.")).wait_for()
    page.reload()  # without the tray that still tells of it
    take(page, "captions")
    page.get_by_role("button", name="Accept those shown").click()
    for caption in page.locator("[data-caption] textarea").all():
        if not caption.input_value():
            caption.fill("a shoe, clip art")
            caption.press("Enter")
    page.wait_for_timeout(800)

    page.goto(f"{here}split/?percent=20&seed=42")
    take(page, "split")
    page.get_by_role("button", name="Make it so").click()
    page.goto(f"{here}freeze/")
    page.get_by_label("Licence note").fill("Photographed by us in 2026; icons are our own.")
    take(page, "freeze")
    page.get_by_role("button", name="Freeze version").click()
    page.get_by_text("is frozen and can be trained on").wait_for()
    take(page, "versions")
