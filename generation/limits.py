"""What a request may ask for: one row each. The service, the form, the API and the terminal read them here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from django.utils.translation import gettext as _

from shoesai.engine.specs import MAX_SEED
from shoesai.numbers import in_language

Number = TypeVar("Number", int, float)


@dataclass(frozen=True)
class Limit(Generic[Number]):
    low: Number
    high: Number
    step: int = 1

    def __contains__(self, value: float) -> bool:
        """NaN is in no range."""
        return self.low <= value <= self.high and (self.step == 1 or value % self.step == 0)

    def refusal(self) -> str:
        """Of a value outside, for people."""
        if self.step > 1:
            words = _("must be a multiple of %(step)s between %(low)s and %(high)s.")
        else:
            words = _("must be between %(low)s and %(high)s.")
        return words % {"step": self.step, "low": in_language(str(self.low)), "high": in_language(str(self.high))}

    def __str__(self) -> str:
        """For the terminal."""
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
