"""The portal in a real Chromium: one story, every page in both themes and three widths, and nothing the CSP forbids."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from generation.models import Generation
from shoesai.models import Job
from shoesai.testing import People, finished_generation, keep_plain_image, starter

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
PAGES = ("/", "/generate/", "/gallery/", "/gallery/?q=nothing", "/training/", "/jobs/", "/account/", "/admin/")
WIDTHS = (1440, 900, 390)

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """Playwright's loop lives in this thread, so Django must be told that its database calls are fine here."""
    if not CHROMIUM.exists():
        words = f"{CHROMIUM} is not here, so the portal was not tried in a browser."
        if os.environ.get("SHOESAI_REQUIRE_BROWSER") == "1":
            pytest.fail(words)
        pytest.skip(words)
    from playwright.sync_api import sync_playwright

    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        yield browser
        browser.close()


class Studio(People):
    """A browser at the running site, and what its console complained about."""

    def __init__(self, browser: Any, address: str) -> None:
        self.browser, self.address = browser, address
        self.complaints: list[str] = []
        self.make_people()
        starter()

    def open(self, **options: Any) -> Any:
        page = self.browser.new_context(base_url=self.address, **options).new_page()
        page.on("console", self.hear)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        return page

    def hear(self, said: Any) -> None:
        if said.type in ("error", "warning"):
            self.complaints.append(said.text)

    def signed_in(self, **options: Any) -> Any:
        page = self.open(**options)
        page.goto("/")
        page.get_by_label("Name").fill("alice")
        page.get_by_label("Password").fill("a light table")
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(f"{self.address}/")
        page.goto("/generate/")
        return page


@pytest.fixture
def studio(chromium: Any, live_server: Any) -> Iterator[Studio]:
    there = Studio(chromium, live_server.url)
    yield there
    for context in chromium.contexts:
        context.close()
    assert there.complaints == []


def test_pictures_appear_while_they_are_made_and_in_a_second_tab_too(studio: Studio) -> None:
    page = studio.signed_in()
    page.get_by_label("Prompt", exact=True).fill("red sneakers")
    page.locator("#id_num_images").fill("2")
    page.get_by_role("button", name="Generate 2 images").focus()
    page.keyboard.press("Control+Enter")
    page.get_by_text("Next in the queue").first.wait_for()
    assert page.locator(".tile.waiting").count() == 2

    generation = Generation.objects.get()
    Job.objects.update(state=Job.State.RUNNING, progress_step=14, progress_total=25)
    page.get_by_text("Step 14/25").first.wait_for()
    second = page.context.new_page()
    second.goto("/generate/")
    keep_plain_image(generation, 0)
    for tab in (page, second):
        tab.bring_to_front()
        tab.locator(".generation img").first.wait_for()
    page.bring_to_front()
    keep_plain_image(generation, 1)
    Job.objects.update(state=Job.State.SUCCEEDED)
    page.locator('.generation[data-state="succeeded"]').wait_for()
    assert page.locator(".generation img").count() == 2
    page.locator(".tray-box").wait_for(state="detached")
    page.reload()
    assert page.locator(".generation img").count() == 2

    page.get_by_role("link", name="Use these settings").click()
    page.wait_for_url("**?from=*")
    assert page.get_by_label("Seed", exact=True).input_value() == str(generation.first_seed)


def test_cancel_and_a_refused_request_are_shown_where_they_belong(studio: Studio) -> None:
    page = studio.signed_in()
    page.get_by_role("button", name="Generate 4 images").click()
    page.get_by_text("describe the shoe you want").wait_for()
    studio.complaints.clear()  # Chromium reports the 422 as an error of its own
    page.get_by_label("Prompt", exact=True).fill("red sneakers")
    page.get_by_role("button", name="Generate 4 images").click()
    page.locator(".generation").get_by_role("button", name="Cancel").click()
    page.get_by_text("Cancelled before the first picture was made.").wait_for()
    assert Job.objects.get().state == Job.State.CANCELLED


def test_a_selection_of_the_gallery_is_downloaded_as_a_zip(studio: Studio, tmp_path: Path) -> None:
    finished_generation(studio.alice, pictures=3)
    page = studio.signed_in()
    page.get_by_role("link", name="Gallery", exact=True).click()
    boxes = page.locator("input[name=image]")
    boxes.nth(0).check()
    boxes.nth(2).check()
    page.get_by_text("2 selected").wait_for()
    page.get_by_role("button", name="Download").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="ZIP with pictures and metadata").click()
    download.value.save_as(tmp_path / "shoes.zip")
    names = zipfile.ZipFile(tmp_path / "shoes.zip").namelist()
    assert sorted(name.rpartition(".")[2] for name in names) == ["csv", "json", "png", "png", "txt", "txt"]


def test_the_arrows_and_escape_walk_through_the_pictures(studio: Studio) -> None:
    finished_generation(studio.alice, pictures=2)
    page = studio.signed_in()
    page.goto("/gallery/?q=red")
    page.locator("a.picture").first.click()
    page.wait_for_url("**/gallery/*-*/?q=red")
    first = page.url
    page.keyboard.press("ArrowRight")
    page.wait_for_url(lambda url: url != first)
    assert page.url.endswith("?q=red")
    page.keyboard.press("Escape")
    page.wait_for_url("**/gallery/?q=red")


def test_without_javascript_the_studio_still_works(studio: Studio, tmp_path: Path) -> None:
    page = studio.signed_in(java_script_enabled=False)
    page.get_by_label("Prompt", exact=True).fill("red sneakers")
    page.locator("#generate-button").click()
    page.wait_for_url("**/generate/#generation-*")
    finished_generation(studio.alice)
    page.goto("/gallery/?q=sneakers")
    page.locator("input[name=image]").check()
    page.get_by_role("button", name="Download").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="ZIP with pictures and metadata").click()
    assert download.value.suggested_filename.endswith(".zip")


def test_a_chosen_theme_stays(studio: Studio) -> None:
    page = studio.signed_in(color_scheme="light")
    page.goto("/account/")
    page.get_by_text("Dark", exact=True).click()
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.reload()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == dark


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_page_scrolls_sideways_or_breaks_the_policy(studio: Studio, theme: Any) -> None:
    studio.alice.is_staff = studio.alice.is_superuser = True
    studio.alice.save()
    image = finished_generation(studio.alice, pictures=4, prompt="red sneakers " * 20).images.first()
    assert image
    page = studio.signed_in(color_scheme=theme)
    for address in (*PAGES, f"/gallery/{image.pk}/"):
        page.goto(address)
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            page.evaluate("document.fonts.ready.then(() => null)")
            wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert wide <= 0 or address == "/admin/", f"{address} at {width} px is {wide} px too wide"
