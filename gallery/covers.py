"""Collections as a list shows them: the first pictures of each and how many it holds, of what the user sees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import OuterRef, QuerySet, Subquery, UUIDField

from gallery.facets import capped_counts
from gallery.models import Collection, CollectionItem
from generation.models import GeneratedImage, Shelf
from shoesai.models import User

ON_A_COVER = 4


@dataclass(frozen=True)
class Cover:
    """`number` is exact up to 10,000."""

    collection: Collection
    images: list[GeneratedImage]
    number: int


def with_covers(user: User, collections: QuerySet[Collection]) -> QuerySet[Any]:
    """Each picture of a cover is one look into an index; whoever comes after reads them with `covers_of`."""
    first = _seen_by(user).filter(collection=OuterRef("pk")).order_by("position", "id").values("image")
    covers = {
        f"cover_{place}": Subquery(first[place : place + 1], output_field=UUIDField()) for place in range(ON_A_COVER)
    }
    return collections.select_related("owner", "team").annotate(**covers)


def covers_of(user: User, collections: list[Any]) -> list[Cover]:
    """For one page of `with_covers`, in two queries."""
    keys = {key for collection in collections for key in _keys(collection)}
    images = GeneratedImage.objects.in_bulk(keys)
    numbers = capped_counts(_seen_by(user).filter(collection=collection) for collection in collections)
    return [
        Cover(collection, [images[key] for key in _keys(collection) if key in images], number)
        for collection, number in zip(collections, numbers, strict=True)
    ]


def _seen_by(user: User) -> QuerySet[CollectionItem]:
    return CollectionItem.objects.filter(image__shelf__in=Shelf.objects.visible_to(user))


def _keys(collection: Any) -> list[UUID]:
    keys = (getattr(collection, f"cover_{place}") for place in range(ON_A_COVER))
    return [key for key in keys if key]
