"""A run's life: every way it can stop and go on, who wins when two things happen at once, and what its log says."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import TransactionTestCase, override_settings

from generation.services import GenerationRequest, request_generation
from shoesai import files
from shoesai.engine.specs import TrainSpec
from shoesai.jobs import queue
from shoesai.models import Blob, Job
from shoesai.testing import BaseTestCase, People, starter
from training import results
from training.models import Checkpoint, TrainingMetric, TrainingRun, TrainingState
from training.services import (
    STEPPED_ASIDE,
    TrainingProblem,
    WrongState,
    cancel_training,
    delete_run,
    follow_job,
    pause_training,
    resume_training,
    start_training,
)
from training.tests.runs import SMALL, kept_checkpoint, kept_state, photos_version, queued_run, taken

BEGUN = {"event": "begun", "job": "", "step": 0, "device": "cpu", "precision": "fp32", "photos": 5, "held_out": 1}


class RunTestCase(BaseTestCase):
    def setUp(self) -> None:
        self.run_ = queued_run(self.alice)

    def state(self) -> str:
        self.run_.refresh_from_db()
        return self.run_.state

    def log(self) -> list[str]:
        return [event.message for event in self.run_.events.all()]

    def jobs(self) -> list[str]:
        return list(self.run_.jobs.order_by("created_at").values_list("state", flat=True))


class StartTests(BaseTestCase):
    def start(self, **changed: Any) -> TrainingRun:
        wanted: dict[str, Any] = {
            "user": self.alice,
            "name": "spring",
            "dataset_version": photos_version(self.alice),
            "base_model": starter(),
            "spec": TrainSpec(**SMALL),
        }
        return start_training(**{**wanted, **changed})

    def test_a_run_is_its_owners_and_their_teams_and_waits_with_one_job(self) -> None:
        run = self.start()
        job = run.jobs.get()
        assert (run.owner, run.team, run.state) == (self.alice, self.team, "queued")
        assert (job.kind, job.state, job.owner, job.team) == ("train", "queued", self.alice, self.team)
        assert TrainSpec.from_dict(run.spec) == TrainSpec(**SMALL)

    def test_a_refusal_leaves_neither_run_nor_job(self) -> None:
        self.start()
        refusals: list[tuple[str, dict[str, Any]]] = [
            ("name: there is a run", {}),
            ("name: 'a b'", {"name": "a b"}),
            ("name: ''", {"name": ""}),
            ("no photos", {"name": "x", "dataset_version": photos_version(self.alice, photos=0)}),
        ]
        for words, changed in refusals:
            with self.subTest(words), pytest.raises(TrainingProblem, match=words):
                self.start(**changed)
        with override_settings(JOB_MAX_QUEUED_PER_USER=1), pytest.raises(queue.QueueFull):
            self.start(name="second")
        assert (TrainingRun.objects.count(), Job.objects.count()) == (1, 1)

    def test_the_same_key_with_the_same_request_is_the_same_run(self) -> None:
        key = {"idempotency_key": "once", "request_digest": "a" * 64}
        assert self.start(**key) == self.start(**key)
        with pytest.raises(queue.KeyReused):
            self.start(name="other", idempotency_key="once", request_digest="b" * 64)
        assert (TrainingRun.objects.count(), Job.objects.count()) == (1, 1)


class PauseTests(RunTestCase):
    def test_a_run_that_waits_is_paused_at_once(self) -> None:
        pause_training(self.run_)
        assert (self.state(), self.jobs(), self.run_.pause_requested) == ("paused", ["cancelled"], False)
        assert queue.claim("gpu") is None

    def test_a_run_that_trains_is_paused_when_its_worker_has_kept_the_state(self) -> None:
        claim = taken(self.run_)
        pause_training(self.run_)
        assert (self.state(), self.run_.pause_requested, claim.beat().cancel) == ("running", True, True)
        with claim.committing():
            kept_state(self.run_, 7)
        claim.finish(Job.State.CANCELLED)
        assert (self.state(), self.run_.pause_requested, self.run_.resume_step) == ("paused", False, 7)
        assert self.run_.finished_at is not None

    def test_a_worker_that_steps_aside_or_dies_while_it_should_pause_leaves_it_paused(self) -> None:
        for number, leave in enumerate((lambda claim: claim.requeue(), lambda claim: claim.lose("it was killed"))):
            with self.subTest(number):
                run = queued_run(self.alice, f"run-{number}")
                claim = taken(run)
                pause_training(run)
                leave(claim)
                run.refresh_from_db()
                assert (run.state, run.pause_requested) == ("paused", False)

    def test_a_run_that_reaches_its_end_before_the_pause_has_succeeded(self) -> None:
        claim = taken(self.run_)
        pause_training(self.run_)
        claim.finish(Job.State.SUCCEEDED)
        assert (self.state(), self.run_.pause_requested) == ("succeeded", False)

    def test_the_last_wish_counts(self) -> None:
        claim = taken(self.run_)
        pause_training(self.run_)
        cancel_training(self.run_)
        claim.finish(Job.State.CANCELLED)
        assert self.state() == "cancelled"
        resume_training(self.run_)
        claim = taken(self.run_)
        cancel_training(self.run_)
        pause_training(self.run_)
        claim.finish(Job.State.CANCELLED)
        assert self.state() == "paused"

    def test_only_what_waits_or_trains_can_be_paused(self) -> None:
        for state in ("paused", "succeeded", "failed", "cancelled", "imported"):
            TrainingRun.objects.update(state=state)
            with self.subTest(state), pytest.raises(WrongState, match=state):
                pause_training(self.run_)

    def test_a_run_whose_job_has_gone_is_not_left_waiting_for_it(self) -> None:
        Job.objects.all().delete()
        pause_training(self.run_)
        assert self.state() == "paused"


class CancelTests(RunTestCase):
    def test_waiting_training_and_paused_runs_are_cancelled(self) -> None:
        cancel_training(self.run_)
        assert self.state() == "cancelled"
        resume_training(self.run_)
        claim = taken(self.run_)
        cancel_training(self.run_)
        claim.finish(Job.State.CANCELLED)
        assert self.state() == "cancelled"
        resume_training(self.run_)
        pause_training(self.run_)
        cancel_training(self.run_)
        assert (self.state(), self.jobs()) == ("cancelled", ["cancelled"] * 3)
        with pytest.raises(WrongState, match="cancelled"):
            cancel_training(self.run_)

    def test_a_job_that_is_cancelled_by_itself_leaves_a_run_that_can_go_on(self) -> None:
        job = self.run_.newest_job()
        assert job and queue.request_cancel(job)
        assert self.state() == "cancelled"
        resume_training(self.run_)
        claim = taken(self.run_)
        queue.request_cancel(claim.job)
        claim.finish(Job.State.CANCELLED)
        assert self.state() == "cancelled"
        assert resume_training(self.run_).state == Job.State.QUEUED


class ResumeTests(RunTestCase):
    def test_every_stopped_run_goes_on_with_a_new_job_from_its_last_state(self) -> None:
        for state in TrainingRun.RESUMABLE:
            with self.subTest(state):
                TrainingRun.objects.filter(pk=self.run_.pk).update(state=state, pause_requested=False)
                Job.objects.update(state="cancelled")
                job = resume_training(self.run_)
                assert (self.state(), self.run_.newest_job(), self.run_.finished_at) == ("queued", job, None)

    def test_a_stopped_run_is_resumed_once_even_by_one_who_still_sees_it_stopped(self) -> None:
        pause_training(self.run_)
        self.run_.refresh_from_db()
        resume_training(self.run_)
        with pytest.raises(WrongState, match="queued"):
            resume_training(self.run_)  # this row was read before the first one
        assert self.jobs() == ["cancelled", "queued"]

    def test_a_run_that_is_still_being_paused_says_so(self) -> None:
        taken(self.run_)
        pause_training(self.run_)
        with pytest.raises(WrongState, match="being paused"):
            resume_training(self.run_)

    def test_one_who_has_too_many_jobs_keeps_the_run_paused(self) -> None:
        pause_training(self.run_)
        with override_settings(JOB_MAX_QUEUED_PER_USER=0), pytest.raises(queue.QueueFull):
            resume_training(self.run_)
        assert (self.state(), self.jobs()) == ("paused", ["cancelled"])

    def test_what_succeeded_or_was_found_in_a_folder_is_not_resumed(self) -> None:
        for state in ("succeeded", "imported", "queued", "running"):
            TrainingRun.objects.update(state=state)
            with self.subTest(state), pytest.raises(WrongState):
                resume_training(self.run_)


class FollowTests(RunTestCase):
    def test_news_that_is_heard_twice_changes_nothing(self) -> None:
        claim = taken(self.run_)
        pause_training(self.run_)
        claim.finish(Job.State.CANCELLED)
        before = (self.state(), self.log(), self.run_.finished_at)
        follow_job(claim.job)
        assert (self.state(), self.log(), self.run_.finished_at) == before

    def test_a_failed_job_fails_its_run_and_the_log_says_why(self) -> None:
        claim = taken(self.run_)
        claim.finish(Job.State.FAILED, code="out_of_memory", text="Too big.")
        assert (self.state(), self.log()[-1]) == ("failed", "Failed (out_of_memory): Too big.")

    def test_a_success_needs_its_states_no_more(self) -> None:
        claim = taken(self.run_)
        with claim.committing():
            kept_state(self.run_, 50)
            kept_state(self.run_, 100)
        claim.finish(Job.State.SUCCEEDED)
        assert (self.state(), TrainingState.objects.count()) == ("succeeded", 0)

    def test_a_lost_worker_leads_back_to_the_queue_and_the_third_to_a_failure(self) -> None:
        kept_state(self.run_, 7)
        for lost in (1, 2):
            taken(self.run_).lose("no heartbeat for 60 s")
            assert self.state() == "queued"
            assert self.log()[-1] == (
                f"The worker was lost: no heartbeat for 60 s ({lost} of at most 3 times); goes on exactly from step 7."
            )
        taken(self.run_).lose("no heartbeat for 60 s")
        assert self.state() == "failed"
        assert "3 times" in self.log()[-1]
        assert resume_training(self.run_).lost_attempts == 0


class LogTests(RunTestCase):
    def test_it_tells_a_life_in_words(self) -> None:
        claim = taken(self.run_)
        results.keep_beginning(self.run_, BEGUN)
        kept_state(self.run_, 10)
        pause_training(self.run_)
        claim.finish(Job.State.CANCELLED)
        resume_training(self.run_)
        claim = taken(self.run_)
        results.keep_beginning(self.run_, {**BEGUN, "step": 10})
        claim.finish(Job.State.SUCCEEDED)
        assert self.log() == [
            "Queued.",
            "Training on cpu (fp32): 5 photos to learn from, 1 held out.",
            "Paused; what was learned up to step 10 is kept.",
            "Queued to go on from step 10.",
            "Training on cpu (fp32): 5 photos to learn from, 1 held out.",
            "Succeeded.",
        ]

    def test_a_run_that_is_stopped_before_its_first_state_says_so(self) -> None:
        pause_training(self.run_)
        cancel_training(self.run_)
        assert self.log()[1:] == ["Paused; it had not begun to learn.", "Cancelled; it had not begun to learn."]

    def test_stepping_aside_for_hours_is_one_line_that_counts(self) -> None:
        for step in range(1, 61):
            claim = taken(self.run_)
            results.keep_beginning(self.run_, {**BEGUN, "step": step - 1})
            kept_state(self.run_, step)
            claim.requeue()
        assert self.log() == [
            "Queued.",
            "Training on cpu (fp32): 5 photos to learn from, 1 held out.",
            f"{STEPPED_ASIDE} 60 times by now; goes on exactly from step 60.",
        ]
        assert self.state() == "queued"

    def test_losses_do_not_count_as_stepping_aside_and_each_stretch_counts_for_itself(self) -> None:
        taken(self.run_).requeue()
        taken(self.run_).lose("it was killed")
        taken(self.run_).requeue()
        assert self.log()[-1] == f"{STEPPED_ASIDE} 2 times by now; begins again."
        pause_training(self.run_)
        resume_training(self.run_)
        taken(self.run_).requeue()
        assert self.log()[-1] == f"{STEPPED_ASIDE}; begins again."
        assert sum(line.startswith(STEPPED_ASIDE) for line in self.log()) == 2


class DeletionTests(RunTestCase):
    def finished(self) -> None:
        claim = taken(self.run_)
        with claim.committing():
            kept_checkpoint(self.run_, 100, 0.5)
            kept_state(self.run_, 100)
            picture = {"step": 100, "seq": 0, "prompt": "red", "seed": 1}
            results.keep_validation_image(self.run_, picture, b"a picture")
            results.keep_metric(self.run_, {"step": 100, "loss": 0.5, "learning_rate": 1e-4, "grad_norm": 1.0})
        claim.finish(Job.State.FAILED, code="x", text="y")

    def test_all_that_came_out_of_it_goes_rows_jobs_and_bytes(self) -> None:
        photos = set(Blob.objects.values_list("pk", flat=True))
        self.finished()
        made = set(Blob.objects.values_list("pk", flat=True)) - photos
        assert len(made) == 3 and all(files.path_of(each).exists() for each in made)
        with self.captureOnCommitCallbacks(execute=True):
            delete_run(self.run_)
        assert not any(model.objects.exists() for model in (TrainingRun, Job, Checkpoint, TrainingMetric))
        assert set(Blob.objects.values_list("pk", flat=True)) == photos
        assert not any(files.path_of(each).exists() for each in made)
        assert all(files.path_of(each).exists() for each in photos)

    def test_bytes_that_another_run_has_too_stay(self) -> None:
        self.finished()
        other = queued_run(self.alice, "other")
        checkpoint = self.run_.checkpoints.get()
        results.keep_checkpoint(other, {"step": 1, "rank": 8, "lora_alpha": 16.0}, files.read(checkpoint.blob))
        with self.captureOnCommitCallbacks(execute=True):
            delete_run(self.run_)
        assert files.read(other.checkpoints.get().blob) == b"LoRA of spring after 100 steps"

    def test_pictures_that_were_made_with_it_keep_it(self) -> None:
        self.finished()
        request_generation(user=self.bob, request=GenerationRequest("red", model_name="spring/checkpoint-100"))
        with pytest.raises(WrongState, match="1 request for pictures was made with its checkpoints"):
            delete_run(self.run_)
        assert (TrainingRun.objects.count(), self.run_.jobs.count(), self.run_.states.count()) == (1, 1, 1)

    def test_a_live_run_is_cancelled_first(self) -> None:
        for _ in range(2):
            with pytest.raises(WrongState, match="cancel it before you delete it"):
                delete_run(self.run_)
            self.claim = queue.claim("gpu")
        cancel_training(self.run_)
        with pytest.raises(WrongState, match="cancel it"):
            delete_run(self.run_)  # its worker still has it

    def test_a_run_that_vanishes_with_its_owner_stops_its_worker(self) -> None:
        claim = taken(self.run_)
        self.run_.dataset_version = None
        self.run_.save()
        self.alice.delete()
        with pytest.raises(queue.Fenced), claim.committing():
            raise AssertionError("must not be reached")
        follow_job(claim.job)  # a late word about it

    def test_a_deleted_run_can_be_acted_on_no_more(self) -> None:
        cancel_training(self.run_)
        gone = TrainingRun.objects.get(pk=self.run_.pk)
        delete_run(self.run_)
        for act in (pause_training, cancel_training, resume_training, delete_run):
            with self.subTest(act.__name__), pytest.raises(WrongState, match="has been deleted"):
                act(gone)


class AtTheSameMomentTests(People, TransactionTestCase):
    """Two threads with connections of their own; on PostgreSQL a wrong order of locks is a deadlock here."""

    ROUNDS = 12

    def setUp(self) -> None:
        self.make_people()

    def together(self, *doings: Callable[[], object]) -> list[object]:
        """What each returned or raised."""
        barrier = threading.Barrier(len(doings))
        said: list[object] = [None] * len(doings)

        def work(number: int, do: Callable[[], object]) -> None:
            barrier.wait()
            try:
                said[number] = do()
            except Exception as error:
                said[number] = error
            finally:
                connection.close()

        threads = [threading.Thread(target=work, args=each) for each in enumerate(doings)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return said

    def each_round(self) -> list[TrainingRun]:
        return [queued_run(self.alice, f"run-{number}") for number in range(self.ROUNDS)]

    def test_a_pause_and_the_workers_last_word(self) -> None:
        for run in self.each_round():
            claim = taken(run)
            paused, ended = self.together(
                lambda run=run: pause_training(run),  # type: ignore[misc]
                lambda claim=claim: claim.finish(Job.State.SUCCEEDED),  # type: ignore[misc]
            )
            run.refresh_from_db()
            assert paused is None or isinstance(paused, WrongState), paused
            assert (ended, run.state, run.pause_requested) == (True, "succeeded", False)

    def test_a_pause_and_a_worker_that_takes_the_run(self) -> None:
        for run in self.each_round():
            paused, claim = self.together(
                lambda run=run: pause_training(run),  # type: ignore[misc]
                lambda run=run: queue.claim("gpu", only=run.newest_job()),  # type: ignore[misc]
            )
            assert paused is None, paused
            if isinstance(claim, queue.Claim):
                assert claim.beat().cancel
                claim.finish(Job.State.CANCELLED)
            else:
                assert claim is None, claim
            run.refresh_from_db()
            assert (run.state, run.pause_requested) == ("paused", False)

    def test_a_cancel_while_results_come_in(self) -> None:
        run = queued_run(self.alice)
        claim = taken(run)

        def keep_results() -> None:
            for step in range(1, 40):
                with claim.committing():
                    results.keep_metric(run, {"step": step, "loss": 1.0, "learning_rate": 1e-4, "grad_norm": 1.0})
                    kept_state(run, step)

        def change_ones_mind() -> None:
            for _ in range(20):
                pause_training(run)
                cancel_training(run)

        assert self.together(keep_results, change_ones_mind) == [None, None]
        claim.finish(Job.State.CANCELLED)
        run.refresh_from_db()
        assert (run.state, run.resume_step, run.states.count(), run.metrics.count()) == ("cancelled", 39, 2, 39)

    def test_four_who_resume_make_one_job(self) -> None:
        for run in self.each_round()[:4]:
            pause_training(run)
            said = self.together(*[lambda run=run: resume_training(run)] * 4)  # type: ignore[misc]
            assert sum(isinstance(each, Job) for each in said) == 1
            assert sum(isinstance(each, WrongState) for each in said) == 3
            assert run.jobs.filter(state__in=Job.LIVE).count() == 1

    def test_one_resumes_what_another_deletes(self) -> None:
        for run in self.each_round()[:6]:
            cancel_training(run)
            resumed, deleted = self.together(
                lambda run=run: resume_training(run),  # type: ignore[misc]
                lambda run=run: delete_run(run),  # type: ignore[misc]
            )
            if isinstance(resumed, Job):
                assert isinstance(deleted, WrongState) and TrainingRun.objects.filter(pk=run.pk).exists()
            else:
                assert isinstance(resumed, WrongState) and deleted is None
                assert not Job.objects.filter(spec__run=str(run.pk)).exists()

    def test_one_key_in_many_hands_makes_one_run(self) -> None:
        version = photos_version(self.alice)
        base = starter()

        def start() -> TrainingRun:
            return start_training(
                user=self.alice, name="spring", dataset_version=version, base_model=base, spec=TrainSpec(**SMALL),
                idempotency_key="once", request_digest="a" * 64,
            )  # fmt: skip

        assert len({run.pk for run in self.together(*[start] * 6)}) == 1  # type: ignore[attr-defined]
        assert (TrainingRun.objects.count(), Job.objects.count()) == (1, 1)
