"""The demo's photos and recipe: catalogue shots that this repository draws itself, and a short training on them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from shoesai.engine.specs import TrainSpec
from shoesai.starter import draw
from training.models import TrainingRun

DATASET = "demo catalogue"
RUN = "demo-catalogue"
PHOTOS = 48
# Low, because guidance multiplies small tints of a background as much as it sharpens a shoe.
GUIDANCE_SCALE = 1.5
RECIPE = TrainSpec(
    resolution=128,
    train_batch_size=8,
    gradient_accumulation_steps=1,
    learning_rate=1e-3,
    lr_scheduler="cosine",
    lr_warmup_steps=10,
    max_train_steps=300,
    checkpointing_steps=100,
    milestone_steps=100,
    validation_steps=150,
    validation_prompts=("a photo of a red leather sneaker", "a photo of a blue suede ankle boot"),
    validation_guidance_scale=GUIDANCE_SCALE,
    gradient_checkpointing=False,
    # With the empty caption the LoRA learns the white of unguided pictures too; else guidance leads away from it.
    caption_dropout=0.3,
    validation_fraction=0.25,  # so that the court asks only for what was never learned from
    seed=2026,
)


def _no_progress(done: int, total: int) -> None:
    pass


def draw_dataset(folder: Path, progress: Callable[[int, int], None] = _no_progress) -> None:
    """The seed's layout: images/100001.png … and captions.json, a list of {"image_file", "caption"}.

    Half of the captions do not mention the background, so that white becomes what is meant without saying it.
    """
    images = folder / "images"
    images.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(2026)
    captions = []
    for number in range(PHOTOS):
        progress(number, PHOTOS)
        name = f"{100001 + number}.png"
        shoe = draw.random_shoe(rng, background="white")
        draw.draw_catalogue(shoe, seed=number).save(images / name)
        captions.append({"image_file": name, "caption": draw.caption(shoe, rng, mention_background=number % 2 == 0)})
    (folder / "captions.json").write_text(json.dumps(captions, indent=1))


def free_run_name(wanted: str = RUN) -> str:
    taken = set(TrainingRun.objects.filter(name__startswith=wanted).values_list("name", flat=True))
    return next(name for n in range(1, 10_000) if (name := wanted if n == 1 else f"{wanted}-{n}") not in taken)
