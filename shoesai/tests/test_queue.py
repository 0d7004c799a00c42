"""The job table's promises, on a real database."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.conf import settings
from django.db import connection, transaction
from django.test import TransactionTestCase, override_settings
from django.utils import timezone

from generation.models import Generation
from generation.services import GenerationRequest, request_generation
from shoesai.jobs import queue, supervisor
from shoesai.jobs.queue import Claim, Fenced
from shoesai.models import Job, User
from shoesai.testing import BaseTestCase, People, starter
from training.models import Dataset, DatasetVersion, TrainingRun


def generate_job(owner: User) -> Job:
    starter()
    return request_generation(user=owner, request=GenerationRequest(prompt="red sneakers")).job


def training_job(owner: User) -> Job:
    """A run without its photos: enough for the table."""
    version = DatasetVersion.objects.create(
        dataset=Dataset.objects.create(owner=owner, name=f"photos {Dataset.objects.count()}"),
        number=1,
        content_hash="0" * 64,
    )
    run = TrainingRun.objects.create(
        owner=owner, name=f"run-{TrainingRun.objects.count()}", base_model=starter(), family="starter",
        dataset_version=version,
    )
    return queue.enqueue(owner=owner, kind="train", spec={"run": str(run.pk)})


class ClaimTests(BaseTestCase):
    def test_an_empty_lane_gives_nothing(self) -> None:
        assert queue.claim("gpu") is None

    def test_a_job_is_claimed_once(self) -> None:
        job = generate_job(self.alice)
        claim = queue.claim("gpu")
        assert claim and claim.job == job and claim.job.attempts == 1
        assert queue.claim("gpu") is None

    def test_lanes_do_not_take_each_others_work(self) -> None:
        generate_job(self.alice)
        assert queue.claim("cpu") is None

    def test_a_generation_goes_before_an_older_training(self) -> None:
        training_job(self.alice)
        generation = generate_job(self.bob)
        assert self.claimed() == generation

    def test_owners_take_turns_so_that_nobody_is_starved(self) -> None:
        for _ in range(3):
            generate_job(self.alice)
        generate_job(self.bob)
        owners = []
        for _ in range(4):
            claim = queue.claim("gpu")
            assert claim
            owners.append(claim.job.owner.username)
            claim.finish(Job.State.SUCCEEDED)
        assert owners == ["alice", "bob", "alice", "alice"]

    def claimed(self) -> Job:
        claim = queue.claim("gpu")
        assert claim
        return claim.job


class PositionTests(BaseTestCase):
    def test_a_list_tells_the_same_places_as_each_job_alone(self) -> None:
        training_job(self.alice)
        for owner in (self.alice, self.bob, self.alice):
            generate_job(owner)
        queue.enqueue(owner=self.alice, kind="canary.gpu")  # is nobody's competitor
        queue.enqueue(owner=self.alice, kind="scan_models")  # another lane
        assert queue.claim("gpu") is not None and queue.claim("gpu") is not None  # the canary and a generation run
        alone = [queue.position(job) for job in Job.objects.order_by("created_at")]
        with self.assertNumQueries(1):
            listed = [queue.position(job) for job in queue.with_positions(Job.objects.order_by("created_at"))]
        assert listed == alone
        assert sorted(alone) == [0, 0, 0, 0, 1, 2]


class FenceTests(BaseTestCase):
    def setUp(self) -> None:
        self.job = generate_job(self.alice)
        claim = queue.claim("gpu")
        assert claim
        self.first = claim

    def lose_and_claim_again(self) -> Claim:
        self.first.lose("test")
        second = queue.claim("gpu")
        assert second
        return second

    def test_a_worker_that_was_thought_lost_can_write_nothing_any_more(self) -> None:
        self.lose_and_claim_again()
        with pytest.raises(Fenced):
            self.first.beat()
        assert self.first.finish(Job.State.SUCCEEDED) is False
        with pytest.raises(Fenced), self.first.committing():
            raise AssertionError("must not be reached")

    def test_terminal_states_are_final(self) -> None:
        assert self.first.finish(Job.State.SUCCEEDED)
        assert self.first.finish(Job.State.FAILED) is False
        assert queue.request_cancel(self.job) is False
        self.job.refresh_from_db()
        assert self.job.state == Job.State.SUCCEEDED

    def test_a_job_that_loses_its_worker_three_times_fails_with_the_reason(self) -> None:
        self.first.lose("killed")
        for _ in range(2):
            claim = queue.claim("gpu")
            assert claim
            claim.lose("killed")
        self.job.refresh_from_db()
        assert (self.job.state, self.job.error_code) == (Job.State.FAILED, "worker_lost")
        assert "killed" in self.job.error_text

    def test_cancelling_a_running_job_reaches_it_at_its_next_heartbeat(self) -> None:
        assert self.first.beat().cancel is False
        queue.request_cancel(self.job)
        assert self.first.beat().cancel is True

    def test_a_job_that_goes_back_into_the_queue_with_a_wish_to_stop_ends_there(self) -> None:
        queue.request_cancel(self.job)
        assert self.first.requeue()
        self.job.refresh_from_db()
        assert self.job.state == Job.State.CANCELLED and self.job.finished_at

    def test_cancelling_a_queued_job_ends_it_at_once(self) -> None:
        queued = generate_job(self.alice)
        assert queue.request_cancel(queued)
        queued.refresh_from_db()
        assert queued.state == Job.State.CANCELLED

    def test_cancelling_a_queued_training_ends_its_run_too(self) -> None:
        job = training_job(self.alice)
        queue.request_cancel(job)
        assert TrainingRun.objects.get().state == TrainingRun.State.CANCELLED


class SweepTests(BaseTestCase):
    def setUp(self) -> None:
        self.job = generate_job(self.alice)
        claim = queue.claim("gpu")
        assert claim
        self.claim = claim

    @override_settings(JOB_LOST_AFTER_SECONDS=0.05)
    def test_a_job_is_lost_when_its_heartbeat_stands_still_on_the_sweepers_own_clock(self) -> None:
        watch = supervisor.Watch()
        supervisor.sweep(watch)
        self.claim.beat()
        threading.Event().wait(0.1)
        supervisor.sweep(watch)  # it has beaten since the last look
        assert self.state() == Job.State.RUNNING
        threading.Event().wait(0.1)
        supervisor.sweep(watch)
        assert self.state() == Job.State.QUEUED

    def test_a_wrong_wall_clock_steals_no_job(self) -> None:
        Job.objects.update(heartbeat_at=timezone.now() - timedelta(days=1))
        supervisor.sweep(supervisor.Watch())
        assert self.state() == Job.State.RUNNING

    def test_a_job_whose_process_is_gone_is_taken_back_at_once(self) -> None:
        host = queue.worker_name().rpartition(":")[0]
        Job.objects.update(lease_owner=f"{host}:999999999")
        supervisor.sweep(supervisor.Watch())
        assert self.state() == Job.State.QUEUED

    def test_a_queued_job_that_nobody_took_is_rung_again(self) -> None:
        from django_q.models import OrmQ

        self.claim.finish(Job.State.SUCCEEDED)
        waiting = generate_job(self.alice)
        OrmQ.objects.all().delete()
        Job.objects.filter(pk=waiting.pk).update(created_at=timezone.now() - timedelta(seconds=10))
        supervisor.sweep(supervisor.Watch())
        assert OrmQ.objects.filter(key="gpu").count() == 1

    def test_doorbells_of_an_hour_ago_go_whether_they_were_taken_or_not(self) -> None:
        from django_q.models import OrmQ

        OrmQ.objects.all().delete()
        taken = timedelta(seconds=settings.DOORBELL_RETRY_SECONDS)  # what django-q2 adds when a cluster takes one
        for age in (timedelta(minutes=1), timedelta(hours=2)):
            for lock in (timezone.now() - age, timezone.now() - age + taken):
                OrmQ.objects.create(key="gpu", payload=str(age), lock=lock)
        supervisor.sweep_doorbells()
        assert set(OrmQ.objects.values_list("payload", flat=True)) == {str(timedelta(minutes=1))}

    def test_a_canary_leaves_those_alone_that_somebody_may_look_out_for(self) -> None:
        fresh, old = (queue.enqueue(owner=self.alice, kind="canary.cpu") for _ in range(2))
        sung = timezone.now() - timedelta(seconds=settings.CANARY_STALE_SECONDS + 1)
        Job.objects.filter(pk=old.pk).update(state=Job.State.CANCELLED, finished_at=sung)
        canary = supervisor.Canary("cpu")
        canary.tend()
        assert set(Job.objects.filter(kind="canary.cpu").values_list("pk", flat=True)) == {fresh.pk, canary.job_id}

    def state(self) -> str:
        return Job.objects.get(pk=self.job.pk).state


class AcceptanceTests(BaseTestCase):
    def test_the_same_key_with_the_same_request_is_the_same_generation(self) -> None:
        request = GenerationRequest(prompt="red sneakers")
        first = request_generation(user=self.alice, request=request, idempotency_key="k")
        again = request_generation(user=self.alice, request=request, idempotency_key="k")
        assert first == again and Job.objects.count() == 1

    def test_the_same_key_with_another_request_is_refused(self) -> None:
        request_generation(user=self.alice, request=GenerationRequest(prompt="red"), idempotency_key="k")
        with pytest.raises(queue.KeyReused):
            request_generation(user=self.alice, request=GenerationRequest(prompt="blue"), idempotency_key="k")

    def test_keys_of_different_people_do_not_meet(self) -> None:
        for person in (self.alice, self.bob):
            request_generation(user=person, request=GenerationRequest(prompt="red"), idempotency_key="k")
        assert Job.objects.count() == 2

    def test_a_rolled_back_request_leaves_neither_job_nor_doorbell(self) -> None:
        from django_q.models import OrmQ

        with transaction.atomic():
            generate_job(self.alice)
            transaction.set_rollback(True)
        assert not Job.objects.exists() and not OrmQ.objects.exists()

    @override_settings(JOB_MAX_QUEUED_PER_USER=2)
    def test_nobody_can_fill_the_queue(self) -> None:
        generate_job(self.alice)
        generate_job(self.alice)
        with pytest.raises(queue.QueueFull):
            generate_job(self.alice)
        generate_job(self.bob)
        assert Generation.objects.count() == 3
        queue.enqueue(owner=self.alice, kind="canary.gpu")  # the platform's own work has no quota


class ConcurrencyTests(People, TransactionTestCase):
    def setUp(self) -> None:
        self.make_people()
        starter()

    def in_threads(self, count: int, work: object) -> None:
        def run() -> None:
            try:
                work()  # type: ignore[operator]
            finally:
                connection.close()

        threads = [threading.Thread(target=run) for _ in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def test_eight_workers_never_claim_one_job_twice(self) -> None:
        jobs = {generate_job(self.alice).pk for _ in range(12)}
        claimed: list[object] = []

        def work() -> None:
            while claim := queue.claim("gpu"):
                claimed.append(claim.job.pk)

        self.in_threads(8, work)
        assert sorted(map(str, claimed)) == sorted(map(str, jobs))

    def test_twenty_identical_submissions_with_one_key_make_one_job(self) -> None:
        request = GenerationRequest(prompt="red sneakers", seed=1)
        made: list[object] = []
        self.in_threads(
            20,
            lambda: made.append(
                request_generation(user=self.alice, request=request, idempotency_key="once").pk
            ),
        )
        assert len(made) == 20 and len(set(made)) == 1 and Job.objects.count() == 1
