"""The job table's only writers: every state change is one conditional UPDATE on (id, fence, state).

Zero rows changed means that somebody else owns the job now: stop (`Fenced`). What happened to whom is in the
docstring of `shoesai.models.Job`.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Case, Count, F, OuterRef, Q, QuerySet, Subquery, When
from django.db.models.functions import Coalesce
from django.utils import timezone
from django.utils.translation import gettext as _

from shoesai.jobs.kinds import HOUSEKEEPING, KINDS, notify_change
from shoesai.models import Job, Team, User


class Fenced(Exception):
    """Another worker has this job now; whatever this one was about to write must not be written."""


class Cancelled(Exception):
    """Somebody asked for the job to stop for good."""


class Drained(Exception):
    """The job stepped aside and goes on later: the worker shuts down, or more urgent work waits."""


class Lost(Exception):
    """The engine died under the job (killed, or out of memory)."""


class JobFailed(Exception):
    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


class QuotaReached(Exception):
    """The user has as much of something as they may; the words say of what, and what to do."""


class QueueFull(QuotaReached):
    """The user has as many live jobs as they may."""


class KeyReused(Exception):
    """The same idempotency key came with another request."""


@dataclass(frozen=True)
class Reply:
    """What a heartbeat brings back."""

    cancel: bool


# --- putting work in --------------------------------------------------------------------------------------------
@contextmanager
def accepting(owner: User) -> Iterator[None]:
    """A transaction in which no other request of this user is accepted: keys and quotas are checked inside it."""
    with transaction.atomic():
        User.objects.select_for_update().get(pk=owner.pk)
        yield


def enqueue(
    *,
    owner: User,
    kind: str,
    spec: dict[str, Any] | None = None,
    team: Team | None = None,
    idempotency_key: str | None = None,
    request_digest: str = "",
) -> Job:
    """Creates the job and rings its lane, in the caller's transaction: both happen or neither.

    Raises QueueFull, and IntegrityError when the owner has used `idempotency_key` before: look with `job_for_key`
    inside `accepting` first.
    """
    row = KINDS[kind]
    with accepting(owner):
        if not row.housekeeping:
            _check_quota(owner)
        job = Job.objects.create(
            owner=owner,
            team=team,
            kind=kind,
            lane=row.lane,
            priority=row.priority,
            spec={"version": 1, **(spec or {})},
            idempotency_key=idempotency_key or None,
            request_digest=request_digest,
        )
        notify_change(job)
        ring(row.lane)
    return job


def _check_quota(owner: User) -> None:
    live = Job.objects.filter(owner=owner, state__in=Job.LIVE).exclude(kind__in=HOUSEKEEPING).count()
    if live >= settings.JOB_MAX_QUEUED_PER_USER:
        words = _("%(count)s jobs are waiting or running already; at most %(most)s.")
        raise QueueFull(words % {"count": live, "most": settings.JOB_MAX_QUEUED_PER_USER})


def job_for_key(owner: User, key: str | None, digest: str) -> Job | None:
    """The job that this request made before, if any. Raises KeyReused when the key came with another request."""
    if not key:
        return None
    job = Job.objects.filter(owner=owner, idempotency_key=key).first()
    if job and job.request_digest != digest:
        raise KeyReused(_("This Idempotency-Key was used for a different request; take a new key."))
    return job


def ring(lane: str) -> None:
    """A doorbell without content: losing or doubling one is harmless, because workers claim from the table."""
    from django_q.tasks import async_task  # imports its configuration at once, which commands without jobs never need

    async_task("shoesai.jobs.tasks.run_next", lane, cluster=lane, save=False)


# --- taking work out --------------------------------------------------------------------------------------------
@dataclass
class Claim:
    """A worker's right to write about one job, valid while the fence stands.

    `alone`: no worker runs here, so stepping aside for other work would help nobody.
    """

    job: Job
    fence: int
    alone: bool = False

    def _mine(self) -> Any:
        return Job.objects.filter(pk=self.job.pk, fence=self.fence, state=Job.State.RUNNING)

    def beat(self, **progress: Any) -> Reply:
        """Raises the heartbeat and writes progress fields; tells whether to go on. Raises Fenced."""
        changed = self._mine().update(heartbeat_seq=F("heartbeat_seq") + 1, heartbeat_at=timezone.now(), **progress)
        if not changed:
            raise Fenced(str(self.job.pk))
        return Reply(cancel=Job.objects.values_list("cancel_requested", flat=True).get(pk=self.job.pk))

    @contextmanager
    def committing(self) -> Iterator[None]:
        """A transaction that only commits while the job is ours. Raises Fenced."""
        with transaction.atomic():
            self.beat()
            yield

    def finish(self, state: Job.State, *, code: str = "", text: str = "", result: dict[str, Any] | None = None) -> bool:
        """Returns False when the job was somebody else's by then."""
        return self._move(
            state=state,
            error_code=code,
            error_text=text,
            result=result or {},
            preview=None,
            finished_at=timezone.now(),
        )

    def requeue(self) -> bool:
        return self._move(state=Job.State.QUEUED, lease_owner="", progress_message="")

    def lose(self, why: str) -> bool:
        """Back into the queue, or failed when the job has cost its worker too often: a poison job must end."""
        if self.job.lost_attempts + 1 >= settings.JOB_MAX_LOST_ATTEMPTS:
            return self._move(
                state=Job.State.FAILED,
                lost_attempts=F("lost_attempts") + 1,
                error_code="worker_lost",
                error_text=f"The worker was lost {settings.JOB_MAX_LOST_ATTEMPTS} times on this job. Last: {why}",
                preview=None,
                finished_at=timezone.now(),
            )
        return self._move(
            state=Job.State.QUEUED,
            lost_attempts=F("lost_attempts") + 1,
            lease_owner="",
            progress_message=f"The worker was lost: {why}"[:200],
        )

    def _move(self, **fields: Any) -> bool:
        with transaction.atomic():
            wish = self._mine().select_for_update().values_list("cancel_requested", flat=True).first()
            if wish and fields["state"] == Job.State.QUEUED:
                fields |= {"state": Job.State.CANCELLED, "preview": None, "finished_at": timezone.now()}
            if not self._mine().update(**fields):
                return False
            self.job.refresh_from_db()
            notify_change(self.job)
            if self.job.state == Job.State.QUEUED:
                ring(self.job.lane)
        return True


def worker_name() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


def claim(lane: str, only: Job | None = None) -> Claim | None:
    """Takes the best queued job of a lane: priority, then the owner who was served longest ago, then age.

    With `only` it takes that job or none.
    """
    with transaction.atomic():
        last_served = (
            Job.objects.filter(owner=OuterRef("owner"), lane=lane, started_at__isnull=False)
            .order_by("-started_at")
            .values("started_at")[:1]
        )
        job = (
            Job.objects.filter(**({"pk": only.pk} if only else {}), lane=lane, state=Job.State.QUEUED)
            .annotate(last_served=Subquery(last_served))
            .order_by("priority", F("last_served").asc(nulls_first=True), "created_at", "id")
            .select_for_update(skip_locked=True, of=("self",))
            .first()
        )
        if job is None:
            return None
        fence = job.fence + 1
        changed = Job.objects.filter(pk=job.pk, fence=job.fence, state=Job.State.QUEUED).update(
            state=Job.State.RUNNING,
            fence=fence,
            attempts=F("attempts") + 1,
            heartbeat_seq=F("heartbeat_seq") + 1,
            heartbeat_at=timezone.now(),
            started_at=timezone.now(),
            lease_owner=worker_name(),
        )
        if not changed:
            return None
        job.refresh_from_db()
        notify_change(job)
    return Claim(job=job, fence=fence)


def more_urgent_waits(job: Job) -> bool:
    """The platform's own work does not count: a heartbeat says as much as a canary does."""
    return (
        Job.objects.filter(lane=job.lane, state=Job.State.QUEUED, priority__lt=job.priority)
        .exclude(kind__in=HOUSEKEEPING)
        .exists()
    )


# --- what people ask for ----------------------------------------------------------------------------------------
def request_cancel(job: Job) -> bool:
    """A queued job ends at once; a running one is told at its next heartbeat. False when it had ended already."""
    with transaction.atomic():
        changed = Job.objects.filter(pk=job.pk, state=Job.State.QUEUED).update(
            state=Job.State.CANCELLED, cancel_requested=True, finished_at=timezone.now()
        )
        if changed:
            job.refresh_from_db()
            notify_change(job)
            return True
    changed = Job.objects.filter(pk=job.pk, state=Job.State.RUNNING).update(cancel_requested=True)
    job.refresh_from_db()
    return bool(changed)


def position(job: Job) -> int:
    """How many jobs of the lane go before this queued one, as far as priority and age tell."""
    if job.state != Job.State.QUEUED:
        return 0
    counted: int | None = getattr(job, "before", None)
    return _before(job.lane, job.priority, job.created_at).count() if counted is None else counted


def with_positions(jobs: QuerySet[Job]) -> QuerySet[Job]:
    """For lists: counts in the list's own query what `position` would ask for each job."""
    before = _before(OuterRef("lane"), OuterRef("priority"), OuterRef("created_at"))
    count = before.order_by().values("lane").annotate(count=Count("pk")).values("count")
    return jobs.annotate(before=Case(When(state=Job.State.QUEUED, then=Coalesce(Subquery(count), 0)), default=0))


def _before(lane: Any, priority: Any, created_at: Any) -> QuerySet[Job]:
    waiting = Job.objects.filter(lane=lane, state=Job.State.QUEUED).exclude(kind__in=HOUSEKEEPING)
    return waiting.filter(Q(priority__lt=priority) | Q(priority=priority, created_at__lt=created_at))
