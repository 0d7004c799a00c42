"""How a worker learns that its supervisor wants it to stop, or is gone: the pipe it inherited reaches its end.

The supervisor holds the only writing end and closes it to drain; when it is killed the kernel closes it. So one
mechanism serves the clean stop and the crash, and no orphaned cluster keeps taking work (measured: a killed
django-q2 parent leaves sentinel and workers behind that go on claiming tasks).
"""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import Any

from django.conf import settings

FD_VARIABLE = "SHOESAI_LIFELINE_FD"
_draining = threading.Event()
_held_until = 0.0  # on the monotonic clock


def connect() -> None:
    """Called when Django is ready; does something only below a supervisor, in each django-q2 worker process."""
    if FD_VARIABLE in os.environ:
        from django_q.signals import post_spawn

        post_spawn.connect(_watch, dispatch_uid="shoesai.lifeline")


def draining() -> bool:
    return _draining.is_set()


def drain_on_signals() -> None:
    """For a command that does a job itself: told to end, it keeps the job's state and puts it back into the queue."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, lambda *_: _draining.set())
        signal.signal(signal.SIGHUP, _hang_up)


def _hang_up(*_: Any) -> None:
    """The terminal is gone: words for it must not end us before the job has stepped aside."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nothing, stream)
    _draining.set()


def hold(seconds: float) -> None:
    """What runs here needs so long to come to a safe point; the cluster is not ended before."""
    global _held_until
    _held_until = time.monotonic() + seconds


def _watch(**_: Any) -> None:
    threading.Thread(target=_wait_for_the_end, args=(int(os.environ[FD_VARIABLE]),), daemon=True).start()


def _wait_for_the_end(fd: int) -> None:
    while os.read(fd, 1):
        pass
    _draining.set()
    time.sleep(settings.DRAIN_SECONDS + 5)
    while time.monotonic() < _held_until + 5:
        time.sleep(0.5)
    # Still here: the supervisor did not end us, so it is gone. The cluster has its own process group; the engine
    # child ends by itself when its stdin closes.
    os.killpg(os.getpgid(0), signal.SIGKILL)
