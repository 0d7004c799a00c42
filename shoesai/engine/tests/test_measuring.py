"""A measurement says what a training will cost, and leaves nothing behind."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import torch

from shoesai.engine.base_model import Base
from shoesai.engine.measuring import measure
from shoesai.engine.specs import TrainInputs
from shoesai.engine.tests.conftest import NEVER, Recorder
from shoesai.engine.tests.runs import SPEC


def test_it_counts_times_and_leaves_the_base_as_it_was(base: Base, tmp_path: Path) -> None:
    before = {name: value.clone() for name, value in base.pipeline.unet.state_dict().items()}
    inputs = TrainInputs(str(base.folder), (), str(tmp_path))
    one, four = (
        measure(dataclasses.replace(SPEC, gradient_accumulation_steps=parts), inputs, Recorder(), NEVER)
        for parts in (1, 400)
    )
    # rank 2 on 4 projections in each attention: (in + out) * 2 numbers each
    assert one["trainable_parameters"] == sum(
        2 * (sum(layer.weight.shape))
        for name, layer in base.pipeline.unet.named_modules()
        if isinstance(layer, torch.nn.Linear) and name.endswith(("to_q", "to_k", "to_v", "to_out.0"))
    )
    assert one["total_parameters"] == one["trainable_parameters"] + sum(value.numel() for value in before.values())
    assert (one["device"], one["precision"], one["processes"]) == ("cpu", "fp32", 1)
    assert four["estimated_seconds_per_step"] > 20 * one["estimated_seconds_per_step"] > 0
    assert one["estimated_memory_bytes"] > 100 * 2**20
    after = base.pipeline.unet.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], before[name]) for name in before)
