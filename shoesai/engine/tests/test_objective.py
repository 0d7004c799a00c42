"""What the UNet is asked, and how its answer is weighed."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from diffusers import DDPMScheduler
from torch import Tensor, nn

from shoesai.engine import objective
from shoesai.engine.base_model import BaseModelProblem
from shoesai.engine.dataset import Batch
from shoesai.engine.specs import TrainSpec

SPEC = TrainSpec()


def one_sample(latents: float, noise: float, timestep: int, shoe: Tensor | None = None) -> Batch:
    whole = torch.ones(1, 4, 2, 2)
    mask = torch.ones(1, 2, 2) if shoe is None else shoe
    return Batch(latents * whole, noise * whole, torch.tensor([timestep]), torch.zeros(1, 77, 8), mask)


class Says(nn.Module):
    """A UNet whose answer is fixed: the loss can be worked out on paper."""

    def __init__(self, answer: Tensor) -> None:
        super().__init__()
        self.answer = answer

    def forward(self, *_: Tensor, return_dict: bool) -> tuple[Tensor]:
        return (self.answer,)


def test_the_target_of_an_epsilon_model_is_the_noise() -> None:
    target = objective.training_target(DDPMScheduler(prediction_type="epsilon"), one_sample(2.0, 3.0, 400))
    assert torch.equal(target, 3 * torch.ones(1, 4, 2, 2))


def test_the_target_of_a_v_model_is_the_velocity() -> None:
    """With a = 0.36: v = 0.6 * 3 - 0.8 * 2 = 0.2."""
    schedule = DDPMScheduler(prediction_type="v_prediction")
    schedule.alphas_cumprod[400] = 0.36
    target = objective.training_target(schedule, one_sample(2.0, 3.0, 400))
    assert torch.allclose(target, torch.full((1, 4, 2, 2), 0.2), atol=1e-6)


def test_a_model_that_predicts_pictures_cannot_be_trained() -> None:
    with pytest.raises(BaseModelProblem, match="predicts 'sample'"):
        objective.training_schedule(DDPMScheduler(prediction_type="sample").config)


@pytest.mark.parametrize(
    ("prediction", "kept", "weight"),
    [
        ("epsilon", 0.9, 5 / 9),  # snr 9: min(9, 5) / 9
        ("epsilon", 0.5, 1.0),  # snr 1
        ("epsilon", 0.0, 1.0),  # zero terminal SNR
        ("v_prediction", 0.9, 0.5),  # min(9, 5) / 10
        ("v_prediction", 0.5, 0.5),
        ("v_prediction", 0.0, 0.0),
    ],
)
def test_min_snr_weighs_easy_steps_down(prediction: str, kept: float, weight: float) -> None:
    schedule = DDPMScheduler(prediction_type=prediction)
    schedule.alphas_cumprod[7] = kept
    assert float(objective.snr_weights(schedule, torch.tensor([7]), 5.0)) == pytest.approx(weight, rel=1e-5)
    plain = objective.training_loss(Says(torch.zeros(1, 4, 2, 2)), schedule, one_sample(0.0, 1.0, 7), SPEC)
    weighed = objective.training_loss(
        Says(torch.zeros(1, 4, 2, 2)), schedule, one_sample(0.0, 1.0, 7), dataclasses.replace(SPEC, snr_gamma=5.0)
    )
    assert float(weighed) == pytest.approx(float(plain) * weight, rel=1e-5)


def test_masked_loss_looks_at_the_shoe_and_a_little_at_the_rest() -> None:
    """Wrong by 1 on the shoe (one cell of four) and by 2 elsewhere: (1 * 1 + 3 * 0.1 * 4) / (1 + 3 * 0.1)."""
    answer = torch.full((1, 4, 2, 2), 2.0)
    answer[:, :, 0, 0] = 1.0
    shoe = torch.zeros(1, 2, 2)
    shoe[0, 0, 0] = 1
    schedule = DDPMScheduler(prediction_type="epsilon")
    spec = dataclasses.replace(SPEC, masked_loss=True, unmasked_weight=0.1)
    loss = objective.training_loss(Says(answer), schedule, one_sample(0.0, 0.0, 400, shoe), spec)
    assert float(loss) == pytest.approx((1 + 3 * 0.1 * 4) / 1.3)
    plain = objective.training_loss(Says(answer), schedule, one_sample(0.0, 0.0, 400, shoe), SPEC)
    assert float(plain) == pytest.approx((1 + 3 * 4) / 4)
