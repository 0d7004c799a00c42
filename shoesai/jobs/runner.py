"""Runs one claimed job and drives the engine child for it."""

from __future__ import annotations

import base64
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import InterfaceError, OperationalError, close_old_connections

from shoesai.engine.specs import Spec, SpecError
from shoesai.jobs import lifeline
from shoesai.jobs.engine_child import END, EngineChild, Event, child_of
from shoesai.jobs.kinds import KINDS, run_handler
from shoesai.jobs.queue import Cancelled, Claim, Drained, Fenced, JobFailed, Lost, more_urgent_waits
from shoesai.models import Job

logger = logging.getLogger(__name__)

BEAT_SECONDS = 0.5
CANCEL_GRACE_SECONDS = 5.0
UNITS_OF_GRACE = 3.0  # the micro-batch at hand, perhaps slower than the ones before, and the writing of the state
Handlers = dict[str, Callable[[Event], None]]


def run(claim: Claim) -> None:
    """Every way a job can go ends here in exactly one transition."""
    try:
        result = run_handler(claim)
    except Cancelled:
        claim.finish(Job.State.CANCELLED)
    except Drained:
        claim.requeue()
    except Lost as lost:
        claim.lose(str(lost))
    except Fenced:
        logger.warning("job %s belongs to another worker now", claim.job.pk)
    except JobFailed as failure:
        claim.finish(Job.State.FAILED, code=failure.code, text=failure.text)
    except SpecError as error:
        claim.finish(Job.State.FAILED, code="bad_spec", text=str(error))
    except (OperationalError, InterfaceError):
        logger.exception("job %s: the database did not answer", claim.job.pk)
        close_old_connections()
        claim.lose("the database did not answer")  # no fault of the job; if this fails too, the sweeper does it
    except OSError as error:
        logger.exception("job %s failed", claim.job.pk)
        # A full disk says what is to be done; its file name is nobody else's business.
        text = f"The worker's machine refused: {error.strerror or type(error).__name__}."
        claim.finish(Job.State.FAILED, code="system", text=text)
    except Exception as error:  # the one place where an unforeseen fault becomes words for the user
        logger.exception("job %s failed", claim.job.pk)
        # Not the error's own words: they may hold a path of this machine.
        text = f"An unforeseen fault ({type(error).__name__}); the worker's log has the details."
        claim.finish(Job.State.FAILED, code="internal", text=text)
    else:
        claim.finish(Job.State.SUCCEEDED, result=result)


def advance(claim: Claim, step: int, total: int, message: str) -> None:
    """The heartbeat of a handler that works without an engine. Raises Cancelled, Drained or Fenced."""
    reply = claim.beat(progress_step=step, progress_total=total, progress_message=message)
    if reply.cancel:
        raise Cancelled
    if lifeline.draining():
        raise Drained


def may_go_on(claim: Claim) -> None:
    """Asked at a safe point between two pieces of work. Raises Cancelled, Drained or Fenced."""
    if claim.beat().cancel:
        raise Cancelled
    yields = KINDS[claim.job.kind].yields and not claim.alone
    if lifeline.draining() or (yields and more_urgent_waits(claim.job)):
        raise Drained


@dataclass(frozen=True)
class Part:
    """Engine work that is a part of its job: `units` of `total`, with `before` done when it begins."""

    before: int
    units: int
    total: int

    def place(self, event: Event) -> Event:
        """The engine's step as a step of the whole job."""
        if event["event"] != "step" or not event["total"]:
            return event
        step = self.before + self.units * event["step"] // event["total"]
        return {**event, "step": step, "total": self.total}


def drive_engine(
    claim: Claim,
    spec: Spec,
    inputs: Spec,
    handlers: Handlers,
    operation: str | None = None,
    part: Part | None = None,
) -> Event:
    """Sends spec and inputs to the lane's child and follows it to the end; returns its `done` event.

    `operation` is a row of `shoesai.engine.operations`, by default the one named like the job's kind. `part` says
    where its steps stand in the progress of the whole job.
    Raises Cancelled, Drained, Lost, Fenced or JobFailed.
    """
    child = child_of(claim.job.lane)
    child.start()
    child.forget_events()
    child.send(
        {
            "op": "run",
            "job": str(claim.job.pk),
            "kind": operation or claim.job.kind,
            "spec": spec.to_dict(),
            "inputs": inputs.to_dict(),
        }
    )
    try:
        return _follow(claim, child, handlers, part)
    except (Cancelled, Drained, JobFailed):
        raise  # the child has ended this job itself, or was killed for not doing so
    except BaseException:
        child.kill()  # it would work on, for hours perhaps, on a job that nobody follows any more
        raise


def _follow(claim: Claim, child: EngineChild, handlers: Handlers, part: Part | None) -> Event:
    stop = _Stop(claim, child)
    progress: dict[str, Any] = {}
    last_beat = 0.0
    while True:
        event = child.next_event(timeout=0.1)
        if event is END:
            raise Lost(f"the engine ended with exit code {child.exit_code}")
        if event and event["event"] == "error" and not event["job"]:
            raise JobFailed(event["code"], event["message"])  # of the child itself: it has not the device it is to use
        if event and event["job"] == str(claim.job.pk):
            name = event["event"]
            if name == "done":
                claim.beat(**progress)  # a short job ends between two beats
                return event
            if name == "stopped":
                raise stop.exception()
            if name == "error":
                raise JobFailed(event["code"], event["message"])
            progress.update(_progress_of(part.place(event) if part else event))
            stop.notice(event)
            if name in handlers:
                handlers[name](event)
        now = time.monotonic()
        if now - last_beat >= BEAT_SECONDS:
            reply = claim.beat(**progress)
            progress, last_beat = {}, now
            stop.consider(cancel=reply.cancel)


def _progress_of(event: Event) -> dict[str, Any]:
    if event["event"] == "step":
        return {
            "progress_step": event["step"],
            "progress_total": event["total"],
            "progress_message": event.get("message", "")[:200],
        }
    if event["event"] == "preview":
        return {"preview": base64.b64decode(event["webp"])}
    return {}


class _Stop:
    """Asks the child once to stop, and kills it when it does not in time."""

    def __init__(self, claim: Claim, child: EngineChild) -> None:
        self._claim, self._child = claim, child
        self._reason = ""
        self._deadline = 0.0
        self._worked = False
        self._unit_seconds = 0.0

    def notice(self, event: Event) -> None:
        """What yields must get on a little each time, or a stream of generations would keep it at its beginning."""
        trained = event["event"] == "metric" or (event["event"] == "step" and "loss" in event)
        made = event["event"] in ("image", "variant")
        self._worked = self._worked or trained or made  # the curve of a long training has no point for many steps
        self._unit_seconds = event.get("micro_batch_seconds", self._unit_seconds)

    def consider(self, *, cancel: bool) -> None:
        if cancel and self._reason != "cancel":
            self._ask("cancel", CANCEL_GRACE_SECONDS)
        elif not self._reason and (lifeline.draining() or self._must_yield()):
            self._ask("yield", settings.DRAIN_SECONDS - CANCEL_GRACE_SECONDS)
        if self._reason and time.monotonic() > self._deadline:
            self._child.kill()
            raise self.exception()

    def _must_yield(self) -> bool:
        may = KINDS[self._claim.job.kind].yields and self._worked and not self._claim.alone
        return may and more_urgent_waits(self._claim.job)

    def _ask(self, reason: str, grace: float) -> None:
        """A full-size training stops between two micro-batches, and on a CPU one of them takes longer than a minute."""
        grace = max(grace, UNITS_OF_GRACE * self._unit_seconds)
        self._reason, self._deadline = reason, time.monotonic() + grace
        lifeline.hold(grace)
        self._child.send({"op": "stop", "reason": reason})

    def exception(self) -> Exception:
        return Cancelled() if self._reason == "cancel" else Drained()
