"""Home, account and the news of ended jobs in a real Chromium."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from generation.services import GenerationRequest, request_generation
from shoesai.models import Job, User
from shoesai.testing import finished_generation
from shoesai.tests.test_browser import Studio, chromium, studio  # noqa: F401  # fixtures
from training.tests.runs import kept_checkpoint, queued_run

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
WIDTHS = (1440, 900, 390)


def asked(studio: Studio, prompt: str = "red sneakers") -> Job:  # noqa: F811
    return request_generation(user=studio.alice, request=GenerationRequest(prompt)).job


def end(job: Job, state: Job.State = Job.State.SUCCEEDED, **fields: Any) -> None:
    Job.objects.filter(pk=job.pk).update(state=state, finished_at=timezone.now(), **fields)


def test_the_end_of_a_job_is_told_in_one_tab_and_not_again_after_a_reload(studio: Studio) -> None:  # noqa: F811
    page = studio.signed_in()
    job = asked(studio)
    page.goto("/jobs/")
    page.locator(".tray-box").wait_for()
    end(job)
    news = page.locator(".toast", has_text="Generation finished: red sneakers")
    news.wait_for()
    assert page.locator("#toasts[aria-live=polite] .toast").count() == 1
    page.reload()
    page.wait_for_timeout(1500)
    assert page.locator(".toast").count() == 0


def test_a_failure_stays_until_it_is_closed_and_leads_to_its_reason(studio: Studio) -> None:  # noqa: F811
    job = asked(studio)
    end(job, Job.State.FAILED, error_text="The device ran out of memory.", error_code="out_of_memory")
    page = studio.signed_in()
    page.goto("/account/")
    news = page.locator(".toast", has_text="Generation failed: red sneakers")
    if not news.count():  # the page before has told it already
        Job.objects.update(announced_at=None)
        page.reload()
    news.wait_for()
    page.wait_for_timeout(9000)
    assert news.is_visible()
    news.get_by_role("button", name="Close").click()
    assert news.count() == 0


def test_home_shows_what_runs_and_what_came_out_without_a_reload(studio: Studio) -> None:  # noqa: F811
    page = studio.signed_in()
    job = asked(studio)
    page.goto("/")
    page.locator("#home-jobs").get_by_text("red sneakers").wait_for()
    Job.objects.filter(pk=job.pk).update(state=Job.State.RUNNING, progress_step=14, progress_total=25)
    page.locator("#home-jobs").get_by_text("Step 14/25").wait_for()
    finished_generation(studio.alice, prompt="blue boots")
    end(job)
    page.locator("#home-new img[alt='blue boots']").wait_for()
    page.locator("#home-jobs").wait_for(state="hidden")


def test_the_theme_is_the_accounts_and_follows_to_another_browser(studio: Studio) -> None:  # noqa: F811
    page = studio.signed_in(color_scheme="light")
    with page.expect_response("**/account/theme/"):
        page.locator("[data-theme-cycle]").click()
    with page.expect_response("**/account/theme/"):
        page.locator("[data-theme-cycle]").click()
    assert User.objects.get(pk=studio.alice.pk).theme == "dark"
    other = studio.signed_in(color_scheme="light", java_script_enabled=False)
    other.goto("/account/")
    assert other.evaluate("document.documentElement.dataset.theme") == "dark"


def test_single_keys_do_nothing_when_they_are_switched_off(studio: Studio) -> None:  # noqa: F811
    page = studio.signed_in()
    page.goto("/jobs/")
    page.keyboard.press("?")
    assert page.locator("#keys").is_visible()
    page.keyboard.press("Escape")
    page.goto("/account/")
    page.get_by_label("Shortcuts of a single key").uncheck()
    page.get_by_role("button", name="Save preferences").click()
    page.goto("/jobs/")
    page.keyboard.press("?")
    assert not page.locator("#keys").is_visible()
    page.get_by_role("button", name="Keys").click()
    page.get_by_text("switched off in your account").wait_for()
    assert not page.get_by_text("This list").is_visible()


def test_the_language_is_chosen_at_the_door_and_in_the_account(studio: Studio) -> None:  # noqa: F811
    page = studio.open()
    page.goto("/login/")
    page.get_by_role("button", name="Português").click()
    assert page.locator("html").get_attribute("lang") == "pt-br"
    page.get_by_role("button", name="English").click()
    page = studio.signed_in()
    page.goto("/account/")
    page.locator("#id_language").select_option("pt-br")
    page.locator("#preferences button.button").click()
    page.wait_for_load_state()
    assert page.locator("html").get_attribute("lang") == "pt-br"


def test_a_token_is_made_copied_and_revoked(studio: Studio) -> None:  # noqa: F811
    page = studio.signed_in()
    page.goto("/account/")
    page.locator("#tokens").get_by_label("Name").fill("render script")
    page.get_by_role("button", name="Create token").click()
    page.locator("#new-token").wait_for()
    assert page.locator("#new-token").inner_text().startswith("shoe_")
    page.get_by_role("button", name="Revoke render script").click()
    page.get_by_text("is revoked").wait_for()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_on_these_pages(studio: Studio, theme: Any) -> None:  # noqa: F811
    from axe_playwright_python.sync_playwright import Axe

    studio.alice.is_staff = True
    studio.alice.save()
    page = studio.signed_in(color_scheme=theme)
    pages = ["/", "/account/", "/account/password/"]
    page.goto("/")
    found = {"empty": Axe().run(page).response["violations"]}
    finished_generation(studio.alice, pictures=3)
    kept_checkpoint(queued_run(studio.alice), 100, loss=0.12)
    asked(studio)
    end(asked(studio), Job.State.FAILED, error_text="The device ran out of memory.")
    for address in pages:
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            page.goto(address)
            page.wait_for_timeout(400)
            found[f"{address} {width}"] = Axe().run(page).response["violations"]
            wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert wide <= 0, f"{address} at {width} px"
    outside = studio.open(color_scheme=theme)
    for address in ("/login/", "/password/", "/password/sent/"):
        outside.goto(address)
        found[address] = Axe().run(outside).response["violations"]
    wrong = {where: [v["id"] for v in violations] for where, violations in found.items() if violations}
    assert wrong == {}


def test_a_tab_that_nobody_looks_at_marks_its_title_when_a_job_has_ended(studio: Studio) -> None:  # noqa: F811
    page = studio.signed_in()
    job = asked(studio)
    page.goto("/jobs/")
    page.locator(".tray-box").wait_for()
    title = page.title()
    page.evaluate("Object.defineProperty(document, 'hidden', { configurable: true, get: () => true })")
    end(job)
    waited = 0
    while not page.title().startswith("(1) ") and waited < 30:  # the policy forbids wait_for_function its eval
        page.wait_for_timeout(1000)
        waited += 1
    assert page.title() == f"(1) {title}"
    page.wait_for_timeout(9000)
    assert page.locator(".toast").count() == 1, "its time stands still meanwhile"
    page.evaluate("delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))")
    assert page.title() == title
