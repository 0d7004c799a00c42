"""What goes into the engine: frozen, versioned, torch-free dataclasses, JSON both ways.

A *spec* says what is wanted and is saved with the run or the picture, so that it can be made again; it holds no path.
*Inputs* say where the bytes lie on this machine at this moment, and are never saved.
"""

from __future__ import annotations

import dataclasses
import json
import math
import types
import typing
from dataclasses import dataclass, field
from typing import Any, Self

MAX_SEED = 2**64 - 1


class SpecError(ValueError):
    """A spec that cannot be meant: names the field and what is allowed."""

    def __init__(self, field_name: str, message: str) -> None:
        super().__init__(f"{field_name}: {message}")
        self.field_name = field_name
        self.message = message


class Spec:
    """JSON both ways for the dataclasses below; unknown keys are refused, so a typo never trains with defaults."""

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)  # type: ignore[call-overload]

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), sort_keys=True, allow_nan=False)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Raises SpecError for an unknown key, a missing one, or a value of another type."""
        hints = typing.get_type_hints(cls)
        known = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
        for key in data:
            if key not in known:
                raise SpecError(key, f"is not a setting of {cls.__name__}; known are {', '.join(sorted(known))}")
        try:
            return cls(**{key: _coerce(key, value, hints[key]) for key, value in data.items()})
        except TypeError as error:
            raise SpecError(cls.__name__, str(error)) from error


def _coerce(name: str, value: Any, hint: Any) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise SpecError(name, "must be a list")
        return tuple(_coerce(f"{name}[{i}]", item, arguments[0]) for i, item in enumerate(value))
    if origin in (typing.Union, types.UnionType):
        if value is None:
            return None
        return _coerce(name, value, next(a for a in arguments if a is not type(None)))
    if dataclasses.is_dataclass(hint):
        return hint.from_dict(value) if isinstance(value, dict) else value  # type: ignore[union-attr]
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    expected = origin or hint
    if not isinstance(value, expected) or (isinstance(value, bool) and expected is not bool):
        raise SpecError(name, f"must be of type {expected.__name__}, not {type(value).__name__}")
    return value


def _require(name: str, condition: bool, allowed: str) -> None:
    if not condition:
        raise SpecError(name, f"must be {allowed}")


@dataclass(frozen=True)
class ImageUnit(Spec):
    """One picture of a request. A restart makes only the units that are still missing."""

    seq: int
    seed: int

    def __post_init__(self) -> None:
        _require("seed", 0 <= self.seed <= MAX_SEED, f"between 0 and {MAX_SEED}")


@dataclass(frozen=True)
class GenerateSpec(Spec):
    """One generation request. `scheduler` is a diffusers class name with the keyword arguments of its row."""

    prompt: str
    width: int
    height: int
    images: tuple[ImageUnit, ...]
    negative_prompt: str = ""
    num_inference_steps: int = 50
    guidance_scale: float = 7.5
    scheduler: str = "DDIMScheduler"
    scheduler_options: dict[str, Any] = field(default_factory=dict)
    lora_weights: tuple[float, ...] = ()
    preview_every: int = 0
    version: int = 1

    def __post_init__(self) -> None:
        _require("num_inference_steps", 1 <= self.num_inference_steps <= 150, "between 1 and 150")
        _require("guidance_scale", math.isfinite(self.guidance_scale) and 0 <= self.guidance_scale <= 30,
                 "between 0 and 30")
        for name in ("width", "height"):
            size = getattr(self, name)
            _require(name, 64 <= size <= 2048 and size % 8 == 0, "a multiple of 8 between 64 and 2048")
        for weight in self.lora_weights:
            _require("lora_weights", math.isfinite(weight) and -4 <= weight <= 4, "between -4 and 4")


@dataclass(frozen=True)
class GenerateInputs(Spec):
    """Where the base model (a diffusers folder), the LoRA files (one per weight of the spec) and the output lie."""

    base_model: str
    output_dir: str
    loras: tuple[str, ...] = ()


@dataclass(frozen=True)
class TrainSpec(Spec):
    """The LoRA recipe; names and defaults are those of the diffusers training script that the seed grew from.

    The LoRA paper is arXiv 2106.09685: W' = W + (lora_alpha / rank) B A, on the attention projections of the UNet.
    """

    resolution: int = 512
    train_batch_size: int = 2
    gradient_accumulation_steps: int = 8
    learning_rate: float = 1e-4
    lr_warmup_steps: int = 500
    max_train_steps: int = 3000
    checkpointing_steps: int = 500
    validation_steps: int = 500
    validation_prompts: tuple[str, ...] = ()
    rank: int = 8
    lora_alpha: int = 16
    gradient_checkpointing: bool = True
    max_grad_norm: float = 1.0
    adam_weight_decay: float = 1e-2
    caption_dropout: float = 0.0
    seed: int = 42
    version: int = 1

    def __post_init__(self) -> None:
        _require("resolution", 64 <= self.resolution <= 2048 and self.resolution % 8 == 0,
                 "a multiple of 8 between 64 and 2048")
        for name in ("train_batch_size", "gradient_accumulation_steps", "max_train_steps", "checkpointing_steps",
                     "rank", "lora_alpha"):
            _require(name, getattr(self, name) >= 1, "1 or more")
        for name in ("lr_warmup_steps", "validation_steps"):
            _require(name, getattr(self, name) >= 0, "0 or more")
        _require("learning_rate", math.isfinite(self.learning_rate) and 0 < self.learning_rate <= 1,
                 "above 0 and at most 1")
        _require("max_grad_norm", math.isfinite(self.max_grad_norm) and self.max_grad_norm > 0, "above 0")
        _require("adam_weight_decay", 0 <= self.adam_weight_decay <= 1, "between 0 and 1")
        _require("caption_dropout", 0 <= self.caption_dropout < 1, "at least 0 and below 1")
        _require("seed", 0 <= self.seed <= MAX_SEED, f"between 0 and {MAX_SEED}")


@dataclass(frozen=True)
class PhotoInput(Spec):
    path: str
    caption: str


@dataclass(frozen=True)
class TrainInputs(Spec):
    """`resume_from` is the training state (`*.state.safetensors`) of the last complete checkpoint, or None."""

    base_model: str
    photos: tuple[PhotoInput, ...]
    output_dir: str
    resume_from: str | None = None
