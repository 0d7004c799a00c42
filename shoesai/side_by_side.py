"""Many pictures made safe side by side, each within a few seconds and a bounded memory, in exec'ed children.

Decoders are the part of the platform that strangers' bytes reach first. A child that hangs or dies is replaced, and
only the picture that it was at is to blame.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from django.conf import settings

from shoesai.pictures import NotAPicture, Picture

SECONDS = 5.0
START_SECONDS = 120.0  # on a machine that is busy with other things; no picture is to blame for them
AHEAD = 2  # pictures that wait for a child, for each child
AHEAD_BYTES = 32 * 1024 * 1024  # and of all together, beyond the one at hand


class GaveUp(Exception):
    """The child hung, or died; another one takes its place."""


class Reader:
    """One child. `read` raises NotAPicture; and RuntimeError where no child can be started, which no picture causes."""

    def __init__(self, folder: str) -> None:
        self._path, self._out = Path(folder, f"{id(self)}"), Path(folder, f"{id(self)}.png")
        self._process: subprocess.Popen[bytes] | None = None

    def read(self, data: bytes) -> Picture:
        self._path.write_bytes(data)  # through a pipe a large one would be in memory twice
        self._start()
        try:
            answer = self._ask({"path": str(self._path), "out": str(self._out)})
        except GaveUp as problem:
            raise NotAPicture(str(problem)) from problem
        if "problem" in answer:
            raise NotAPicture(answer["problem"])
        return Picture(self._out.read_bytes(), answer["width"], answer["height"])

    def _ask(self, question: dict[str, str]) -> dict[str, Any]:
        assert self._process and self._process.stdin
        try:
            self._process.stdin.write(json.dumps(question).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # it has died, and the answer says so
        return self._answer(SECONDS)

    def _answer(self, seconds: float) -> dict[str, Any]:
        """Raises GaveUp."""
        assert self._process and self._process.stdout
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            if not selector.select(seconds):
                self.close()
                raise GaveUp(f"takes longer than {seconds:g} s.")
        line = self._process.stdout.readline()
        if not line:
            self.close()
            raise GaveUp("takes more memory than a picture may, or breaks the program that decodes it.")
        return json.loads(line)

    def _start(self) -> None:
        """Until it is ready: what that takes is not the first picture's time."""
        if self._process and self._process.poll() is None:
            return
        self.close()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "shoesai.picture_child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=settings.BASE_DIR,
            start_new_session=True,
        )
        try:
            self._answer(START_SECONDS)
        except GaveUp as problem:
            raise RuntimeError("The process that reads pictures does not start.") from problem

    def close(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()


def read_pictures(sources: Iterable[bytes], children: int | None = None) -> Iterator[Picture | NotAPicture]:
    """In the order of `sources`, which is asked for only a few pictures ahead."""
    children = children or os.cpu_count() or 1
    with tempfile.TemporaryDirectory(dir=settings.WORK_DIR, prefix="pictures-") as folder:
        readers: SimpleQueue[Reader] = SimpleQueue()
        everyone = [Reader(folder) for _ in range(children)]
        for reader in everyone:
            readers.put(reader)

        def read(data: bytes) -> Picture | NotAPicture:
            reader = readers.get()
            try:
                return reader.read(data)
            except NotAPicture as problem:
                return problem
            finally:
                readers.put(reader)

        try:
            with ThreadPoolExecutor(children) as threads:
                waiting: deque[tuple[int, Future[Picture | NotAPicture]]] = deque()
                for data in sources:
                    waiting.append((len(data), threads.submit(read, data)))
                    del data  # else a second giant would be fetched beside it
                    while len(waiting) > AHEAD * children or sum(size for size, _ in waiting) > AHEAD_BYTES:
                        yield waiting.popleft()[1].result()
                while waiting:
                    yield waiting.popleft()[1].result()
        finally:
            for reader in everyone:
                reader.close()
