"""Every way a job can go, and what becomes of the engine child then."""

from __future__ import annotations

import errno
import time
from typing import Any
from unittest.mock import patch
from uuid import uuid4

import pytest
from django.db import OperationalError

from shoesai.engine.specs import GenerateInputs, GenerateSpec, ImageUnit
from shoesai.jobs import queue, runner
from shoesai.jobs.engine_child import END, EngineChild, Event
from shoesai.jobs.queue import Claim, JobFailed
from shoesai.models import Job
from shoesai.testing import BaseTestCase
from shoesai.tests.test_queue import generate_job

SPEC = GenerateSpec("red sneakers", 64, 64, (ImageUnit(seq=0, seed=1),))
INPUTS = GenerateInputs(base_model="nowhere", output_dir="nowhere")


class ScriptedChild(EngineChild):
    """Says what it is told to say; no process."""

    def __init__(self, *events: Event) -> None:
        super().__init__("gpu")
        self.script = list(events)
        self.killed = False

    def start(self) -> None:
        pass

    def send(self, message: dict[str, Any]) -> None:
        if message["op"] == "run":
            for event in self.script:
                self._events.put({"job": message["job"], **event})

    def kill(self) -> None:
        self.killed = True


class RunnerTests(BaseTestCase):
    def setUp(self) -> None:
        self.job = generate_job(self.alice)
        claim = queue.claim("gpu")
        assert claim
        self.claim: Claim = claim

    def run_with(self, error: Exception) -> Job:
        with patch("shoesai.jobs.runner.run_handler", side_effect=error):
            runner.run(self.claim)
        self.job.refresh_from_db()
        return self.job

    def test_a_full_disk_fails_the_job_in_words_that_hold_no_path(self) -> None:
        job = self.run_with(OSError(errno.ENOSPC, "No space left on device", "/srv/secret/blobs/ab"))
        assert (job.state, job.error_code) == (Job.State.FAILED, "system")
        assert "No space left" in job.error_text and "/" not in job.error_text

    def test_a_database_that_did_not_answer_is_no_fault_of_the_job(self) -> None:
        with patch("shoesai.jobs.runner.close_old_connections"):  # it would end the test's transaction
            job = self.run_with(OperationalError("database is locked"))
        assert (job.state, job.lost_attempts) == (Job.State.QUEUED, 1)

    def drive(self, child: EngineChild, on_image: Any = None) -> Event:
        with patch("shoesai.jobs.runner.child_of", return_value=child):
            return runner.drive_engine(self.claim, SPEC, INPUTS, {"image": on_image} if on_image else {})

    def test_a_handler_that_fails_leaves_no_engine_working_for_nobody(self) -> None:
        def full_disk(event: Event) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        child = ScriptedChild({"event": "image"})
        with pytest.raises(OSError, match="No space left"):
            self.drive(child, full_disk)
        assert child.killed

    def test_an_engine_that_says_itself_why_it_failed_stays_warm(self) -> None:
        for job in ({}, {"job": ""}):  # of this job, or of the child itself, which has not the device it is to use
            child = ScriptedChild({"event": "error", "code": "nan", "message": "nothing but black", **job})
            with pytest.raises(JobFailed, match="black"):
                self.drive(child)
            assert not child.killed


class YieldTests(BaseTestCase):
    def test_a_training_yields_after_a_step_though_its_curve_has_no_point_yet(self) -> None:
        queue.enqueue(owner=self.alice, kind="train", spec={"run": str(uuid4())})
        claim = queue.claim("gpu")
        assert claim
        generate_job(self.bob)
        stop = runner._Stop(claim, ScriptedChild())
        for event, yields in (({"message": "Preparing"}, False), ({"message": "Training", "loss": 0.5}, True)):
            stop.notice({"event": "step", "step": 1, "total": 9000, **event})
            stop.consider(cancel=False)
            self.assertEqual(bool(stop._reason), yields)


def test_a_child_that_died_is_heard_of_and_put_away_whatever_was_sent_to_it() -> None:
    child = EngineChild("test")
    child.start()
    assert child._process
    child._process.kill()
    child._process.wait()
    deadline = time.monotonic() + 10
    while child._events.empty() and time.monotonic() < deadline:
        time.sleep(0.01)
    child.send({"op": "stop", "reason": "cancel"})  # into a broken pipe
    child.forget_events()
    assert child.next_event(1.0) is END
    child.kill()
    assert not child.alive
