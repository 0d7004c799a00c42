"""Keyset pages: a page begins after a picture, so nothing shifts when new ones come, and page 10,000 costs what page
one does. The condition `a <= x AND (a < x OR …)` says the same as `a < x OR (a = x AND …)` and lets an index be used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db.models import F, FilteredRelation, Q, QuerySet
from django.http import QueryDict
from django.utils.translation import gettext_lazy as _

from gallery.models import CollectionItem, Judgement
from generation.models import GeneratedImage
from shoesai.models import User

if TYPE_CHECKING:
    from gallery.filters import ImageFilter

PAGE = 60
SORTS = {
    "collection": _("The collection's order"),  # only inside one
    "newest": _("Newest first"),
    "oldest": _("Oldest first"),
    "rating": _("Best rated first"),
}


@dataclass(frozen=True)
class Page:
    """`cursor` is the picture that it begins after, if it does not begin at the beginning."""

    images: list[GeneratedImage]
    more: bool
    cursor: UUID | None = None

    @property
    def next(self) -> UUID | None:
        """The cursor of the page after this one."""
        return self.images[-1].pk if self.more else None


def sorted_by(
    sort: str, user: User, images: QuerySet[GeneratedImage], collection: UUID | None = None
) -> QuerySet[GeneratedImage]:
    """`rating` shows only what the user has rated, and `collection` only what lies in it: nothing else has a place."""
    if sort == "oldest":
        return images.order_by("created_at", "id")
    if sort == "collection":
        here = FilteredRelation("collection_items", condition=Q(collection_items__collection=collection))
        collected = images.alias(here=here).filter(here__isnull=False)
        return collected.annotate(place=F("here__position")).order_by("place", "id")
    if sort == "rating":
        mine = Q(judgements__user=user, judgements__rating__isnull=False)
        rated = images.alias(mine=FilteredRelation("judgements", condition=mine)).filter(mine__isnull=False)
        return rated.annotate(my_rating=F("mine__rating")).order_by("-my_rating", "-created_at", "-id")
    return images.order_by("-created_at", "-id")


def page_asked(narrowed: ImageFilter, given: QueryDict) -> Page:
    """Pages lead on by `cursor` and back by `before`."""
    if before := given.get("before"):
        return page_before(narrowed, before, PAGE)
    return page_of(narrowed, given.get("cursor"), PAGE)


def page_of(
    narrowed: ImageFilter, cursor: str | UUID | None, size: int = PAGE, related: Sequence[str] = ()
) -> Page:
    """The pictures after the one that `cursor` names; from the beginning when it names none that is there.

    `related` is fetched with them. First which ones, on the index alone, then their rows: a database that has to look
    at thousands to find sixty should not carry everything along that a tile shows.
    """
    images = narrowed.bare
    last = _place(narrowed, cursor)
    if last:
        images = _beyond(images, narrowed.order, last)
    found = list(images.values_list("pk", flat=True)[: size + 1])
    return Page(narrowed.shown(found[:size], related), len(found) > size, last.id if last else None)


def page_before(narrowed: ImageFilter, image: str | UUID, size: int = PAGE) -> Page:
    """The pictures just before the one that `image` names, in the filter's order; the first ones where none are."""
    here = _place(narrowed, image)
    if here is None:
        return page_of(narrowed, None, size)
    earlier = _beyond(narrowed.bare.reverse(), narrowed.order, here, backwards=True)
    found = list(earlier.values_list("pk", flat=True)[: size + 1])
    if not found:
        return page_of(narrowed, None, size)
    return Page(narrowed.shown(found[size - 1 :: -1]), True, found[size] if len(found) > size else None)


def neighbours(
    narrowed: ImageFilter, image: GeneratedImage
) -> tuple[GeneratedImage | None, GeneratedImage | None]:
    """The pictures before and after one, in the order and within the limits of the filter."""
    here = _place(narrowed, image.pk)
    if here is None:  # it is not in the collection that the address names
        return None, None
    after = _beyond(narrowed.bare, narrowed.order, here).values_list("pk", flat=True).first()
    before = _beyond(narrowed.bare.reverse(), narrowed.order, here, backwards=True).values_list("pk", flat=True).first()
    shown = narrowed.shown([pk for pk in (before, after) if pk])
    found: dict[UUID | None, GeneratedImage] = {image.pk: image for image in shown}
    return found.get(before), found.get(after)


@dataclass(frozen=True)
class _Place:
    created_at: Any
    id: UUID
    rating: int = 0
    position: int = 0


def _place(narrowed: ImageFilter, cursor: str | UUID | None) -> _Place | None:
    """Where a picture stands in the order, even if it has gone into the trash meanwhile."""
    try:
        pk = cursor if isinstance(cursor, UUID) else UUID(cursor or "")
    except ValueError:
        return None
    found = GeneratedImage.objects.filter(pk=pk).values_list("created_at", "id").first()
    if found is None:
        return None
    if narrowed.order == "collection":
        items = CollectionItem.objects.filter(collection=narrowed.of_collection, image=pk)
        position = items.values_list("position", flat=True).first()
        return None if position is None else _Place(found[0], found[1], position=position)
    rating = Judgement.objects.filter(user=narrowed.user, image=pk).values_list("rating", flat=True).first()
    return _Place(found[0], found[1], rating=rating or 0)


def _beyond(
    images: QuerySet[GeneratedImage], sort: str, place: _Place, *, backwards: bool = False
) -> QuerySet[GeneratedImage]:
    sign = "gt" if (sort in ("oldest", "collection")) != backwards else "lt"
    if sort == "collection":
        further = Q(**{f"place__{sign}": place.position}) | Q(**{f"id__{sign}": place.id})
        return images.filter(further, **{f"place__{sign}e": place.position})
    further = Q(**{f"created_at__{sign}": place.created_at}) | Q(**{f"id__{sign}": place.id})
    in_time = Q(**{f"created_at__{sign}e": place.created_at}) & further
    if sort != "rating":
        return images.filter(in_time)
    ranked = Q(**{f"my_rating__{sign}": place.rating}) | in_time
    return images.filter(ranked, **{f"my_rating__{sign}e": place.rating})
