"""Training in a real Chromium: from a preset to a run that lives, pauses and goes on, with a real worker."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from shoesai.site import stop_all
from shoesai.testing import WorkerTestCase, tiny_base_model
from shoesai.tests.test_browser import WIDTHS, Studio, chromium, studio  # noqa: F401 (fixtures)
from training.models import Checkpoint, TrainingRun
from training.tests.runs import photos_version, queued_run
from training.tests.test_run_pages import with_results

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def worker(studio: Studio) -> Iterator[None]:  # noqa: F811
    process = WorkerTestCase().start_worker()
    yield
    stop_all(process)


def step_of(page: Any) -> int:
    """As the page says it at this moment."""
    return int(re.split(r"\D", page.locator(".headline dd").first.inner_text())[0])


@pytest.mark.slow
@pytest.mark.cluster
def test_a_run_begins_with_a_preset_and_lives_pauses_and_goes_on(studio: Studio, worker: None) -> None:  # noqa: F811
    tiny_base_model()
    photos_version(studio.alice, "casual")
    page = studio.signed_in()
    page.get_by_role("link", name="Training", exact=True).click()
    page.get_by_role("link", name="New run").first.click()
    page.get_by_label("Base model").select_option(label="Tiny")
    page.locator('#id_resolution:not([value="128"])').wait_for()  # the preset, again, for another base
    page.get_by_role("button", name="Quick look").click()
    page.locator("#preset-quick_look[aria-pressed=true]").wait_for()
    assert page.get_by_label("Resolution").input_value() == "64"
    page.get_by_label("Steps", exact=True).fill("20000")
    page.get_by_label("Checkpoint every").fill("50")
    page.locator("#plan").get_by_text("20000").wait_for()
    assert page.locator(".preset[aria-pressed=true]").count() == 0

    page.get_by_role("button", name="Measure time and memory").click()
    page.get_by_role("button", name="Measure again").wait_for(timeout=90_000)
    page.locator(".new-run-side").get_by_role("button", name="Start training").click()
    page.wait_for_url(re.compile(r"/training/[0-9a-f-]{36}/"))
    run = TrainingRun.objects.get()
    assert (run.base_model.name, run.spec["max_train_steps"], run.owner) == ("tiny", 20000, studio.alice)

    page.evaluate("window.sameDocument = true")
    page.locator(".timeline img").first.wait_for(timeout=90_000)  # of the bare base
    page.locator("path.smooth").first.wait_for(timeout=90_000)
    page.get_by_text("The figures as a table").click()
    page.locator(".figures tbody tr").first.wait_for()
    page.get_by_role("link", name="Compare", exact=True).focus()
    page.evaluate("window.scrollTo(0, 300)")
    before = step_of(page)
    page.wait_for_function("old => parseInt(document.querySelector('.headline dd').textContent) > old", arg=before)
    page.locator(".checkpoints tbody tr").first.wait_for(timeout=90_000)
    assert page.evaluate("window.sameDocument && window.scrollY") == 300
    assert page.evaluate("document.activeElement.id") == "compare"
    assert page.locator("#run-charts details").evaluate("box => box.open")

    page.get_by_role("button", name="Pause").click()
    page.get_by_role("button", name="Resume from step").wait_for(timeout=30_000)
    run.refresh_from_db()
    assert run.state == "paused"
    kept = run.resume_step
    assert kept and page.get_by_role("button", name=f"Resume from step {kept}").is_visible()
    assert page.locator("#run-live").get_attribute("hx-trigger") == "jobs-changed from:body"
    page.get_by_role("button", name="Resume from step").click()
    page.wait_for_function(
        "old => parseInt(document.querySelector('.headline dd').textContent) > old", arg=kept, timeout=90_000
    )
    page.get_by_role("button", name="Cancel", exact=True).last.click()
    page.locator('#run-live[data-state="cancelled"]').wait_for(timeout=30_000)
    assert page.evaluate("window.sameDocument")
    assert Checkpoint.objects.filter(run=run, step=50).exists()


def test_without_javascript_a_run_is_planned_started_and_stopped(studio: Studio) -> None:  # noqa: F811
    photos_version(studio.alice, "casual")
    page = studio.signed_in(java_script_enabled=False)
    page.goto("/training/new/")
    page.get_by_role("button", name="Quick look").click()
    assert page.get_by_label("Steps", exact=True).input_value() == "100"
    page.get_by_label("Rank", exact=True).fill("0")
    page.get_by_role("button", name="Update the plan").click()
    assert page.locator("#plan").get_by_text("Must be 1 or more.").is_visible()
    page.get_by_label("Rank", exact=True).fill("4")
    page.get_by_label("Name").press("Enter")  # starts, and presses no preset
    page.wait_for_url(re.compile(r"/training/[0-9a-f-]{36}/"))
    assert TrainingRun.objects.get().spec["rank"] == 4
    page.get_by_role("button", name="Pause").click()
    page.get_by_role("button", name="Start again").wait_for()
    page.get_by_role("button", name="Cancel", exact=True).last.click()
    assert TrainingRun.objects.get().state == "cancelled"


def test_curves_answer_the_pointer_and_pictures_open_large(studio: Studio) -> None:  # noqa: F811
    run = with_results(queued_run(studio.alice))
    page = studio.signed_in()
    page.goto(f"/training/{run.pk}/")
    box = page.locator(".plot").first.bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.10, box["y"] + 20)
    read = page.locator(".chart").first.locator("output").all_inner_texts()
    assert [float(text) for text in read] == pytest.approx([0.31, 0.3142, 0.30], abs=2e-4)
    assert page.locator(".chart-step").first.inner_text() == "step 10"
    page.mouse.move(2, 2)
    assert page.locator(".chart-step").first.inner_text() == ""

    page.locator("[data-large]").first.click()
    assert "base without the LoRA" in page.locator("#lightbox").inner_text()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    assert "step 10 · seed 8" in page.locator("#lightbox").inner_text()
    assert page.locator("#lightbox img").evaluate("image => image.decode().then(() => image.naturalWidth)") == 128
    page.keyboard.press("Escape")
    assert not page.locator("#lightbox").is_visible()
    page.get_by_role("button", name="Download").first.click()
    assert page.get_by_role("link", name="kohya").is_visible()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_training_page_scrolls_sideways_or_breaks_the_policy(studio: Studio, theme: Any) -> None:  # noqa: F811
    run = with_results(queued_run(studio.alice, "spring", validation_prompts=("red shoes " * 30,)))
    other = with_results(queued_run(studio.alice, "autumn-" * 15, rank=4))
    page = studio.signed_in(color_scheme=theme)
    for address in ("/training/", "/training/?q=nothing", "/training/new/", f"/training/new/?clone={run.pk}",
                    f"/training/{other.pk}/", "/training/compare/", f"/training/compare/?a={run.pk}&b={other.pk}&all=1",
                    f"/training/{run.pk}/"):  # fmt: skip
        page.goto(address)
        page.locator("details").evaluate_all("boxes => boxes.forEach((box) => { box.open = true; })")
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            page.evaluate("document.fonts.ready.then(() => null)")
            wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert wide <= 0, f"{address} at {width} px is {wide} px too wide"
