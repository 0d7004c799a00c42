"""Two to four pictures beside each other: what they have in common, and where their settings and prompts part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from django.utils.formats import number_format
from django.utils.translation import gettext as _

from generation.models import GeneratedImage
from generation.schedulers import CHOICES

FEWEST, MOST = 2, 4
LETTERS = "ABCD"


@dataclass(frozen=True)
class Piece:
    """Some words of a prompt; `own` where another prompt does not have them."""

    text: str
    own: bool


@dataclass(frozen=True)
class Row:
    """One setting of all the pictures."""

    label: str
    values: Sequence[str]

    @property
    def differs(self) -> bool:
        return len(set(self.values)) > 1


@dataclass(frozen=True)
class WordsRow:
    """A prompt of all the pictures, in pieces."""

    label: str
    prompts: Sequence[Sequence[Piece]]

    @property
    def differs(self) -> bool:
        return any(piece.own for prompt in self.prompts for piece in prompt)


def words_row(label: str, texts: Sequence[str]) -> WordsRow:
    """The first is held against every other one, and every other one against the first."""
    first, *others = [text.split() for text in texts]
    own_in_first: set[int] = set()
    prompts = []
    for other in others:
        only_first, only_other = _unlike(first, other)
        own_in_first |= only_first
        prompts.append(_pieces(other, only_other))
    return WordsRow(label, [_pieces(first, own_in_first), *prompts])


def _unlike(one: Sequence[str], other: Sequence[str]) -> tuple[set[int], set[int]]:
    """Places of the words that the other one does not have there; commas and capitals make no difference."""
    matcher = SequenceMatcher(None, _bare(one), _bare(other), autojunk=False)
    changes = [code for code in matcher.get_opcodes() if code[0] != "equal"]
    left = {place for _tag, low, high, _low, _high in changes for place in range(low, high)}
    right = {place for _tag, _low, _high, low, high in changes for place in range(low, high)}
    return left, right


def _bare(words: Sequence[str]) -> list[str]:
    return [word.casefold().strip(",.;:") or word for word in words]


def _pieces(words: Sequence[str], own: set[int]) -> list[Piece]:
    pieces: list[Piece] = []
    for place, word in enumerate(words):
        if pieces and pieces[-1].own == (place in own):
            pieces[-1] = Piece(f"{pieces[-1].text} {word}", pieces[-1].own)
        else:
            pieces.append(Piece(word, place in own))
    return pieces


def rows_of(images: Sequence[GeneratedImage]) -> list[Row]:
    """The recipe's settings; those that no picture has are left out."""
    settings: dict[str, list[str]] = {
        _("Model"): [image.generation.model_name for image in images],
        _("LoRAs"): [_loras(image) for image in images],
        _("Seed"): [str(image.seed_number) for image in images],
        _("Steps"): [str(image.generation.num_inference_steps) for image in images],
        _("Guidance"): [_number(image.generation.guidance_scale) for image in images],
        _("Scheduler"): [dict(CHOICES).get(image.generation.scheduler, "") for image in images],
        _("Size"): [f"{image.width} × {image.height} px" for image in images],
        _("Reference"): [(image.generation.reference_id or "")[:12] for image in images],
        _("Strength"): [_number(image.generation.strength) for image in images],
    }
    return [Row(label, values) for label, values in settings.items() if any(values)]


def _loras(image: GeneratedImage) -> str:
    return ", ".join(f"{lora.checkpoint.name} × {_number(lora.weight)}" for lora in image.generation.extra_loras())


def _number(value: Any) -> str:
    return "" if value is None else str(number_format(f"{value:g}"))


def prompts_of(images: Sequence[GeneratedImage]) -> list[WordsRow]:
    rows = [words_row(_("Prompt"), [image.generation.prompt for image in images])]
    negative = [image.generation.negative_prompt for image in images]
    return [*rows, words_row(_("Negative prompt"), negative)] if any(negative) else rows
