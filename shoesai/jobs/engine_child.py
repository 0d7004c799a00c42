"""The seam's other side: an exec'ed, warm `python -m shoesai.engine`, spoken to in JSON lines over pipes.

Never forked, because CUDA and MPS break in forked children and django-q2 forks on macOS too.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import threading
from typing import Any

from django.conf import settings

Event = dict[str, Any]
END: Event = {"event": "end"}


class EngineChild:
    """One child process. Events come through a thread and a queue: select() on a buffered pipe deadlocks."""

    def __init__(self, lane: str) -> None:
        self.lane = lane
        self._process: subprocess.Popen[bytes] | None = None
        self._events: queue.Queue[Event] = queue.Queue()
        self.description: Event = {}

    def start(self) -> None:
        """Starts the child if none is alive; its stderr goes to a log file of the lane."""
        if self._process and self._process.poll() is None:
            return
        self.kill()
        self._events = queue.Queue()
        with (settings.LOG_DIR / f"engine-{self.lane}.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*settings.ENGINE_LAUNCHER, "-m", "shoesai.engine"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=settings.BASE_DIR,
                env=_child_environment(),
                start_new_session=True,  # a Ctrl-C at the terminal is the supervisor's to handle
            )
        threading.Thread(target=self._read, args=(self._process, self._events), daemon=True).start()

    @staticmethod
    def _read(process: subprocess.Popen[bytes], events: queue.Queue[Event]) -> None:
        assert process.stdout
        for line in process.stdout:
            try:
                events.put(json.loads(line))
            except ValueError:
                continue  # half a line, from a child that was killed while writing
        events.put(END)

    def send(self, message: dict[str, Any]) -> None:
        """A child that died meanwhile is noticed by its END event, so a broken pipe is no news."""
        assert self._process and self._process.stdin
        try:
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            self._process.stdin.flush()
        except (BrokenPipeError, ValueError):
            pass

    def next_event(self, timeout: float) -> Event | None:
        try:
            event = self._events.get(timeout=timeout)
        except queue.Empty:
            return None
        if event.get("event") == "ready":
            self.description = event
        return event

    def forget_events(self) -> None:
        """Between jobs: what the last one still had to say is of no interest any more."""
        while (event := self.next_event(0.0)) is not None:
            if event is END:
                self._events.put(END)  # it is the last one ever: whoever listens next must hear it
                return

    def kill(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe:
                    with contextlib.suppress(BrokenPipeError):  # a message that the dead child never read
                        pipe.close()
        self._process = None
        self.description = {}

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """Of a child that has said its last: its pipe ends a moment before it does."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._process.wait(1) if self._process else None
        return None


def _child_environment() -> dict[str, str]:
    """Without the web's secrets: the engine needs neither database nor key."""
    hidden = {"SHOESAI_SECRET_KEY", "DATABASE_URL", "SHOESAI_LIFELINE_FD"}
    environment = {key: value for key, value in os.environ.items() if key not in hidden}
    environment["SHOESAI_DEVICE"] = settings.SHOESAI_DEVICE
    return {**environment, "HF_HUB_OFFLINE": "1"}


_children: dict[str, EngineChild] = {}


def child_of(lane: str) -> EngineChild:
    """The lane's child in this process, kept warm between jobs."""
    return _children.setdefault(lane, EngineChild(lane))
