"""The Generate page: the form, its refusals, and the living fragment."""

from __future__ import annotations

from typing import Any

from django.test import override_settings
from django.urls import reverse

from generation.models import Generation
from shoesai import files
from shoesai.models import Job
from shoesai.testing import BaseTestCase, finished_generation, starter
from training.models import Checkpoint, TrainingRun

HTMX: dict[str, Any] = {"HTTP_HX_REQUEST": "true"}


def asked(**changes: Any) -> dict[str, Any]:
    return {
        "prompt": "red sneakers",
        "model_name": "starter",
        "num_images": 2,
        "num_inference_steps": 25,
        "guidance_scale": 7.5,
        "seed": "",
        "size": "square",
        "scheduler": "ddim",
        **changes,
    }


def checkpoint_of(owner: Any, team: Any = None, name: str = "spring", step: int = 150) -> Checkpoint:
    run, _ = TrainingRun.objects.get_or_create(
        name=name, defaults={"owner": owner, "team": team, "base_model": starter(), "family": "starter"}
    )
    blob = files.publish(f"{name} {step}".encode(), "application/x-safetensors")
    return Checkpoint.objects.create(run=run, step=step, family="starter", blob=blob, rank=8, lora_alpha=16)


class GeneratePageTest(BaseTestCase):
    def setUp(self) -> None:
        self.client.force_login(self.alice)

    def post(self, *, htmx: bool = False, **changes: Any) -> Any:
        return self.client.post(reverse("generate"), asked(**changes), **(HTMX if htmx else {}))

    def test_a_stranger_is_sent_to_the_sign_in_page(self) -> None:
        self.client.logout()
        self.assertRedirects(self.client.get(reverse("generate")), "/login/?next=/generate/")

    def test_the_page_offers_the_form_and_says_what_to_do_first(self) -> None:
        page = self.client.get(reverse("generate"))
        self.assertContains(page, 'name="prompt"')
        self.assertContains(page, "Nothing made yet")

    def test_without_javascript_the_form_posts_and_redirects_to_the_new_generation(self) -> None:
        response = self.post()
        generation = Generation.objects.get()
        self.assertRedirects(response, f"/generate/#generation-{generation.pk}", fetch_redirect_response=False)
        self.assertEqual((generation.prompt, generation.num_images), ("red sneakers", 2))
        self.assertEqual((generation.width, generation.height), (128, 128))
        self.assertEqual(generation.job.state, Job.State.QUEUED)

    def test_htmx_gets_the_new_generation_alone_which_makes_the_page_ask_for_news(self) -> None:
        response = self.post(htmx=True)
        self.assertNotContains(response, "<html")
        self.assertContains(response, 'class="tile waiting"', count=2)
        self.assertContains(response, 'hx-trigger="every 1s')
        self.assertEqual(response["HX-Trigger-After-Settle"], "generated, jobs-changed")

    def test_what_the_service_refuses_is_said_at_its_field_and_makes_no_job(self) -> None:
        bad: dict[str, Any] = {
            "prompt": "",
            "num_images": 11,
            "num_inference_steps": -3,
            "guidance_scale": "nan",
            "seed": str(2**64),
            "model_name": "nobody/checkpoint-1",
            "scheduler": "magic",
        }
        for name, value in bad.items():
            with self.subTest(name):
                response = self.post(**{name: value})
                self.assertEqual(response.status_code, 422)
                self.assertTrue(response.context["form"].errors[name])
        self.assertFalse(Job.objects.exists())

    def test_a_prompt_of_ten_thousand_characters_is_kept_in_the_form_beside_its_error(self) -> None:
        response = self.post(prompt="x" * 10_000, htmx=True)
        self.assertContains(response, "at most 2,000 are allowed", status_code=422)
        self.assertContains(response, "x" * 10_000, status_code=422)
        self.assertEqual(response["HX-Retarget"], "#generate-form")

    def test_a_custom_size_that_is_no_multiple_of_eight_is_refused_at_its_field(self) -> None:
        response = self.post(size="custom", width=100, height=128)
        self.assertIn("multiple of 8", response.context["form"].errors["width"][0])

    def test_a_shape_follows_the_base_models_resolution(self) -> None:
        self.post(size="landscape")
        generation = Generation.objects.get()
        self.assertEqual((generation.width, generation.height), (128, 96))

    @override_settings(JOB_MAX_QUEUED_PER_USER=1)
    def test_a_full_queue_is_said_above_the_form(self) -> None:
        self.post()
        response = self.post()
        self.assertContains(response, "waiting or running already", status_code=422)

    def test_checkpoints_are_offered_by_run_and_only_to_those_who_may_see_them(self) -> None:
        checkpoint_of(self.alice, self.team)
        checkpoint_of(self.charlie, name="secret")
        page = self.client.get(reverse("generate"))
        self.assertContains(page, '<optgroup label="spring">')
        self.assertNotContains(page, "secret")

    def test_extra_loras_go_along_with_their_weights(self) -> None:
        checkpoint_of(self.alice)
        self.post(lora_1="spring/checkpoint-150", weight_1="0.8")
        lora = Generation.objects.get().loras.get()
        self.assertEqual((lora.checkpoint.name, lora.weight), ("spring/checkpoint-150", 0.8))

    def test_a_prompt_is_text_and_never_markup(self) -> None:
        self.post(prompt="<script>alert(1)</script>")
        page = self.client.get(reverse("generate"))
        self.assertNotContains(page, "<script>alert")
        self.assertContains(page, "&lt;script&gt;alert(1)")

    def test_use_these_settings_fills_the_form_again(self) -> None:
        checkpoint_of(self.alice)
        generation = finished_generation(
            self.alice, prompt="blue loafers", model_name="spring/checkpoint-150", seed=2**63, width=96, height=128
        )
        page = self.client.get(reverse("generate"), {"from": str(generation.images.get().pk)})
        form = page.context["form"]
        self.assertEqual(form["prompt"].value(), "blue loafers")
        self.assertEqual(form["model_name"].value(), "spring/checkpoint-150")
        self.assertEqual(form["size"].value(), "portrait")
        self.assertContains(page, f'value="{2**63}"')
        self.assertIsNone(form["lora_0"].value())

    def filled(self, **query: Any) -> Any:
        """The fields of the form that the page of this address holds."""
        form = self.client.get(reverse("generate"), query).context["form"]
        return {name: form[name].value() for name in form.fields}

    def test_remix_takes_all_but_the_seed_and_seed_of_nothing_else(self) -> None:
        generation = finished_generation(self.bob, prompt="blue {loafers}", seed=9, pictures=3, num_inference_steps=31)
        pk = str(generation.images.get(seq=2).pk)
        remix = self.filled(remix=pk)
        taken = [remix[name] for name in ("prompt", "num_inference_steps", "num_images", "seed")]
        self.assertEqual(taken, [r"blue \{loafers\}", 31, 3, None])
        seed = self.filled(seed_of=pk)
        self.assertEqual((seed["seed"], seed["prompt"], seed["num_inference_steps"]), (11, None, 50))

    def test_vary_starts_from_the_picture_and_reference_takes_only_that(self) -> None:
        image = finished_generation(self.bob, prompt="blue loafers").images.get()
        vary = self.filled(vary=str(image.pk))
        self.assertEqual((vary["reference_image"], vary["strength"], vary["seed"]), (str(image.pk), 0.5, None))
        self.assertEqual(vary["prompt"], "blue loafers")
        reference = self.filled(reference=str(image.pk), prompt="red clogs", model="starter")
        self.assertEqual((reference["reference_image"], reference["prompt"]), (str(image.pk), "red clogs"))

    def test_settings_of_somebody_elses_picture_are_a_404(self) -> None:
        image = finished_generation(self.charlie).images.get()
        for name in ("from", "remix", "vary", "reference", "seed_of"):
            self.assertEqual(self.client.get(reverse("generate"), {name: str(image.pk)}).status_code, 404)
            self.assertEqual(self.client.get(reverse("generate-form"), {name: str(image.pk)}).status_code, 404)
            self.assertEqual(self.client.get(reverse("generate"), {name: "no id"}).status_code, 404)

    def test_a_model_that_is_not_there_for_this_user_is_left_out_and_said(self) -> None:
        checkpoint_of(self.charlie, name="secret")
        page = self.client.get(reverse("generate"), {"model": "secret/checkpoint-150"})
        self.assertContains(page, "secret/checkpoint-150 is not there for you")
        self.assertEqual(page.context["form"]["model_name"].value(), "starter")

    def test_a_value_outside_of_the_everyday_range_stays_and_is_taken(self) -> None:
        page = self.client.get(reverse("generate"))
        self.assertContains(page, 'data-everyday="5 15" data-all="0 30"')
        self.assertContains(page, 'name="guidance_scale" value="3"')
        self.post(guidance_scale=29.5, num_inference_steps=3)
        generation = Generation.objects.get()
        self.assertEqual((generation.guidance_scale, generation.num_inference_steps), (29.5, 3))

    def test_the_page_has_no_inline_script_or_style(self) -> None:
        finished_generation(self.alice)
        for name in ("generate", "gallery", "jobs", "training", "account"):
            page = self.client.get(reverse(name))
            self.assertNotContains(page, "style=")
            self.assertNotContains(page, "<style")
            self.assertNotContains(page, "onclick")
            self.assertIn("script-src 'self'", page["Content-Security-Policy"])


class PictureBytesTest(BaseTestCase):
    def setUp(self) -> None:
        self.image = finished_generation(self.alice, prompt="Red “sneakers”, side", seed=7).images.get()
        self.client.force_login(self.bob)

    def test_the_file_comes_with_name_hash_and_private_eternal_caching(self) -> None:
        response = self.client.get(reverse("image-file", args=[self.image.pk]), {"download": ""})
        self.assertEqual(response["Content-Disposition"], 'attachment; filename="red-sneakers-side_7.png"')
        self.assertEqual(response["ETag"], f'"{self.image.blob_id}"')
        self.assertEqual(response["X-Content-Type-Options"], "nosniff")
        self.assertEqual(response["Cache-Control"], "private, max-age=31536000, immutable")
        self.assertTrue(response.getvalue().startswith(b"\x89PNG"))

    def test_known_bytes_are_not_sent_again(self) -> None:
        for name, blob in (("image-file", self.image.blob_id), ("image-thumbnail", self.image.thumbnail_id)):
            response = self.client.get(reverse(name, args=[self.image.pk]), HTTP_IF_NONE_MATCH=f'"{blob}"')
            self.assertEqual((response.status_code, response.content), (304, b""))

    def test_others_get_a_404_even_with_the_right_etag(self) -> None:
        self.client.force_login(self.charlie)
        for name in ("image-file", "image-thumbnail"):
            response = self.client.get(
                reverse(name, args=[self.image.pk]), HTTP_IF_NONE_MATCH=f'"{self.image.blob_id}"'
            )
            self.assertEqual(response.status_code, 404)

    def test_bytes_that_are_gone_are_a_404(self) -> None:
        files.path_of(self.image.blob_id).unlink()
        self.assertEqual(self.client.get(reverse("image-file", args=[self.image.pk])).status_code, 404)
