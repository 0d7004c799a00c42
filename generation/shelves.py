"""Putting pictures on shelves and taking them off, so that the numbers of shelves and stacks stay true.

A picture's shelf and those numbers change in one transaction.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from datetime import date
from itertools import islice
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Count, F, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce, TruncDate
from django.utils.timezone import localdate

from generation.models import GeneratedImage, Generation, Shelf, Stack
from shoesai.models import Team


def shelf_for(generation: Generation, team: Team | None, width: int, height: int) -> Shelf:
    """The shelf of a generation's pictures while they are shared with `team`; made when it is the first."""
    first = next(iter(generation.loras.all()), None)
    run = first.checkpoint.run if first else None
    same: dict[str, Any] = {
        "owner_id": generation.owner_id,
        "team_id": team.pk if team else None,
        "base_model_id": generation.base_model_id,
        "checkpoint_id": first.checkpoint_id if first else None,
        "dataset_id": run.dataset_version.dataset_id if run and run.dataset_version else None,
        "scheduler": generation.scheduler,
        "num_inference_steps": generation.num_inference_steps,
        "width": width,
        "height": height,
    }
    return _shelf(same)


def _shelf(same: dict[str, Any]) -> Shelf:
    key = hashlib.sha256(json.dumps(same, sort_keys=True, default=str).encode()).hexdigest()
    return Shelf.objects.get_or_create(key=key, defaults=same)[0]


def _twin(shelf: Shelf, team: Team | None) -> Shelf:
    """Where the same pictures stand for another team."""
    same = {name: getattr(shelf, name) for name in SAME}
    return _shelf(same | {"team_id": team.pk if team else None})


SAME = (
    "owner_id", "team_id", "base_model_id", "checkpoint_id", "dataset_id", "scheduler", "num_inference_steps", "width",
    "height",
)  # fmt: skip
BATCH = 500
HANDED_OVER_AT_ONCE = 5000
_STANDING = ("pk", "generation", "shelf", "created_at")
Place = tuple[UUID, UUID, date]
"""Generation, shelf and day: where a stack stands."""


def place(images: Iterable[GeneratedImage]) -> None:
    """Puts pictures where their generation, team and size belong; what was in the trash is out of it."""
    with transaction.atomic():
        found = _locked(images)
        _add({place: -number for place, number in _numbers(found).items()})
        shelves: dict[Any, Shelf] = {}
        standing: dict[UUID, list[UUID]] = defaultdict(list)
        for image in found:
            like = (image.generation_id, image.team_id, image.width, image.height)
            if like not in shelves:
                shelves[like] = shelf_for(image.generation, image.team, image.width, image.height)
            image.shelf, image.trashed_at = shelves[like], None
            standing[shelves[like].pk].append(image.pk)
        for shelf, keys in standing.items():
            GeneratedImage.objects.filter(pk__in=keys).update(shelf=shelf, trashed_at=None)
        _add(_numbers(found))


def clear(images: QuerySet[GeneratedImage], **changes: Any) -> int:
    """Takes pictures off their shelves and sets `changes` on them; returns how many stood on one."""
    with transaction.atomic():
        standing = images.filter(shelf__isnull=False).order_by().select_for_update(of=("self",))
        found = list(standing.values_list(*_STANDING))
        places = Counter((generation, shelf, localdate(at)) for _pk, generation, shelf, at in found)
        _add({place: -number for place, number in places.items()})
        for start in range(0, len(found), BATCH):
            chosen = [row[0] for row in found[start : start + BATCH]]
            GeneratedImage.objects.filter(pk__in=chosen).update(shelf=None, **changes)
    return len(found)


def hand_over(images: QuerySet[GeneratedImage], team: Team | None) -> int:
    """Shares pictures with a team, or with nobody; returns how many that changed."""
    twins: dict[UUID, Shelf] = {}
    number = 0
    with transaction.atomic():
        keys = images.filter(shelf__isnull=False).values_list("pk", flat=True).iterator(chunk_size=HANDED_OVER_AT_ONCE)
        while some := list(islice(keys, HANDED_OVER_AT_ONCE)):
            number += _hand_over(GeneratedImage.objects.filter(pk__in=some).order_by(), team, twins)
    return number


def _hand_over(images: QuerySet[GeneratedImage], team: Team | None, twins: dict[UUID, Shelf]) -> int:
    """All the pictures of one shelf go to the same other one, which `twins` remembers."""
    standing = images.filter(shelf__isnull=False)
    standing = standing.exclude(shelf__team=team) if team else standing.filter(shelf__team__isnull=False)
    moving: dict[UUID, list[UUID]] = defaultdict(list)
    changes: Counter[Place] = Counter()
    for pk, generation, shelf, at in standing.select_for_update(of=("self",)).values_list(*_STANDING):
        if shelf not in twins:
            twins[shelf] = _twin(Shelf.objects.get(pk=shelf), team)
        moving[twins[shelf].pk].append(pk)
        day = localdate(at)
        changes.update({(generation, shelf, day): -1, (generation, twins[shelf].pk, day): 1})
    for target, keys in moving.items():
        GeneratedImage.objects.filter(pk__in=keys).update(team=team, shelf=target)
    _add(changes)
    return sum(len(keys) for keys in moving.values())


def counted(image: GeneratedImage) -> None:
    """One more, for a picture that was made with its shelf set."""
    with transaction.atomic():
        _add(_numbers([image]))


def _numbers(images: Iterable[GeneratedImage]) -> Counter[Place]:
    return Counter(
        (image.generation_id, image.shelf_id, localdate(image.created_at)) for image in images if image.shelf_id
    )


def recount() -> int:
    """Makes the numbers of shelves and stacks what stands there; returns how many were wrong."""
    standing = GeneratedImage.objects.filter(shelf__isnull=False).order_by()
    stacks = standing.annotate(day=TruncDate("created_at")).values_list("generation", "shelf", "day")
    with transaction.atomic():
        wrong = _recount_shelves(standing)
        right = {tuple(place): number for *place, number in stacks.annotate(Count("pk")).iterator()}
        for stack in Stack.objects.iterator():
            if right.get((stack.generation_id, stack.shelf_id, stack.day)) == stack.images:
                del right[stack.generation_id, stack.shelf_id, stack.day]
            else:
                stack.delete()
                wrong += 1
        _add_to_stacks(right)
    return wrong + len(right)


def _recount_shelves(standing: QuerySet[GeneratedImage]) -> int:
    here = standing.filter(shelf=OuterRef("pk")).values("shelf").annotate(number=Count("pk")).values("number")
    counted = Shelf.objects.annotate(number=Coalesce(Subquery(here), 0))
    wrong = list(counted.exclude(images=F("number")).select_for_update(of=("self",)).values_list("pk", "number"))
    for pk, right in wrong:
        Shelf.objects.filter(pk=pk).update(images=right)
    return len(wrong)


def _locked(images: Iterable[GeneratedImage]) -> list[GeneratedImage]:
    chosen = [image.pk for image in images]
    return list(
        GeneratedImage.objects.filter(pk__in=chosen)
        .select_related("generation", "team")
        .prefetch_related("generation__loras__checkpoint__run__dataset_version")
        .order_by("pk")
        .select_for_update(of=("self",))
    )


def _add(numbers: Mapping[Place, int]) -> None:
    """In the order of their keys, so that two transactions never wait for each other."""
    by_shelf: Counter[UUID] = Counter()
    for (_generation, shelf, _day), number in numbers.items():
        by_shelf[shelf] += number
    for shelf, number in sorted(by_shelf.items()):
        Shelf.objects.filter(pk=shelf).update(images=F("images") + number)
    _add_to_stacks(numbers)


def _add_to_stacks(numbers: Mapping[Place, int]) -> None:
    """Some hundred generations at a time, since a selection may hold a whole gallery."""
    places = sorted(numbers)
    for start in range(0, len(places), BATCH):
        chosen = places[start : start + BATCH]
        generations = {generation for generation, _shelf, _day in chosen}
        touched = Stack.objects.filter(generation__in=generations).order_by("pk").select_for_update()
        here = {(stack.generation_id, stack.shelf_id, stack.day): stack for stack in touched}
        missing = [place for place in chosen if place not in here]
        here |= _new_stacks(missing)
        for place in chosen:
            here[place].images += numbers[place]
        Stack.objects.bulk_create([here[place] for place in missing])
        Stack.objects.bulk_update([here[place] for place in chosen if place not in missing], ["images"])
        Stack.objects.filter(generation__in=generations, images=0).delete()


def _new_stacks(places: list[Place]) -> dict[Place, Stack]:
    prompts = dict(Generation.objects.filter(pk__in={place[0] for place in places}).values_list("pk", "prompt"))
    return {
        (generation, shelf, day): Stack(
            generation_id=generation, shelf_id=shelf, day=day, words=prompts[generation], images=0
        )
        for generation, shelf, day in places
    }
