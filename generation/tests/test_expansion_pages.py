"""Expanding a dataset from its page and over the API: what fits, what was made, what was refused, and who may."""

from __future__ import annotations

from typing import Any

from django.urls import reverse

from generation.models import Expansion, ExpansionTry
from shoesai.accounts import create_token
from shoesai.jobs.engine_child import child_of
from shoesai.jobs.tasks import run_here
from shoesai.models import Job, User
from shoesai.testing import BaseTestCase
from shoesai.tests.api_client import client_of, fields_of
from training.models import Dataset
from training.tests.datasets_for_tests import draft_of

ASKED: dict[str, Any] = {
    "prompts": "a shoe", "images_per_prompt": "1", "augmentations_per_image": "0", "model_name": "starter",
    "num_inference_steps": "2", "seed": "7",
}  # fmt: skip


class ExpandPageTest(BaseTestCase):
    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.addClassCleanup(child_of("gpu").kill)

    def setUp(self) -> None:
        self.dataset = draft_of(self.alice, 4).dataset
        self.url = reverse("dataset-expand", args=[self.dataset.pk])
        self.client.force_login(self.alice)

    def post(self, **changes: Any) -> Any:
        return self.client.post(self.url, {**ASKED, **changes})

    def test_it_says_how_much_fits(self) -> None:
        page = self.client.get(self.url)
        self.assertContains(page, "More that fit, variants included</dt><dd>4</dd>")

    def test_what_goes_beyond_the_limit_is_refused_at_its_field_with_the_number_that_fits(self) -> None:
        page = self.post(images_per_prompt="5")
        self.assertContains(page, "At most 4 generated pictures", status_code=422)
        self.assertFalse(Job.objects.exists())

    def test_bad_lines_of_the_list_are_named(self) -> None:
        page = self.post(prompts="boots\nboots")
        self.assertContains(page, "line 2: is the same as line 1", status_code=422)

    def test_refused_pictures_are_counted_and_shown_with_their_reasons(self) -> None:
        self.assertRedirects(self.post(), self.url)
        self.assertContains(self.client.get(self.url), "Making pictures")
        self.assertTrue(run_here(Job.objects.get()))
        page = self.client.get(self.url)
        self.assertContains(page, "3 pictures were refused")
        self.assertContains(page, "The background is not white")
        tried = ExpansionTry.objects.latest("pk")
        picture = reverse("dataset-expand-refused", args=[self.dataset.pk, tried.pk])
        self.assertEqual(self.client.get(picture)["Content-Type"], "image/webp")
        self.client.force_login(self.charlie)
        self.assertEqual(self.client.get(picture).status_code, 404)

    def test_whoever_may_not_see_the_dataset_finds_nothing_here(self) -> None:
        self.client.force_login(self.charlie)
        self.assertEqual(self.client.get(self.url).status_code, 404)
        self.assertEqual(self.post().status_code, 404)
        self.assertFalse(Expansion.objects.exists())

    def test_team_mates_may_expand_a_shared_dataset(self) -> None:
        Dataset.objects.filter(pk=self.dataset.pk).update(team=self.team)
        self.client.force_login(self.bob)
        self.assertRedirects(self.post(), self.url)
        self.assertEqual(Expansion.objects.get().owner, self.bob)


class DatasetApiTest(BaseTestCase):
    def setUp(self) -> None:
        self.dataset = draft_of(self.alice, 4).dataset

    def ask(self, what: str, body: dict[str, Any], user: User | None = None, key: str = "") -> Any:
        url = reverse(f"api-dataset-{what}", args=[self.dataset.pk])
        headers = {"Idempotency-Key": key} if key else {}
        return client_of(user or self.alice).post(url, body, content_type="application/json", headers=headers)

    def test_variants_are_asked_for_and_the_answer_says_where_to_ask_after_them(self) -> None:
        answer = self.ask("augment", {"variants": 2, "rotation": 10})
        self.assertEqual(answer.status_code, 202, answer.content)
        job = Job.objects.get()
        self.assertEqual((answer.json()["job"]["kind"], job.spec["augment"]["rotation"]), ("augment_dataset", 10.0))
        self.assertEqual(answer["Location"], reverse("api-job", args=[job.pk]))

    def test_a_setting_that_spoils_a_photo_is_refused_by_name_with_the_reason(self) -> None:
        answer = self.ask("augment", {"rotation": 45})
        self.assertEqual(answer.status_code, 400)
        self.assertIn("does not stand on its sole", fields_of(answer)["rotation"])
        self.assertEqual(self.ask("augment", {"spin": 1}).status_code, 400)

    def test_pictures_are_asked_for(self) -> None:
        body = {"prompts": ["boots", "clogs"], "images_per_prompt": 1, "augmentations_per_image": 1, "seed": 3}
        answer = self.ask("expand", body)
        self.assertEqual(answer.status_code, 202, answer.content)
        expansion = Expansion.objects.get()
        self.assertEqual((expansion.prompts, int(expansion.seed)), (["boots", "clogs"], 3))

    def test_more_than_fits_is_refused(self) -> None:
        answer = self.ask("expand", {"prompts": ["boots"], "images_per_prompt": 4, "augmentations_per_image": 5})
        self.assertEqual(answer.status_code, 400)
        self.assertIn("At most 0 generated pictures", fields_of(answer)["images_per_prompt"])

    def test_the_same_key_is_the_same_job(self) -> None:
        for _ in range(2):
            self.assertEqual(self.ask("augment", {"variants": 1}, key="k").status_code, 202)
        self.assertEqual(Job.objects.count(), 1)

    def test_somebody_elses_dataset_is_a_404(self) -> None:
        for what, body in (("augment", {}), ("expand", {"prompts": ["boots"]})):
            self.assertEqual(self.ask(what, body, self.charlie).status_code, 404)

    def test_a_token_that_may_only_read_starts_nothing(self) -> None:
        token = create_token(self.alice, "reader", scopes=["read"])
        for what in ("augment", "expand"):
            url = reverse(f"api-dataset-{what}", args=[self.dataset.pk])
            answer = self.client.post(
                url, {}, content_type="application/json", headers={"Authorization": f"Token {token}"}
            )
            self.assertEqual(answer.status_code, 403)
        self.assertFalse(Job.objects.exists())
