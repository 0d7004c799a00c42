"""Collections, links and the trash in a real Chromium: arranging, sharing and revoking, throwing away and undoing."""

from __future__ import annotations

from typing import Any

import pytest

from gallery import arranging, sharing, trash
from gallery.models import Collection
from generation.models import GeneratedImage
from shoesai.testing import finished_generation
from shoesai.tests.test_browser import WIDTHS, Studio, chromium, studio  # noqa: F401 (fixtures)

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def filled(there: Studio, number: int) -> Collection:
    """A collection of that many pictures, which its order calls 0, 1, 2 …"""
    images = finished_generation(there.alice, pictures=number, seed=40).images
    collection = arranging.create_collection(there.alice, "Spring")
    for image in images.order_by("seq"):
        arranging.add(there.alice, collection, GeneratedImage.objects.filter(pk=image.pk))
    return collection


def order(there: Studio, collection: Collection) -> list[int]:
    return [image.seq for image in arranging.in_collection(there.alice, collection)]


def test_arrows_and_dragging_put_pictures_in_order_and_say_where(studio: Studio) -> None:  # noqa: F811
    collection = filled(studio, 4)
    page = studio.signed_in()
    page.goto(collection.get_absolute_url())
    page.get_by_role("link", name="Arrange").click()
    places = page.locator(".place")
    with page.expect_response("**/move/"):
        places.nth(0).get_by_role("button", name="Move one place later").click()
    page.get_by_text("Now at place 2.").wait_for(state="attached")
    assert order(studio, collection) == [1, 0, 2, 3]
    with page.expect_response("**/move/"):
        places.nth(3).drag_to(places.nth(0))
    page.get_by_text("Now at place 1.").wait_for(state="attached")
    assert order(studio, collection) == [3, 1, 0, 2]
    page.reload()
    assert page.locator(".place").first.get_attribute("data-image") == str(
        GeneratedImage.objects.get(seq=3).pk
    )


def test_a_link_is_made_copied_visited_and_revoked(studio: Studio) -> None:  # noqa: F811
    collection = filled(studio, 2)
    page = studio.signed_in(permissions=["clipboard-read", "clipboard-write"])
    page.goto(collection.get_absolute_url())
    page.get_by_text("Share by link").click()
    page.get_by_label("For whom").fill("Agency North")
    page.get_by_role("button", name="Create link").click()
    page.get_by_role("button", name="Copy").click()
    page.get_by_text("Copied").wait_for()
    address = page.evaluate("navigator.clipboard.readText()")
    assert address.startswith(studio.address)

    visitor = studio.open()
    visitor.goto(address)
    visitor.get_by_role("heading", name="Spring").wait_for()
    visitor.get_by_role("img", name="Picture 1 of 2").click()
    visitor.get_by_role("link", name="Next picture").click()
    visitor.get_by_role("heading", name="Picture 2 of 2").wait_for()
    picture = visitor.locator("main > img").evaluate("image => image.src")
    assert visitor.request.get(picture).status == 200

    page.get_by_role("button", name="Revoke").click()
    page.get_by_text("The link is revoked").wait_for()
    assert visitor.request.get(picture).status == 404
    visitor.reload()
    visitor.get_by_role("heading", name="This link is not open").wait_for()
    assert "404" in studio.complaints.pop()  # the browser says so too


def test_what_is_thrown_away_is_undone_found_in_the_trash_and_restored(studio: Studio) -> None:  # noqa: F811
    collection = filled(studio, 3)
    page = studio.signed_in()
    page.goto(collection.get_absolute_url())
    tiles = page.locator("#grid .tile:not([hidden])")
    tiles.nth(0).hover()
    tiles.nth(0).get_by_role("checkbox").check(force=True)
    page.get_by_role("button", name="Trash").click()
    page.get_by_text("1 picture is in the trash.").wait_for()
    assert trash.in_trash(studio.alice).count() == 1
    page.get_by_role("button", name="Undo").click()
    page.get_by_text("1 picture is back.").wait_for()
    assert trash.in_trash(studio.alice).count() == 0

    trash.throw_away(studio.alice, GeneratedImage.objects.filter(seq__lt=2))
    page.goto("/trash/")
    bar = page.get_by_role("toolbar", name="Selection")
    assert not bar.is_visible()
    page.get_by_role("checkbox").first.check()
    bar.get_by_role("button", name="Restore").click()
    page.get_by_text("1 picture is back.").wait_for()
    page.get_by_role("checkbox").first.check()
    bar.get_by_role("button", name="Delete for good").click()
    page.get_by_role("heading", name="Delete the selected pictures for good?").wait_for()
    page.locator("#delete-chosen").get_by_role("button", name="Delete for good").click()
    page.get_by_text("1 picture is deleted for good.").wait_for()
    assert GeneratedImage.objects.count() == 2


def test_all_of_it_works_without_javascript(studio: Studio) -> None:  # noqa: F811
    collection = filled(studio, 2)
    page = studio.signed_in(java_script_enabled=False)
    page.goto(f"{collection.get_absolute_url()}?arrange")
    page.get_by_role("button", name="Move one place later").first.click()
    assert order(studio, collection) == [1, 0]
    page.goto(collection.get_absolute_url())
    page.get_by_role("checkbox", name="Select: red").first.check()
    page.get_by_role("button", name="Take out").click()
    page.get_by_text("1 picture is out of “Spring”.").wait_for()
    assert page.url.endswith(collection.get_absolute_url())


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_these_pages_are_accessible_and_fit_at_every_width(studio: Studio, theme: Any) -> None:  # noqa: F811
    from axe_playwright_python.sync_playwright import Axe

    collection = filled(studio, 3)
    link = sharing.create_link(studio.alice, collection, label="Agency", lifetime=None)
    trash.throw_away(studio.alice, GeneratedImage.objects.filter(seq=2))
    own, shared = collection.get_absolute_url(), f"/s/{sharing.token_of(link)}/"
    first = GeneratedImage.objects.get(seq=0).pk
    addresses = (
        "/collections/", "/collections/new/", own, f"{own}?links", f"{own}?arrange", f"{own}edit/", "/trash/",
        "/searches/", shared, f"{shared}{first}/",
    )  # fmt: skip
    page = studio.signed_in(color_scheme=theme)
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        for address in addresses:
            page.goto(address)
            page.wait_for_load_state("networkidle")
            found = Axe().run(page).response["violations"]
            assert [(fault["id"], fault["nodes"][0]["target"]) for fault in found] == [], f"{address} at {width}"
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{address} at {width}"
