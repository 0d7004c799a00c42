"""The training recipe, on a real UNet at tiny size."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from torch import nn

from shoesai.engine import lora, objective, trainer
from shoesai.engine.base_model import Base, load_base
from shoesai.engine.dataset import Encoded, batch_at, encode
from shoesai.engine.encoding_cache import EncodingCache
from shoesai.engine.lora_header import read_lora_header
from shoesai.engine.progress import Stopped
from shoesai.engine.tests import tiny
from shoesai.engine.tests.conftest import NEVER, Recorder
from shoesai.engine.tests.runs import SPEC, Photos, final_bytes, kept_state, stop_when, trained


@pytest.mark.parametrize("prediction", ["epsilon", "v"])
def test_three_steps_and_three_resumed_are_the_bytes_of_six(
    prediction: str, base_folder: str, v_base_folder: str, photos: Photos, tmp_path: Path
) -> None:
    folder = base_folder if prediction == "epsilon" else v_base_folder
    straight = trained(SPEC, folder, photos, tmp_path / "straight")
    resumed = trained(SPEC, folder, photos, tmp_path / "resumed", [kept_state(straight["checkpoint"][0])])
    assert [event["step"] for event in resumed["checkpoint"]] == [6]
    assert [event["step"] for event in resumed["metric"]] == [4, 5, 6]
    for key in ("path", "state_path"):
        assert Path(straight["checkpoint"][1][key]).read_bytes() == Path(resumed["checkpoint"][0][key]).read_bytes()


def test_training_moves_every_matrix_and_leaves_the_base_as_it_was(base: Base, photos: Photos, tmp_path: Path) -> None:
    before = {name: value.clone() for name, value in base.pipeline.unet.state_dict().items()}
    emitted = trained(SPEC, str(base.folder), photos, tmp_path)
    after = base.pipeline.unet.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], before[name]) for name in before)
    with safe_open(emitted["checkpoint"][-1]["path"], "pt") as file:
        ups = [file.get_tensor(key) for key in file.keys() if "lora_B" in key]  # noqa: SIM118 - not a dict
    assert all(up.abs().max() > 0 for up in ups)
    assert not base.pipeline.unet.training


def test_a_trained_file_says_what_it_is(base_folder: str, photos: Photos, tmp_path: Path) -> None:
    [first, last] = trained(SPEC, base_folder, photos, tmp_path)["checkpoint"]
    header = read_lora_header(first["path"])
    assert (header.rank, header.alpha, header.cross_attention_dim) == (2, 6, tiny.TEXT_WIDTH)
    assert header.metadata["shoesai.step"] == "3"
    assert header.metadata["shoesai.family"] == "starter"
    assert (last["step"], last["partial"], last["rank"], last["lora_alpha"]) == (6, False, 2, 6)


def test_clipping_really_clips() -> None:
    weights = {name: nn.Parameter(torch.zeros(10)) for name in "ab"}
    for weight in weights.values():
        weight.grad = torch.full((10,), 3.0)
    before = trainer.clip_gradients(weights, max_norm=0.5)
    after = math.sqrt(sum(float((w.grad**2).sum()) for w in weights.values() if w.grad is not None))
    assert before == pytest.approx(3 * math.sqrt(20))
    assert after == pytest.approx(0.5, rel=1e-4)


def test_small_gradients_are_not_touched_by_clipping() -> None:
    weight = nn.Parameter(torch.zeros(4))
    weight.grad = torch.full((4,), 0.1)
    assert trainer.clip_gradients({"a": weight}, max_norm=1.0) == pytest.approx(0.2)
    assert torch.equal(weight.grad, torch.full((4,), 0.1))


def test_gradient_checkpointing_changes_no_number(base_folder: str, photos: Photos, tmp_path: Path) -> None:
    plain = trained(SPEC, base_folder, photos, tmp_path / "plain")
    frugal = trained(dataclasses.replace(SPEC, gradient_checkpointing=True), base_folder, photos, tmp_path / "frugal")
    for one, other in zip(plain["metric"], frugal["metric"], strict=True):
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-6)
        assert one["grad_norm"] == pytest.approx(other["grad_norm"], rel=1e-5)


def test_accumulated_micro_batches_are_one_large_batch(base_folder: str, photos: Photos, tmp_path: Path) -> None:
    split = trained(SPEC, base_folder, photos, tmp_path / "split")
    whole_spec = dataclasses.replace(SPEC, train_batch_size=4, gradient_accumulation_steps=1)
    whole = trained(whole_spec, base_folder, photos, tmp_path / "whole")
    for one, other in zip(split["metric"], whole["metric"], strict=True):
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-5)
        assert one["grad_norm"] == pytest.approx(other["grad_norm"], rel=1e-4)


def test_training_lowers_the_loss(base_folder: str, photos: Photos, tmp_path: Path) -> None:
    """Measured on the same noise before and after, because the loss of single steps is mostly luck."""
    spec = dataclasses.replace(SPEC, max_train_steps=20, learning_rate=1e-2, rank=8, train_batch_size=4)
    path = trained(spec, base_folder, photos[:1], tmp_path)["checkpoint"][-1]["path"]
    base = load_base(base_folder)
    data = encoded(base, photos[:1], tmp_path)
    schedule = objective.training_schedule(base.pipeline.scheduler.config)
    batch = batch_at(data, range(10_000, 10_064), seed=1, timesteps=1000, scale=0.18)
    losses = []
    for chosen in ([], [(path, 1.0)]):
        lora.use_loras(base, chosen)
        with torch.no_grad():
            losses.append(float(objective.training_loss(base.pipeline.unet, schedule, batch, spec)))
    assert losses[1] < 0.97 * losses[0]


def encoded(base: Base, photos: Photos, folder: Path) -> Encoded:
    return encode(base, photos, 64, "", EncodingCache(folder / "cache", base.folder), lambda message: None)


def test_warm_up_is_linear_and_the_first_step_learns() -> None:
    spec = dataclasses.replace(SPEC, learning_rate=1.0, lr_warmup_steps=4)
    assert [trainer.learning_rate_at(step, spec) for step in range(6)] == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
    assert trainer.learning_rate_at(0, dataclasses.replace(spec, lr_warmup_steps=0)) == 1.0


@pytest.mark.parametrize("reason", ["cancel", "yield"])
def test_a_stopped_training_leaves_a_state_that_goes_on_exactly(
    reason: str, base_folder: str, photos: Photos, tmp_path: Path
) -> None:
    straight = trained(SPEC, base_folder, photos, tmp_path / "straight")
    emitted = Recorder()
    with pytest.raises(Stopped) as stopped:
        trained(SPEC, base_folder, photos, tmp_path, (), stop_when(emitted, "metric", 2, reason), emitted)
    assert stopped.value.reason == reason
    [checkpoint] = emitted["checkpoint"]
    assert (checkpoint["step"], checkpoint["partial"], checkpoint["path"]) == (2, True, "")
    resumed = trained(SPEC, base_folder, photos, tmp_path / "on", [kept_state(checkpoint)])
    assert final_bytes(resumed) == final_bytes(straight)


def test_it_stops_while_it_still_reads_photos(base_folder: str, photos: Photos, tmp_path: Path) -> None:
    with pytest.raises(Stopped):
        trained(SPEC, base_folder, photos, tmp_path, (), lambda: "cancel")
    assert list(tmp_path.iterdir()) == []


def test_a_loss_that_is_no_number_ends_with_step_and_learning_rate(
    base: Base, photos: Photos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loss = trainer.training_loss
    monkeypatch.setattr(trainer, "training_loss", lambda *arguments: loss(*arguments) * float("nan"))
    with pytest.raises(trainer.Diverged, match=r"at step 1: loss nan.*learning rate 0\.000333.*Clone the run"):
        trained(SPEC, str(base.folder), photos, tmp_path)
    assert not list(tmp_path.glob("*.safetensors"))


def test_a_long_run_has_a_loss_curve_of_bounded_length(base: Base) -> None:
    emitted = Recorder()
    spec = dataclasses.replace(SPEC, max_train_steps=2500)
    nothing: Any = None
    run = trainer.Run(
        spec, base, nothing, None, {}, nothing, {}, nothing, nothing, Path(), "", "", emitted, NEVER
    )
    curve = trainer.Curve(run)
    for run.step in range(1, 2501):
        curve.add(float(run.step), 1e-4, 1.0, 0.1)
    assert len(emitted["metric"]) == 1250
    assert emitted["metric"][0]["loss"] == 1.5


def test_the_trained_lora_gives_in_use_what_it_gave_in_training(
    base_folder: str, photos: Photos, tmp_path: Path
) -> None:
    path = trained(SPEC, base_folder, photos, tmp_path)["checkpoint"][-1]["path"]
    base = load_base(base_folder)
    data = encoded(base, photos, tmp_path)
    schedule = objective.training_schedule(base.pipeline.scheduler.config)
    with trainer.trainable_lora(base, SPEC) as weights, safe_open(path, "pt") as file:
        for name, weight in weights.items():
            weight.data = file.get_tensor(f"unet.{name}".replace(".default.", "."))
        batch = batch_at(data, range(4), seed=1, timesteps=1000, scale=0.18)
        in_training = float(objective.training_loss(base.pipeline.unet, schedule, batch, SPEC).detach())
    lora.use_loras(base, [(path, 1.0)])
    with torch.no_grad():
        in_use = float(objective.training_loss(base.pipeline.unet, schedule, batch, SPEC))
    assert in_use == pytest.approx(in_training, rel=1e-6)
