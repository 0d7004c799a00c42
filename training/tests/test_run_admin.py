"""Runs in the administration: what it shows, what staff may ask, and what it refuses with a sentence."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

from django.contrib.auth.models import Permission
from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from generation.services import GenerationRequest, request_generation
from shoesai import files
from shoesai.models import Blob, Job
from shoesai.testing import BaseTestCase, png_bytes
from training import results
from training.models import Checkpoint, TrainingRun
from training.services import cancel_training, pause_training
from training.tests.runs import kept_checkpoint, kept_state, queued_run, taken

LIST = "admin:training_trainingrun_changelist"


class RunAdminTestCase(BaseTestCase):
    def setUp(self) -> None:
        self.run_ = queued_run(self.alice)
        self.bob.is_staff = True
        self.bob.save()
        self.grant("view_trainingrun", "view_checkpoint", "change_trainingrun", "delete_trainingrun")
        self.client.force_login(self.bob)

    def grant(self, *names: str) -> None:
        self.bob.user_permissions.set(Permission.objects.filter(codename__in=names))

    def act(self, action: str, *runs: TrainingRun, **data: Any) -> Any:
        selected = [str(run.pk) for run in runs or (self.run_,)]
        return self.client.post(reverse(LIST), {"action": action, "_selected_action": selected, **data}, follow=True)

    def state(self) -> str:
        self.run_.refresh_from_db()
        return self.run_.state


class ListTests(RunAdminTestCase):
    def test_a_row_has_progress_best_loss_and_the_newest_job(self) -> None:
        kept_checkpoint(self.run_, 10, 0.25)
        kept_checkpoint(self.run_, 20, 0.5)
        page = self.client.get(reverse(LIST))
        self.assertContains(page, "20/100")
        self.assertContains(page, "0.2500 at step 10")
        job = self.run_.newest_job()
        assert job
        self.assertContains(page, reverse("admin:shoesai_job_change", args=[job.pk]))

    def test_it_is_filtered_and_searched(self) -> None:
        other = queued_run(self.alice, "boots")
        cancel_training(other)
        for query, shown, hidden in (
            ({"state__exact": "cancelled"}, "boots", "spring"),
            ({"q": "spri"}, "spring", "boots"),
            ({"q": "alice", "family__exact": "starter", "state__exact": "queued"}, "spring", "boots"),
            ({"team__id__exact": str(self.team.pk), "q": "boots"}, "boots", "spring"),
        ):
            with self.subTest(query):
                page = self.client.get(reverse(LIST), query)
                self.assertContains(page, f">{shown}</a>")
                self.assertNotContains(page, f">{hidden}</a>")

    def test_it_costs_the_same_number_of_queries_however_long_it_is(self) -> None:
        with CaptureQueriesContext(connection) as few:
            self.client.get(reverse(LIST))
        for number in range(4):
            kept_checkpoint(queued_run(self.alice, f"run-{number}"), 10, 0.5)
        with CaptureQueriesContext(connection) as many:
            self.client.get(reverse(LIST))
        self.assertEqual(len(few), len(many))


class PageTests(RunAdminTestCase):
    def page(self) -> Any:
        return self.client.get(reverse("admin:training_trainingrun_change", args=[self.run_.pk]))

    def test_it_shows_recipe_log_rows_and_checkpoints_with_what_they_draw(self) -> None:
        results.keep_validation_image(
            self.run_, {"step": 10, "seq": 0, "prompt": "red", "seed": 7}, png_bytes("red", 512)
        )
        kept_checkpoint(self.run_, 10, 0.25)
        results.note(self.run_, "<b>Something</b> happened.")
        page = self.page()
        self.assertContains(page, "&quot;max_train_steps&quot;: 100")
        self.assertContains(page, "&lt;b&gt;Something&lt;/b&gt; happened.")
        self.assertContains(page, f"/validationimage/?run__id__exact={self.run_.pk}")
        picture = reverse(
            "admin:training_trainingrun_validation", args=[self.run_.pk, self.run_.validation_images.get().pk]
        )
        self.assertContains(page, f'src="{picture}"')
        self.assertNotContains(page, 'name="_save"')
        shown = self.client.get(picture)
        self.assertEqual((shown.status_code, shown["Content-Type"]), (200, "image/webp"))

    def test_a_picture_is_for_those_who_may_see_runs(self) -> None:
        results.keep_validation_image(self.run_, {"step": 1, "seq": 0, "prompt": "x", "seed": 7}, png_bytes())
        image = self.run_.validation_images.get()
        picture = reverse("admin:training_trainingrun_validation", args=[self.run_.pk, image.pk])
        other = reverse("admin:training_trainingrun_validation", args=[queued_run(self.alice, "other").pk, image.pk])
        self.assertEqual(self.client.get(other).status_code, 404)
        self.grant("view_job")
        self.assertEqual(self.client.get(picture).status_code, 403)
        self.client.force_login(self.alice)  # her own, but she is no staff
        self.assertEqual(self.client.get(picture).status_code, 302)

    def test_nobody_writes_what_machines_write(self) -> None:
        address = reverse("admin:training_trainingrun_change", args=[self.run_.pk])
        self.assertEqual(self.client.post(address, {"name": "mine"}).status_code, 403)
        self.assertEqual(self.client.get(reverse("admin:training_trainingrun_add")).status_code, 403)

    def test_a_run_from_a_folder_opens(self) -> None:
        TrainingRun.objects.update(state="imported", shared=True, spec={}, dataset_version=None)
        Job.objects.all().delete()
        self.assertEqual(self.page().status_code, 200)
        self.assertContains(self.client.get(reverse(LIST)), "Imported")

    def test_states_are_listed_with_their_size(self) -> None:
        kept_state(self.run_, 10, b"x" * 2048)
        self.grant("view_trainingstate")
        self.assertContains(self.client.get(reverse("admin:training_trainingstate_changelist")), "2.0\u00a0KB")


class ActionTests(RunAdminTestCase):
    def test_pause_resume_and_cancel_say_what_happened_to_each(self) -> None:
        stopped = queued_run(self.alice, "stopped")
        cancel_training(stopped)
        page = self.act("pause", self.run_, stopped)
        self.assertContains(page, "Run spring: asked to pause.")
        self.assertContains(page, "Run stopped is cancelled; only a run that waits or trains can be paused.")
        self.assertEqual(self.state(), "paused")
        self.assertContains(self.act("resume"), "Run spring: queued to go on.")
        self.assertEqual(self.state(), "queued")
        claim = taken(self.run_)
        self.assertContains(self.act("cancel"), "Run spring: asked to stop.")
        claim.finish(Job.State.CANCELLED)
        self.assertEqual(self.state(), "cancelled")

    def test_a_full_queue_is_a_sentence(self) -> None:
        pause_training(self.run_)
        with override_settings(JOB_MAX_QUEUED_PER_USER=0):
            self.assertContains(self.act("resume"), "Run spring: 0 jobs are waiting or running already")
        self.assertEqual(self.state(), "paused")

    def test_one_who_may_only_look_has_no_actions(self) -> None:
        self.grant("view_trainingrun")
        page = self.client.get(reverse(LIST))
        self.assertNotContains(page, "Pause the selected runs")
        for action in ("pause", "resume", "cancel", "export", "delete_selected"):
            response = self.act(action, post="yes")
            self.assertNotIn("application/zip", response["Content-Type"])
        self.assertEqual(self.state(), "queued")

    def test_a_clone_opens_the_form_of_a_new_run(self) -> None:
        data = {"action": "clone", "_selected_action": [str(self.run_.pk)]}
        response = self.client.post(reverse(LIST), data)
        self.assertRedirects(
            response, f"{reverse('training-new')}?clone={self.run_.pk}", fetch_redirect_response=False
        )
        self.assertContains(self.act("clone", self.run_), "spring-2")
        self.assertContains(self.act("clone", self.run_, queued_run(self.alice, "other")), "Select one run to clone.")

    def test_one_who_is_not_in_its_team_is_told_why_there_is_no_clone(self) -> None:
        self.bob.memberships.all().delete()
        page = self.act("clone")
        self.assertEqual(page.status_code, 200)
        self.assertContains(page, "Run spring belongs to Studio; only its owner and their team can clone it.")
        TrainingRun.objects.update(state="imported", shared=True, spec={}, dataset_version=None)
        self.assertContains(self.act("clone"), "Run spring was not trained here")

    def test_an_export_holds_spec_curves_checkpoints_and_log(self) -> None:
        results.keep_metric(self.run_, {"step": 5, "loss": 0.5, "learning_rate": 1e-4, "grad_norm": 1.0})
        results.keep_validation_loss(self.run_, {"step": 0, "loss": 0.4, "photos": 1})
        checkpoint = kept_checkpoint(self.run_, 10, 0.25)
        response = self.act("export", self.run_, queued_run(self.alice, "boots"))
        self.assertEqual(response["Content-Disposition"], 'attachment; filename="runs.zip"')
        archive = zipfile.ZipFile(io.BytesIO(response.getvalue()))
        weights = "checkpoints/checkpoint-10/pytorch_lora_weights.safetensors"
        self.assertEqual(archive.read(f"spring/{weights}"), files.read(checkpoint.blob))
        self.assertEqual({name.partition("/")[0] for name in archive.namelist()}, {"spring", "boots"})
        texts = [name for name in archive.namelist() if "spring" in name and weights not in name]
        read = {name.partition("/")[2]: archive.read(name).decode() for name in texts}
        self.run_.refresh_from_db()
        self.assertEqual(json.loads(read["spec.json"]), self.run_.spec)
        origin = json.loads(read["run.json"])
        self.assertEqual((origin["dataset"]["name"], origin["base_model"]["name"]), ("casual", "starter"))
        points = [json.loads(line) for line in read["metrics.jsonl"].splitlines()]
        self.assertEqual(points[0], {"step": 0, "validation_loss": 0.4})
        self.assertEqual((points[1]["step"], points[1]["loss"]), (5, 0.5))
        self.assertEqual(json.loads(read["checkpoints.json"])[0]["sha256"], checkpoint.blob_id)
        self.assertIn("Queued.", read["log.txt"])
        self.assertNotRegex("".join(read.values()), r"/(tmp|root|home|work|var)/")


class DeletionTests(RunAdminTestCase):
    def setUp(self) -> None:
        super().setUp()
        kept_checkpoint(self.run_, 10)
        kept_state(self.run_, 10)
        self.mine = set(Blob.objects.filter(mime=results.SAFETENSORS).values_list("pk", flat=True))
        cancel_training(self.run_)

    def delete(self) -> Any:
        address = reverse("admin:training_trainingrun_delete", args=[self.run_.pk])
        with self.captureOnCommitCallbacks(execute=True):
            return self.client.post(address, {"post": "yes"}, follow=True)

    def test_a_run_goes_with_its_bytes_from_its_page_and_from_the_list(self) -> None:
        other = queued_run(self.alice, "other")
        cancel_training(other)
        question = self.client.get(reverse("admin:training_trainingrun_delete", args=[self.run_.pk]))
        self.assertContains(question, "spring with its checkpoints, states, curves, pictures and jobs")
        self.assertContains(self.delete(), "was deleted successfully")
        self.assertFalse(any(files.path_of(each).exists() for each in self.mine))
        self.assertContains(self.act("delete_selected", other, post="yes"), "Run other: deleted.")
        self.assertFalse(TrainingRun.objects.exists())

    def test_a_run_whose_checkpoint_made_a_picture_stays_and_says_why(self) -> None:
        request_generation(user=self.bob, request=GenerationRequest("red", model_name="spring/checkpoint-10"))
        sentence = "1 request for pictures was made with its checkpoints"
        question = self.client.get(reverse("admin:training_trainingrun_delete", args=[self.run_.pk]))
        self.assertContains(question, sentence)
        self.delete()
        self.act("delete_selected", post="yes")
        self.assertEqual((TrainingRun.objects.count(), Checkpoint.objects.count()), (1, 1))
        self.assertTrue(all(files.path_of(each).exists() for each in self.mine))

    def test_a_live_run_is_not_deleted(self) -> None:
        queued = queued_run(self.alice, "live")
        self.assertContains(self.act("delete_selected", queued), "live is queued; cancel it before you delete it.")
        self.act("delete_selected", queued, post="yes")
        self.assertTrue(TrainingRun.objects.filter(name="live").exists())

    def test_it_takes_the_permission_to_delete(self) -> None:
        self.grant("view_trainingrun", "change_trainingrun")
        self.assertEqual(self.delete().status_code, 403)
        self.act("delete_selected", post="yes")
        self.assertTrue(TrainingRun.objects.exists())
