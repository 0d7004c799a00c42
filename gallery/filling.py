"""Fills a gallery with as many pictures as are wanted, for trials and measurements: real rows, shared bytes.

Some makers of two teams, some runs and checkpoints, and two years of generations whose prompts, settings, ratings and
tags are spread unevenly, as people do it. The same seed makes the same gallery.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from io import BytesIO
from typing import Any

import numpy as np
from django.db import transaction
from django.db.models import F
from django.utils import timezone
from django.utils.timezone import localdate

from gallery.models import Judgement, Tag, Tagging
from gallery.passing import channels, trial_checks
from generation.models import GeneratedImage, Generation, GenerationLora, Shelf, Stack
from generation.schedulers import SCHEDULERS
from generation.shelves import shelf_for
from shoesai import files
from shoesai.models import Blob, Job, Membership, Team, User
from shoesai.starter import draw
from training.models import BaseModel, Checkpoint, Dataset, DatasetVersion, TrainingRun

MAKERS, RUNS, STEPS_OF_RUN = 12, 10, (100, 200, 300, 400)
PICTURES_DRAWN, SIDE, THUMBNAIL_SIDE = 48, 256, 192
CHUNK = 2_000
DAYS = 730
JUDGED, TAGGED = 0.005, 0.02  # shares of the pictures
PASS = (0.6, 0.01, 0.3, 0.95)  # shares that pass the channels, in their order
TAGS = ("hero", "draft", "retouch", "spring", "autumn", "outlet", "website", "print", "social", "approved", "rejected",
        "archive")  # fmt: skip


@dataclass(frozen=True)
class Habit:
    """Settings that somebody uses again and again."""

    scheduler: str
    num_inference_steps: int
    width: int
    height: int


@dataclass
class Studio:
    """What the pictures hang on, and the dice."""

    chance: random.Random
    numbers: np.random.Generator
    base: BaseModel
    viewer: User
    makers: list[User]
    teams: dict[Any, Team | None]
    checkpoints: list[Checkpoint]
    drawn: list[tuple[Blob, Blob, str]]
    tags: list[Tag]
    habits: dict[Any, list[Habit]] = field(default_factory=dict)
    shelves: dict[Any, Shelf] = field(default_factory=dict)


def fill(viewer: User, images: int, seed: int = 0) -> Iterator[int]:
    """Makes that many pictures, most of which `viewer` sees; yields how many there are after each chunk."""
    studio = _studio(viewer, seed)
    made = 0
    while made < images:
        with transaction.atomic():
            made += _chunk(studio, min(CHUNK, images - made))
        yield made


# --- what is there before the pictures ------------------------------------------------------------------------------
def _studio(viewer: User, seed: int) -> Studio:
    chance, numbers = random.Random(seed), np.random.default_rng(seed)
    base = BaseModel.objects.get(name="starter")
    ours, theirs = (Team.objects.get_or_create(name=name)[0] for name in ("Trial studio", "Other trial studio"))
    Membership.objects.get_or_create(team=ours, user=viewer)
    makers = [viewer]
    teams: dict[Any, Team | None] = {viewer.pk: ours}
    for number in range(1, MAKERS):
        maker, _new = User.objects.get_or_create(username=f"maker-{number:02}", defaults={"password": "!"})
        teams[maker.pk] = theirs if number >= MAKERS - 2 else ours
        Membership.objects.get_or_create(team=teams[maker.pk], user=maker)
        makers.append(maker)
    drawn = [_drawn(numbers, number) for number in range(PICTURES_DRAWN)]
    return Studio(
        chance, numbers, base, viewer, makers, teams,
        checkpoints=_checkpoints(base, viewer, ours, drawn[0][0]),
        drawn=drawn,
        tags=[Tag.objects.get_or_create(name=name)[0] for name in TAGS],
    )  # fmt: skip


def _drawn(numbers: np.random.Generator, number: int) -> tuple[Blob, Blob, str]:
    picture = draw.draw_catalogue(draw.random_shoe(numbers), seed=number, size=SIDE)
    png, webp = BytesIO(), BytesIO()
    picture.save(png, "PNG")
    picture.resize((THUMBNAIL_SIDE, THUMBNAIL_SIDE)).save(webp, "WEBP")
    colour = "#" + picture.resize((1, 1)).tobytes().hex()
    return files.publish(png.getvalue(), "image/png"), files.publish(webp.getvalue(), "image/webp"), colour


def _checkpoints(base: BaseModel, owner: User, team: Team, weights: Blob) -> list[Checkpoint]:
    checkpoints = []
    for number in range(RUNS):
        dataset, _new = Dataset.objects.get_or_create(owner=owner, name=f"trial photos {number % 4}")
        version, _new = DatasetVersion.objects.get_or_create(
            dataset=dataset, number=1, defaults={"content_hash": "0" * 64}
        )
        run, _new = TrainingRun.objects.get_or_create(
            name=f"trial-run-{number:02}",
            defaults={"owner": owner, "team": team, "base_model": base, "family": base.family,
                      "dataset_version": version, "state": TrainingRun.State.IMPORTED},
        )  # fmt: skip
        for step in STEPS_OF_RUN:
            same = {"family": base.family, "blob": weights, "rank": 8, "lora_alpha": 16}
            checkpoints.append(Checkpoint.objects.get_or_create(run=run, step=step, defaults=same)[0])
    return checkpoints


# --- the pictures ---------------------------------------------------------------------------------------------------
def _chunk(studio: Studio, wanted: int) -> int:
    jobs, generations, loras, stacks, pictures = [], [], [], [], []
    left = wanted
    while left:
        generation, lora = _generation(studio, min(left, studio.chance.choice((1, 2, 4, 4, 4, 6, 10))))
        jobs.append(generation.job)
        generations.append(generation)
        loras += [lora] if lora else []
        shelf = _shelf(studio, generation, lora)
        made = [_picture(studio, generation, shelf, seq) for seq in range(generation.num_images)]
        stacks += [_stack(generation, shelf, number)] if (number := sum(1 for one in made if one.shelf)) else []
        pictures += made
        left -= generation.num_images
    Job.objects.bulk_create(jobs, batch_size=CHUNK)
    Generation.objects.bulk_create(generations, batch_size=CHUNK)
    GenerationLora.objects.bulk_create(loras, batch_size=CHUNK)
    Stack.objects.bulk_create(stacks, batch_size=CHUNK)
    GeneratedImage.objects.bulk_create(pictures, batch_size=CHUNK)
    for shelf_id, number in Counter(picture.shelf_id for picture in pictures if picture.shelf_id).items():
        Shelf.objects.filter(pk=shelf_id).update(images=F("images") + number)
    _judge(studio, pictures)
    names = list(channels())
    trial_checks(
        pictures,
        [{name: studio.chance.random() < share for name, share in zip(names, PASS, strict=False)} for _ in pictures],
    )
    return wanted


def _generation(studio: Studio, images: int) -> tuple[Generation, GenerationLora | None]:
    chance = studio.chance
    owner = studio.makers[min(int(chance.expovariate(0.35)), MAKERS - 1)]
    team = studio.teams[owner.pk] if chance.random() < 0.9 else None
    at = timezone.now() - timedelta(days=DAYS * chance.random() ** 1.5)
    checkpoint = chance.choices(studio.checkpoints, range(1, len(studio.checkpoints) + 1))[0]
    trained = chance.random() < 0.7
    habit = chance.choices(_habits(studio, owner), (6, 3, 1))[0]
    generation = Generation(
        owner=owner,
        team=team,
        created_at=at,
        job=Job(owner=owner, team=team, kind="generate", lane="gpu", state=Job.State.SUCCEEDED, created_at=at,
                started_at=at, finished_at=at, announced_at=at, spec={"version": 1}),
        base_model=studio.base,
        model_name=checkpoint.name if trained else studio.base.name,
        prompt=draw.caption(draw.random_shoe(studio.numbers), studio.numbers),
        num_images=images,
        num_inference_steps=habit.num_inference_steps,
        guidance_scale=chance.choice((3.0, 5.0, 7.5)),
        seed=chance.randrange(2**32),
        width=habit.width,
        height=habit.height,
        scheduler=habit.scheduler,
    )  # fmt: skip
    lora = GenerationLora(generation=generation, checkpoint=checkpoint, position=0) if trained else None
    return generation, lora


def _habits(studio: Studio, owner: User) -> list[Habit]:
    """Three for each maker."""
    if owner.pk not in studio.habits:
        chance = studio.chance
        studio.habits[owner.pk] = [
            Habit(
                chance.choices(list(SCHEDULERS), range(len(SCHEDULERS), 0, -1))[0],
                chance.choices((25, 30, 50), (3, 1, 4))[0],
                *chance.choices(((512, 512), (512, 384), (384, 512)), (6, 3, 1))[0],
            )
            for _ in range(3)
        ]
    return studio.habits[owner.pk]


def _shelf(studio: Studio, generation: Generation, lora: GenerationLora | None) -> Shelf:
    """`shelf_for` looks at stored LoRAs; here they are not stored yet, so one generation of each kind asks for all."""
    kind = (
        generation.owner_id, generation.team_id, lora.checkpoint_id if lora else None, generation.scheduler,
        generation.num_inference_steps, generation.width, generation.height,
    )  # fmt: skip
    if kind not in studio.shelves:
        generation._prefetched_objects_cache = {"loras": [lora] if lora else []}  # type: ignore[attr-defined]
        studio.shelves[kind] = shelf_for(generation, generation.team, generation.width, generation.height)
    return studio.shelves[kind]


def _stack(generation: Generation, shelf: Shelf, images: int) -> Stack:
    return Stack(
        generation=generation, shelf=shelf, words=generation.prompt, images=images, day=localdate(generation.created_at)
    )


def _picture(studio: Studio, generation: Generation, shelf: Shelf, seq: int) -> GeneratedImage:
    original, thumbnail, colour = studio.chance.choice(studio.drawn)
    thrown_away = studio.chance.random() < 0.01
    return GeneratedImage(
        owner=generation.owner,
        team=generation.team,
        created_at=generation.created_at,
        generation=generation,
        seq=seq,
        seed=generation.first_seed + seq,
        blob=original,
        thumbnail=thumbnail,
        width=generation.width,
        height=generation.height,
        colour=colour,
        seconds=2.0,
        shelf=None if thrown_away else shelf,
        trashed_at=timezone.now() if thrown_away else None,
        sku=f"SH-{studio.chance.randrange(10_000):04}" if studio.chance.random() < 0.1 else "",
    )


def _judge(studio: Studio, pictures: list[GeneratedImage]) -> None:
    """Some of them starred and rated by the viewer, some tagged."""
    chance = studio.chance
    judged, tagged = [], []
    for picture in pictures:
        if chance.random() < JUDGED:
            rating = chance.choice((None, 2, 3, 4, 5))
            judged.append(Judgement(user=studio.viewer, image=picture, favourite=chance.random() < 0.5, rating=rating))
        if chance.random() < TAGGED:
            tagged.append(Tagging(tag=chance.choice(studio.tags), image=picture, added_by=studio.viewer))
    Judgement.objects.bulk_create(judged, batch_size=CHUNK)
    Tagging.objects.bulk_create(tagged, batch_size=CHUNK)
