"""The administration shows every table, changes only what people may change, and holds no secret."""

from __future__ import annotations

import tempfile
from pathlib import Path

from django.apps import apps
from django.contrib import admin
from django.test import override_settings
from django.urls import reverse

from shoesai.accounts import create_token
from shoesai.engine.base_folder import content_hash
from shoesai.jobs import queue
from shoesai.models import ApiToken, Job
from shoesai.testing import BaseTestCase, finished_generation
from training.models import BaseModel
from training.tests.bases import hollow_base_folder

OURS = ("shoesai", "training", "generation", "gallery", "evaluation")


class AdminTest(BaseTestCase):
    def setUp(self) -> None:
        self.alice.is_staff = self.alice.is_superuser = True
        self.alice.save()
        self.client.force_login(self.alice)

    def test_every_model_of_ours_can_be_browsed_and_searched(self) -> None:
        finished_generation(self.alice)
        create_token(self.alice, "script")
        inline_only = {"GenerationLora", "Tagging"}
        for model in (model for app in OURS for model in apps.get_app_config(app).get_models()):
            if model.__name__ in inline_only:
                continue
            with self.subTest(model.__name__):
                self.assertIn(model, admin.site._registry)
                options = model._meta
                address = reverse(f"admin:{options.app_label}_{options.model_name}_changelist")
                self.assertEqual(self.client.get(address, {"q": "red"}).status_code, 200)

    def test_a_picture_and_its_generation_open(self) -> None:
        image = finished_generation(self.alice).images.get()
        for name, pk in (("generatedimage", image.pk), ("generation", image.generation_id)):
            self.assertContains(self.client.get(reverse(f"admin:generation_{name}_change", args=[pk])), "red sneakers")

    def test_pickles_of_django_q2_are_not_there(self) -> None:
        self.assertFalse([model for model in admin.site._registry if model._meta.app_label == "django_q"])

    def test_jobs_are_read_only_and_are_cancelled_through_the_queue(self) -> None:
        job = queue.enqueue(owner=self.bob, kind="scan_models")
        self.assertEqual(self.client.post(reverse("admin:shoesai_job_change", args=[job.pk]), {}).status_code, 403)
        data = {"action": "cancel_jobs", "_selected_action": [str(job.pk)]}
        response = self.client.post(reverse("admin:shoesai_job_changelist"), data, follow=True)
        self.assertContains(response, "1 job was asked to stop.")
        job.refresh_from_db()
        self.assertEqual(job.state, Job.State.CANCELLED)

    def test_a_base_model_lies_below_the_folder_of_models(self) -> None:
        for location in ("", ".", "..", "../secret", "/etc"):
            data = {"name": "sd15", "title": "SD", "family": "sd15", "format": "diffusers"}
            data |= {"resolution": "512", "guidance_scale": "7.5"}
            page = self.client.post(reverse("admin:training_basemodel_add"), {**data, "location": location})
            self.assertContains(page, "below MODELS_DIR", msg_prefix=location)

    def test_a_base_model_is_judged_before_it_is_added_and_keeps_what_runs_rely_on(self) -> None:
        data = {"name": "sd15", "title": "SD", "family": "sd15", "format": "diffusers", "location": "sd15"}
        data |= {"resolution": "512", "guidance_scale": "7.5"}
        with tempfile.TemporaryDirectory() as models, override_settings(MODELS_DIR=models):
            page = self.client.post(reverse("admin:training_basemodel_add"), data)
            self.assertContains(page, "there is no folder")
            folder = hollow_base_folder(Path(models) / "sd15")
            self.client.post(reverse("admin:training_basemodel_add"), data)
            base = BaseModel.objects.get(name="sd15")
            self.assertEqual((base.sha256, base.source), (content_hash(folder), "sd15"))
            page = self.client.get(reverse("admin:training_basemodel_change", args=[base.pk]))
            self.assertNotContains(page, 'name="location"')

    def test_tokens_show_no_secret_and_no_digest(self) -> None:
        secret = create_token(self.bob, "script")
        token = ApiToken.objects.get()
        page = self.client.get(reverse("admin:shoesai_apitoken_changelist"))
        self.assertContains(page, "script")
        self.assertNotContains(page, secret)
        self.assertNotContains(page, f">{token.digest}<")
        self.assertEqual(self.client.get(reverse("admin:shoesai_apitoken_add")).status_code, 403)

    def test_only_staff_come_in(self) -> None:
        self.client.force_login(self.bob)
        self.assertEqual(self.client.get(reverse("admin:index")).status_code, 302)
