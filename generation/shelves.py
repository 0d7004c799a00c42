"""Putting pictures on shelves and taking them off, so that every shelf's number stays true.

Callers hold a transaction; each change of a picture's shelf and both shelves' numbers happen in it together.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Count, F, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce

from generation.models import GeneratedImage, Generation, Shelf
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
    key = hashlib.sha256(json.dumps(same, sort_keys=True, default=str).encode()).hexdigest()
    return Shelf.objects.get_or_create(key=key, defaults=same)[0]


def place(images: Iterable[GeneratedImage]) -> None:
    """Puts pictures where their generation, team and size belong; what was in the trash is out of it."""
    with transaction.atomic():
        found = _locked(images)
        _add({shelf: -number for shelf, number in Counter(i.shelf_id for i in found if i.shelf_id).items()})
        for image in found:
            image.shelf = shelf_for(image.generation, image.team, image.width, image.height)
            image.trashed_at = None
        GeneratedImage.objects.bulk_update(found, ["shelf", "trashed_at"], batch_size=500)
        _add(Counter(image.shelf_id for image in found if image.shelf_id))


def clear(images: QuerySet[GeneratedImage], **changes: Any) -> int:
    """Takes pictures off their shelves and sets `changes` on them; returns how many stood on one."""
    with transaction.atomic():
        standing = images.filter(shelf__isnull=False).order_by()
        ids = list(standing.select_for_update(of=("self",)).values_list("pk", "shelf_id"))
        _add({shelf: -number for shelf, number in Counter(shelf for _pk, shelf in ids if shelf).items()})
        for start in range(0, len(ids), 500):
            chosen = [pk for pk, _shelf in ids[start : start + 500]]
            GeneratedImage.objects.filter(pk__in=chosen).update(shelf=None, **changes)
    return len(ids)


def hand_over(images: QuerySet[GeneratedImage], team: Team | None) -> int:
    """Shares pictures with a team, or with nobody; returns how many that changed.

    Shelf by shelf, because all the pictures of one go to the same other one: a hundred thousand cost what ten do.
    """
    numbers: Counter[UUID] = Counter()
    with transaction.atomic():
        standing = GeneratedImage.objects.filter(pk__in=images.order_by().values("pk"), shelf__isnull=False).order_by()
        standing = standing.exclude(shelf__team=team) if team else standing.filter(shelf__team__isnull=False)
        for shelf in list(standing.values_list("shelf", flat=True).distinct()):
            here = standing.filter(shelf=shelf)
            some = here.select_related("generation").first()
            if some:  # else somebody was faster
                target = shelf_for(some.generation, team, some.width, some.height)
                moved = here.update(team=team, shelf=target)
                numbers.update({shelf: -moved, target.pk: moved})
        _add(numbers)
    return sum(number for number in numbers.values() if number > 0)


def counted(image: GeneratedImage) -> None:
    """One more, for a picture that was made with its shelf set."""
    if image.shelf_id:
        _add({image.shelf_id: 1})


def recount() -> int:
    """Sets every shelf's number to what stands on it; returns how many were wrong."""
    standing = GeneratedImage.objects.filter(shelf=OuterRef("pk")).order_by().values("shelf")
    number = Coalesce(Subquery(standing.annotate(number=Count("pk")).values("number")), 0)
    with transaction.atomic():
        wrong = Shelf.objects.annotate(number=number).exclude(images=F("number"))
        found = list(wrong.select_for_update(of=("self",)).values_list("pk", "number"))
        for pk, right in found:
            Shelf.objects.filter(pk=pk).update(images=right)
    return len(found)


def _locked(images: Iterable[GeneratedImage]) -> list[GeneratedImage]:
    chosen = [image.pk for image in images]
    return list(
        GeneratedImage.objects.filter(pk__in=chosen)
        .select_related("generation", "team")
        .prefetch_related("generation__loras__checkpoint__run__dataset_version")
        .order_by("pk")
        .select_for_update(of=("self",))
    )


def _add(numbers: dict[UUID, int]) -> None:
    """In the order of their keys, so that two transactions never wait for each other."""
    for shelf, number in sorted(numbers.items()):
        Shelf.objects.filter(pk=shelf).update(images=F("images") + number)
