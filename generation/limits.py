"""What a request may ask for: one row each. The service, the form, the API and the terminal read them here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from shoesai.engine.specs import MAX_SEED

Number = TypeVar("Number", int, float)


@dataclass(frozen=True)
class Limit(Generic[Number]):
    low: Number
    high: Number
    step: int = 1

    def __contains__(self, value: float) -> bool:
        """NaN is in no range."""
        return self.low <= value <= self.high and (self.step == 1 or value % self.step == 0)

    def __str__(self) -> str:
        multiple = f"a multiple of {self.step} " if self.step > 1 else ""
        return f"{multiple}between {self.low} and {self.high}"


PROMPT_CHARACTERS = 2000
LORAS = 4
NUM_IMAGES = Limit(1, 10)
NUM_INFERENCE_STEPS = Limit(1, 150)
GUIDANCE_SCALE = Limit(0, 30)
SIDE = Limit(64, 1024, step=8)
LORA_WEIGHT = Limit(-2, 2)
STRENGTH = Limit(0.01, 1.0)
DEFAULT_STRENGTH = 0.6
REFERENCE_BYTES = 20 * 1024 * 1024
# The last picture's seed, seed + 9, must be a 64-bit number too.
SEED = Limit(0, MAX_SEED - (NUM_IMAGES.high - 1))
