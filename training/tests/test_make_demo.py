"""The demo data as a job of the portal: photos drawn and imported, and the short training queued."""

from __future__ import annotations

from django.test import override_settings

from shoesai.jobs import queue, runner
from shoesai.models import Job
from shoesai.testing import BaseTestCase
from training import demo
from training.models import BaseModel, DatasetVersion, TrainingRun


class MakeDemoTest(BaseTestCase):
    def run_it(self) -> Job:
        job = queue.enqueue(owner=self.alice, team=self.team, kind="make_demo")
        claim = queue.claim("cpu", only=job)
        assert claim
        runner.run(claim)
        job.refresh_from_db()
        return job

    def test_it_imports_the_drawn_photos_and_queues_the_training(self) -> None:
        job = self.run_it()
        self.assertEqual((job.state, job.error_text), ("succeeded", ""))
        version = DatasetVersion.objects.get()
        self.assertEqual(version.photo_count, demo.PHOTOS)
        self.assertEqual((version.dataset.owner, version.dataset.team), (self.alice, None))
        run = TrainingRun.objects.get()
        self.assertEqual((run.name, run.state, run.owner), (demo.RUN, "queued", self.alice))
        self.assertEqual(run.spec["max_train_steps"], demo.RECIPE.max_train_steps)
        self.assertEqual(job.result["run"], str(run.pk))

    def test_it_tells_how_far_it_is(self) -> None:
        job = self.run_it()
        self.assertEqual((job.progress_step, job.progress_total), (demo.PHOTOS, demo.PHOTOS))
        self.assertEqual(job.progress_message, "Importing photos")

    def test_a_second_time_makes_no_second_dataset_and_the_run_takes_the_next_name(self) -> None:
        self.run_it()
        self.assertEqual(self.run_it().state, "succeeded")
        self.assertEqual(DatasetVersion.objects.count(), 1)
        self.assertEqual(set(TrainingRun.objects.values_list("name", flat=True)), {demo.RUN, f"{demo.RUN}-2"})

    def test_a_job_that_was_lost_after_queueing_the_training_queues_no_second(self) -> None:
        job = self.run_it()
        Job.objects.filter(pk=job.pk).update(state=Job.State.QUEUED)
        claim = queue.claim("cpu", only=job)
        assert claim
        runner.run(claim)
        self.assertEqual(TrainingRun.objects.count(), 1)

    def test_it_stops_when_it_is_cancelled(self) -> None:
        job = queue.enqueue(owner=self.alice, kind="make_demo")
        claim = queue.claim("cpu", only=job)
        assert claim
        queue.request_cancel(job)
        runner.run(claim)
        job.refresh_from_db()
        self.assertEqual(job.state, "cancelled")
        self.assertFalse(TrainingRun.objects.exists())

    def test_without_the_starter_it_fails_in_words(self) -> None:
        BaseModel.objects.filter(name="starter").delete()
        self.assertIn("The starter model was removed", self.run_it().error_text)

    @override_settings(JOB_MAX_QUEUED_PER_USER=1)
    def test_a_full_queue_is_said(self) -> None:
        job = self.run_it()
        self.assertEqual((job.state, job.error_code), ("failed", "quota_reached"))
