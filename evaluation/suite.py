"""The frozen suite that models are judged on: prompts × seeds, the same for every model that is compared.

Prompts are captions of photos that a run has never learned from; where those are too few, captions that it has learned
from fill up, since a prompt may be known and a picture not. The second suite shares neither prompt nor seed with the
first: what was chosen on one is looked at on the other.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Self

from training.holdout import held_out, kin_of
from training.models import DatasetVersion, Photo, TrainingRun

PROMPTS: Final = 12
SEEDS: Final = 2
FIRST_SEED, SECOND_SEED = 7_000, 9_000  # of the first and of the second suite


@dataclass(frozen=True)
class Unit:
    """One picture of a suite."""

    seq: int
    prompt: str
    seed: int


@dataclass(frozen=True)
class Suite:
    """`known_prompts` counts those whose caption a run may have learned from."""

    prompts: tuple[str, ...]
    seeds: tuple[int, ...]
    width: int
    height: int
    num_inference_steps: int = 50
    guidance_scale: float = 7.5
    scheduler: str = "ddim"
    known_prompts: int = 0

    @property
    def sha256(self) -> str:
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

    def units(self) -> Iterator[Unit]:
        for place, prompt in enumerate(self.prompts):
            for number, seed in enumerate(self.seeds):
                yield Unit(place * len(self.seeds) + number, prompt, seed + place * 100)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        return cls(**{**data, "prompts": tuple(data["prompts"]), "seeds": tuple(data["seeds"])})


@dataclass(frozen=True)
class Sides:
    """The photos of a run's version: what it learned from, and what it has never seen."""

    learned: list[Photo]
    unseen: list[Photo]


def sides_of(run: TrainingRun) -> Sides:
    """Empty for a run that was imported: nobody knows its photos."""
    if run.dataset_version is None:
        return Sides([], [])
    return sides_in(run.dataset_version, run.spec.get("validation_fraction", 0.0), run.spec.get("seed", 0))


def sides_in(version: DatasetVersion, fraction: float = 0.0, seed: int = 0) -> Sides:
    """Without a `fraction` only what the version itself holds out is unseen."""
    photos = list(version.photos.present().order_by("position"))
    unseen = held_out(photos, fraction, seed)
    away = unseen | kin_of(photos, unseen)
    return Sides(
        [photo for photo in photos if photo.blob_id not in away],
        [photo for photo in photos if photo.blob_id in unseen],
    )


def two_suites(
    sides: Sides, resolution: int, guidance_scale: float, *, prompts: int = PROMPTS, seeds: int = SEEDS,
    num_inference_steps: int = 50, scheduler: str = "ddim",
) -> tuple[Suite, Suite]:  # fmt: skip
    """The one that is chosen on, and the one that is not looked at before.

    Raises ValueError where there is no caption at all.
    """
    unseen = _captions(sides.unseen)
    known = [caption for caption in _captions(sides.learned) if caption not in unseen]
    if not unseen and not known:
        raise ValueError("no photo has a caption, so there is nothing to ask for")

    def suite(first: int, chosen: Sequence[str]) -> Suite:
        return Suite(
            prompts=tuple(chosen),
            seeds=tuple(first + number for number in range(seeds)),
            width=resolution,
            height=resolution,
            num_inference_steps=num_inference_steps,
            guidance_scale=guidance_scale,
            scheduler=scheduler,
            known_prompts=sum(caption in known for caption in chosen),
        )

    # Alternating, so that both have their share of the captions that nobody has learned from.
    dealt = [*unseen, *known]
    one, other = dealt[0::2][:prompts], dealt[1::2][:prompts]
    return suite(FIRST_SEED, one), suite(SECOND_SEED, other or one)


def _captions(photos: Sequence[Photo]) -> list[str]:
    """Different ones in an order that has nothing to do with that of the photos."""
    captions = {photo.caption.strip() for photo in photos if photo.caption.strip() and not photo.depth}
    return sorted(captions, key=lambda caption: hashlib.sha256(caption.encode()).hexdigest())
