"""Two processes under `accelerate launch` train what one does with twice the accumulation."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shoesai.engine.specs import TrainInputs, TrainSpec
from shoesai.engine.tests.conftest import Recorder
from shoesai.engine.tests.runs import SPEC, Photos, final_bytes, held_out, kept_state, losses, trained

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
RECIPE = dataclasses.replace(SPEC, train_batch_size=1, gradient_accumulation_steps=2, validation_steps=3,
                             validation_prompts=("a red boot",))  # fmt: skip
LAUNCHER = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2",
            "--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no",
            "--main_process_port", "0"]  # fmt: skip


class TwoProcesses:
    """A launched engine, spoken to as the runner does."""

    def __init__(self, log: Path) -> None:
        self.log = log
        with log.open("ab") as stderr:
            self.process = subprocess.Popen(
                [*LAUNCHER, "-m", "shoesai.engine"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr,
                env={**os.environ, "SHOESAI_DEVICE": "cpu"}, start_new_session=True,
            )  # fmt: skip

    def say(self, command: dict[str, Any]) -> None:
        assert self.process.stdin
        self.process.stdin.write(json.dumps(command).encode() + b"\n")
        self.process.stdin.flush()

    def events(self) -> Iterator[dict[str, Any]]:
        assert self.process.stdout
        for line in self.process.stdout:
            yield json.loads(line)

    def train(self, spec: TrainSpec, inputs: TrainInputs, stop_after: int = 0) -> Recorder:
        emitted = Recorder()
        self.say({"op": "run", "job": "j", "kind": "train", "spec": spec.to_dict(), "inputs": inputs.to_dict()})
        for event in self.events():
            emitted(event.pop("event"), **event)
            if stop_after and len(emitted["metric"]) == stop_after:
                self.say({"op": "stop", "reason": "yield"})
                stop_after = 0
            if emitted["done"] or emitted["stopped"] or emitted["error"]:
                return emitted
        raise AssertionError(self.log.read_text()[-3000:])

    def end(self) -> None:
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe
            pipe.close()
        self.process.wait(60)


@pytest.fixture
def two(tmp_path: Path) -> Iterator[TwoProcesses]:
    processes = TwoProcesses(tmp_path / "log")
    yield processes
    processes.end()


def test_two_processes_have_the_losses_of_one_with_twice_the_accumulation(
    two: TwoProcesses, base_folder: str, photos: Photos, tmp_path: Path
) -> None:
    photos = held_out(photos, 1)
    one = trained(dataclasses.replace(RECIPE, gradient_accumulation_steps=4), base_folder, photos, tmp_path / "one")
    (tmp_path / "two").mkdir()
    both = two.train(RECIPE, TrainInputs(base_folder, photos, str(tmp_path / "two"), (), "photos"))
    assert both["error"] == []
    assert both["ready"][0]["processes"] == both["begun"][0]["processes"] == 2
    assert losses(both) == pytest.approx(losses(one), rel=1e-5)
    assert [m["grad_norm"] for m in both["metric"]] == pytest.approx([m["grad_norm"] for m in one["metric"]], rel=1e-4)
    assert [v["loss"] for v in both["validation"]] == pytest.approx([v["loss"] for v in one["validation"]], rel=1e-5)
    assert [s["step"] for s in both["sample"]] == [0, 3, 6]


def test_two_processes_stop_together_and_go_on_exactly(
    two: TwoProcesses, base_folder: str, photos: Photos, tmp_path: Path
) -> None:
    def inputs(name: str, *states: Any) -> TrainInputs:
        (tmp_path / name).mkdir()
        return TrainInputs(base_folder, photos, str(tmp_path / name), states, "photos")

    straight = two.train(RECIPE, inputs("straight"))
    stopped = two.train(RECIPE, inputs("stopped"), stop_after=2)
    assert stopped["stopped"]
    resumed = two.train(RECIPE, inputs("resumed", kept_state(stopped["checkpoint"][-1])))
    assert final_bytes(resumed) == final_bytes(straight)
    assert losses(stopped, resumed) == losses(straight)


def test_a_fault_of_one_ends_all_and_says_why(
    two: TwoProcesses, base_folder: str, photos: Photos, tmp_path: Path
) -> None:
    gone = dataclasses.replace(photos[0], path=str(tmp_path / "gone.png"))
    failed = two.train(RECIPE, TrainInputs(base_folder, (gone,), str(tmp_path)))
    assert failed["error"][0]["code"] == "bad_spec"
    assert "gone.png" in failed["error"][0]["message"]
    two.process.wait(60)
