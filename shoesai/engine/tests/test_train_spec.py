"""A recipe that cannot be meant is refused before anything is queued, by the names of its settings."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shoesai.engine.specs import SpecError, TrainSpec


def test_the_defaults_are_the_seeds_recipe() -> None:
    spec = TrainSpec()
    assert (spec.resolution, spec.effective_batch_size) == (512, 16)
    assert (spec.learning_rate, spec.lr_warmup_steps) == (1e-4, 500)
    assert (spec.max_train_steps, spec.checkpointing_steps, spec.validation_steps) == (3000, 500, 500)
    assert (spec.rank, spec.lora_alpha, spec.gradient_checkpointing) == (8, 16, True)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"max_train_steps": 100}, ("lr_warmup_steps", "max_train_steps")),
        ({"validation_prompts": ("a boot",), "validation_steps": 0}, ("validation_prompts", "validation_steps")),
        ({"validation_seeds": (1,)}, ("validation_seeds", "validation_prompts")),
        ({"masked_loss": True, "unmasked_weight": 1.0}, ("masked_loss", "unmasked_weight")),
        ({"max_train_steps": 10_000, "checkpointing_steps": 1}, ("checkpointing_steps", "max_train_steps")),
        ({"max_train_steps": 10_000, "validation_steps": 1}, ("validation_steps", "max_train_steps")),
    ],
)
def test_contradictions_name_the_two_that_disagree(settings: dict[str, Any], named: tuple[str, str]) -> None:
    with pytest.raises(SpecError) as refused:
        TrainSpec(**settings)
    assert refused.value.field_name == named[0]
    assert named[1] in refused.value.message


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("resolution", 500), ("resolution", 4096), ("train_batch_size", 0), ("train_batch_size", 10**20),
        ("gradient_accumulation_steps", 10**6), ("learning_rate", 0.0), ("learning_rate", float("nan")),
        ("learning_rate", 2.0), ("lr_scheduler", "polynomial"), ("lr_warmup_steps", -1), ("max_train_steps", 0),
        ("max_train_steps", 10**20), ("max_train_minutes", -1.0), ("max_train_minutes", float("inf")),
        ("checkpointing_steps", 0), ("milestone_steps", -1), ("validation_steps", -1), ("validation_fraction", 0.6),
        ("validation_fraction", float("nan")), ("validation_prompts", ("x" * 3000,)),
        ("validation_prompts", ("x",) * 99),
        ("validation_seeds", (-1,)), ("validation_guidance_scale", 31.0), ("rank", 0), ("rank", 257), ("lora_alpha", 0),
        ("lora_targets", ()), ("lora_targets", ("conv1",)), ("max_grad_norm", 0.0), ("max_grad_norm", float("nan")),
        ("lora_targets", ("to_q", "to_q")), ("max_grad_norm", 1e-30), ("adam_epsilon", 1e6), ("trigger_words", "a\nb"),
        ("adam_beta1", 1.0), ("adam_epsilon", 0.0), ("adam_weight_decay", 2.0), ("noise_offset", -0.1),
        ("snr_gamma", -1.0), ("snr_gamma", float("nan")), ("caption_dropout", 1.0), ("unmasked_weight", 1.5),
        ("trigger_words", "x" * 3000), ("seed", -1), ("seed", 2**64),
    ],
)  # fmt: skip
def test_each_setting_has_its_limits(name: str, value: Any) -> None:
    with pytest.raises(SpecError) as refused:
        TrainSpec(**{name: value})
    assert refused.value.field_name in (name, "seed")


@pytest.mark.parametrize("name", ["learning_rte", "lr", "__class__"])
def test_an_unknown_setting_is_refused_and_the_known_ones_are_told(name: str) -> None:
    with pytest.raises(SpecError, match="learning_rate") as refused:
        TrainSpec.from_dict({name: 1})
    assert refused.value.field_name == name


def test_a_recipe_of_the_first_version_goes_on_without_held_out_photos() -> None:
    old = {"version": 1, "rank": 4, "max_train_steps": 600}
    assert TrainSpec.from_dict(old) == TrainSpec(rank=4, max_train_steps=600, validation_fraction=0.0)


def test_json_gives_the_same_recipe_back() -> None:
    spec = TrainSpec(validation_prompts=("a boot",), validation_seeds=(2**64 - 1,), lora_targets=("to_q", "ff.net.2"))
    assert TrainSpec.from_dict(json.loads(spec.to_json())) == spec


@pytest.mark.parametrize(("steps", "warmup"), [(3000, 500), (300, 50), (10_000, 500), (5, 0)])
def test_a_short_run_warms_up_for_a_sixth(steps: int, warmup: int) -> None:
    assert TrainSpec.usual_warmup(steps) == warmup
