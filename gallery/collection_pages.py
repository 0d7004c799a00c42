"""Pages of a collection in its own order: each begins after a picture, as the gallery's do."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from gallery.arranging import in_collection
from gallery.filters import with_what_is_shown
from gallery.models import Collection
from gallery.paging import PAGE, Page
from generation.models import GeneratedImage
from shoesai.models import User


def page_in(
    user: User, collection: Collection, cursor: str | None, *, before: str | None = None, size: int = PAGE
) -> Page:
    """The pictures after the one that `cursor` names, or just before the one that `before` names."""
    images: QuerySet[Any] = with_what_is_shown(in_collection(user, collection), user)
    ahead, here = _place(collection, before), _place(collection, cursor)
    if ahead is not None:
        found = list(images.filter(place__lt=ahead).reverse()[: size + 1])
        return Page(found[size - 1 :: -1], True, found[size].pk if len(found) > size else None)
    if here is not None:
        return _first(images.filter(place__gt=here), size, UUID(cursor))
    return _first(images, size, None)


def _first(images: QuerySet[GeneratedImage], size: int, cursor: UUID | None) -> Page:
    found = list(images[: size + 1])
    return Page(found[:size], len(found) > size, cursor)


def _place(collection: Collection, key: str | None) -> int | None:
    try:
        image = UUID(key or "")
    except ValueError:
        return None
    return collection.items.filter(image=image).values_list("position", flat=True).first()
