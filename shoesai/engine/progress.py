"""How a job speaks while it runs: events out, a wish to stop in, files that are there whole or not at all."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable
from pathlib import Path

Emit = Callable[..., None]
"""emit("step", step=3, total=10): the name of the event and its fields."""

ShouldStop = Callable[[], str | None]
"""None to go on, "cancel" or "yield" to stop at the next safe point."""


class Stopped(Exception):
    """The job ended early because it was asked to."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def check_stop(should_stop: ShouldStop) -> None:
    reason = should_stop()
    if reason:
        raise Stopped(reason)


def publish(path: Path, data: bytes) -> Path:
    """Writes temp, fsync, rename: whoever is told of the file finds all of it, even after a power cut."""
    # A name of its own: two runs, perhaps on two machines, may write the same entry of the cache at once
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}.partial")
    with partial.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    return path
