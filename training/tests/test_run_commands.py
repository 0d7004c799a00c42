"""resume_training, pause_training and cancel_training: whose run, in which state, from which step."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any
from unittest.mock import patch

from django.core.management import CommandError, call_command

from shoesai.jobs import queue
from shoesai.models import Job
from shoesai.testing import BaseTestCase
from training.models import RunEvent, TrainingRun
from training.tests.runs import kept_checkpoint, kept_state, queued_run, taken


class RunCommandCase(BaseTestCase):
    def told_by(self, command: str, *options: str, user: str = "alice") -> Any:
        out = StringIO()
        call_command(command, *options, "--json", "--user", user, "-v", "0", stdout=out)
        return json.loads(out.getvalue())

    def code_of(self, command: str, *options: str, user: str = "alice") -> int:
        with self.assertRaises(CommandError) as caught:
            self.told_by(command, *options, user=user)
        self.words = str(caught.exception)
        return caught.exception.returncode

    def paused_run(self, step: int = 20) -> TrainingRun:
        run = queued_run(self.alice)
        claim = taken(run)
        kept_checkpoint(run, 10)
        kept_state(run, step)
        call_command("pause_training", run.name, "--no-follow", "--user", "alice", stdout=StringIO())
        claim.finish(Job.State.CANCELLED)
        run.refresh_from_db()
        self.assertEqual(run.state, TrainingRun.State.PAUSED)
        return run


class ResumeTests(RunCommandCase):
    def test_a_paused_run_goes_on_from_its_kept_state(self) -> None:
        run = self.paused_run()
        told = self.told_by("resume_training", run.name, "--no-follow")
        self.assertEqual((told["state"], told["checkpoints"]), ("queued", ["spring/checkpoint-10"]))
        self.assertEqual(run.jobs.count(), 2)

    def test_the_first_products_habit_of_naming_a_checkpoint_is_held_against_the_kept_state(self) -> None:
        run = self.paused_run(step=20)
        self.assertEqual(self.code_of("resume_training", run.name, "--from", "checkpoint-10", "--no-follow"), 2)
        self.assertIn("the kept state is of step 20", self.words)
        self.assertEqual(self.code_of("resume_training", run.name, "--from", "the last one"), 2)
        self.assertEqual(run.jobs.count(), 1)
        self.told_by("resume_training", run.name, "--from", "checkpoint-20", "--no-follow")
        self.assertEqual(run.jobs.count(), 2)

    def test_a_finished_run_is_told_so_whatever_checkpoint_is_named(self) -> None:
        run = queued_run(self.alice)
        taken(run).finish(Job.State.SUCCEEDED)
        self.assertEqual(self.code_of("resume_training", run.name, "--from", "checkpoint-100", "--no-follow"), 2)
        self.assertIn("spring is succeeded", self.words)

    def test_a_dry_run_says_where_it_would_go_on_and_changes_nothing(self) -> None:
        run = self.paused_run()
        told = self.told_by("resume_training", run.name, "--dry-run")
        self.assertEqual(told, {"run": "spring", "state": "paused", "step": 20, "max_train_steps": 100})
        run.refresh_from_db()
        self.assertEqual((run.state, run.jobs.count()), (TrainingRun.State.PAUSED, 1))

    def test_a_run_that_waits_already_is_followed_and_not_queued_twice(self) -> None:
        run = queued_run(self.alice)
        self.assertEqual(self.code_of("resume_training", run.name, "--no-follow"), 2)
        self.assertIn("only a stopped run", self.words)

        def end(*_: Any) -> None:
            taken(run).finish(Job.State.SUCCEEDED)

        with patch("shoesai.terminal.time.sleep", side_effect=end):
            told = self.told_by("resume_training", run.name)
        self.assertEqual((told["state"], run.jobs.count()), ("succeeded", 1))

    def test_a_run_whose_process_was_killed_is_taken_back_and_followed(self) -> None:
        run = queued_run(self.alice)
        taken(run)
        Job.objects.update(lease_owner=f"{queue.worker_name().rpartition(':')[0]}:999999999")

        def end(*_: Any) -> None:
            claim = queue.claim("gpu")
            assert claim, "nobody has taken the job back"
            claim.finish(Job.State.SUCCEEDED)

        with patch("shoesai.terminal.time.sleep", side_effect=end):
            self.assertEqual(self.told_by("resume_training", run.name)["state"], "succeeded")
        self.assertEqual(run.jobs.get().lost_attempts, 1)
        self.assertTrue(RunEvent.objects.filter(run=run, message__contains="process is gone").exists())


class StoppingTests(RunCommandCase):
    def test_a_waiting_run_is_paused_at_once_and_a_paused_one_cancelled(self) -> None:
        run = queued_run(self.alice)
        self.assertEqual(self.told_by("pause_training", run.name), {"run": "spring", "state": "paused", "step": 0})
        self.assertEqual(self.code_of("pause_training", run.name), 2)
        self.assertEqual(self.told_by("cancel_training", run.name)["state"], "cancelled")
        self.assertEqual(self.code_of("cancel_training", run.name), 2)
        self.assertIn("nothing to cancel", self.words)

    def test_a_training_run_is_waited_for_until_it_has_kept_its_state(self) -> None:
        run = queued_run(self.alice)
        claim = taken(run)

        def stop(*_: Any) -> None:
            self.assertTrue(claim.beat().cancel)
            kept_state(run, 37)
            claim.finish(Job.State.CANCELLED)

        with patch("shoesai.terminal.time.sleep", side_effect=stop):
            told = self.told_by("pause_training", run.name)
        self.assertEqual(told, {"run": "spring", "state": "paused", "step": 37})

    def test_a_worker_that_does_not_answer_ends_with_1(self) -> None:
        run = queued_run(self.alice)
        taken(run)
        with patch("training.management.stopping.PATIENCE_SECONDS", -1.0):
            self.assertEqual(self.code_of("cancel_training", run.name), 1)
        self.assertIn("is a worker running?", self.words)

    def test_a_dry_run_asks_nothing(self) -> None:
        run = queued_run(self.alice)
        for command in ("pause_training", "cancel_training"):
            self.assertEqual(self.told_by(command, run.name, "--dry-run")["state"], "queued")
        self.assertEqual(run.jobs.get().state, Job.State.QUEUED)
        self.assertFalse(run.jobs.get().cancel_requested)


class WhoseRunTests(RunCommandCase):
    COMMANDS = ("resume_training", "pause_training", "cancel_training")

    def test_charlie_does_not_learn_that_there_is_such_a_run(self) -> None:
        run = queued_run(self.alice)
        for command in self.COMMANDS:
            self.assertEqual(self.code_of(command, run.name, user="charlie"), 3)
            self.assertEqual(self.words, "RUN: there is no run named 'spring'.")

    def test_bob_sees_it_and_may_not_touch_it(self) -> None:
        run = queued_run(self.alice)
        for command in self.COMMANDS:
            self.assertEqual(self.code_of(command, run.name, user="bob"), 2)
            self.assertIn("belongs to alice", self.words)
        self.assertEqual(run.jobs.get().state, Job.State.QUEUED)
