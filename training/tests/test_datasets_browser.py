"""The workshop in a real Chromium: from a folder that nobody prepared to a frozen version, and captions by keyboard."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe

from shoesai.jobs import tasks
from shoesai.tests.test_browser import WIDTHS, Studio, chromium, studio  # noqa: F401 (fixtures)
from training.datasets import doctor
from training.datasets.drafts import edit
from training.datasets.freezing import freeze
from training.models import DatasetVersion, Photo
from training.tests.datasets_for_tests import draft_of, drawn, plain
from training.tests.messy_folder import COUNT, write_messy_folder

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def sound(page: Any) -> None:
    found = [(rule["id"], rule["nodes"][0]["target"]) for rule in Axe().run(page).response["violations"]]
    assert found == [], page.url


def captions_of(version: DatasetVersion) -> list[str]:
    return list(version.photos.present().values_list("caption", flat=True))


def test_a_messy_folder_becomes_a_frozen_captioned_version(studio: Studio, tmp_path: Path) -> None:  # noqa: F811
    page = studio.signed_in()
    bring(page, write_messy_folder(tmp_path / "shoes"))
    mend(page)
    hold_out(page)
    describe(page)
    freeze_it(page)
    version = DatasetVersion.objects.get()
    assert (version.is_draft, version.photo_count) == (False, COUNT - 1)
    assert version.licence_note == "Photographed by us, 2026."
    page.get_by_role("link", name="Train from here").first.click()
    assert page.get_by_label("Photos").input_value() == str(version.pk)


def bring(page: Any, folder: Path) -> None:
    page.get_by_role("link", name="Datasets", exact=True).click()
    sound(page)
    page.get_by_role("link", name="New dataset").first.click()
    page.get_by_label("Name").fill("Autumn shoes")
    page.locator("[data-files]").first.set_input_files(sorted(folder.iterdir()))
    sound(page)
    page.get_by_role("button", name="Import photos").click()
    page.wait_for_url(re.compile(r"/datasets/[0-9a-f-]{36}/$"))
    tasks.run_next("cpu")
    page.locator(".photo").nth(COUNT - 1).wait_for()
    assert page.locator(".photo").count() == COUNT
    page.get_by_text("3 files could not be used").wait_for()
    sound(page)
    page.get_by_role("button", name="Put away").click()


def mend(page: Any) -> None:
    """The copy goes, and what is behind the shoes becomes white."""
    tasks.run_next("cpu")  # the check that an import asks for
    page.get_by_role("link", name="Checks").click()
    page.get_by_role("link", name=re.compile("^Near-duplicates")).first.click()
    sound(page)
    page.get_by_role("button", name="Keep the chosen one").click()
    page.get_by_text("1 photo taken out.").wait_for()
    page.get_by_role("link", name=re.compile("^Background not white")).first.click()
    page.get_by_label("This page").check()
    page.get_by_role("button", name="Put white behind it").click()
    page.get_by_role("heading", name="Put white behind it").wait_for()
    sound(page)
    page.get_by_role("button", name=re.compile(r"Mend \d+ photos?")).click()
    page.get_by_text(re.compile(r"\d+ photos? changed\.")).wait_for()
    page.get_by_role("button", name="Check again").click()
    page.get_by_role("progressbar").wait_for()
    tasks.run_next("cpu")
    page.get_by_text("Checked just now").wait_for()
    sound(page)


def hold_out(page: Any) -> None:
    page.get_by_role("link", name="Split", exact=True).click()
    page.get_by_role("button", name="Propose").click()
    page.get_by_role("button", name="Make it so").click()
    page.get_by_text("1 photo is held out.").wait_for()
    sound(page)


def describe(page: Any) -> None:
    """Proposals, a template for all of them, and by hand what nobody could name."""
    page.get_by_role("link", name="Captions").click()
    page.get_by_role("button", name="Propose captions").click()
    page.get_by_role("progressbar").first.wait_for()
    tasks.run_next("gpu")
    page.get_by_text(re.compile(r"\d+ proposals? waits?\.")).wait_for()
    sound(page)
    page.get_by_role("button", name="Accept those shown").click()
    page.get_by_label("Pattern").fill("{caption}, product photo")
    page.locator("form", has=page.get_by_label("Pattern")).get_by_role("button", name="Look at the changes").click()
    sound(page)
    page.get_by_role("button", name=re.compile(r"Change \d+ captions?")).click()
    page.get_by_text(re.compile(r"\d+ captions changed\.")).wait_for()
    draft = DatasetVersion.objects.get()
    for caption in page.locator("[data-caption] textarea").all():
        if not caption.input_value():
            caption.fill("a shoe, product photo")
            caption.press("Enter")
    page.locator("[data-caption] textarea").first.click()  # what was typed last is saved, too
    page.wait_for_timeout(500)
    assert all(captions_of(draft)), captions_of(draft)


def freeze_it(page: Any) -> None:
    page.get_by_role("link", name="Freeze version").click()
    page.get_by_label("Licence note").fill("Photographed by us, 2026.")
    sound(page)
    page.get_by_role("button", name="Freeze version").click()
    page.get_by_text("is frozen and can be trained on").wait_for()
    sound(page)


def test_captions_are_written_with_the_keyboard_alone(studio: Studio) -> None:  # noqa: F811
    draft = draft_of(studio.alice, [plain(number, "") for number in range(3)])
    Photo.objects.filter(pk=draft.photos.all()[1].pk).update(proposal="blue boots")
    page = studio.signed_in()
    page.goto(f"/datasets/{draft.dataset_id}/captions/")
    page.locator("[data-caption] textarea").first.focus()
    page.keyboard.type("red boots")
    page.keyboard.press("Enter")
    page.locator("[data-saved]").first.wait_for()
    page.keyboard.press("Alt+Enter")
    page.locator("[data-saved]").nth(1).wait_for()
    page.keyboard.type("green boots")
    page.keyboard.press("Control+ArrowUp")
    page.locator("[data-saved]").nth(2).wait_for()
    assert captions_of(draft) == ["red boots", "blue boots", "green boots"]
    page.keyboard.type(" on white")
    page.keyboard.press("Escape")
    assert page.locator("[data-caption] textarea").nth(1).input_value() == "blue boots"
    sound(page)

    edit(draft, studio.bob, "captions", {draft.photos.all()[0].pk: {"caption": "Bob's boots"}})
    first = page.locator("[data-caption] textarea").first
    first.fill("Alice's boots")
    first.press("Enter")
    page.get_by_text("Somebody has changed it meanwhile").wait_for()
    sound(page)
    assert captions_of(draft)[0] == "Bob's boots"
    assert first.input_value() == "Alice's boots"
    first.press("Enter")
    page.locator(".caption-row.has-error").wait_for(state="detached")
    assert captions_of(draft)[0] == "Alice's boots"
    page.locator("h1").click()
    page.keyboard.press("Control+z")
    page.locator("[data-caption] textarea", has_text="Bob's boots").wait_for()
    assert captions_of(draft)[0] == "Bob's boots"
    studio.complaints[:] = [each for each in studio.complaints if "422" not in each]  # the refusal above


@pytest.mark.slow
def test_every_page_is_sound_in_both_themes_at_three_widths(studio: Studio) -> None:  # noqa: F811
    version = freeze(draft_of(studio.alice, [drawn(number) for number in range(3)]))
    draft = draft_of(studio.alice, [drawn(4), plain(5, ""), plain(6, depth=1)], name="spring", team=studio.team)
    pages = ["/datasets/", "/datasets/new/"]
    for each in (version, draft):
        doctor.check(each, lambda done, total: None)
        parts = ["", "checks/", "checks/?kind=coverage", "split/?percent=20&seed=1", "captions/", "versions/"]
        parts += ["settings/", "upload/", "augment/", "expand/"]
        pages += [f"/datasets/{each.dataset_id}/{part}" for part in parts]
        pages.append(f"/datasets/{each.dataset_id}/photos/{each.photos.all()[0].pk}/")
    pages += [f"/datasets/{draft.dataset_id}/{part}/" for part in ("freeze", "history")]
    pages.append(f"/datasets/{version.dataset_id}/compare/")
    for width in WIDTHS:
        for scheme in ("light", "dark"):
            page = studio.signed_in(viewport={"width": width, "height": 900}, color_scheme=scheme)
            for address in pages:
                page.goto(address)
                sound(page)
                assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (address, width)
            page.context.close()
