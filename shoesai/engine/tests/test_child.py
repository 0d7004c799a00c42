"""The protocol, spoken with a real child process."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shoesai.engine.specs import PhotoInput, TrainSpec

Event = dict[str, Any]
PATIENCE = 90.0  # seconds; a busy machine imports slowly


class Child:
    """The engine as jobs/engine_child.py starts it, with a thread that collects its events."""

    def __init__(self) -> None:
        environment = {**os.environ, "SHOESAI_DEVICE": "cpu"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "shoesai.engine"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment,
        )  # fmt: skip
        self.events: queue.Queue[Event] = queue.Queue()
        threading.Thread(target=self._collect, daemon=True).start()

    def _collect(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.events.put(json.loads(line))

    def say(self, message: Any) -> None:
        self.say_raw(json.dumps(message).encode())

    def say_raw(self, line: bytes) -> None:
        assert self.process.stdin
        self.process.stdin.write(line + b"\n")
        self.process.stdin.flush()

    def until(self, *names: str) -> list[Event]:
        """All events up to the first of these names, which is the last of the list."""
        seen: list[Event] = []
        while not seen or seen[-1]["event"] not in names:
            seen.append(self.events.get(timeout=PATIENCE))
        return seen

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe:
                pipe.close()


@pytest.fixture(scope="module")
def warm() -> Iterator[Child]:
    child = Child()
    yield child
    child.end()


def generate(base_folder: str, output: Path, job: str, **changes: Any) -> Event:
    spec = {"prompt": "a red boot", "width": 64, "height": 64, "num_inference_steps": 3,
            "images": [{"seq": 0, "seed": 7}], **changes}  # fmt: skip
    return {"op": "run", "job": job, "kind": "generate", "spec": spec,
            "inputs": {"base_model": base_folder, "output_dir": str(output), "loras": []}}  # fmt: skip


def test_it_says_what_it_is_and_runs_jobs_one_after_another(warm: Child, base_folder: str, output: Path) -> None:
    warm.say(generate(base_folder, output, "one"))
    warm.say(generate(base_folder, output, "two", preview_every=1))
    events = warm.until("done")
    ready = events[0]
    assert (ready["event"], ready["pid"], ready["device"]) == ("ready", warm.process.pid, "cpu")
    assert {event["job"] for event in events[1:]} == {"one"}
    image = next(event for event in events if event["event"] == "image")
    assert Path(image["path"]).read_bytes().startswith(b"\x89PNG")
    assert (image["seq"], image["seed"], image["width"], image["height"]) == (0, 7, 64, 64)
    assert events[-1]["device"] == "cpu"
    second = warm.until("done")
    assert {event["job"] for event in second} == {"two"}
    assert any(event["event"] == "preview" for event in second)
    assert second[-1]["seconds"] < events[-1]["seconds"]  # the base was warm


def test_garbage_is_answered_and_survived(warm: Child) -> None:
    wrong_stop = b'{"op": "stop", "reason": "whim"}'
    for line in (b"garbage", b"[]", b'{"op": "dance"}', wrong_stop, b"\xff\xfe", b'{"op": "run"}'):
        warm.say_raw(line)
        error = warm.until("error")[-1]
        assert error["code"] == "bad_spec"
    warm.say({"op": "stop", "reason": "cancel"})  # nothing runs: nothing happens
    warm.say({"op": "ping"})
    assert warm.until("pong", "stopped")[-1]["event"] == "pong"


def test_what_cannot_be_done_is_an_error_with_a_code(warm: Child, base_folder: str, output: Path) -> None:
    wishes = {
        "bad_spec": generate(base_folder, output, "x", num_inference_steps=1000),
        "bad_weights": generate(str(output), output, "x"),
    }
    for code, wish in wishes.items():
        warm.say(wish)
        error = warm.until("error", "done")[-1]
        assert (error["event"], error["code"], error["job"]) == ("error", code, "x")
    warm.say({**generate(base_folder, output, "y"), "kind": "dream"})
    assert warm.until("error")[-1]["code"] == "bad_spec"


def test_a_job_stops_when_asked_and_the_next_one_runs(
    warm: Child, base_folder: str, photos: tuple[PhotoInput, ...], output: Path
) -> None:
    spec = TrainSpec(resolution=64, max_train_steps=10_000, validation_steps=0, gradient_accumulation_steps=1)
    inputs = {"base_model": base_folder, "photos": [photo.to_dict() for photo in photos], "output_dir": str(output),
              "resume_from": []}  # fmt: skip
    warm.say({"op": "run", "job": "t", "kind": "train", "spec": spec.to_dict(), "inputs": inputs})
    warm.until("metric")
    warm.process.send_signal(signal.SIGINT)  # a Ctrl-C at the terminal is not for the child
    asked = time.monotonic()
    warm.say({"op": "stop", "reason": "yield"})
    events = warm.until("stopped", "error")
    assert time.monotonic() - asked < 5
    assert (events[-1]["event"], events[-1]["reason"]) == ("stopped", "yield")
    [checkpoint] = [event for event in events if event["event"] == "checkpoint"]
    assert checkpoint["partial"]
    assert Path(checkpoint["state_path"]).exists()
    warm.say(generate(base_folder, output, "next"))
    assert warm.until("done", "error")[-1]["event"] == "done"


def test_it_ends_when_its_stdin_closes_amid_a_job(base_folder: str, output: Path) -> None:
    child = Child()
    try:
        child.say(generate(base_folder, output, "long", num_inference_steps=150,
                           images=[{"seq": n, "seed": n} for n in range(100)]))  # fmt: skip
        child.until("step")
        assert child.process.stdin
        child.process.stdin.close()
        child.process.wait(timeout=5)
    finally:
        child.end()
    assert not list(output.glob(".*"))


def test_it_ends_when_its_stdin_closes_before_torch_is_there() -> None:
    child = Child()
    try:
        assert child.process.stdin
        child.process.stdin.close()
        child.process.wait(timeout=PATIENCE)
        assert child.events.empty()
    finally:
        child.end()


def test_a_killed_child_leaves_no_half_written_file(base_folder: str, output: Path) -> None:
    child = Child()
    try:
        child.say(generate(base_folder, output, "long", images=[{"seq": n, "seed": n} for n in range(400)]))
        child.until("image")
        child.process.kill()
        child.process.wait(timeout=5)
    finally:
        child.end()
    pictures = list(output.glob("*.png"))
    assert pictures
    assert all(path.read_bytes().endswith(b"IEND\xaeB`\x82") for path in pictures)
