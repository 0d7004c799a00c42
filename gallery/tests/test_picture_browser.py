"""One picture and two to four of them in a real Chromium: keys, zoom, judging, the selection, the trash, comparing."""

from __future__ import annotations

import re
from typing import Any

import pytest

from gallery.models import Judgement
from generation.models import GeneratedImage
from shoesai.testing import finished_generation
from shoesai.tests.test_browser import WIDTHS, Studio, chromium, studio  # noqa: F401 (fixtures)

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

SWIPE = """stage => {
  for (const [name, clientX] of [["pointerdown", 300], ["pointermove", 200], ["pointerup", 120]]) {
    const finger = { pointerId: 7, pointerType: "touch", clientX, clientY: 200, bubbles: true };
    stage.dispatchEvent(new PointerEvent(name, finger));
  }
}"""


def percent(page: Any) -> int:
    return int(re.sub(r"\D", "", page.locator("[data-zoom-percent]").inner_text()))


def pictures(there: Studio, number: int, **request: Any) -> list[GeneratedImage]:
    """In the order of the gallery."""
    generation = finished_generation(there.alice, pictures=number, **request)
    return list(generation.images.order_by("-created_at", "-id"))


def opened(there: Studio, image: GeneratedImage, query: str = "", **options: Any) -> Any:
    page = there.signed_in(**options)
    page.goto(f"/gallery/{image.pk}/{query}")
    page.locator("[data-zoom-percent]:not(:empty)").wait_for()
    return page


def test_zoom_and_pan_with_keys_wheel_and_double_click(studio: Studio) -> None:  # noqa: F811
    image = pictures(studio, 1)[0]
    page = opened(studio, image)
    stage = page.locator("[data-stage]")
    assert percent(page) == 400  # 128 pixels are shown four times as large and no larger
    page.keyboard.press("+")
    assert percent(page) == 600
    assert "is-pixels" in stage.get_attribute("class")
    before = page.locator(".sheet").get_attribute("style")
    page.keyboard.press("ArrowRight")
    assert page.locator(".sheet").get_attribute("style") != before
    page.keyboard.press("0")
    assert percent(page) == 400
    stage.dblclick()
    assert percent(page) == 800
    page.keyboard.press("Escape")  # first out of the zoom, only then back
    assert percent(page) == 400
    stage.hover()
    page.mouse.wheel(0, -300)
    page.wait_for_function("document.querySelector('[data-zoom-percent]').textContent !== '400 %'")
    assert percent(page) > 400
    page.get_by_role("button", name="The whole picture").click()
    assert percent(page) == 400
    assert page.url.endswith(f"/gallery/{image.pk}/")


def test_the_arrows_walk_and_the_back_button_leads_to_the_gallery_at_once(studio: Studio) -> None:  # noqa: F811
    first, second, third = pictures(studio, 3)
    page = studio.signed_in()
    page.goto("/gallery/?q=red")
    page.locator(f'a[href^="/gallery/{first.pk}/"]').first.click()
    page.wait_for_url(f"**/gallery/{first.pk}/?q=red")
    for image in (second, third):
        page.keyboard.press("ArrowRight")
        page.wait_for_url(f"**/gallery/{image.pk}/?q=red")
        page.locator(f'#picture[data-image="{image.pk}"]').wait_for()
    assert page.locator('[data-key="ArrowRight"]').count() == 0
    page.go_back()
    page.wait_for_url("**/gallery/?q=red*")


def test_star_rating_and_tags_stay_and_single_keys_can_be_switched_off(studio: Studio) -> None:  # noqa: F811
    image = pictures(studio, 1)[0]
    page = opened(studio, image)
    with page.expect_response("**/judge/"):
        page.keyboard.press("f")
    with page.expect_response("**/judge/"):
        page.keyboard.press("4")
    judgement = Judgement.objects.get(user=studio.alice, image=image)
    assert (judgement.favourite, judgement.rating) == (True, 4)
    page.reload()
    assert page.get_by_role("button", name="Favourite").get_attribute("aria-pressed") == "true"
    assert page.get_by_role("button", name="4 stars").get_attribute("aria-pressed") == "true"
    with page.expect_response("**/judge/"):
        page.keyboard.press("4")  # the same again takes it away
    assert Judgement.objects.get(user=studio.alice, image=image).rating is None
    page.get_by_label("Tags").fill("Summer")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Remove the tag summer").click()
    page.locator(".chip.tag").wait_for(state="detached")
    page.locator("h1").click()
    page.evaluate("document.body.dataset.keys = 'off'")
    for key in ("f", "x", "3", "+"):
        page.keyboard.press(key)
    assert percent(page) == 400
    assert page.locator("[data-pick]").get_attribute("aria-pressed") == "false"
    assert Judgement.objects.get(user=studio.alice, image=image).favourite


def test_two_picked_pictures_are_compared(studio: Studio) -> None:  # noqa: F811
    first, second = pictures(studio, 2)
    page = opened(studio, first)
    page.keyboard.press("x")
    page.get_by_text("1 selected").wait_for()
    page.keyboard.press("ArrowRight")
    page.locator(f'#picture[data-image="{second.pk}"]').wait_for()
    page.keyboard.press("x")
    page.get_by_role("link", name="Compare", exact=True).click()
    page.wait_for_url(f"**/gallery/compare/?image={first.pk}&image={second.pk}")
    page.get_by_role("link", name="Slider").click()
    page.wait_for_url("**&view=slider")
    slider = page.get_by_role("slider")
    slider.focus()
    page.keyboard.press("Home")
    assert page.locator("#compare").evaluate("compare => compare.style.getPropertyValue('--split')") == "0%"
    page.get_by_role("link", name="Side by side").click()
    page.locator("h1").click()
    page.keyboard.press("+")
    moved = page.locator(".sheet").evaluate_all("sheets => sheets.map((sheet) => sheet.style.transform)")
    assert moved[0] == moved[1] != "none"


def test_what_goes_to_the_trash_makes_room_for_the_next_and_comes_back(studio: Studio) -> None:  # noqa: F811
    first, second = pictures(studio, 2)
    page = opened(studio, first)
    page.get_by_role("button", name="Move to the trash").click()
    page.locator(f'#picture[data-image="{second.pk}"]').wait_for()
    first.refresh_from_db()
    assert first.trashed_at
    with page.expect_response("**/restore/"):
        page.get_by_role("button", name="Undo").click()
    first.refresh_from_db()
    assert first.trashed_at is None


def test_a_swipe_leads_on(studio: Studio) -> None:  # noqa: F811
    first, second = pictures(studio, 2)
    page = opened(studio, first, has_touch=True, viewport={"width": 390, "height": 844})
    page.locator("[data-stage]").evaluate(SWIPE)
    page.wait_for_url(f"**/gallery/{second.pk}/")


def test_without_javascript_everything_can_be_reached(studio: Studio) -> None:  # noqa: F811
    first, second = pictures(studio, 2)
    page = studio.signed_in(java_script_enabled=False)
    page.goto(f"/gallery/{first.pk}/")
    page.get_by_role("button", name="3 stars").click()
    page.wait_for_url(f"**/gallery/{first.pk}/")
    assert Judgement.objects.get(image=first).rating == 3
    page.get_by_role("link", name="Next picture").click()
    page.wait_for_url(f"**/gallery/{second.pk}/")
    page.goto(f"/gallery/compare/?image={first.pk}&image={second.pk}")
    assert page.locator(".pane img").count() == 2


def test_no_page_is_too_wide_or_breaks_a_rule_of_accessibility(studio: Studio) -> None:  # noqa: F811
    from axe_playwright_python.sync_playwright import Axe

    images = pictures(studio, 4, prompt="red sneakers " * 20)
    page = studio.signed_in(reduced_motion="reduce")  # colours change at once
    compared = "&".join(f"image={image.pk}" for image in images)
    for address in (f"/gallery/{images[0].pk}/", f"/gallery/compare/?{compared}"):
        page.goto(address)
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert wide <= 0, f"{address} at {width} px is {wide} px too wide"
        for theme in ("light", "dark"):
            page.emulate_media(color_scheme=theme)
            broken = [found["id"] for found in Axe().run(page).response["violations"]]
            assert broken == [], f"{address} {theme}"
