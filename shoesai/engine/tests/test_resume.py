"""A training goes on exactly where it was: the same bytes, the same losses, whatever happened in between."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open

from shoesai.engine import trainer, training_state
from shoesai.engine.progress import Stopped
from shoesai.engine.specs import SpecError, StateInput, TrainInputs, TrainSpec
from shoesai.engine.tests.conftest import Recorder
from shoesai.engine.tests.runs import SPEC, Photos, final_bytes, held_out, kept_state, losses, stop_when, trained
from shoesai.engine.training_state import DamagedState

STARTER = str(Path(__file__).resolve().parents[2] / "starter" / "weights" / "sd")
# Everything at once that could make a difference between going on and going through
RECIPE = dataclasses.replace(
    SPEC, max_train_steps=8, checkpointing_steps=2, lr_scheduler="cosine", noise_offset=0.1, snr_gamma=5.0,
    masked_loss=True, validation_steps=4, validation_prompts=("a red boot",), trigger_words="acme",
)  # fmt: skip


@pytest.fixture(scope="module")
def straight(base_folder: str, photos: Photos, tmp_path_factory: pytest.TempPathFactory) -> Recorder:
    return trained(RECIPE, base_folder, held_out(photos, 1), tmp_path_factory.mktemp("straight"))


def interrupted(base_folder: str, photos: Photos, output: Path, stops: tuple[int, ...]) -> list[Recorder]:
    """One stretch for each stop (after so many steps of the stretch), and one to the end."""
    stretches: list[Recorder] = []
    states: list[StateInput] = []
    for steps in (*stops, None):
        emitted = Recorder()
        should_stop = stop_when(emitted, "metric", steps, "yield") if steps else (lambda: None)
        try:
            trained(RECIPE, base_folder, held_out(photos, 1), output, states[::-1], should_stop, emitted)
        except Stopped:
            assert steps
        states += [kept_state(event) for event in emitted["checkpoint"]]
        stretches.append(emitted)
    return stretches


@pytest.mark.parametrize("stops", [(3,), (1, 4), (2, 1, 1)])
def test_interruptions_change_neither_a_byte_nor_a_loss(
    stops: tuple[int, ...], straight: Recorder, base_folder: str, photos: Photos, tmp_path: Path
) -> None:
    stretches = interrupted(base_folder, photos, tmp_path, stops)
    assert final_bytes(stretches[-1]) == final_bytes(straight)
    assert losses(*stretches) == losses(straight)
    seen = [(event["step"], event["loss"]) for emitted in stretches for event in emitted["validation"]]
    assert seen == [(event["step"], event["loss"]) for event in straight["validation"]]
    assert [step for step, _ in seen] == [0, 4, 8]


def test_a_stop_while_the_last_checkpoint_is_measured_does_not_lose_it(
    straight: Recorder, base_folder: str, photos: Photos, tmp_path: Path
) -> None:
    """It is measured before it is written, so the next stretch owes it."""
    emitted = Recorder()

    def in_the_last_measurement() -> str | None:
        steps = [event for event in emitted["step"] if "loss" in event]
        return "yield" if len(steps) == RECIPE.max_train_steps else None

    with pytest.raises(Stopped):
        trained(RECIPE, base_folder, held_out(photos, 1), tmp_path, (), in_the_last_measurement, emitted)
    assert (emitted["checkpoint"][-1]["step"], emitted["checkpoint"][-1]["partial"]) == (8, True)
    state = kept_state(emitted["checkpoint"][-1])
    resumed = trained(RECIPE, base_folder, held_out(photos, 1), tmp_path / "on", [state])
    assert [(event["step"], event["partial"]) for event in resumed["checkpoint"]] == [(8, False)]
    assert resumed["checkpoint"][0]["validation_loss"] == straight["checkpoint"][-1]["validation_loss"]
    assert final_bytes(resumed) == final_bytes(straight)


def test_the_points_of_the_curve_are_the_same_when_a_stop_falls_between_two(
    base_folder: str, photos: Photos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer, "MAX_METRICS", 2)  # a point every three steps
    whole = trained(SPEC, base_folder, photos, tmp_path)
    emitted = Recorder()

    def after_four_steps() -> str | None:
        return "yield" if len(losses(emitted)) == 4 else None

    with pytest.raises(Stopped):
        trained(SPEC, base_folder, photos, tmp_path / "first", (), after_four_steps, emitted)
    resumed = trained(SPEC, base_folder, photos, tmp_path / "on", [kept_state(emitted["checkpoint"][-1])])
    points = [(event["step"], event["loss"]) for run in (emitted, resumed) for event in run["metric"]]
    assert points == [(event["step"], event["loss"]) for event in whole["metric"]]
    assert [step for step, _ in points] == [3, 6]


def test_what_is_cached_already_changes_no_byte(base_folder: str, photos: Photos, tmp_path: Path) -> None:
    """A stop while photos are read leaves a part of them in the cache."""
    cold = trained(SPEC, base_folder, photos, tmp_path / "cold")
    warm = tmp_path / "warm"
    one_step = dataclasses.replace(SPEC, max_train_steps=1, lr_warmup_steps=0)
    trained(one_step, base_folder, photos[2:3], warm)
    assert final_bytes(trained(SPEC, base_folder, photos, warm)) == final_bytes(cold)


def test_a_base_whose_weights_have_changed_is_refused(base_folder: str, photos: Photos, tmp_path: Path) -> None:
    base = Path(shutil.copytree(base_folder, tmp_path / "base"))
    state = kept_state(trained(SPEC, str(base), photos, tmp_path)["checkpoint"][0])
    weights = base / "unet" / "diffusion_pytorch_model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(bytes(data))
    with pytest.raises(SpecError, match="base_model: has other files"):
        trained(SPEC, str(base), photos, tmp_path / "on", [state])


def test_a_damaged_newest_state_costs_some_steps_and_is_told(
    straight: Recorder, base_folder: str, photos: Photos, tmp_path: Path
) -> None:
    emitted = Recorder()
    should_stop = stop_when(emitted, "metric", 5, "yield")
    with pytest.raises(Stopped):
        trained(RECIPE, base_folder, held_out(photos, 1), tmp_path, (), should_stop, emitted)
    *_, before, newest = (kept_state(event) for event in emitted["checkpoint"])
    damaged = Path(newest.path)
    damaged.write_bytes(damaged.read_bytes()[: damaged.stat().st_size // 2])
    resumed = trained(RECIPE, base_folder, held_out(photos, 1), tmp_path / "on", [newest, before])
    assert resumed["begun"][0]["step"] == 4
    assert "SHA-256" in resumed["note"][0]["message"]
    assert final_bytes(resumed) == final_bytes(straight)
    assert losses(resumed) == losses(straight)[4:]


def test_the_starter_goes_on_to_the_same_bytes_after_two_interruptions(photos: Photos, tmp_path: Path) -> None:
    spec = dataclasses.replace(
        SPEC, resolution=128, train_batch_size=1, max_train_steps=4, checkpointing_steps=2, rank=8, lora_alpha=16
    )
    whole = trained(spec, STARTER, photos, tmp_path)
    states: list[StateInput] = []
    stretches = []
    for steps in (1, 2, 9):
        emitted = Recorder()
        with contextlib.suppress(Stopped):
            stop = stop_when(emitted, "metric", steps, "yield")
            trained(spec, STARTER, photos, tmp_path / "on", states[::-1], stop, emitted)
        states += [kept_state(event) for event in emitted["checkpoint"]]
        stretches.append(emitted)
    assert final_bytes(stretches[-1]) == final_bytes(whole)
    assert losses(*stretches) == losses(whole)


def test_a_state_is_kept_every_few_minutes_also_between_checkpoints(
    base_folder: str, photos: Photos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer, "STATE_EVERY_SECONDS", 0.0)
    kept = trained(SPEC, base_folder, photos, tmp_path)["checkpoint"]
    assert [event["step"] for event in kept if event["partial"]] == [1, 2, 4, 5]
    assert [event["step"] for event in kept if not event["partial"]] == [3, 6]


def test_when_every_state_is_damaged_it_says_so_and_does_not_begin_again(
    base_folder: str, photos: Photos, tmp_path: Path
) -> None:
    states = [kept_state(event) for event in trained(SPEC, base_folder, photos, tmp_path)["checkpoint"]]
    for state in states:
        Path(state.path).write_bytes(b"")
    with pytest.raises(DamagedState, match="every kept state"):
        trained(SPEC, base_folder, photos, tmp_path, states)


def test_a_state_of_another_recipe_or_other_photos_is_refused_by_name(
    base_folder: str, photos: Photos, tmp_path: Path
) -> None:
    state = kept_state(trained(SPEC, base_folder, photos, tmp_path)["checkpoint"][0])
    others: dict[str, Any] = {"rank": 4, "learning_rate": 1e-5, "snr_gamma": 5.0}
    for name, value in others.items():
        with pytest.raises(SpecError, match=f"{name}: is .*clone the run"):
            trained(dataclasses.replace(SPEC, **{name: value}), base_folder, photos, tmp_path, [state])
    inputs = TrainInputs(base_folder, photos[1:], str(tmp_path), (state,), "other photos")
    with pytest.raises(SpecError, match="dataset: holds other photos"):
        trainer.train(SPEC, inputs, Recorder(), lambda: None)


def test_a_state_for_weights_of_other_shapes_is_refused(base_folder: str, photos: Photos, tmp_path: Path) -> None:
    """Its recipe and photos are the same, but its LoRA has other weights."""
    state = kept_state(trained(SPEC, base_folder, photos, tmp_path)["checkpoint"][0])
    with safe_open(state.path, "pt") as file:
        names = [name for name in file.keys() if name.startswith("weight/")]  # noqa: SIM118 - not a dict
    wrong = {name.removeprefix("weight/"): torch.nn.Parameter(torch.zeros(1)) for name in names}
    optimizer = torch.optim.AdamW(wrong.values())
    with pytest.raises(SpecError, match="resume_from"):
        training_state.restore_state(state.path, wrong, optimizer)


def test_a_state_before_the_first_real_step_is_one_too(tmp_path: Path) -> None:
    """An fp16 scaler skips the first steps, and AdamW remembers nothing yet."""
    weights = {"a": torch.nn.Parameter(torch.ones(2))}
    path = tmp_path / "state"
    path.write_bytes(training_state.state_bytes(weights, torch.optim.AdamW(weights.values()), {}, {"step": 1}))
    again = {"a": torch.nn.Parameter(torch.zeros(2))}
    optimizer = torch.optim.AdamW(again.values())
    training_state.restore_state(str(path), again, optimizer)
    again["a"].sum().backward()
    optimizer.step()
    assert float(again["a"][0].detach()) == pytest.approx(1 - 1e-3, rel=1e-3)


def test_the_random_states_of_every_library_are_kept(tmp_path: Path) -> None:
    weights = {"a": torch.nn.Parameter(torch.ones(2))}
    optimizer = torch.optim.AdamW(weights.values())
    weights["a"].sum().backward()
    optimizer.step()
    path = tmp_path / "state"
    path.write_bytes(training_state.state_bytes(weights, optimizer, {}, {"step": 1}))

    def drawn() -> tuple[Any, ...]:
        return random.random(), float(np.random.rand()), float(torch.rand(())), float(random.gauss(0, 1))

    expected = drawn()
    training_state.restore_state(str(path), weights, optimizer)
    assert drawn() == expected


# -- killed -----------------------------------------------------------------------------------------------------------
KILLS = 2


def engine(spec: TrainSpec, inputs: TrainInputs) -> tuple[subprocess.Popen[bytes], Iterator[dict[str, Any]]]:
    """A real engine child with this training; its events as they come."""
    child = subprocess.Popen(
        [sys.executable, "-m", "shoesai.engine"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, env={**os.environ, "SHOESAI_DEVICE": "cpu"},
    )  # fmt: skip
    assert child.stdin and child.stdout
    command = {"op": "run", "job": "j", "kind": "train", "spec": spec.to_dict(), "inputs": inputs.to_dict()}
    child.stdin.write(json.dumps(command).encode() + b"\n")
    child.stdin.flush()
    return child, (json.loads(line) for line in child.stdout)


@pytest.mark.slow
def test_sigkill_at_random_moments_changes_nothing(base_folder: str, photos: Photos, tmp_path: Path) -> None:
    """Each time the child is killed after some events, perhaps while it writes; once the newest state is cut off."""
    spec = dataclasses.replace(RECIPE, max_train_steps=16, checkpointing_steps=2, validation_steps=8)
    photos = held_out(photos, 1)
    straight = trained(spec, base_folder, photos, tmp_path / "straight")
    chance = random.Random(11)
    states: list[StateInput] = []
    finished: list[dict[str, Any]] = []
    for attempt in range(KILLS + 1):
        inputs = TrainInputs(base_folder, photos, str(tmp_path), tuple(states[::-1][:2]), "photos")
        child, events = engine(spec, inputs)
        left = chance.randrange(12, 40)
        for event in events:
            assert event["event"] != "error", event
            if event["event"] == "checkpoint":
                states.append(kept_state(event))
                finished.append(event)
            left -= 1
            if event["event"] == "done" or (left < 0 and attempt < KILLS):
                break
        child.send_signal(signal.SIGKILL)
        child.wait()
        for pipe in (child.stdin, child.stdout):
            assert pipe
            pipe.close()
        if attempt == 1:
            newest = Path(states[-1].path)
            newest.write_bytes(newest.read_bytes()[:-7])
    assert finished[-1]["step"] == 16
    assert Path(finished[-1]["path"]).read_bytes() == final_bytes(straight)
