"""Presets: kept, applied, shared with the team, changed, thrown away and brought back."""

from __future__ import annotations

from typing import Any

from django.urls import reverse

from generation.models import Preset
from generation.tests.test_portal_generate import HTMX, asked, checkpoint_of
from shoesai.models import User
from shoesai.testing import BaseTestCase


class PresetTest(BaseTestCase):
    def setUp(self) -> None:
        self.client.force_login(self.alice)

    def save(self, name: str = "Catalogue", **posted: Any) -> Any:
        return self.client.post(reverse("preset-save"), {**asked(preset_name=name), **posted}, **HTMX)

    def change(self, preset: Preset, action: str, **posted: Any) -> Any:
        address = reverse("preset-change", args=[preset.pk])
        return self.client.post(address, {**asked(), "action": action, **posted}, **HTMX)

    def saved(self, **posted: Any) -> Preset:
        self.save(**posted)
        return Preset.objects.get()

    def page(self, preset: Preset, user: User | None = None) -> Any:
        if user:
            self.client.force_login(user)
        return self.client.get(reverse("generate"), {"preset": str(preset.pk)})

    def test_it_keeps_the_settings_and_the_prompt_only_where_that_is_wanted(self) -> None:
        self.assertContains(self.save(num_inference_steps=33, seed="5"), "“Catalogue” is saved.")
        settings = Preset.objects.get().settings
        self.assertEqual((settings["num_inference_steps"], settings["seed"]), (33, 5))
        self.assertNotIn("prompt", settings)
        self.assertNotIn("lora_0", settings)
        self.save(name="With words", with_prompt="on", prompt="{red|blue} boots")
        self.assertEqual(Preset.objects.get(name="With words").settings["prompt"], "{red|blue} boots")

    def test_an_empty_prompt_is_no_obstacle_but_a_forbidden_number_is(self) -> None:
        self.assertEqual(self.save(prompt="").status_code, 200)
        response = self.save(name="Other", num_inference_steps=900)
        self.assertContains(response, "between 1 and 150", status_code=422)
        self.assertEqual(Preset.objects.count(), 1)

    def test_a_name_is_needed_and_only_once(self) -> None:
        self.save()
        self.assertContains(self.save(), "a preset named “Catalogue” already", status_code=422)
        self.assertContains(self.save(name=" "), "Give it a name", status_code=422)
        self.assertEqual(Preset.objects.count(), 1)

    def test_its_address_fills_the_form(self) -> None:
        checkpoint_of(self.alice)
        preset = self.saved(lora_0="spring/checkpoint-150", weight_0="0.7", size="portrait", negative_prompt="feet")
        form = self.page(preset).context["form"]
        shown = {name: form[name].value() for name in ("lora_0", "weight_0", "size", "negative_prompt", "seed")}
        self.assertEqual(
            shown, {"lora_0": "spring/checkpoint-150", "weight_0": 0.7, "size": "portrait", "negative_prompt": "feet",
                    "seed": None}
        )  # fmt: skip

    def test_applied_to_a_form_it_leaves_the_prompt_and_clears_what_it_does_not_have(self) -> None:
        checkpoint_of(self.alice)
        preset = self.saved(num_inference_steps=33)
        posted = asked(prompt="green clogs", lora_0="spring/checkpoint-150", seed="5", change=f"preset={preset.pk}")
        form = self.client.post(reverse("generate-form"), posted, **HTMX).context["form"]
        shown = [form[name].value() for name in ("prompt", "num_inference_steps", "lora_0", "seed")]
        self.assertEqual(shown, ["green clogs", 33, None, None])

    def test_without_javascript_everything_typed_stays_on_the_page(self) -> None:
        page = self.client.post(reverse("preset-save"), asked(prompt="green clogs", preset_name="Catalogue"))
        self.assertContains(page, "<html")
        self.assertContains(page, "green clogs</textarea>")
        self.assertContains(page, "“Catalogue” is saved.")

    def test_the_team_sees_it_only_while_it_is_shared(self) -> None:
        preset = self.saved()
        self.assertEqual(self.page(preset, self.bob).status_code, 404)
        self.client.force_login(self.alice)
        self.assertContains(self.change(preset, "share"), "The team Studio can use “Catalogue” now.")
        self.assertContains(self.page(preset, self.bob), "Catalogue")
        self.assertEqual(self.page(preset, self.charlie).status_code, 404)
        self.client.force_login(self.alice)
        self.change(preset, "unshare")
        self.assertEqual(self.page(preset, self.bob).status_code, 404)

    def test_nobody_but_its_owner_changes_it(self) -> None:
        preset = self.saved()
        self.change(preset, "share")
        for user in (self.bob, self.charlie):
            self.client.force_login(user)
            for action in ("rename", "update", "share", "unshare", "delete"):
                response = self.change(preset, action, **{f"name-{preset.pk}": "Mine"})
                self.assertEqual(response.status_code, 404, action)
        preset.refresh_from_db()
        self.assertEqual((preset.name, preset.team), ("Catalogue", self.team))

    def test_without_a_team_nothing_is_shared_and_that_is_said(self) -> None:
        self.client.force_login(self.charlie)
        response = self.change(self.saved(), "share")
        self.assertContains(response, "You are in no team", status_code=422)

    def test_it_can_be_renamed_and_updated(self) -> None:
        preset = self.saved()
        self.assertContains(self.change(preset, "rename", **{f"name-{preset.pk}": "Autumn"}), "“Autumn”")
        self.change(preset, "update", num_inference_steps=77, prompt="not kept")
        preset.refresh_from_db()
        self.assertEqual((preset.name, preset.settings["num_inference_steps"]), ("Autumn", 77))
        self.assertNotIn("prompt", preset.settings)

    def test_a_name_that_is_taken_is_refused_and_the_old_one_stays(self) -> None:
        preset = self.saved()
        self.save(name="Autumn")
        response = self.change(preset, "rename", **{f"name-{preset.pk}": "Autumn"})
        self.assertContains(response, "already", status_code=422)
        preset.refresh_from_db()
        self.assertEqual(preset.name, "Catalogue")

    def test_a_deleted_one_can_be_brought_back_by_its_owner(self) -> None:
        preset = self.saved(num_inference_steps=33)
        self.change(preset, "share")
        undo = self.change(preset, "delete").context["presets_said"]["undo"]
        self.assertFalse(Preset.objects.exists())
        self.client.force_login(self.bob)
        self.assertEqual(self.client.post(reverse("preset-restore"), {"undo": undo}).status_code, 404)
        self.client.force_login(self.alice)
        self.client.post(reverse("preset-restore"), {"undo": undo}, **HTMX)
        back = Preset.objects.get()
        self.assertEqual((back.name, back.team, back.settings["num_inference_steps"]), ("Catalogue", self.team, 33))
        self.assertEqual(self.client.post(reverse("preset-restore"), {"undo": "forged"}, **HTMX).status_code, 422)

    def test_a_model_that_the_team_mate_does_not_have_is_left_out_and_said(self) -> None:
        checkpoint_of(self.alice)
        preset = self.saved(model_name="spring/checkpoint-150")
        self.change(preset, "share")
        page = self.page(preset, self.bob)
        self.assertContains(page, "spring/checkpoint-150 is not there for you")
        self.assertEqual(page.context["form"]["model_name"].value(), "starter")

    def test_strangers_and_nonsense(self) -> None:
        self.assertEqual(self.client.get(reverse("generate"), {"preset": "no id"}).status_code, 404)
        self.assertEqual(self.change(self.saved(), "explode").status_code, 404)
        self.client.logout()
        self.assertEqual(self.save().status_code, 302)
