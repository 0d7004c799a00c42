"""What the engine can be asked to do: one row an operation. Free of torch until one is performed."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

from shoesai.engine import specs
from shoesai.engine.progress import Emit, ShouldStop
from shoesai.engine.specs import SpecError


@dataclass(frozen=True)
class Operation:
    """`function(spec, inputs, emit, should_stop) -> result dict`, by its dotted name."""

    function: str
    spec: type[specs.Spec]
    inputs: type[specs.Spec]


OPERATIONS: dict[str, Operation] = {
    "generate": Operation("shoesai.engine.sampler.generate", specs.GenerateSpec, specs.GenerateInputs),
    "train": Operation("shoesai.engine.trainer.train", specs.TrainSpec, specs.TrainInputs),
    "measure": Operation("shoesai.engine.measuring.measure", specs.TrainSpec, specs.TrainInputs),
    "make_base": Operation("shoesai.engine.new_base.make_random", specs.RandomBaseSpec, specs.NewBaseInputs),
    "convert_base": Operation("shoesai.engine.new_base.convert", specs.BaseSpec, specs.NewBaseInputs),
    "copy_base": Operation("shoesai.engine.new_base.copy", specs.BaseSpec, specs.NewBaseInputs),
    "check_base": Operation("shoesai.engine.new_base.check", specs.BaseSpec, specs.BaseFolder),
    "merge_lora": Operation("shoesai.engine.merge.merge_lora", specs.MergeSpec, specs.MergeInputs),
    "check_lora": Operation("shoesai.engine.lora_check.check_lora", specs.CheckLoraSpec, specs.CheckLoraInputs),
    "caption": Operation("shoesai.engine.captioner.caption", specs.CaptionSpec, specs.CaptionInputs),
    "evaluate": Operation("shoesai.engine.evaluator.evaluate", specs.EvaluateSpec, specs.EvaluateInputs),
    "augment": Operation("shoesai.engine.augment.augment", specs.AugmentSpec, specs.AugmentInputs),
}


def perform(
    name: str, spec: dict[str, Any], inputs: dict[str, Any], emit: Emit, should_stop: ShouldStop
) -> dict[str, Any]:
    """Raises SpecError for an unknown operation or a spec that cannot be meant, and what the operation raises."""
    operation = OPERATIONS.get(name)
    if operation is None:
        raise SpecError("kind", f"must be one of {', '.join(OPERATIONS)}")
    module, _, function = operation.function.rpartition(".")
    perform_it = getattr(importlib.import_module(module), function)
    result: dict[str, Any] = perform_it(
        operation.spec.from_dict(spec), operation.inputs.from_dict(inputs), emit, should_stop
    )
    return result
