"""What django-q2 calls. A doorbell carries no work: the worker claims from the table until nothing is left."""

from __future__ import annotations

import fcntl
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings

from shoesai.jobs import lifeline, queue, runner
from shoesai.jobs.engine_child import child_of
from shoesai.jobs.queue import Claim
from shoesai.models import Job


def run_next(lane: str) -> None:
    with only_runner(lane) as alone:
        while alone and not lifeline.draining():
            claim = queue.claim(lane)
            if claim is None:
                return
            runner.run(claim)


def run_here(job: Job) -> bool:
    """Runs one queued job in this process, as its lane's worker; False when a worker got ahead of us.

    For a command on a machine where no worker runs. Claiming is the same transaction as a worker's, so both may try.
    """
    with only_runner(job.lane) as alone:
        claim = queue.claim(job.lane, only=job) if alone else None
        if claim is None:
            return False
        claim.alone = True
        runner.run(claim)
        return True


@contextmanager
def only_runner(lane: str) -> Iterator[bool]:
    """One runner per lane and machine: after a crash the old cluster may still be finishing its job.

    The host is in the name, because machines may share the data folder and locks reach across network file systems.
    """
    with (settings.RUN_DIR / f"{lane}.{socket.gethostname()}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


def sing(claim: Claim) -> dict[str, Any]:
    """The canary: that it finished says that doorbell, cluster, claim and table work. Tells of the warm engine."""
    claim.beat()
    child = child_of(claim.job.lane)
    return {"engine": child.description if child.alive else {}}
