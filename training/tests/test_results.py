"""What stays of a run and what goes: rows and files, on any history and with a full disk."""

from __future__ import annotations

import errno
import random
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch
from uuid import uuid4

import pytest

from generation.services import GenerationRequest, request_generation
from shoesai import files
from shoesai.models import Blob, Job
from shoesai.testing import BaseTestCase
from training import results
from training.models import Checkpoint, TrainingRun, TrainingState, ValidationImage
from training.tests.runs import kept_checkpoint, kept_state, queued_run, taken

PICTURE = {"step": 10, "seq": 0, "prompt": "red sneakers", "seed": 7}


class KeepingTestCase(BaseTestCase):
    def setUp(self) -> None:
        self.run_ = queued_run(self.alice, milestone_steps=500)
        self.photos = set(Blob.objects.values_list("pk", flat=True))

    def steps(self) -> list[int]:
        return list(self.run_.checkpoints.order_by("step").values_list("step", flat=True))

    def states(self) -> list[int]:
        return list(self.run_.states.order_by("step").values_list("step", flat=True))

    def blobs(self) -> set[str]:
        return set(Blob.objects.values_list("pk", flat=True)) - self.photos


class CheckpointTests(KeepingTestCase):
    def keep(self, *losses: float | None, every: int = 100) -> list[int]:
        for number, loss in enumerate(losses, start=1):
            kept_checkpoint(self.run_, number * every, loss)
        return self.steps()

    def test_best_and_last_two_stay(self) -> None:
        assert self.keep(0.5, 0.2, 0.4, 0.3) == [200, 300, 400]

    def test_without_validation_the_last_two_stay(self) -> None:
        assert self.keep(None, None, None, None) == [300, 400]

    def test_of_equals_the_earlier_is_the_best(self) -> None:
        assert self.keep(0.2, 0.2, 0.4, 0.3) == [100, 300, 400]

    def test_a_milestone_is_the_first_checkpoint_at_or_after_its_step(self) -> None:
        assert self.keep(*[None] * 7, every=200) == [600, 1000, 1200, 1400]

    def test_all_stay_where_every_one_is_a_milestone(self) -> None:
        TrainingRun.objects.update(spec={**self.run_.spec, "milestone_steps": 0})
        self.run_.refresh_from_db()
        assert self.keep(*[None] * 6) == [100, 200, 300, 400, 500, 600]

    def test_what_is_pinned_or_in_a_picture_stays(self) -> None:
        self.keep(None)
        Checkpoint.objects.update(pinned=True)
        kept_checkpoint(self.run_, 200)
        request_generation(user=self.bob, request=GenerationRequest("red", model_name="spring/checkpoint-200"))
        assert self.keep(None, None, None, None, None, None) == [100, 200, 500, 600]

    def test_the_log_says_what_went(self) -> None:
        self.keep(0.5, 0.2, 0.4, 0.3)
        assert self.run_.events.order_by("pk").values_list("message", flat=True).last() == (
            "Checkpoint 100 was tidied away: not the best, no milestone."
        )

    def test_on_any_history_exactly_those_stay_that_should_with_their_bytes(self) -> None:
        for seed in range(25):
            with self.subTest(seed=seed):
                self.a_random_history(random.Random(seed))
            self.run_.checkpoints.update(pinned=False)

    def a_random_history(self, chance: random.Random) -> None:
        milestone = chance.choice([0, 50, 100, 250])
        run = queued_run(self.alice, f"run-{Checkpoint.objects.count()}-{chance.random()}", milestone_steps=milestone)
        others = set(Blob.objects.values_list("pk", flat=True))
        seen: dict[int, float | None] = {}
        spared: set[int] = set()
        step = 0
        with self.captureOnCommitCallbacks(execute=True):
            for _ in range(chance.randint(1, 14)):
                step += chance.choice([10, 40, 70, 130])
                seen[step] = chance.choice([None, round(chance.random(), 1), chance.random()])
                checkpoint = kept_checkpoint(run, step, seen[step])
                there = set(run.checkpoints.values_list("step", flat=True))
                assert there == self.expected(seen, milestone, spared), (seen, milestone, spared)
                if chance.random() < 0.2:
                    spared.add(step)
                    checkpoint.pinned = True
                    checkpoint.save()
        mine = {each.blob_id: each.step for each in run.checkpoints.all()}
        assert set(Blob.objects.values_list("pk", flat=True)) - others == set(mine)
        for sha256, step in mine.items():
            assert files.path_of(sha256).read_bytes() == f"LoRA of {run.name} after {step} steps".encode()

    @staticmethod
    def expected(seen: dict[int, float | None], milestone: int, spared: set[int]) -> set[int]:
        """The rule again, in other words: from all that ever was, and not from what is left."""
        steps = sorted(seen)
        measured = {step: loss for step, loss in seen.items() if loss is not None}
        best = {min(measured, key=lambda step: (measured[step], step))} if measured else set()
        goals = range(milestone, steps[-1] + 1, milestone) if milestone else steps
        milestones = {next(step for step in steps if step >= goal) for goal in goals}
        return best | milestones | set(steps[-2:]) | spared


class StateTests(KeepingTestCase):
    def test_the_newest_two_stay(self) -> None:
        with self.captureOnCommitCallbacks(execute=True):
            for step in (10, 20, 30, 40):
                kept_state(self.run_, step)
        assert self.states() == [30, 40]
        assert self.blobs() == {state.blob_id for state in TrainingState.objects.all()}
        assert [files.read(state.blob) for state in self.run_.states.order_by("step")] == [
            b"state of spring after 30 steps",
            b"state of spring after 40 steps",
        ]

    def test_going_back_forgets_what_was_passed_over_as_damaged(self) -> None:
        for step in (10, 20):
            kept_state(self.run_, step)
        kept_state(self.run_, 15)  # 20 could not be read, so the run went on from 10
        assert self.states() == [10, 15]

    def test_another_state_of_the_same_step_takes_the_place_of_the_first_and_of_its_bytes(self) -> None:
        with self.captureOnCommitCallbacks(execute=True):
            kept_state(self.run_, 10, b"one")
            kept_state(self.run_, 10, b"two")
        assert [files.read(state.blob) for state in self.run_.states.all()] == [b"two"]
        assert len(self.blobs()) == 1

    def test_equal_states_of_two_runs_are_one_blob_until_both_are_gone(self) -> None:
        other = queued_run(self.alice, "other")
        for run in (self.run_, other):
            kept_state(run, 10, b"the same")
        with self.captureOnCommitCallbacks(execute=True):
            results.forget_states(self.run_)
        assert files.read(other.states.get().blob) == b"the same"
        blob = other.states.get().blob_id
        with self.captureOnCommitCallbacks(execute=True):
            results.forget_states(other)
        assert not files.path_of(blob).exists()

    def test_a_full_disk_leaves_what_was_there(self) -> None:
        claim = taken(self.run_)
        with self.captureOnCommitCallbacks(execute=True):
            for step in (10, 20):
                with claim.committing():
                    kept_checkpoint(self.run_, step)
                    kept_state(self.run_, step)

        def keep_the_next() -> None:
            with self.captureOnCommitCallbacks(execute=True), full_disk(after=1), claim.committing():
                kept_checkpoint(self.run_, 30, data=uuid4().bytes)  # fits, and lets the first one go
                kept_state(self.run_, 30, uuid4().bytes)  # bytes that no earlier test has left there

        with pytest.raises(OSError, match="No space"):
            keep_the_next()
        assert (self.steps(), self.states()) == ([10, 20], [10, 20])
        for row in (*self.run_.checkpoints.all(), *self.run_.states.all()):
            assert f"after {row.step} steps" in files.read(row.blob).decode()
        with claim.committing():
            kept_state(self.run_, 30)
        assert self.states() == [20, 30]

    def test_a_worker_that_lost_its_job_keeps_and_forgets_nothing(self) -> None:
        claim = taken(self.run_)
        with claim.committing():
            kept_state(self.run_, 10)
        claim.lose("it was thought dead")
        for step in (20, 30):
            with pytest.raises(Exception, match=str(claim.job.pk)), claim.committing():
                kept_state(self.run_, step)
        assert self.states() == [10]
        assert Job.objects.get(pk=claim.job.pk).state == Job.State.QUEUED


@contextmanager
def full_disk(after: int) -> Iterator[None]:
    """So many files can still be renamed into place, and then the disk is full."""
    left = iter(range(after))
    rename = files.os.replace

    def replace(source: str, target: str) -> None:
        if next(left, None) is None:
            raise OSError(errno.ENOSPC, "No space left on device")
        rename(source, target)

    with patch("os.replace", replace):
        yield


class TwiceTests(KeepingTestCase):
    """A worker may be lost between writing and saying so; then all of it comes again."""

    def test_everything_kept_twice_is_the_same_as_once(self) -> None:
        begun = {"event": "begun", "job": "", "step": 0, "device": "cpu", "precision": "fp32", "photos": 5,
                 "held_out": 1}  # fmt: skip
        metric = {"step": 10, "loss": 0.5, "learning_rate": 1e-4, "grad_norm": 1.0, "seconds": 2.0}
        validation = {"step": 10, "loss": 0.4, "photos": 1}

        def keep() -> list[list[dict[str, object]]]:
            results.keep_beginning(self.run_, begun)
            results.keep_metric(self.run_, metric)
            results.keep_validation_loss(self.run_, validation)
            results.keep_validation_image(self.run_, PICTURE, b"png")
            kept_checkpoint(self.run_, 10, 0.4)
            kept_state(self.run_, 10)
            results.note(self.run_, "The newest state was damaged.", step=10)
            rows = ("metrics", "validation_losses", "validation_images", "checkpoints", "states", "events")
            return [list(getattr(self.run_, name).values()) for name in rows]

        once = keep()
        assert keep() == once
        assert len(self.blobs()) == 3

    def test_the_first_checkpoint_of_a_step_stays_and_the_second_leaves_nothing_behind(self) -> None:
        first = kept_checkpoint(self.run_, 10)
        event = {"step": 10, "rank": 8, "lora_alpha": 16.0}
        with self.captureOnCommitCallbacks(execute=True):
            again = results.keep_checkpoint(self.run_, event, b"trained again on another device")
        assert (again, files.read(again.blob)) == (first, b"LoRA of spring after 10 steps")
        assert self.blobs() == {first.blob_id}

    def test_a_picture_that_is_drawn_again_takes_the_place_of_the_first(self) -> None:
        with self.captureOnCommitCallbacks(execute=True):
            results.keep_validation_image(self.run_, PICTURE, b"one")
            results.keep_validation_image(self.run_, PICTURE, b"two")
        assert files.read(ValidationImage.objects.get().blob) == b"two"
        assert len(self.blobs()) == 1

    def test_a_checkpoint_whose_file_was_cut_is_whole_again_when_its_step_is_trained_again(self) -> None:
        checkpoint = kept_checkpoint(self.run_, 10)
        files.path_of(checkpoint.blob_id).write_bytes(b"LoRA of")
        kept_checkpoint(self.run_, 10)
        assert files.read(checkpoint.blob) == b"LoRA of spring after 10 steps"
