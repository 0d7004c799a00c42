from __future__ import annotations

import pytest

from shoesai.jobs import queue
from shoesai.models import Job
from shoesai.testing import BaseTestCase, starter
from training.models import TrainingRun
from training.services import TrainingProblem, resume_training


class ResumeTests(BaseTestCase):
    def setUp(self) -> None:
        self.run_ = TrainingRun.objects.create(
            owner=self.alice, name="spring", base_model=starter(), family="starter", state="failed"
        )

    def test_a_stopped_run_is_resumed_once_even_by_one_who_still_sees_it_stopped(self) -> None:
        job = resume_training(self.run_)
        with pytest.raises(TrainingProblem, match="queued"):
            resume_training(self.run_)  # this row was read before the first one
        assert list(Job.objects.filter(kind="train")) == [job]

    def test_a_resumed_run_that_is_cancelled_can_be_resumed_again(self) -> None:
        queue.request_cancel(resume_training(self.run_))
        assert resume_training(self.run_).state == Job.State.QUEUED
