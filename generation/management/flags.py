"""What the commands that make pictures read at a terminal: argparse puts the names into its messages."""

from __future__ import annotations

from generation.services import LoraChoice


def whole(text: str) -> int:
    number = int(text)
    if abs(number) > 2**64:  # Python's integers have no end, our numbers do
        raise ValueError(text)
    return number


whole.__name__ = "whole number"


def lora_choice(text: str) -> LoraChoice:
    name, colon, weight = text.rpartition(":")
    return LoraChoice(name, float(weight)) if colon else LoraChoice(text)


lora_choice.__name__ = "NAME:WEIGHT"
