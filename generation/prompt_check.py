"""What stands under a prompt while it is typed: how many prompts and pictures it means, and what the model reads."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from generation import limits
from generation.variations import BadTemplate, expand
from training.models import BaseModel
from training.tokens import Tokens, count_tokens


@dataclass
class PromptCheck:
    """`tokens` are those of the longest of the prompts."""

    prompts: list[str] = field(default_factory=list)
    images: int = 1
    problem: str = ""
    tokens: Tokens | None = None
    negative_tokens: Tokens | None = None

    @classmethod
    def of(cls, base: BaseModel | None, values: Mapping[str, Any]) -> Self:
        """From fields as they stand in the form, which may be anything, and the model's base."""
        prompt, negative = str(values.get("prompt") or ""), str(values.get("negative_prompt") or "")
        check = cls(images=_whole(values.get("num_images")))
        if max(len(prompt), len(negative)) > limits.PROMPT_CHARACTERS:
            return check  # refused anyway, and there for anybody to see
        try:
            check.prompts = expand(prompt)
        except BadTemplate as problem:
            check.problem = str(problem)
        if base:
            check.tokens = _longest([count_tokens(base, text) for text in check.prompts])
            check.negative_tokens = count_tokens(base, negative)
        return check

    @property
    def is_varied(self) -> bool:
        return len(self.prompts) > 1

    @property
    def pictures(self) -> int:
        return max(1, len(self.prompts)) * self.images


def _longest(counted: list[Tokens | None]) -> Tokens | None:
    return max((tokens for tokens in counted if tokens), key=lambda tokens: tokens.count, default=None)


def _whole(value: Any) -> int:
    """A number of images that can be asked for; 1 while something else is typed."""
    text = str(value)
    return int(text) if re.fullmatch(r"[0-9]{1,3}", text) and int(text) in limits.NUM_IMAGES else 1
