"""Collections as a list shows them: the first pictures of each and how many it holds, of what the user sees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Count, IntegerField, OuterRef, QuerySet, Subquery, UUIDField
from django.db.models.functions import Coalesce

from gallery.models import Collection, CollectionItem
from generation.models import GeneratedImage
from shoesai.models import User

ON_A_COVER = 4


@dataclass(frozen=True)
class Cover:
    collection: Collection
    images: list[GeneratedImage]
    number: int


def with_covers(user: User, collections: QuerySet[Collection]) -> QuerySet[Any]:
    """Each picture of a cover is one look into an index; whoever comes after reads them with `covers_of`."""
    seen = CollectionItem.objects.filter(collection=OuterRef("pk"), image__in=GeneratedImage.objects.visible_to(user))
    first = seen.order_by("position", "id").values("image")
    number = seen.order_by().values("collection").annotate(number=Count("pk")).values("number")
    covers = {
        f"cover_{place}": Subquery(first[place : place + 1], output_field=UUIDField()) for place in range(ON_A_COVER)
    }
    return collections.select_related("owner", "team").annotate(
        number=Coalesce(Subquery(number, output_field=IntegerField()), 0), **covers
    )


def covers_of(collections: list[Any]) -> list[Cover]:
    """For one page of `with_covers`."""
    keys = {key for collection in collections for key in _keys(collection)}
    images = GeneratedImage.objects.in_bulk(keys)
    return [
        Cover(collection, [images[key] for key in _keys(collection) if key in images], collection.number)
        for collection in collections
    ]


def _keys(collection: Any) -> list[UUID]:
    keys = (getattr(collection, f"cover_{place}") for place in range(ON_A_COVER))
    return [key for key in keys if key]
