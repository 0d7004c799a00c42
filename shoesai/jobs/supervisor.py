"""The worker's parent: one django-q2 cluster per lane, a sweeper for lost jobs, a canary for frozen clusters.

A django-q2 cluster can freeze for ever while it says "idle" (a killed idle worker keeps the queue's lock), so the
only proof of life is work that comes out at the other end. A cluster without it is replaced whole, never in part.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

import psutil
from django.conf import settings
from django.db import DatabaseError, close_old_connections, transaction
from django.db.models import Q
from django.utils import timezone

from shoesai.accounts import local_user
from shoesai.jobs import queue
from shoesai.jobs.lifeline import FD_VARIABLE
from shoesai.jobs.queue import Claim
from shoesai.models import Job

logger = logging.getLogger(__name__)

SWEEP_SECONDS = 2.0
UNCLAIMED_SECONDS = 3.0
SILENCE_WHILE_ENDING_SECONDS = 5.0


# --- one lane's cluster -----------------------------------------------------------------------------------------
@dataclass
class Cluster:
    """A `qcluster` process group and the lifeline that tells it to drain (see `shoesai.jobs.lifeline`)."""

    lane: str
    process: subprocess.Popen[bytes]
    lifeline: int

    @classmethod
    def start(cls, lane: str) -> Cluster:
        reading, writing = os.pipe()
        # Not `--name`: django-q2 reads its configuration before it looks at its options.
        environment = {**os.environ, "Q_CLUSTER_NAME": lane, FD_VARIABLE: str(reading)}
        if sys.platform == "darwin":
            environment["OBJC_DISABLE_INITIALIZE_FORK_SAFETY"] = "YES"  # django-q2 forks there too
        with (settings.LOG_DIR / f"cluster-{lane}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, str(settings.BASE_DIR / "manage.py"), "qcluster"],
                env=environment,
                pass_fds=(reading,),
                start_new_session=True,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        os.close(reading)
        return cls(lane, process, writing)

    def drain(self) -> None:
        """Claims nothing more; what runs checkpoints, goes back into the queue, and the cluster ends."""
        if self.lifeline >= 0:
            os.close(self.lifeline)
            self.lifeline = -1
        if self.process.poll() is None:
            self.process.terminate()

    def kill(self) -> None:
        self.drain()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None


# --- sweeping: pure functions on the table ----------------------------------------------------------------------
@dataclass
class Watch:
    """When each running job's heartbeat last moved, on this process's own monotonic clock: clocks may be wrong."""

    seen: dict[UUID, tuple[int, int, float]] = field(default_factory=dict)

    def silent_for(self, job: Job) -> float:
        fence, beat, since = self.seen.get(job.pk, (-1, -1, 0.0))
        if (fence, beat) != (job.fence, job.heartbeat_seq):
            self.seen[job.pk] = (job.fence, job.heartbeat_seq, time.monotonic())
            return 0.0
        return time.monotonic() - since

    def forget_all_but(self, running: list[Job]) -> None:
        alive = {job.pk for job in running}
        self.seen = {key: value for key, value in self.seen.items() if key in alive}


def sweep(watch: Watch) -> None:
    """Takes back what its worker has lost, and rings again for what nobody has taken."""
    running = list(Job.objects.filter(state=Job.State.RUNNING))
    watch.forget_all_but(running)
    for job in running:
        silence = watch.silent_for(job)
        if worker_is_gone(job.lease_owner):
            Claim(job, job.fence).lose("its worker process is gone")
        elif silence > settings.JOB_LOST_AFTER_SECONDS:
            Claim(job, job.fence).lose(f"no heartbeat for {silence:.0f} s")
    for lane in settings.JOB_LANES:
        if _is_unclaimed(lane):
            queue.ring(lane)


def worker_is_gone(lease_owner: str) -> bool:
    """True only when the worker was on this host and its process does not exist any more."""
    host, _, pid = lease_owner.rpartition(":")
    return host == socket.gethostname() and pid.isdigit() and not psutil.pid_exists(int(pid))


def _is_unclaimed(lane: str) -> bool:
    """Somebody waits and no doorbell lies ready. A busy cluster hoards a few, so an idle machine may need its own."""
    from django_q.models import OrmQ

    now = timezone.now()
    since = now - timedelta(seconds=UNCLAIMED_SECONDS)
    waits = Job.objects.filter(lane=lane, state=Job.State.QUEUED, created_at__lt=since).exists()
    return waits and not OrmQ.objects.filter(key=lane, lock__lte=now).exists()


def sweep_doorbells() -> None:
    """Those of an hour ago, which nobody took or which a killed worker had in hand: django-q2 keeps them for ever.

    A doorbell that is taken is locked until `retry` seconds later. It carries nothing, so none is missed.
    """
    from django_q.models import OrmQ

    an_hour_ago = timezone.now() - timedelta(hours=1)
    taken_then = an_hour_ago + timedelta(seconds=settings.DOORBELL_RETRY_SECONDS)
    OrmQ.objects.filter(Q(lock__lt=an_hour_ago) | Q(lock__gt=timezone.now(), lock__lt=taken_then)).delete()


# --- the canary -------------------------------------------------------------------------------------------------
@dataclass
class Canary:
    """One no-op job per lane at a time, sent every minute."""

    lane: str
    sent_at: float = 0.0
    job_id: UUID | None = None

    def tend(self) -> None:
        job = Job.objects.filter(pk=self.job_id).first() if self.job_id else None
        if job and job.is_live:
            return
        if job is None or time.monotonic() - self.sent_at > settings.CANARY_EVERY_SECONDS:
            self._send()

    def _send(self) -> None:
        kind = f"canary.{self.lane}"
        with transaction.atomic():
            job = queue.enqueue(owner=local_user(), kind=kind)
            kept = Job.objects.filter(kind=kind, state=Job.State.SUCCEEDED).order_by("-finished_at").first()
            # Only what has ended a while ago: another supervisor or a smoke test may look out for its own canary.
            long_ago = timezone.now() - timedelta(seconds=settings.CANARY_STALE_SECONDS)
            old = Job.objects.filter(kind=kind, state__in=Job.FINAL, finished_at__lt=long_ago)
            old.exclude(pk=kept.pk if kept else None).delete()
        self.job_id, self.sent_at = job.pk, time.monotonic()

    def is_stale(self, watch: Watch) -> bool:
        """The lane is alive when its canary comes back, or while a job in it keeps beating."""
        if self.job_id is None or time.monotonic() - self.sent_at < settings.CANARY_STALE_SECONDS:
            return False
        running = Job.objects.filter(lane=self.lane, state=Job.State.RUNNING)
        if any(watch.silent_for(job) < settings.JOB_LOST_AFTER_SECONDS for job in running):
            return False
        return Job.objects.filter(pk=self.job_id, state=Job.State.QUEUED).exists()


# --- what is due once a day -------------------------------------------------------------------------------------
DAILY = ("purge_trash", "tidy_uploads")
LOOK_EVERY_SECONDS = 600


@dataclass
class Chores:
    """Queues what is due. The table knows when it was last, however many workers come and go."""

    looked_at: float | None = None

    def tend(self) -> None:
        now = time.monotonic()
        if self.looked_at is not None and now - self.looked_at < LOOK_EVERY_SECONDS:
            return
        self.looked_at = now
        for kind in DAILY:
            queue_if_due(kind)


def queue_if_due(kind: str) -> bool:
    """Yesterday's row goes when today's is made."""
    owner = local_user()
    with queue.accepting(owner):  # so that of two workers one is first
        earlier = Job.objects.filter(kind=kind)
        if earlier.filter(created_at__gt=timezone.now() - timedelta(days=1)).exists():
            return False
        earlier.filter(state__in=Job.FINAL).delete()
        queue.enqueue(owner=owner, kind=kind)
    return True


# --- the whole --------------------------------------------------------------------------------------------------
def supervise(stop: threading.Event) -> None:
    """Runs both lanes until `stop` is set, then drains them.

    At most DRAIN_SECONDS later nothing of them is left, unless a job is in the middle of something that takes longer.
    """
    clusters = {lane: Cluster.start(lane) for lane in settings.JOB_LANES}
    canaries = {lane: Canary(lane) for lane in settings.JOB_LANES}
    watch, chores = Watch(), Chores()
    try:
        queue.enqueue(owner=local_user(), kind="scan_models")
        while not stop.wait(SWEEP_SECONDS):
            try:
                close_old_connections()
                sweep(watch)
                sweep_doorbells()
                chores.tend()
                for lane, canary in canaries.items():
                    canary.tend()
                    if clusters[lane].ended or canary.is_stale(watch):
                        logger.error("the %s cluster does not work any more; starting another", lane)
                        clusters[lane].kill()
                        clusters[lane] = Cluster.start(lane)
                        canary.job_id = None
            except DatabaseError:
                logger.exception("the database does not answer; trying again")
    finally:
        _end(list(clusters.values()))


def _end(clusters: list[Cluster]) -> None:
    for cluster in clusters:
        cluster.drain()
    deadline = time.monotonic() + settings.DRAIN_SECONDS
    watch = Watch()
    while not all(cluster.ended for cluster in clusters) and (time.monotonic() < deadline or _still_works(watch)):
        time.sleep(0.05)
    for cluster in clusters:
        cluster.kill()
    try:
        sweep(Watch())  # what was killed after all goes back into the queue now, not after a minute
    except DatabaseError:
        logger.exception("the database does not answer; the next worker takes back what was lost")


def _still_works(watch: Watch) -> bool:
    """A job on this host beats: its runner knows how long the engine may take to a safe point, and ends it then."""
    time.sleep(0.5)  # more often than a heart beats, so not to burden the database
    try:
        running = Job.objects.filter(state=Job.State.RUNNING, lease_owner__startswith=f"{socket.gethostname()}:")
        return any(watch.silent_for(job) < SILENCE_WHILE_ENDING_SECONDS for job in running)
    except DatabaseError:
        return False
