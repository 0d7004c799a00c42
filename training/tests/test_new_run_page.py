"""A new run in the portal: presets, plan, measurement, refusals at their fields, and clones."""

from __future__ import annotations

import re
from typing import Any

from django.test import override_settings
from django.urls import reverse

from shoesai.engine.specs import TrainSpec
from shoesai.models import Job
from shoesai.testing import BaseTestCase, starter
from training import recipe
from training.forms import TrainForm, as_form_values, field_for, suggested_name
from training.models import BaseModel, TrainingRun
from training.plan import PRESETS
from training.tests.runs import photos_version, queued_run

HTMX: dict[str, Any] = {"HTTP_HX_REQUEST": "true"}
NEW = "/training/new/"


class NewRunCase(BaseTestCase):
    def setUp(self) -> None:
        self.base = starter()
        self.version = photos_version(self.alice)
        self.client.force_login(self.alice)

    def filled(self, **changes: Any) -> dict[str, Any]:
        """What a browser posts for the quick look; a change to None leaves the field out."""
        settings = recipe.DEFAULTS | PRESETS["quick_look"].settings_for(self.base)
        data = {
            **as_form_values(settings),
            "name": "spring",
            "dataset_version": str(self.version.pk),
            "base_model": str(self.base.pk),
            **changes,
        }
        return {name: value for name, value in data.items() if value not in (None, False)}

    def post(self, headers: dict[str, Any] | None = None, **changes: Any) -> Any:
        return self.client.post(NEW, self.filled(**changes), **(headers or {}))


class BeginningTest(NewRunCase):
    def test_the_page_offers_the_newest_photos_a_free_name_and_the_seeds_recipe(self) -> None:
        queued_run(self.alice, "casual")
        form = self.client.get(NEW).context["form"]
        self.assertEqual(form["name"].value(), "casual-2")
        self.assertEqual(form["max_train_steps"].value(), "300")
        self.assertEqual([preset["chosen"] for preset in form.presets()], [False, True, False])

    def test_older_versions_of_the_photos_stay_selectable(self) -> None:
        photos_version(self.alice)
        choices = self.client.get(NEW).context["form"].fields["dataset_version"].widget.choices
        self.assertEqual([label for _value, label in choices[:1]], ["casual v2 · 6 photos"])
        self.assertEqual(choices[1], ("Older versions", [(str(self.version.pk), "casual v1 · 6 photos")]))

    def test_other_peoples_photos_and_runs_are_not_offered(self) -> None:
        secret = photos_version(self.charlie, "secret")
        self.assertNotContains(self.client.get(NEW), "secret")
        response = self.post(dataset_version=str(secret.pk))
        self.assertIn("dataset_version", response.context["form"].errors)
        run = queued_run(self.charlie, "hidden")
        self.assertEqual(self.client.get(f"{NEW}?clone={run.pk}").status_code, 404)
        self.assertIn("parent", self.post(parent=str(run.pk)).context["form"].errors)

    def test_without_photos_it_says_how_to_get_some(self) -> None:
        self.client.force_login(self.charlie)
        self.assertContains(self.client.get(NEW), reverse("datasets"))

    def test_every_setting_has_a_field_and_words_of_its_own(self) -> None:
        page = self.client.get(NEW).content.decode()
        for name in recipe.DEFAULTS:
            self.assertIn(f'name="{name}"', page)
            self.assertIn(name, recipe.WORDS)

    def test_the_form_says_what_the_defaults_are_and_reads_them_back_exactly(self) -> None:
        for settings in (recipe.DEFAULTS, *(preset.settings_for(self.base) for preset in PRESETS.values())):
            data = self.filled(**{name: as_form_values(settings)[name] for name in settings})
            form = TrainForm(data, user=self.alice)
            spec = form.spec()
            self.assertEqual(form.errors, {})
            assert spec
            for name, value in settings.items():
                if name != "validation_prompts":
                    self.assertEqual(getattr(spec, name), value, name)

    def test_a_new_kind_of_setting_would_have_a_field_by_its_type(self) -> None:
        for name, default in recipe.DEFAULTS.items():
            value = field_for(name).clean(as_form_values({name: default})[name])
            self.assertEqual(value, default, name)


class StartTest(NewRunCase):
    def test_a_run_is_queued_and_its_page_opens(self) -> None:
        response = self.post(validation_prompts="red sneakers\n\n blue boots ", validation_seeds="1, 2", notify="on")
        run = TrainingRun.objects.get()
        self.assertRedirects(response, reverse("training-run", args=[run.pk]))
        spec = TrainSpec.from_dict(run.spec)
        self.assertEqual((spec.max_train_steps, spec.learning_rate, spec.train_batch_size), (100, 1e-3, 8))
        self.assertEqual((spec.validation_prompts, spec.validation_seeds), (("red sneakers", "blue boots"), (1, 2)))
        self.assertEqual((run.owner, run.team, run.dataset_version), (self.alice, self.team, self.version))
        self.assertEqual(run.jobs.get().state, Job.State.QUEUED)
        self.assertFalse(run.notify)  # without an address there is nobody to write to

    def test_who_has_an_address_can_be_written_to(self) -> None:
        self.alice.email = "alice@example.com"
        self.alice.save()
        self.post(notify="on")
        self.assertTrue(TrainingRun.objects.get().notify)

    def test_no_prompts_means_captions_of_photos_that_are_held_out(self) -> None:
        self.post()
        self.assertEqual(len(TrainingRun.objects.get().spec["validation_prompts"]), 1)  # of six photos one is held out

    def test_no_validation_means_no_prompts(self) -> None:
        self.post(validation_steps="0")
        self.assertEqual(TrainingRun.objects.get().spec["validation_prompts"], [])

    def test_what_is_refused_is_said_at_its_field_and_queues_nothing(self) -> None:
        queued_run(self.alice, "taken")
        jobs = Job.objects.count()
        bad: dict[str, Any] = {
            "name": "no spaces please",
            "max_train_steps": "0",
            "learning_rate": "2",
            "rank": "257",
            "lora_alpha": "",
            "train_batch_size": "two",
            "resolution": "100",
            "checkpointing_steps": "-1",
            "validation_seeds": "1 2 x",
            "validation_fraction": "0.9",
            "lr_scheduler": "magic",
            "lora_targets": None,
            "lr_warmup_steps": "101",
            "snr_gamma": "nan",
            "seed": str(2**64),
            "base_model": "nonsense",
            "dataset_version": "",
        }
        for name, value in bad.items():
            with self.subTest(name):
                response = self.post(**{name: value})
                self.assertEqual(response.status_code, 422)
                self.assertIn(name, response.context["form"].errors)
                self.assertEqual(Job.objects.count(), jobs)
        self.assertContains(self.post(name="taken"), "already", status_code=422)
        self.assertEqual(TrainingRun.objects.count(), 1)

    def test_settings_that_disagree_are_named(self) -> None:
        response = self.post(lr_warmup_steps="500")
        self.assertContains(response, "more than max_train_steps 100", status_code=422)
        self.assertContains(response, 'details class="panel block expert" open', status_code=422)

    def test_more_checkpoints_than_anybody_can_mean_are_refused_before_they_are_planned(self) -> None:
        response = self.post(max_train_steps="1000000", checkpointing_steps="1")
        self.assertContains(response, "more than 1,000 checkpoints", status_code=422)

    def test_what_was_typed_stays_in_the_form(self) -> None:
        response = self.post(learning_rate="0.0003", rank="0")
        self.assertContains(response, 'value="0.0003"', status_code=422)

    @override_settings(JOB_MAX_QUEUED_PER_USER=0)
    def test_a_full_queue_is_said_above_the_form(self) -> None:
        self.assertContains(self.post(), "waiting or running already", status_code=422)
        self.assertFalse(TrainingRun.objects.exists())

    def test_a_base_without_weights_is_said_at_the_base(self) -> None:
        gone = BaseModel.objects.create(name="gone", title="Gone", family="starter", location="gone", resolution=64)
        response = self.post(base_model=str(gone.pk))
        self.assertIn("no UNet weights", response.context["form"].errors["base_model"][0])
        self.assertFalse(Job.objects.exists())


class PresetTest(NewRunCase):
    def press(self, preset: str, **changes: Any) -> Any:
        return self.post(preset=preset, **changes).context["form"]

    def test_a_preset_fills_the_settings_and_keeps_what_is_ones_own(self) -> None:
        form = self.press("high_quality", name="mine", trigger_words="sks", validation_prompts="red\nblue", seed="7")
        values = {name: form[name].value() for name in ("rank", "max_train_steps", "lr_scheduler", "snr_gamma")}
        self.assertEqual(values, {"rank": "16", "max_train_steps": "600", "lr_scheduler": "cosine", "snr_gamma": "5"})
        kept = {name: form[name].value() for name in ("name", "trigger_words", "validation_prompts", "seed")}
        self.assertEqual(kept, {"name": "mine", "trigger_words": "sks", "validation_prompts": "red\nblue", "seed": "7"})
        self.assertFalse(Job.objects.exists())

    def test_a_preset_turns_switches_off_too(self) -> None:
        form = self.press("quick_look", masked_loss="on", gradient_checkpointing="on")
        self.assertFalse(form["masked_loss"].value())
        self.assertFalse(form["gradient_checkpointing"].value())

    def test_it_suits_the_base_model_that_is_chosen(self) -> None:
        sd15 = BaseModel.objects.create(name="sd15", title="SD 1.5", family="sd15", location="sd15", resolution=512)
        form = self.press("seed_recipe", base_model=str(sd15.pk))
        self.assertEqual((form["resolution"].value(), form["max_train_steps"].value()), ("512", "3000"))
        self.assertEqual([preset["chosen"] for preset in form.presets()], [False, True, False])

    def test_a_setting_of_ones_own_is_no_preset_any_more(self) -> None:
        self.assertEqual([row["chosen"] for row in self.press("quick_look").presets()], [True, False, False])
        page = self.post(HTMX, action="plan", rank="9")
        self.assertNotContains(page, 'aria-pressed="true"')

    def test_an_unknown_preset_changes_nothing(self) -> None:
        self.assertEqual(self.press("magic", rank="9")["rank"].value(), "9")


class PlanTest(NewRunCase):
    def plan(self, **changes: Any) -> Any:
        return self.post(HTMX, action="plan", **changes)

    def test_the_plan_follows_the_form_and_starts_nothing(self) -> None:
        page = self.plan(max_train_steps="50", checkpointing_steps="20", milestone_steps="0")
        plan = page.context["forecast"].plan
        self.assertEqual((plan.photos, plan.held_out, plan.checkpoints_written), (6, 1, 3))
        self.assertContains(page, "80 epochs")
        self.assertContains(page, "not measured")
        self.assertNotContains(page, "<html")
        self.assertFalse(TrainingRun.objects.exists() or Job.objects.exists())

    def test_a_warning_names_the_field_as_the_form_does(self) -> None:
        self.assertContains(self.plan(resolution="64"), "<strong>Resolution:</strong> 64 is not the 128")

    def test_without_a_plan_it_says_what_is_missing_but_a_name_is_not_needed(self) -> None:
        self.assertContains(self.plan(rank="0"), "<strong>Rank:</strong> Must be 1 or more.")
        self.assertIsNotNone(self.plan(name="").context["forecast"].plan)

    def test_without_javascript_the_page_comes_back_with_its_plan(self) -> None:
        page = self.post(action="plan", rank="4")
        self.assertContains(page, "<html")
        self.assertContains(page, 'value="4"')
        self.assertContains(page, "epochs")

    def test_a_measurement_is_queued_shown_and_told_when_it_is_done(self) -> None:
        page = self.post(HTMX, action="measure")
        job = Job.objects.get()
        self.assertEqual((job.kind, job.owner), ("measure_training", self.alice))
        self.assertContains(page, "every 2s")
        self.assertContains(page, f'name="measurement" value="{job.pk}"')
        self.assertContains(self.plan(measurement=str(job.pk)), "Next in the queue")
        result = {"estimated_seconds_per_step": 0.5, "estimated_memory_bytes": 1_200_000_000}
        Job.objects.update(state="succeeded", result=result)
        done = self.plan(measurement=str(job.pk))
        self.assertContains(done, "50 s")
        self.assertContains(done, "1.2 GB")
        self.assertNotContains(done, "every 2s")
        self.assertContains(self.plan(measurement=str(job.pk), rank="4"), "not measured")  # that was another recipe

    def test_a_measurement_that_failed_says_why(self) -> None:
        self.post(HTMX, action="measure")
        Job.objects.update(state="failed", error_text="The device ran out of memory.")
        self.assertContains(self.plan(measurement=str(Job.objects.get().pk)), "The device ran out of memory.")

    def test_what_cannot_be_meant_is_not_measured_and_strangers_measurements_are_not_seen(self) -> None:
        self.post(HTMX, action="measure", rank="0")
        self.assertFalse(Job.objects.exists())
        self.post(HTMX, action="measure")
        Job.objects.update(owner=self.charlie)
        self.assertIsNone(self.plan(measurement=str(Job.objects.get().pk)).context["forecast"].job)
        self.assertIsNone(self.plan(measurement="nonsense").context["forecast"].job)

    @override_settings(JOB_MAX_QUEUED_PER_USER=0)
    def test_a_full_queue_is_said_in_the_plan(self) -> None:
        self.assertContains(self.post(HTMX, action="measure"), "waiting or running already")


class CloneTest(NewRunCase):
    def test_a_clone_begins_with_every_setting_and_remembers_its_parent(self) -> None:
        parent = queued_run(
            self.alice, "spring", rank=5, lora_targets=("to_q", "ff.net.2"), learning_rate=3e-5, masked_loss=True,
            validation_prompts=("red", "blue"), validation_seeds=(2**63, 1),
        )  # fmt: skip
        parent.refresh_from_db()
        page = self.client.get(f"{NEW}?clone={parent.pk}")
        self.assertContains(page, "spring-2")
        form = page.context["form"]
        posted = {name: form[name].value() for name in form.fields}
        posted = {name: value for name, value in posted.items() if value not in (None, False)}
        self.assertEqual(self.client.post(NEW, {**posted, "rank": "6"}).status_code, 302)
        clone = TrainingRun.objects.get(name="spring-2")
        self.assertEqual((clone.parent, clone.dataset_version), (parent, parent.dataset_version))
        self.assertEqual(clone.spec, {**parent.spec, "rank": 6})

    def test_a_team_mate_clones_it_as_their_own(self) -> None:
        parent = queued_run(self.alice, "spring")
        self.client.force_login(self.bob)
        self.assertContains(self.client.get(f"{NEW}?clone={parent.pk}"), str(parent.pk))
        self.post(name="spring-2", parent=str(parent.pk))
        self.assertEqual(TrainingRun.objects.get(name="spring-2").owner, self.bob)

    def test_nonsense_is_a_404(self) -> None:
        self.assertEqual(self.client.get(f"{NEW}?clone=nonsense").status_code, 404)

    def test_a_suggested_name_is_free(self) -> None:
        queued_run(self.alice, "spring-7")
        self.assertEqual(suggested_name("spring-7"), "spring")
        queued_run(self.alice, "spring")
        self.assertEqual(suggested_name("spring"), "spring-2")
        self.assertRegex(suggested_name("x" * 200), re.compile(r"^x{100}$"))
