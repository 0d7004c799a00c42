"""The studio in a real Chromium: keyboard, pickers, presets, a reference, a phone, and what a screen reader hears."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from generation.models import Generation, Preset, Upload
from generation.tests.test_portal_generate import checkpoint_of
from shoesai.models import Job
from shoesai.testing import finished_generation, keep_plain_image, png_bytes
from shoesai.tests.test_browser import Studio, chromium

__all__ = ["chromium"]

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def studio(chromium: Any, live_server: Any) -> Iterator[Studio]:
    there = Studio(chromium, live_server.url)
    yield there
    for context in chromium.contexts:
        context.close()
    assert there.complaints == []


def heard(page: Any) -> Any:
    """Keeps what the polite region says from now on."""
    page.evaluate(
        "() => { window.heard = []; new MutationObserver(() => window.heard.push(document.getElementById('news')"
        ".textContent)).observe(document.getElementById('news'), { childList: true }); }"
    )
    return lambda: page.evaluate("window.heard")


def holds(page: Any, field: str, value: str) -> None:
    """Waits until it does."""
    from playwright.sync_api import expect

    expect(page.locator(f"#{field}")).to_have_value(value)


def opened(studio: Studio, **options: Any) -> Any:
    page = studio.signed_in(**options)
    page.goto("/generate/")
    return page


def test_a_screen_reader_hears_what_happens_and_no_steps(studio: Studio) -> None:
    page = opened(studio)
    page.get_by_label("Prompt", exact=True).fill("{red|blue} boots")
    page.locator("#id_num_images").fill("2")
    page.get_by_role("button", name="Generate 4 images").click()
    page.locator(".tile.waiting").nth(3).wait_for()
    said = heard(page)
    first = Generation.objects.get(prompt="red boots")
    for step in (1, 2, 3):
        Job.objects.filter(pk=first.job_id).update(state="running", progress_step=step, progress_total=100)
        page.get_by_text(f"Step {step}/100").first.wait_for()
    keep_plain_image(first, 0)
    page.locator(".tile.made").first.wait_for()
    keep_plain_image(first, 1)
    Job.objects.filter(pk=first.job_id).update(state="succeeded")
    page.locator('.generation[data-state="succeeded"]').wait_for()
    assert said() == [
        "The pictures are being made: red boots",
        "1 of 2 pictures are ready: red boots",
        "All 2 pictures are ready: red boots",
    ]


def test_suggestions_are_walked_and_taken_with_the_keyboard(studio: Studio) -> None:
    finished_generation(studio.alice, prompt="red boots on gravel")
    page = opened(studio)
    prompt = page.get_by_label("Prompt", exact=True)
    options = page.locator("#suggestions-prompt [role=option]")
    prompt.press_sequentially("red")
    options.first.wait_for()
    page.keyboard.press("ArrowDown")
    assert prompt.get_attribute("aria-activedescendant") == options.first.get_attribute("id")
    page.keyboard.press("Enter")
    assert prompt.input_value() == "red boots on gravel"
    page.locator("#suggestions-prompt").wait_for(state="hidden")
    prompt.fill("blue leather ")
    prompt.press_sequentially("chel")
    options.first.wait_for()
    page.keyboard.press("ArrowUp")  # from the prompt to the last one, and back to the prompt
    page.keyboard.press("ArrowDown")
    assert prompt.get_attribute("aria-activedescendant") is None
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Tab")
    assert prompt.input_value() == "blue leather chelsea boots"
    prompt.press_sequentially(", side")
    options.first.wait_for()
    page.keyboard.press("Escape")
    page.locator("#suggestions-prompt").wait_for(state="hidden")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.name") == "negative_prompt"


def test_models_and_loras_are_picked_searched_and_taken_away_again(studio: Studio) -> None:
    run = checkpoint_of(studio.alice, name="spring").run
    run.spec = {"trigger_words": "sks shoe"}
    run.save()
    checkpoint_of(studio.alice, name="autumn")
    page = opened(studio)
    page.locator("#pick-model_name").click()
    page.locator(".model").nth(2).wait_for()
    page.keyboard.type("spring")
    page.locator(".model").nth(1).wait_for(state="detached")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="sks shoe").click()
    assert page.get_by_label("Prompt", exact=True).input_value() == "sks shoe"
    assert page.evaluate("document.getElementById('id_model_name').value") == "spring/checkpoint-150"

    page.get_by_text("Extra LoRAs").click()
    page.get_by_role("button", name="Add a LoRA").click()
    page.locator(".model", has_text="Step 150").first.click()
    page.locator("#pick-lora_0", has_text="step 150").wait_for()
    page.locator("#id_weight_0").fill("0.6")
    page.get_by_role("button", name="Generate 4 images").click()
    page.locator(".tile.waiting").first.wait_for()
    lora = Generation.objects.get().loras.get(position=1)
    assert lora.weight == 0.6
    page.get_by_role("button", name="Remove this LoRA").click()
    page.locator("#pick-lora_0").wait_for(state="hidden")
    page.get_by_role("button", name="Add a LoRA").click()
    page.keyboard.press("Escape")
    page.locator("#pick-lora_0").wait_for(state="hidden")


def test_a_preset_is_saved_applied_deleted_and_brought_back(studio: Studio) -> None:
    page = opened(studio)
    page.get_by_label("Prompt", exact=True).fill("green clogs")
    page.locator("#id_num_inference_steps").fill("33")
    page.locator("#presets > summary").click()
    page.get_by_label("Save these settings as").fill("Catalogue")
    page.keyboard.press("Enter")
    page.get_by_text("“Catalogue” is saved.").wait_for()
    assert not Generation.objects.exists()  # Enter saved the preset and generated nothing
    page.locator("#id_num_inference_steps").fill("90")
    page.get_by_role("button", name="Catalogue", exact=True).click()
    holds(page, "id_num_inference_steps", "33")
    assert page.get_by_label("Prompt", exact=True).input_value() == "green clogs"
    page.get_by_label("Change Catalogue").click()
    page.get_by_role("button", name="Delete").click()
    page.get_by_text("“Catalogue” is deleted.").wait_for()
    assert not Preset.objects.exists()
    page.get_by_role("button", name="Undo").click()
    page.get_by_text("“Catalogue” is back.").wait_for()


def test_a_picture_is_started_from_and_taken_away(studio: Studio, tmp_path: Path) -> None:
    picture = tmp_path / "shoe.png"
    picture.write_bytes(png_bytes())
    page = opened(studio)
    page.get_by_label("Prompt", exact=True).fill("green clogs")
    page.get_by_text("Start from a picture").click()
    page.locator("#id_reference_file").set_input_files(picture)
    page.get_by_alt_text("The picture to start from").wait_for()
    page.locator("#id_strength").fill("0.35")
    page.get_by_role("button", name="Generate 4 images").click()
    page.get_by_text("from a picture, strength 0.35").wait_for()
    assert Generation.objects.get().reference_id == Upload.objects.get().blob_id
    page.get_by_role("button", name="Remove the picture").click()
    page.get_by_alt_text("The picture to start from").wait_for(state="detached")
    assert page.get_by_label("Prompt", exact=True).input_value() == "green clogs"


def test_a_picture_can_be_pasted_into_the_page(studio: Studio) -> None:
    page = opened(studio)
    page.evaluate(
        """async () => {
          const canvas = Object.assign(document.createElement("canvas"), { width: 64, height: 64 });
          canvas.getContext("2d").fillRect(0, 0, 64, 64);
          const blob = await new Promise((done) => canvas.toBlob(done));
          const clipboardData = new DataTransfer();
          clipboardData.items.add(new File([blob], "shoe.png", { type: "image/png" }));
          document.body.dispatchEvent(new ClipboardEvent("paste", { clipboardData, bubbles: true, cancelable: true }));
        }"""
    )
    page.get_by_alt_text("The picture to start from").wait_for()


def test_remix_seed_and_favourite_from_the_results(studio: Studio) -> None:
    image = finished_generation(studio.alice, prompt="red boots", seed=77, num_inference_steps=31).images.get()
    page = opened(studio)
    tile = page.locator(f"#tile-{image.pk}")
    tile.hover()
    tile.get_by_role("link", name="Use this seed").click()
    assert page.get_by_label("Seed", exact=True).input_value() == "77"
    assert page.get_by_label("Prompt", exact=True).input_value() == ""
    tile.get_by_role("link", name="Remix").click()
    page.wait_for_url("**?remix=*")
    assert page.get_by_label("Prompt", exact=True).input_value() == "red boots"
    assert page.get_by_label("Seed", exact=True).input_value() == ""
    tile.get_by_role("button", name="Favourite").click()
    page.reload()
    assert tile.get_by_role("button", name="Favourite").get_attribute("aria-pressed") == "true"


def test_the_expert_switch_widens_the_sliders_and_is_remembered(studio: Studio) -> None:
    page = opened(studio)
    steps = page.locator('[data-slides="id_num_inference_steps"]')
    assert (steps.get_attribute("min"), steps.get_attribute("max")) == ("25", "100")
    page.get_by_label("Expert ranges").check()
    assert (steps.get_attribute("min"), steps.get_attribute("max")) == ("1", "150")
    page.reload()
    assert page.get_by_label("Expert ranges").is_checked()
    page.get_by_label("Expert ranges").uncheck()
    page.locator("#id_num_inference_steps").fill("140")  # outside, and so the slider shows it
    assert steps.input_value() == "140"


def test_on_a_phone_the_button_is_always_within_reach(studio: Studio) -> None:
    finished_generation(studio.alice, pictures=4)
    page = opened(studio, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    for place in (0, 600, 100_000):
        page.evaluate(f"scrollTo(0, {place})")
        box = page.locator("#generate-button").bounding_box()
        assert box["y"] > 600 and box["y"] + box["height"] < 800 and box["height"] >= 44
    page.get_by_label("Prompt", exact=True).fill("red boots")
    page.locator("#generate-button").tap()
    page.locator(".tile.waiting").first.wait_for()
    page.wait_for_function(
        "() => document.getElementById('results-title').getBoundingClientRect().top < innerHeight / 2"
    )


def test_without_javascript_everything_can_be_asked_for(studio: Studio, tmp_path: Path) -> None:
    checkpoint_of(studio.alice, name="spring")
    picture = tmp_path / "shoe.png"
    picture.write_bytes(png_bytes())
    page = opened(studio, java_script_enabled=False)
    page.get_by_label("Prompt", exact=True).fill("{red|blue} clogs")
    page.locator("#id_model_name").select_option("spring/checkpoint-150")
    page.get_by_text("Extra LoRAs").click()
    page.locator("#id_lora_0").select_option("spring/checkpoint-150")
    page.get_by_text("Start from a picture").click()
    page.locator("#id_reference_file").set_input_files(picture)
    page.locator("#presets > summary").click()
    page.get_by_label("Save these settings as").fill("Catalogue")
    page.get_by_role("button", name="Save").click()
    page.get_by_text("“Catalogue” is saved.").wait_for()
    assert page.get_by_label("Prompt", exact=True).input_value() == "{red|blue} clogs"
    page.get_by_alt_text("The picture to start from").wait_for()  # nothing was lost
    page.locator("#generate-button").click()
    page.wait_for_url("**/generate/#generation-*")
    made = list(Generation.objects.order_by("created_at"))
    assert [one.prompt for one in made] == ["red clogs", "blue clogs"]
    assert all(one.reference_id and one.loras.count() == 2 for one in made)


def test_what_was_filled_in_outlives_a_reload_and_a_session_but_not_its_owner(studio: Studio) -> None:
    page = opened(studio)
    prompt = page.get_by_label("Prompt", exact=True)
    prompt.fill("green clogs")
    page.locator("#id_num_inference_steps").fill("33")
    page.goto("/gallery/")
    page.goto("/generate/")
    holds(page, "id_prompt", "green clogs")
    assert page.locator("#id_num_inference_steps").input_value() == "33"
    page.context.clear_cookies(name="sessionid")
    page.get_by_role("button", name="Generate 4 images").click()
    page.get_by_label("Name").fill("alice")
    page.get_by_label("Password", exact=True).fill("a light table")
    page.get_by_role("button", name="Sign in").click()
    page.goto("/generate/")
    holds(page, "id_prompt", "green clogs")
    page.get_by_label("Begin with an empty form").click()
    page.wait_for_load_state()
    assert prompt.input_value() == ""
    prompt.fill("a secret")
    page.context.clear_cookies(name="sessionid")
    page.goto("/login/")
    page.get_by_label("Name").fill("charlie")
    page.get_by_label("Password", exact=True).fill("a light table")
    page.get_by_role("button", name="Sign in").click()
    page.goto("/generate/")
    page.wait_for_timeout(500)
    assert prompt.input_value() == ""
