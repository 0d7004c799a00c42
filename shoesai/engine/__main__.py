"""The child: reads commands from stdin and writes events to stdout, one JSON object a line; see docs/ARCHITECTURE.

in   {"op": "run", "job", "kind": a row of operations.py, "spec": {…}, "inputs": {…}}
     {"op": "stop", "reason": "cancel" | "yield"}   {"op": "ping"}
out  ready, begun, step, preview, image, metric, validation, checkpoint, sample, note, done, stopped, error, pong; each
     with "job"

Under `accelerate launch` this is the first of several processes, and the others train along (see processes.py).
One thread (the main one) works; another reads stdin, so that a wish to stop arrives while work goes on. The child ends
when its stdin closes, even amid a job: its parent is gone then, and whatever it wrote is whole or not there at all.
"""

from __future__ import annotations

import os

# Before torch is loaded. PASSIVE keeps OpenMP from spinning (4-70 times slower) when the cores are busy elsewhere; but
# a thread that sleeps at once takes long to wake on a virtual machine, so it spins for some microseconds (2-5 times
# faster in small networks, whether the cores are busy or not).
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "10000")
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["DIFFUSERS_DISABLE_REMOTE_CODE"] = "1"

import contextlib
import json
import logging
import queue
import signal
import sys
import threading
import time
from dataclasses import dataclass
from typing import Any, BinaryIO, NoReturn

from shoesai.engine import processes
from shoesai.engine.lora_header import LoraProblem
from shoesai.engine.operations import perform
from shoesai.engine.progress import Stopped
from shoesai.engine.specs import SpecError

logger = logging.getLogger("shoesai.engine")

STOP_REASONS = ("cancel", "yield")
SHARED = {"train", "measure"}  # operations in which all processes take part
# Where every process of a training ends at the same place for the same reason
ENDINGS_OF_ALL = (Stopped, FloatingPointError)
OUT_OF_MEMORY_WORDS = ("out of memory", "can't allocate memory", "not enough memory")


@dataclass
class Work:
    """A `run` command, and the wish to stop it, which the reader thread sets."""

    job: str
    kind: str
    spec: dict[str, Any]
    inputs: dict[str, Any]
    stop_reason: str | None = None


class Events:
    """The protocol's way out. Writes from both threads, one whole line at a time."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._lock = threading.Lock()

    def send(self, event: str, job: str = "", **fields: Any) -> None:
        line = json.dumps({"event": event, "job": job, **fields}).encode() + b"\n"
        try:
            with self._lock:
                self._out.write(line)
                self._out.flush()
        except OSError:
            os._exit(1)  # nobody listens any more


class Reader(threading.Thread):
    """Turns lines of stdin into work and wishes to stop."""

    def __init__(self, stdin: BinaryIO, events: Events) -> None:
        super().__init__(daemon=True)
        self.work: queue.Queue[Work] = queue.Queue()
        self._stdin, self._events = stdin, events
        self._latest: Work | None = None

    def run(self) -> None:
        for line in self._stdin:
            try:
                self._obey(json.loads(line))
            except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
                message = f"not a command: {type(error).__name__}: {error}"
                self._events.send("error", code="bad_spec", message=message)
        os._exit(0)  # not sys.exit: the main thread may be deep in a convolution

    def _obey(self, command: dict[str, Any]) -> None:
        operation = command["op"]
        if operation == "ping":
            self._events.send("pong")
        elif operation == "run":
            self._latest = Work(str(command["job"]), command["kind"], dict(command["spec"]), dict(command["inputs"]))
            self.work.put(self._latest)
        elif operation == "stop":
            if command["reason"] not in STOP_REASONS:
                raise ValueError(f"reason must be one of {STOP_REASONS}")
            if self._latest:
                self._latest.stop_reason = command["reason"]
        else:
            raise ValueError(f"unknown op {operation!r}")


def main() -> None:
    if not processes.is_first():
        _assist()
    stdin, out = _private_pipes()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C at the terminal is the parent's to handle
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(name)s %(message)s")
    events = Events(out)
    reader = Reader(stdin, events)
    reader.start()  # before the imports, so that a closed stdin ends them too
    try:
        description = _wake_torch()
    except ValueError as error:  # a SHOESAI_DEVICE that is not there
        events.send("error", code="bad_spec", message=str(error))
        raise SystemExit(str(error)) from error
    events.send("ready", pid=os.getpid(), **description)
    while True:
        _run(reader.work.get(), events, description)


def _assist() -> NoReturn:
    """What the other processes of `accelerate launch` do: train along. An error in one of them ends them all."""
    parent = os.getppid()
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _wake_torch()
    while True:
        kind, spec, inputs = processes.from_first(None)
        with contextlib.suppress(*ENDINGS_OF_ALL):
            perform(kind, spec, inputs, lambda *_, **__: None, lambda: None)


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(0)


def _private_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Takes stdin and stdout for the protocol; what libraries print goes to stderr, what they read is empty."""
    stdin, out = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return stdin, out


def _wake_torch() -> dict[str, Any]:
    """The slow imports, once, before `ready`: the first job finds everything loaded."""
    import torch

    torch.set_num_threads(max(1, _cores() // processes.launched_with()))
    from shoesai.engine import device, sampler, trainer  # noqa: F401

    return {**device.describe(), "processes": processes.launched_with()}


def _cores() -> int:
    """Those that this process may use, which in a container are fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _run(work: Work, events: Events, description: dict[str, Any]) -> None:
    """Every way a job can go ends in exactly one of done, stopped and error."""

    def emit(event: str, **fields: Any) -> None:
        events.send(event, work.job, **fields)

    started = time.monotonic()
    try:
        if work.kind in SHARED:
            processes.from_first((work.kind, work.spec, work.inputs))
        result = perform(work.kind, work.spec, work.inputs, emit, lambda: work.stop_reason)
    except Stopped as stopped:
        emit("stopped", reason=stopped.reason)
    except Exception as error:
        code, message = _in_words(error)
        logger.exception("job %s: %s", work.job, code)
        emit("error", code=code, message=message)
        if work.kind in SHARED and processes.launched_with() > 1 and not isinstance(error, ENDINGS_OF_ALL):
            os._exit(1)  # the others wait in the middle of the job for what this process will never say
        error.__traceback__ = None  # its frames hold tensors
        if code == "out_of_memory":
            _make_room()
    else:
        seconds = round(time.monotonic() - started, 3)
        emit("done", **{**result, "seconds": seconds, "device": description["device"], "dtype": description["dtype"]})


def _in_words(error: Exception) -> tuple[str, str]:
    from shoesai.engine.base_model import BaseModelProblem
    from shoesai.engine.training_state import DamagedState

    if isinstance(error, MemoryError) or any(words in str(error).lower() for words in OUT_OF_MEMORY_WORDS):
        return "out_of_memory", "The device ran out of memory; a smaller picture or batch may fit."
    if isinstance(error, SpecError):
        return "bad_spec", str(error)
    if isinstance(error, LoraProblem | BaseModelProblem):
        return "bad_weights", str(error)
    if isinstance(error, DamagedState):
        return "bad_state", str(error)
    if isinstance(error, FloatingPointError):
        return "nan", str(error)
    if isinstance(error, OSError) and error.strerror:
        return "system", f"The engine's machine refused: {error.strerror}."
    return "internal", f"An unforeseen fault ({type(error).__name__}); the engine's log has the details."


def _make_room() -> None:
    from shoesai.engine import base_model, device

    base_model.forget_base()
    device.release_memory()


if __name__ == "__main__":
    main()
