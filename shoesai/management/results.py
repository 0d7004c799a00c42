"""The pictures of docs/gallery.md: what is asked for, chapter by chapter, and what is measured on the answers."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from django.core.management.base import CommandError
from PIL import Image

from evaluation.catalogue_look import catalogue_look
from generation.schedulers import DEFAULT, SCHEDULERS
from generation.services import GenerationRequest
from shoesai.management.commands.build_starter import SIZE, WEIGHTS, attribute_names, run_engine
from shoesai.starter import draw

STABLE: Final = "ankle boots"  # the type that the starter draws best: colours are compared on it
TYPES_COLOUR: Final = "red"
SOME_COLOURS: Final = ("red", "yellow", "green", "blue")
SEEDS: Final = 6
SEEDS_ASK_FOR: Final = ("brown", "oxfords")
GUIDANCES: Final = (1.0, 1.5, 3.0, 7.5)
STRENGTHS: Final = (0.3, 0.5, 0.7, 0.9)
PHOTOGRAPHED: Final = draw.Shoe(STABLE, "grey", "suede", "white", "white")


@dataclass(frozen=True)
class Wish:
    """One picture, and what its prompt asks for. No prompt mentions a background."""

    request: GenerationRequest
    colour: str
    type: str

    def but(self, **changes: Any) -> Wish:
        return replace(self, request=replace(self.request, **changes))


@dataclass(frozen=True)
class Row:
    label: str
    wishes: Sequence[Wish]


@dataclass(frozen=True)
class Chapter:
    """One sheet: below each column stands its caption; `compares` says what differs from row to row."""

    name: str
    title: str
    compares: str
    captions: Sequence[str]
    rows: Sequence[Row]
    columns: int
    photo: Image.Image | None = None  # stands before each row: what its pictures started from

    def cut(self, most: int) -> Chapter:
        rows = [Row(row.label, row.wishes[:most]) for row in self.rows]
        return replace(self, captions=self.captions[:most], rows=rows)


@dataclass(frozen=True)
class Settings:
    """What all pictures have in common. `models` goes from the base model to the last checkpoint."""

    models: Sequence[str]
    steps: int
    guidance: float
    seed: int

    def wishes(self, shoes: Iterable[tuple[str, str]]) -> list[Wish]:
        """Of the last checkpoint; each has the next seed, because one seed would give all the same background."""
        return [self._wish(colour, kind, self.seed + number) for number, (colour, kind) in enumerate(shoes)]

    def _wish(self, colour: str, kind: str, seed: int) -> Wish:
        request = GenerationRequest(
            prompt=f"a photo of {colour} {kind}",
            model_name=self.models[-1],
            num_inference_steps=self.steps,
            guidance_scale=self.guidance,
            seed=seed,
        )
        return Wish(request, colour, kind)


def photo() -> Image.Image:
    """What the pictures of the last chapter start from: a catalogue photo that no training has seen."""
    return draw.draw_catalogue(PHOTOGRAPHED, seed=2027)


def chapters(settings: Settings, reference: str) -> list[Chapter]:
    """`reference` names the stored photo()."""
    types = settings.wishes((TYPES_COLOUR, kind) for kind in draw.TYPES)
    colours = settings.wishes((colour, STABLE) for colour in draw.COLOURS)
    seeds = settings.wishes([SEEDS_ASK_FOR] * SEEDS)
    some = types[::2]
    recoloured = [wish.but(reference=reference) for wish in settings.wishes((c, STABLE) for c in SOME_COLOURS)]
    return [
        Chapter("types", "By type", "models", _prompts(types), _by_model(settings, types), 4),
        Chapter("colours", "By colour", "models", _prompts(colours), _by_model(settings, colours), 6),
        Chapter(
            "seeds", "The same prompt and seed across training", "models", _prompts(seeds),
            _by_model(settings, seeds), 6,
        ),
        Chapter(
            "strength", "From a photo", "strengths", _prompts(recoloured),
            [Row(f"strength {each}", [w.but(strength=each) for w in recoloured]) for each in STRENGTHS],
            6, photo(),
        ),
        Chapter(
            "guidance", "Guidance", "guidance scales", _prompts(some),
            [Row(f"guidance {each:g}", [w.but(guidance_scale=each) for w in some]) for each in GUIDANCES], 6,
        ),
        Chapter(
            "schedulers", "Schedulers", "schedulers", _prompts(some),
            [Row(each.label, [w.but(scheduler=key) for w in some]) for key, each in SCHEDULERS.items()], 6,
        ),
    ]  # fmt: skip


def _prompts(wishes: Sequence[Wish]) -> list[str]:
    return [f"{wish.colour} {wish.type}, seed {wish.request.seed}" for wish in wishes]


def _by_model(settings: Settings, wishes: Sequence[Wish]) -> list[Row]:
    return [Row(short(model), [wish.but(model_name=model) for wish in wishes]) for model in settings.models]


def short(model: str) -> str:
    """`checkpoint-300` of `demo-catalogue/checkpoint-300`."""
    return model.rpartition("/")[2]


def as_command(request: GenerationRequest, reference: str) -> str:
    """The `generate` that makes this picture again; `reference` is the file that it may start from."""
    words = [
        f"generate --model {request.model_name} --prompt '{request.prompt}' --seed {request.seed}",
        f"--steps {request.num_inference_steps} --guidance {request.guidance_scale:g}",
        f"--scheduler {request.scheduler}" if request.scheduler != DEFAULT else "",
        f"--reference {reference} --strength {request.strength:g}" if request.strength else "",
    ]
    return " ".join(word for word in words if word)


# --- measuring --------------------------------------------------------------------------------------------------
Pictures = Mapping[GenerationRequest, Image.Image]


@dataclass(frozen=True)
class Figures:
    """How many of `pictures` have it."""

    pictures: int
    white: int
    colour: int
    type: int


def named_types(pictures: Pictures) -> dict[GenerationRequest, str]:
    """What the starter's small CLIP calls each. It is asked in a child, because it needs torch."""
    small = [np.asarray(picture.resize((SIZE, SIZE), Image.Resampling.LANCZOS)) for picture in pictures.values()]
    with tempfile.TemporaryDirectory(prefix="results-") as name:
        folder = Path(name)
        np.save(folder / "pictures.npy", np.stack(small))
        (folder / "names.json").write_text(json.dumps(attribute_names()), encoding="utf-8")
        if run_engine(["name", "--weights", str(WEIGHTS), "--folder", name]):
            raise CommandError("The small CLIP could not name the pictures; its last words are above.")
        answers = json.loads((folder / "answers.json").read_text(encoding="utf-8"))
    return dict(zip(pictures, answers["type"], strict=True))


def measured(wishes: Sequence[Wish], pictures: Pictures, types: Mapping[GenerationRequest, str]) -> Figures:
    look = catalogue_look(((pictures[wish.request], wish.colour) for wish in wishes), draw.COLOURS)
    right = sum(types[wish.request] == wish.type for wish in wishes)
    count = look.pictures
    return Figures(count, round(look.white_share * count), round(look.colour_share * count), right)


def by_model(book: Sequence[Chapter]) -> Iterator[Row]:
    """All pictures of each model in the chapters that compare models."""
    comparing = [chapter.rows for chapter in book if chapter.compares == "models"]
    for rows in zip(*comparing, strict=True):
        yield Row(rows[0].label, [wish for row in rows for wish in row.wishes])
