"""What the page asks while the form is filled in."""

from __future__ import annotations

from typing import Any

from django.urls import reverse

from generation.services import GenerationRequest, request_generation
from generation.tests.test_portal_generate import checkpoint_of
from generation.tests.test_suggestions import dataset
from shoesai import files
from shoesai.testing import BaseTestCase, finished_generation, png_bytes
from training.models import BaseModel, Dataset, ValidationImage


class AssistanceTest(BaseTestCase):
    def setUp(self) -> None:
        self.client.force_login(self.alice)

    def test_a_stranger_is_sent_to_the_sign_in_page(self) -> None:
        self.client.logout()
        for name in ("generate-suggestions", "generate-check", "generate-models", "generate-picked"):
            for ask in (self.client.get, self.client.post):
                self.assertRedirects(
                    ask(reverse(name)), f"/login/?next={reverse(name)}", fetch_redirect_response=False
                )


class SuggestionsViewTest(AssistanceTest):
    def ask(self, **posted: Any) -> Any:
        return self.client.post(reverse("generate-suggestions"), posted)

    def test_options_say_what_they_replace_and_where_they_come_from(self) -> None:
        request_generation(user=self.alice, request=GenerationRequest(prompt="red <b>sneakers</b>"))
        answer = self.ask(field="prompt", text="red")
        self.assertContains(answer, 'data-insert="red &lt;b&gt;sneakers&lt;/b&gt;"')
        self.assertContains(answer, "data-whole")
        self.assertContains(answer, "yours")
        self.assertContains(self.ask(field="prompt", text="boots, chelsea b"), 'data-start="7"')

    def test_no_field_of_the_form_but_two_has_suggestions(self) -> None:
        self.assertEqual(self.ask(field="seed", text="1").status_code, 404)

    def test_a_text_beyond_every_limit_gets_none(self) -> None:
        self.assertEqual(self.ask(field="prompt", text="red " * 5000).content.strip(), b"")


class PromptCheckTest(AssistanceTest):
    def ask(self, **posted: Any) -> Any:
        return self.client.post(reverse("generate-check"), {"model_name": "starter", "num_images": "4", **posted})

    def test_it_counts_tokens_and_names_what_is_not_read(self) -> None:
        self.assertContains(self.ask(prompt="red sneakers"), "4 of 77 tokens")
        long = self.ask(prompt="red " * 75 + "gum sole")
        self.assertContains(long, "79 of 77 tokens")
        self.assertContains(long, "<q>gum sole</q>")

    def test_it_counts_the_pictures_of_a_template(self) -> None:
        answer = self.ask(prompt="{red|blue|green} {boots|clogs}")
        self.assertContains(answer, "6 prompts × 4 images = 24 pictures")
        self.assertContains(answer, 'data-prompts="6"')
        self.assertContains(answer, "<li>green clogs</li>")
        self.assertContains(self.ask(prompt="{a|b} boots", num_images="1"), "2 prompts × 1 image = 2 pictures")

    def test_a_template_without_sense_is_said_at_once(self) -> None:
        self.assertContains(self.ask(prompt="{red"), "is never closed")

    def test_anything_may_stand_in_the_fields_while_they_are_filled_in(self) -> None:
        odd = ({"num_images": "many"}, {"model_name": "gone"}, {"prompt": "x" * 9999}, {"num_images": "9" * 400})
        for posted in odd:
            with self.subTest(posted):
                self.assertEqual(self.ask(**{"prompt": "red", **posted}).status_code, 200)

    def test_the_button_says_the_true_number_from_the_start(self) -> None:
        page = self.client.get(reverse("generate"), {"prompt": "{red|blue} boots"})
        self.assertContains(page, "Generate 8 images</button>")


class ModelPickerTest(AssistanceTest):
    def models(self, **query: Any) -> Any:
        return self.client.get(reverse("generate-models"), {"field": "model_name", "model_name": "starter", **query})

    def cards(self, **query: Any) -> dict[str, Any]:
        return {card.name: card for group in self.models(**query).context["groups"] for card in group.cards}

    def test_models_are_grouped_by_run_and_only_those_that_one_may_use(self) -> None:
        checkpoint_of(self.bob, self.team, name="spring")
        checkpoint_of(self.charlie, name="secret")
        groups = self.models().context["groups"]
        self.assertEqual([group.title for group in groups], ["Base models", "spring"])
        self.assertNotContains(self.models(q="secret"), "secret/checkpoint-150")

    def test_the_search_takes_words_of_run_dataset_and_step(self) -> None:
        dataset(self.alice, "red boots", "red boots", name="catalogue")
        checkpoint = checkpoint_of(self.alice, step=300)
        checkpoint_of(self.alice, step=150)
        checkpoint.run.dataset_version = Dataset.objects.get().latest()
        checkpoint.run.save()
        for query, found in {"spr 300": 1, "catal": 2, "start": 1, "nothing": 0, "%": 0}.items():
            self.assertEqual(len(self.cards(q=query)), found, query)
        self.assertContains(self.models(q="nothing"), "Nothing fits “nothing”.")

    def test_a_base_shows_its_newest_picture_that_one_may_see(self) -> None:
        self.assertEqual(self.cards()["starter"].thumbnail, "")
        seen = finished_generation(self.bob).images.get()
        finished_generation(self.charlie)
        self.assertEqual(self.cards()["starter"].thumbnail, reverse("image-thumbnail", args=[seen.pk]))

    def test_a_checkpoint_shows_a_validation_picture_or_one_that_was_made_with_it(self) -> None:
        checkpoint = checkpoint_of(self.alice)
        name = "spring/checkpoint-150"
        image = finished_generation(self.alice, model_name=name).images.get()
        self.assertEqual(self.cards()[name].thumbnail, reverse("image-thumbnail", args=[image.pk]))
        blob = files.publish(png_bytes(), "image/png")
        for step in (100, 150, 200):
            ValidationImage.objects.create(run=checkpoint.run, step=step, seq=0, prompt="red", seed=1, blob=blob)
        newest = ValidationImage.objects.get(step=150)
        address = reverse("training-validation-thumbnail", args=[checkpoint.run_id, newest.pk])
        self.assertEqual(self.cards()[name].thumbnail, address)

    def test_trigger_words_are_the_runs_own_or_what_its_captions_often_say(self) -> None:
        dataset(self.alice, "red boots, studio shot", "blue boots, studio shot")
        run = checkpoint_of(self.alice).run
        run.dataset_version = Dataset.objects.get().latest()
        run.save()
        card = self.cards()["spring/checkpoint-150"]
        self.assertEqual((card.words, card.captions), ("", ("studio shot",)))
        run.spec = {"trigger_words": "sks shoe"}
        run.save()
        self.assertEqual(self.cards()["spring/checkpoint-150"].words, "sks shoe")

    def test_a_lora_of_another_family_is_shown_and_cannot_be_taken(self) -> None:
        checkpoint_of(self.alice)
        BaseModel.objects.create(name="sd", title="SD", family="sd15", location="sd", resolution=512)
        page = self.models(field="lora_0", model_name="sd")
        self.assertContains(page, 'aria-disabled="true"')
        self.assertContains(page, "Fits Starter")
        self.assertNotContains(self.models(field="lora_0"), "aria-disabled")
        self.assertNotIn("starter", self.cards(field="lora_0"))

    def test_what_was_picked_is_shown_with_its_words(self) -> None:
        run = checkpoint_of(self.alice).run
        run.spec = {"trigger_words": "sks shoe"}
        run.save()
        query = {"field": "lora_1", "lora_1": "spring/checkpoint-150", "model_name": "starter"}
        picked = self.client.get(reverse("generate-picked"), query)
        self.assertContains(picked, "spring, step 150")
        self.assertContains(picked, 'data-add-words="sks shoe"')
        self.client.force_login(self.charlie)
        self.assertNotContains(self.client.get(reverse("generate-picked"), query), "spring")

    def test_fields_and_models_that_are_not_there_are_a_404(self) -> None:
        self.assertEqual(self.models(field="seed").status_code, 404)
        self.assertEqual(self.models(field="lora_0", model_name="gone").status_code, 404)
