"""The training recipe, on a real UNet at tiny size."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers import DDPMScheduler
from PIL import Image
from safetensors import safe_open
from torch import nn

from shoesai.engine import lora, trainer
from shoesai.engine.base_model import Base, load_base
from shoesai.engine.dataset import Batch, encode
from shoesai.engine.lora_header import read_lora_header
from shoesai.engine.progress import Stopped
from shoesai.engine.specs import PhotoInput, SpecError, StateInput, TrainInputs, TrainSpec
from shoesai.engine.tests import tiny
from shoesai.engine.tests.conftest import NEVER, Recorder

Photos = tuple[PhotoInput, ...]
SPEC = TrainSpec(
    resolution=64, train_batch_size=2, gradient_accumulation_steps=2, learning_rate=1e-3, lr_warmup_steps=3,
    max_train_steps=6, checkpointing_steps=3, validation_steps=0, rank=2, lora_alpha=6, gradient_checkpointing=False,
    caption_dropout=0.2, seed=2**64 - 1,
)  # fmt: skip


def trained(spec: TrainSpec, folder: str, photos: Photos, output: Path, resume_from: str | None = None) -> Recorder:
    output.mkdir(parents=True, exist_ok=True)
    emitted = Recorder()
    states = (StateInput(resume_from, sha256_of(resume_from)),) if resume_from else ()
    trainer.train(spec, TrainInputs(folder, photos, str(output), states), emitted, NEVER)
    return emitted


def sha256_of(path: str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest() if Path(path).exists() else ""


def stop_when(emitted: Recorder, event: str, count: int, reason: str) -> Callable[[], str | None]:
    return lambda: reason if len(emitted[event]) >= count else None


@pytest.mark.parametrize("prediction", ["epsilon", "v"])
def test_three_steps_and_three_resumed_are_the_bytes_of_six(
    prediction: str, base_folder: str, v_base_folder: str, photos: Photos, tmp_path: Path
) -> None:
    folder = base_folder if prediction == "epsilon" else v_base_folder
    straight = trained(SPEC, folder, photos, tmp_path / "straight")
    state = straight["checkpoint"][0]["state_path"]
    resumed = trained(SPEC, folder, photos, tmp_path / "resumed", resume_from=state)
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
    data = encode(base.pipeline, photos[:1], 64, lambda message: None)
    schedule = trainer.training_schedule(base.pipeline.scheduler.config)
    batch = trainer.batch_at(data, range(10_000, 10_064), 1, 1000, 0.18, 0.0)
    losses = []
    for chosen in ([], [(path, 1.0)]):
        lora.use_loras(base, chosen)
        with torch.no_grad():
            losses.append(float(trainer.training_loss(base.pipeline.unet, schedule, batch)))
    assert losses[1] < 0.97 * losses[0]


def one_sample(latents: float, noise: float, timestep: int) -> Batch:
    whole = torch.ones(1, 4, 2, 2)
    return Batch(latents * whole, noise * whole, torch.tensor([timestep]), torch.zeros(1, 77, 8))


def test_the_target_of_an_epsilon_model_is_the_noise() -> None:
    target = trainer.training_target(DDPMScheduler(prediction_type="epsilon"), one_sample(2.0, 3.0, 400))
    assert torch.equal(target, 3 * torch.ones(1, 4, 2, 2))


def test_the_target_of_a_v_model_is_the_velocity() -> None:
    """With a = 0.36: v = 0.6 * 3 - 0.8 * 2 = 0.2."""
    schedule = DDPMScheduler(prediction_type="v_prediction")
    schedule.alphas_cumprod[400] = 0.36
    target = trainer.training_target(schedule, one_sample(2.0, 3.0, 400))
    assert torch.allclose(target, torch.full((1, 4, 2, 2), 0.2), atol=1e-6)


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
    inputs = TrainInputs(base_folder, photos, str(tmp_path))
    with pytest.raises(Stopped) as stopped:
        trainer.train(SPEC, inputs, emitted, stop_when(emitted, "metric", 2, reason))
    assert stopped.value.reason == reason
    [checkpoint] = emitted["checkpoint"]
    assert (checkpoint["step"], checkpoint["partial"], checkpoint["path"]) == (2, True, "")
    resumed = trained(SPEC, base_folder, photos, tmp_path / "on", resume_from=checkpoint["state_path"])
    final = Path(resumed["checkpoint"][-1]["path"]).read_bytes()
    assert final == Path(straight["checkpoint"][-1]["path"]).read_bytes()


def test_it_stops_while_it_still_reads_photos(base_folder: str, photos: Photos, tmp_path: Path) -> None:
    with pytest.raises(Stopped):
        trainer.train(SPEC, TrainInputs(base_folder, photos, str(tmp_path)), Recorder(), lambda: "cancel")
    assert list(tmp_path.iterdir()) == []


VALIDATED = dataclasses.replace(SPEC, validation_steps=3, validation_prompts=("a red boot", "a blue sneaker"))


def test_validation_pictures_are_made_with_their_own_seeds(base_folder: str, photos: Photos, tmp_path: Path) -> None:
    samples = trained(VALIDATED, base_folder, photos, tmp_path)["sample"]
    assert [(s["step"], s["seq"], s["seed"]) for s in samples] == [
        (3, 0, 2**64 - 1), (3, 1, 0), (6, 0, 2**64 - 1), (6, 1, 0),
    ]  # fmt: skip
    assert samples[1]["prompt"] == "a blue sneaker"
    with Image.open(samples[3]["path"]) as picture:
        assert picture.size == (64, 64)
    assert Path(samples[0]["path"]).read_bytes() != Path(samples[2]["path"]).read_bytes()


def test_validation_does_not_change_the_training(base_folder: str, photos: Photos, tmp_path: Path) -> None:
    with_pictures = trained(VALIDATED, base_folder, photos, tmp_path / "1")["checkpoint"][-1]
    without = trained(SPEC, base_folder, photos, tmp_path / "2")["checkpoint"][-1]
    assert Path(with_pictures["path"]).read_bytes() == Path(without["path"]).read_bytes()


def test_a_run_that_was_stopped_amid_its_pictures_makes_them_when_it_goes_on(
    base_folder: str, photos: Photos, tmp_path: Path
) -> None:
    emitted = Recorder()
    with pytest.raises(Stopped):
        trainer.train(VALIDATED, TrainInputs(base_folder, photos, str(tmp_path)), emitted,
                      stop_when(emitted, "sample", 1, "yield"))  # fmt: skip
    assert [event["partial"] for event in emitted["checkpoint"]] == [False]
    resumed = trained(VALIDATED, base_folder, photos, tmp_path / "on", emitted["checkpoint"][0]["state_path"])
    assert [(s["step"], s["seq"]) for s in resumed["sample"]] == [(3, 0), (3, 1), (6, 0), (6, 1)]


def test_a_loss_that_is_no_number_ends_with_step_and_learning_rate(
    base: Base, photos: Photos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loss = trainer.training_loss
    monkeypatch.setattr(trainer, "training_loss", lambda *arguments: loss(*arguments) * float("nan"))
    with pytest.raises(trainer.Diverged, match=r"step 1 with learning rate 0\.000333"):
        trained(SPEC, str(base.folder), photos, tmp_path)
    assert not list(tmp_path.glob("*.safetensors"))


def test_a_state_of_another_rank_is_refused(base_folder: str, photos: Photos, tmp_path: Path) -> None:
    state = trained(SPEC, base_folder, photos, tmp_path)["checkpoint"][0]["state_path"]
    with pytest.raises(SpecError, match="resume_from"):
        trained(dataclasses.replace(SPEC, rank=4), base_folder, photos, tmp_path, resume_from=state)
    with pytest.raises(SpecError, match="resume_from"):
        trained(SPEC, base_folder, photos, tmp_path, resume_from=str(tmp_path / "none"))


def test_a_long_run_has_a_loss_curve_of_bounded_length(base: Base) -> None:
    emitted = Recorder()
    spec = dataclasses.replace(SPEC, max_train_steps=2500)
    run = trainer.Run(spec, base, None, {}, None, None, Path(), emitted, NEVER)  # type: ignore[arg-type]
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
    data = encode(base.pipeline, photos, 64, lambda message: None)
    schedule = trainer.training_schedule(base.pipeline.scheduler.config)
    with trainer.trainable_lora(base, SPEC) as weights, safe_open(path, "pt") as file:
        for name, weight in weights.items():
            weight.data = file.get_tensor(f"unet.{name}".replace(".default.", "."))
        batch = trainer.batch_at(data, range(4), 1, 1000, 0.18, 0.0)
        in_training = float(trainer.training_loss(base.pipeline.unet, schedule, batch).detach())
    lora.use_loras(base, [(path, 1.0)])
    with torch.no_grad():
        in_use = float(trainer.training_loss(base.pipeline.unet, schedule, batch))
    assert in_use == pytest.approx(in_training, rel=1e-6)
