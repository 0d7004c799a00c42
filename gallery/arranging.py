"""Putting pictures in order: article and view of one's own, whom they are shared with, and collections.

Whoever sees a team's collection may add, take out and reorder; its name, whom it is for and its end are its owner's.
Nothing here widens what anybody sees but by the owner of a picture: adding to a team's collection shares the adder's
own private pictures with that team, and leaves out pictures of others that the team does not see.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import F, Max, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from gallery.judging import Images, keys_of
from gallery.models import Collection, CollectionItem
from generation import shelves
from generation.models import GeneratedImage, Generation, View
from shoesai.models import Team, User


# --- what only its owner may say of a picture -----------------------------------------------------------------------
def set_sku(user: User, images: Images, sku: str) -> int:
    """Returns how many are the user's own; only those change."""
    text = sku.strip()
    longest = GeneratedImage._meta.get_field("sku").max_length or 0
    if len(text) > longest or not text.isprintable():
        raise ValidationError(_("An SKU is one line of at most %(number)d characters.") % {"number": longest})
    return _own(user, images).update(sku=text)


def set_view(user: User, images: Images, view: str) -> int:
    if view and view not in View.values:
        raise ValidationError(_("“%(view)s” is no view; choose one of the list.") % {"view": view})
    return _own(user, images).update(view=view)


def share(user: User, images: Images, team: Team) -> int:
    """Returns how many the team sees now that it did not see before."""
    with transaction.atomic():
        number = shelves.hand_over(images.filter(owner=user), team)
        pictures = GeneratedImage.objects.filter(owner=user, team=team)
        Generation.objects.filter(owner=user, team=None, pk__in=pictures.values("generation")).update(team=team)
    return number


def keep_private(user: User, images: Images) -> int:
    """A request of which no picture is shared any more is nobody else's business either."""
    with transaction.atomic():
        number = shelves.hand_over(images.filter(owner=user), None)
        shared = Generation.objects.filter(owner=user, team__isnull=False, images__isnull=False)
        pictures = GeneratedImage.objects.filter(owner=user, team__isnull=False)
        shared.exclude(pk__in=pictures.values("generation")).update(team=None)
    return number


def _own(user: User, images: Images) -> Images:
    return GeneratedImage.objects.filter(owner=user, pk__in=images.order_by().values("pk")).order_by()


def team_of(user: User, key: str) -> Team:
    """The team that a form names, or the only sensible one. Raises ValidationError."""
    teams = user.teams.filter(pk=UUID(key)) if _is_key(key) else user.teams.none()
    team = teams.first() if key else user.home_team()
    if team is None:
        raise ValidationError(_("You are in no such team, so there is nobody to share with."))
    return team


def _is_key(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


# --- collections ------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Added:
    """How many are new in the collection, were shared for it, and had to stay out."""

    new: int
    shared: int
    left_out: int


def in_collection(user: User, collection: Collection) -> QuerySet[Any]:
    """What this user may see of a collection, in its order; each picture knows its `place`."""
    mine = GeneratedImage.objects.visible_to(user).filter(collection_items__collection=collection)
    return mine.annotate(place=F("collection_items__position")).order_by("place", "pk")


def create_collection(user: User, name: str, *, description: str = "", team: Team | None = None) -> Collection:
    """Raises ValidationError when the name is taken or none."""
    collection = Collection(owner=user, team=team, name=" ".join(name.split()), description=description.strip())
    _save(collection)
    return collection


def change_collection(collection: Collection, *, name: str, description: str) -> None:
    collection.name, collection.description = " ".join(name.split()), description.strip()
    _save(collection)


def _save(collection: Collection) -> None:
    collection.updated_at = timezone.now()
    collection.full_clean(exclude=["owner", "team"], validate_unique=False, validate_constraints=False)
    try:
        with transaction.atomic():
            collection.save()
    except IntegrityError as error:
        taken = _("You have a collection called “%(name)s” already; choose another name.") % {"name": collection.name}
        raise ValidationError({"name": taken}) from error


def add(user: User, collection: Collection, images: Images) -> Added:
    """At the end, in the order of `images`. What is there already keeps its place."""
    with _changing(collection) as locked:
        before, position = locked.items.count(), locked.items.aggregate(last=Max("position"))["last"] or 0
        shared, left_out = 0, 0
        for keys in keys_of(images):
            some = GeneratedImage.objects.filter(pk__in=keys)
            if locked.team:
                shared += share(user, some.filter(team=None), locked.team)
            fitting = _seen_by_team(locked, some)
            left_out += len(keys) - len(fitting)
            _append(user, locked, [key for key in keys if key in fitting], position)
            position += len(keys)
        return Added(locked.items.count() - before, shared, left_out)


def _seen_by_team(collection: Collection, images: Images) -> set[UUID]:
    seen = images.filter(team=collection.team) if collection.team else images
    return set(seen.values_list("pk", flat=True))


def _append(user: User, collection: Collection, keys: list[UUID], position: int) -> None:
    items = [
        CollectionItem(collection=collection, image_id=key, position=position + number, added_by=user)
        for number, key in enumerate(keys, 1)
    ]
    CollectionItem.objects.bulk_create(items, ignore_conflicts=True)


@contextmanager
def _changing(collection: Collection) -> Iterator[Collection]:
    """One change at a time, so that no two pictures get the same place."""
    with transaction.atomic():
        locked = Collection.objects.select_for_update(of=("self",)).select_related("team").get(pk=collection.pk)
        yield locked
        Collection.objects.filter(pk=collection.pk).update(updated_at=timezone.now())


def take_out(collection: Collection, images: Images) -> int:
    with _changing(collection) as locked:
        number, _kinds = locked.items.filter(image__in=images.order_by().values("pk")).delete()
    return number


def move(collection: Collection, image: GeneratedImage, *, before: GeneratedImage | None) -> None:
    """Puts one picture before another one, or at the end. What is not in it any more moves nothing."""
    with _changing(collection) as locked:
        if before == image:
            return
        if before is None:
            place = (locked.items.aggregate(last=Max("position"))["last"] or 0) + 1
        else:
            place = locked.items.filter(image=before).values_list("position", flat=True).first()
            if place is None:
                return
            locked.items.filter(position__gte=place).update(position=F("position") + 1)
        locked.items.filter(image=image).update(position=place)


def step(user: User, collection: Collection, image: GeneratedImage, by: int) -> None:
    """One place earlier (-1) or later (1) among what this user sees."""
    order = in_collection(user, collection)
    here = order.filter(pk=image.pk).first()
    if here is None:
        return
    if by < 0:
        other = order.filter(place__lt=here.place).last()
        if other:
            move(collection, image, before=other)
        return
    after = list(order.filter(place__gt=here.place)[:2])
    if after:
        move(collection, image, before=after[1] if len(after) > 1 else None)


def share_collection(collection: Collection, team: Team | None) -> int:
    """Shows it to a team or to nobody else; returns how many of its owner's pictures that shares with the team.

    Keeping it private again leaves the pictures as they are: they may be shared for other reasons.
    """
    with transaction.atomic():
        number = 0
        if team:
            items = collection.items.values("image")
            number = share(collection.owner, GeneratedImage.objects.filter(pk__in=items, team=None), team)
        collection.team = team
        collection.save(update_fields=["team"])
    return number


def collections_for(user: User) -> QuerySet[Collection]:
    """What this user may put pictures into, by name."""
    return Collection.objects.visible_to(user).select_related("team", "owner").order_by("name")
