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

from django.conf import settings

from shoesai.pictures import NotAPicture, Picture

SECONDS = 5.0
AHEAD = 2  # pictures that wait for a child, for each child
AHEAD_BYTES = 32 * 1024 * 1024  # and of all together, beyond the one at hand


class Reader:
    """One child. `read` raises NotAPicture."""

    def __init__(self, folder: str) -> None:
        self._path, self._out = Path(folder, f"{id(self)}"), Path(folder, f"{id(self)}.png")
        self._process: subprocess.Popen[bytes] | None = None

    def read(self, data: bytes) -> Picture:
        answer = self._ask(data)
        if answer is None:
            raise NotAPicture(f"takes longer than {SECONDS:g} s or more memory than a picture may.")
        if "problem" in answer:
            raise NotAPicture(answer["problem"])
        return Picture(self._out.read_bytes(), answer["width"], answer["height"])

    def _ask(self, data: bytes) -> dict | None:
        """None when the child had to be given up."""
        self._path.write_bytes(data)  # through a pipe a large one would be in memory twice
        process = self._started()
        assert process.stdin and process.stdout
        try:
            process.stdin.write(json.dumps({"path": str(self._path), "out": str(self._out)}).encode() + b"\n")
            process.stdin.flush()
            with selectors.DefaultSelector() as selector:
                selector.register(process.stdout, selectors.EVENT_READ)
                line = process.stdout.readline() if selector.select(SECONDS) else b""
        except BrokenPipeError:
            line = b""
        if not line:
            self.close()
            return None
        return json.loads(line)

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "shoesai.picture_child"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                cwd=settings.BASE_DIR,
                start_new_session=True,
            )
        return self._process

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
