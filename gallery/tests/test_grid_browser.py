"""The gallery's grid in a real Chromium: rows that do not shift, scrolling and coming back, selecting, keys."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import pytest
from axe_playwright_python.sync_playwright import Axe

from gallery.models import Judgement
from generation.models import GeneratedImage
from shoesai.testing import finished_generation
from shoesai.tests.test_browser import Studio, chromium, studio  # noqa: F401 (fixtures)

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

SHAPES = ((128, 128), (128, 96), (96, 128), (160, 96))
TALLEST = "Math.max(...[...document.querySelectorAll('.tile')].map((tile) => tile.offsetHeight))"
TOP_TILE = "document.elementFromPoint(innerWidth / 2, 300).closest('.tile')?.id"
SHIFTS = """new Promise((tell) => {
  let sum = 0;
  const add = (list) => list.getEntries().forEach((entry) => (sum += entry.value));
  new PerformanceObserver(add).observe({ type: "layout-shift", buffered: true });
  setTimeout(() => tell(sum), 300);
})"""


def hang(there: Studio, number: int) -> None:
    """Pictures of several shapes in the gallery."""
    for place in range(number // 4):
        width, height = SHAPES[place % len(SHAPES)]
        finished_generation(there.alice, pictures=4, width=width, height=height)


def opened(there: Studio, query: str = "", **options: Any) -> Any:
    page = there.signed_in(**options)
    page.goto(f"/gallery/{query}")
    page.locator(".tile[data-settled]").first.wait_for(state="attached")
    return page


def until(page: Any, expression: str, value: Any = True) -> None:
    """Playwright's own way of waiting for an expression is evaluated in the page, where the policy forbids it."""
    for _ in range(200):
        if page.evaluate(expression) == value:
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"{expression} is {page.evaluate(expression)!r}, not {value!r}")


def selected(page: Any) -> str:
    return page.locator("[data-selected]").inner_text()


def sound(page: Any) -> None:
    found = [(rule["id"], rule["nodes"][0]["target"]) for rule in Axe().run(page).response["violations"]]
    assert found == []


def test_rows_are_justified_and_nothing_shifts(studio: Studio) -> None:  # noqa: F811
    hang(studio, 28)
    page = opened(studio, viewport={"width": 1200, "height": 900})
    rows: dict[int, list[Any]] = {}
    for box in [tile.bounding_box() for tile in page.locator(".tile").all()]:
        rows.setdefault(round(box["y"]), []).append(box)
    right = page.locator("#grid").evaluate("(grid) => grid.getBoundingClientRect().right")
    full = list(rows.values())[:-1]
    for row in full:
        assert max(box["height"] for box in row) - min(box["height"] for box in row) < 1
        assert abs(row[-1]["x"] + row[-1]["width"] - right) < 1
    assert len(full) > 1
    assert page.evaluate(TALLEST) < 260  # the last row does not blow up
    assert page.evaluate(SHIFTS) == 0
    sound(page)


def test_scrolling_goes_on_and_the_back_button_comes_back_to_the_place(studio: Studio) -> None:  # noqa: F811
    hang(studio, 60)
    with patch("gallery.paging.PAGE", 12):
        page = opened(studio, viewport={"width": 900, "height": 600})
        page.evaluate("scrollTo(0, document.body.scrollHeight)")
        page.wait_for_url("**/gallery/?cursor=*")
        until(page, "document.querySelectorAll('.tile').length > 36")
        page.evaluate("scrollTo(0, document.body.scrollHeight)")
        page.mouse.wheel(0, -300)
        page.wait_for_timeout(1500)  # the address follows when scrolling has ended
        tile = page.evaluate(TOP_TILE)
        place = page.locator(f"#{tile}").bounding_box()["y"]
        page.locator(f"#{tile} a").click()
        page.wait_for_url("**/gallery/*-*/")
        page.go_back()
        until(page, "document.activeElement.closest('.tile')?.id", tile)
        assert abs(page.locator(f"#{tile}").bounding_box()["y"] - place) < 2
        assert "cursor=" in page.url
        assert f'id="{tile}"' in page.request.get(page.url).text()  # the address alone leads to it, too
        page.evaluate("scrollTo(0, 0)")
        first = page.locator(".tile").first.get_attribute("id")
        before = page.locator(f"#{first}").bounding_box()["y"]
        page.get_by_role("link", name="Newer pictures").click()
        until(page, f"document.querySelector('.tile').id !== '{first}'")
        assert abs(page.locator(f"#{first}").bounding_box()["y"] - before) < 2


def test_in_a_large_gallery_numbers_come_by_themselves_and_choices_stay(studio: Studio) -> None:  # noqa: F811
    hang(studio, 12)
    with patch("gallery.facets.COUNTED_AT_ONCE", 1):
        page = opened(studio, "?q=red")
        page.locator("#count", has_text="12 pictures").wait_for()
        page.locator(".tick").first.click()
        page.get_by_label("Select all 12 results").check()
        assert selected(page) == "12 selected"
        page.keyboard.press("Escape")
        page.locator("#search").fill("no such word")
        page.keyboard.press("Enter")
        page.get_by_text("No picture matches").wait_for()
        page.locator("#count", has_text="0 pictures").wait_for()
        sound(page)


def test_selecting_with_the_mouse_and_what_the_bar_does(studio: Studio) -> None:  # noqa: F811
    hang(studio, 12)
    page = opened(studio)
    page.locator(".tick").nth(1).click()
    page.locator(".tick").nth(4).click(modifiers=["Shift"])
    page.locator(".tile .picture").nth(6).click(modifiers=["ControlOrMeta"])
    assert selected(page) == "5 selected"
    page.reload()
    assert selected(page) == "5 selected"
    sound(page)
    page.get_by_role("button", name="Trash").click()
    page.get_by_text("5 pictures are in the trash.").wait_for()
    assert page.locator(".tile:visible").count() == 7
    page.get_by_role("button", name="Undo").click()
    page.locator("#count", has_text="12 pictures").wait_for()
    assert page.locator(".tile:visible").count() == 12
    page.locator(".tick").first.click()
    page.get_by_label("Select all 12 results").check()
    page.get_by_role("button", name="Tag").click()
    page.get_by_label("Tag", exact=True).fill("Hero")
    page.keyboard.press("Enter")
    page.get_by_text("12 pictures are tagged “hero”.").wait_for()
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    assert page.locator(".has-selection").count() == 0


def test_the_keyboard_walks_selects_and_judges(studio: Studio) -> None:  # noqa: F811
    hang(studio, 12)
    page = opened(studio)
    images = list(GeneratedImage.objects.order_by("-created_at", "-id"))
    page.locator(".tile a").first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("f")
    page.keyboard.press("4")
    page.locator(f"#i-{images[1].pk} .stars[data-rating='4']").wait_for()
    page.wait_for_load_state("networkidle")
    mine = Judgement.objects.get()
    assert (mine.image_id, mine.favourite, mine.rating) == (images[1].pk, True, 4)
    page.keyboard.press("x")
    page.keyboard.press("Shift+ArrowRight")
    assert selected(page) == "2 selected"
    page.keyboard.press("ArrowDown")
    below = page.evaluate("document.activeElement.closest('.tile').offsetTop")
    assert below > page.locator(".tile").first.evaluate("(tile) => tile.offsetTop")
    page.keyboard.press("Escape")
    page.keyboard.press("Enter")
    page.wait_for_url("**/gallery/*-*/")


def test_a_favourite_that_is_refused_goes_back(studio: Studio) -> None:  # noqa: F811
    hang(studio, 4)
    page = opened(studio)
    page.route("**/judge/", lambda route: route.fulfill(status=500))
    heart = page.locator(".heart").first
    page.locator(".tile").first.hover()
    heart.click()
    page.get_by_text("That did not work").wait_for()
    assert heart.get_attribute("aria-pressed") == "false"
    studio.complaints.clear()  # Chromium reports the 500 as an error of its own


def test_filters_act_in_place_and_the_address_tells_them(studio: Studio) -> None:  # noqa: F811
    hang(studio, 8)
    finished_generation(studio.bob, prompt="blue boots")
    page = opened(studio)
    page.get_by_label("bob").check()
    page.wait_for_url("**/gallery/?owner=bob")
    page.locator("#count", has_text="1 picture").wait_for()
    assert page.evaluate("document.activeElement.id") == "facet-owner-bob"
    page.get_by_role("link", name="Made by: bob").click()
    page.locator("#count", has_text="9 pictures").wait_for()
    page.go_back()
    page.locator("#count", has_text="1 picture").wait_for()
    assert page.get_by_label("bob").is_checked()
    box = page.get_by_role("combobox", name="Search")
    box.fill("")
    box.press_sequentially("us")
    page.get_by_role("option", name="user:").wait_for()
    sound(page)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.get_by_role("option", name="user:alice").wait_for()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert box.input_value() == "user:alice "
    page.keyboard.press("Enter")
    page.get_by_text("No picture matches").wait_for()
    assert page.url.endswith("?q=user%3Aalice&owner=bob")


def test_a_long_press_selects_and_taps_go_on(studio: Studio) -> None:  # noqa: F811
    hang(studio, 8)
    page = opened(studio, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    press = """(tile, type) => tile.querySelector("img").dispatchEvent(
      new PointerEvent(type, { pointerType: "touch", bubbles: true }))"""
    tile = page.locator(".tile").first
    tile.evaluate(press, "pointerdown")
    page.locator(".has-selection").wait_for()
    tile.evaluate(press, "pointerup")
    page.wait_for_timeout(1100)
    page.locator(".tile .picture").nth(2).tap()
    assert selected(page) == "2 selected"
    page.locator(".facets-button").tap()
    page.get_by_role("button", name="Show pictures").wait_for()
    sound(page)


def test_without_javascript_pages_filters_and_the_bar_work(studio: Studio) -> None:  # noqa: F811
    hang(studio, 12)
    with patch("gallery.paging.PAGE", 8):
        page = opened_plainly(studio)
        page.get_by_role("link", name="Load more").click()
        assert page.locator(".tile").count() == 4
        page.get_by_role("link", name="Newer pictures").click()
        assert page.locator(".tile").count() == 8
    page.locator("input[name=image]").first.check()
    page.get_by_role("button", name="Favourite", exact=True).click()
    page.get_by_text("1 picture is a favourite.").wait_for()
    page.get_by_label("Only favourites").check()
    page.get_by_role("button", name="Search").click()
    page.locator("#count", has_text="1 picture").wait_for()


def opened_plainly(there: Studio) -> Any:
    page = there.signed_in(java_script_enabled=False)
    page.goto("/gallery/")
    return page
