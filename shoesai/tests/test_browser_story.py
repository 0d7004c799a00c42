"""The whole story in a real Chromium with a real worker, as two users, in both languages; a third one sees nothing."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.utils import translation
from django.utils.translation import gettext, ngettext

from gallery.models import Collection, CollectionItem
from generation.models import GeneratedImage, Generation
from shoesai.models import Job, User
from shoesai.site import stop_all
from shoesai.testing import PASSWORD, WorkerTestCase, tiny_base_model
from shoesai.tests.test_browser import Studio, chromium, studio  # noqa: F401 (fixtures)

pytestmark = [
    pytest.mark.browser, pytest.mark.slow, pytest.mark.cluster, pytest.mark.django_db(transaction=True)
]  # fmt: skip
PATIENCE = 120_000


@pytest.fixture
def worker(studio: Studio) -> Iterator[None]:  # noqa: F811
    process = WorkerTestCase().start_worker()
    yield
    stop_all(process)


class Somebody:
    """One person's browser, in one language. `say` is what the portal says in it."""

    def __init__(self, studio: Studio, user: User, language: str) -> None:  # noqa: F811
        self.language = language
        self.user = user
        self.page = studio.open(locale=language, viewport={"width": 1440, "height": 900}, accept_downloads=True)
        self.page.set_default_timeout(60_000)
        self.page.goto("/login/")
        self.page.locator("input[name=username]").fill(user.username)
        self.page.locator("input[name=password]").fill(PASSWORD)
        self.page.get_by_role("button", name=self.say("Sign in"), exact=True).click()
        self.page.wait_for_url(lambda address: "/login/" not in address)

    def say(self, words: str, **names: Any) -> str:
        with translation.override(self.language):
            return gettext(words) % names if names else gettext(words)

    def says(self, one: str, many: str, number: int, **names: Any) -> str:
        with translation.override(self.language):
            return ngettext(one, many, number) % names

    def press(self, words: str, **names: Any) -> None:
        self.page.get_by_role("button", name=self.say(words, **names), exact=True).first.click()

    def rail(self, words: str) -> None:
        self.page.locator(".rail").get_by_role("link", name=self.say(words), exact=True).click()


def until(page: Any, condition: Callable[[], bool]) -> None:
    """While the page goes on living."""
    for _ in range(300):
        if condition():
            return
        page.wait_for_timeout(100)
    raise AssertionError("not within half a minute")


@pytest.mark.parametrize(("hers", "his"), [("en", "pt-br"), ("pt-br", "en")])
def test_two_people_make_find_share_and_throw_away(
    studio: Studio, worker: None, hers: str, his: str, tmp_path: Path  # noqa: F811
) -> None:
    tiny_base_model()
    alice = Somebody(studio, studio.alice, hers)
    bob = Somebody(studio, studio.bob, his)
    generate_and_watch(alice)
    cancel_one(alice)
    find_and_download(alice, tmp_path)
    compare_two(alice)
    collection = collect_for_the_team(alice)
    shared_with_bob(bob, collection)
    link_for_a_client(studio, alice, collection)
    keep_one_private(alice, bob)
    throw_away_and_undo(alice)
    nothing_for_charlie(studio)
    # A preview may be gone when its picture has come, some addresses were to be refused, and a page that is left
    # breaks off what it asked for.
    expected = ("404", "htmx:afterRequest", "htmx:sendError", "htmx:sendAbort")
    studio.complaints[:] = [said for said in studio.complaints if not any(word in said for word in expected)]


def generate_and_watch(alice: Somebody) -> None:
    """Two prompts from one template, pictures while they are made, and they are there after a reload."""
    page = alice.page
    alice.rail("Generate")
    page.locator("#id_prompt").fill("{red|blue} leather sneakers")
    page.locator("#id_model_name").select_option("tiny", force=True)
    page.locator("#id_num_images").fill("2")
    page.locator("#id_num_inference_steps").fill("25")
    page.get_by_role("button", name=alice.say("Generate # images").replace("#", "4"), exact=True).click()
    page.locator(".generation").nth(1).wait_for()
    page.locator('.generation[data-state="succeeded"]').nth(1).wait_for(timeout=PATIENCE)
    assert page.locator(".generation img").count() == 4
    page.reload()
    assert page.locator(".generation img").count() == 4
    assert {generation.prompt for generation in Generation.objects.all()} == {
        "red leather sneakers", "blue leather sneakers"
    }  # fmt: skip


def cancel_one(alice: Somebody) -> None:
    page = alice.page
    page.locator("#id_prompt").fill("green sandals")
    page.locator("#id_num_images").fill("10")
    page.locator("[data-expert]").check(force=True)
    page.locator("#id_num_inference_steps").fill("150")
    page.locator("#generate-button").click()
    newest = page.locator(".generation").first
    newest.get_by_role("button", name=alice.say("Cancel"), exact=True).click()
    page.locator('.generation[data-state="cancelled"]').wait_for(timeout=PATIENCE)
    assert Job.objects.get(generation__prompt="green sandals").state == Job.State.CANCELLED


def find_and_download(alice: Somebody, folder: Path) -> None:
    page = alice.page
    alice.rail("Gallery")
    search = page.locator("input[type=search]").first
    search.fill("red steps:<=30")
    search.press("Enter")
    page.wait_for_url("**q=red*")
    page.locator(".tile").nth(1).wait_for()
    page.wait_for_function("() => document.querySelectorAll('.tile').length === 2")
    page.locator(".tile").first.hover()
    page.locator("input[name=image]").nth(0).check(force=True)
    page.keyboard.down("Shift")
    page.locator("input[name=image]").nth(1).click(force=True)
    page.keyboard.up("Shift")
    assert page.get_by_text(alice.say("# selected").replace("#", "2")).first.is_visible()
    alice.press("Download")
    with page.expect_download() as download:
        alice.press("ZIP with pictures and metadata")
    download.value.save_as(folder / "shoes.zip")
    with zipfile.ZipFile(folder / "shoes.zip") as archive:
        assert sum(name.endswith(".png") for name in archive.namelist()) == 2
        assert {"metadata.json", "metadata.csv"} <= set(archive.namelist())


def compare_two(alice: Somebody) -> None:
    page = alice.page
    page.keyboard.press("Escape")
    alice.press("Compare")
    page.wait_for_url("**/gallery/compare/**")
    assert page.locator(".pane").count() == 2
    page.go_back()
    page.locator(".tile").first.wait_for()


def collect_for_the_team(alice: Somebody) -> Collection:
    """A new collection from the selection, then shared with the team on its own page."""
    page = alice.page
    page.goto("/gallery/?q=red")
    for number in (0, 1):
        page.locator("input[name=image]").nth(number).check(force=True)
    alice.press("Collect")
    page.locator("#bar-collection-name").fill("Spring")
    alice.press("Create")
    until(page, lambda: CollectionItem.objects.filter(collection__name="Spring").count() == 2)
    collection = Collection.objects.get()
    page.goto(f"/collections/{collection.pk}/")
    page.get_by_role("link", name=alice.say("Edit"), exact=True).click()
    page.locator("select[name=team]").select_option(label="Studio")
    page.get_by_role("button", name=alice.say("Save"), exact=True).click()
    page.wait_for_url(f"**/collections/{collection.pk}/")
    return collection


def shared_with_bob(bob: Somebody, collection: Collection) -> None:
    page = bob.page
    page.goto("/collections/")
    page.get_by_role("link", name="Spring").click()
    page.locator(".tile").nth(1).wait_for()
    assert page.locator(".tile").count() == 2
    page.locator(".tile a.picture").first.click()
    page.wait_for_url(re.compile(r"/gallery/[0-9a-f-]{36}/"))
    page.locator("h1").first.wait_for()
    page.keyboard.press("f")
    until(page, lambda: bob.user.judgements.filter(favourite=True).count() == 1)
    assert page.get_by_role("button", name=bob.say("Move to the trash")).count() == 0  # it is Alice's


def link_for_a_client(studio: Studio, alice: Somebody, collection: Collection) -> None:  # noqa: F811
    """Opened without an account, in clean bytes; revoked, its page and its pictures are gone at once."""
    page = alice.page
    page.goto(f"/collections/{collection.pk}/")
    page.get_by_text(alice.say("Share by link"), exact=True).click()
    alice.press("Create link")
    address = page.locator("#links code").first.inner_text()
    client = studio.open(locale=alice.language)
    client.goto(address)
    client.locator("img").nth(1).wait_for()
    picture = client.locator("img").first.get_attribute("src")
    body = client.request.get(client.url.split("/s/")[0] + picture).body()
    assert b"leather sneakers" not in body
    assert "leather sneakers" not in client.content()
    page.locator("#links").get_by_role("button", name=alice.say("Revoke"), exact=True).click()
    page.get_by_text(alice.say("Revoked")).first.wait_for()
    assert client.request.get(address).status == 404
    assert client.request.get(client.url.split("/s/")[0] + picture).status == 404
    client.context.close()


def keep_one_private(alice: Somebody, bob: Somebody) -> None:
    page = alice.page
    page.goto("/gallery/?q=blue")
    page.locator("input[name=image]").first.check(force=True)
    alice.press("Share")
    alice.press("Only you")
    until(page, lambda: GeneratedImage.objects.filter(team=None).exists())
    hidden = GeneratedImage.objects.get(team=None)
    assert bob.page.request.get(f"{bob.page.url.split('/gallery/')[0]}/gallery/{hidden.pk}/").status == 404
    bob.page.goto("/gallery/?q=blue")
    assert bob.page.locator(".tile").count() == 1


def throw_away_and_undo(alice: Somebody) -> None:
    page = alice.page
    page.goto("/gallery/")
    page.locator(".tile").first.wait_for()
    page.keyboard.press("Escape")  # what was selected before stays so until it is let go
    before = page.locator(".tile:not([hidden])").count()
    page.locator("input[name=image]").first.check(force=True)
    alice.press("Trash")
    until(page, lambda: page.locator(".tile:not([hidden])").count() == before - 1)
    page.goto("/trash/")
    assert page.locator(".thrown li").count() == 1
    page.goto("/gallery/")
    page.locator("input[name=image]").first.check(force=True)
    alice.press("Trash")
    until(page, lambda: page.locator(".tile:not([hidden])").count() == before - 2)
    page.locator("#toasts").get_by_role("button", name=alice.say("Undo"), exact=True).click()
    until(page, lambda: GeneratedImage.objects.filter(trashed_at__isnull=False).count() == 1)


def nothing_for_charlie(studio: Studio) -> None:  # noqa: F811
    """Every address that belongs to somebody's thing is a 404 for him, and no list shows any of it."""
    charlie = Client()
    charlie.force_login(studio.charlie)
    addresses = ["/gallery/compare/?image={0}&image={0}".format(GeneratedImage.objects.all()[0].pk)]
    for image in GeneratedImage.objects.all():
        addresses += [f"/gallery/{image.pk}/", f"/gallery/{image.pk}/metadata/", f"/images/{image.pk}/file/",
                      f"/images/{image.pk}/thumbnail/", f"/images/{image.pk}/file/?format=webp"]  # fmt: skip
    addresses += [f"/collections/{collection.pk}/" for collection in Collection.objects.all()]
    for generation in Generation.objects.all():
        addresses += [f"/generate/{generation.pk}/", f"/jobs/{generation.job_id}/"]
    for address in addresses[1:]:
        assert charlie.get(address).status_code == 404, address
    assert b"blue leather" not in charlie.get(addresses[0]).content
    for address in ("/", "/gallery/", "/collections/", "/trash/", "/generate/", "/jobs/"):
        assert b"blue leather" not in charlie.get(address).content, address
    everything = {"all": "1", "query": ""}
    answer = charlie.post("/gallery/zip/", everything)
    assert answer.status_code != 200 or not _pictures_in(answer)


def _pictures_in(answer: Any) -> list[str]:
    archive = zipfile.ZipFile(io.BytesIO(b"".join(answer)))
    return [name for name in archive.namelist() if name.endswith(".png")]
