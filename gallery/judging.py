"""What people think of pictures: their own star and rating, and tags that everybody who sees a picture shares.

Everything may be said twice, and of any number of pictures: they are walked through a thousand at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.utils.translation import gettext as _

from gallery.models import RATINGS, Judgement, Tag, Tagging
from generation.models import GeneratedImage, Shelf
from shoesai.models import User

AT_ONCE = 1000
Images = QuerySet[GeneratedImage]


def keys_of(images: Images) -> Iterator[list[UUID]]:
    """The pictures' keys in their own order, a thousand at a time."""
    keys = images.values_list("pk", flat=True).iterator(chunk_size=AT_ONCE)
    while some := list(islice(keys, AT_ONCE)):
        yield some


# --- star and rating --------------------------------------------------------------------------------------------
def judge(user: User, images: Images, *, favourite: bool | None = None, rating: int | None = None) -> None:
    """Sets what is given and leaves the rest; a rating of 0 takes it away."""
    if rating and rating not in RATINGS:
        raise ValidationError(_("A rating goes from %(low)d to %(high)d; 0 takes it away.") % _ends())
    changes: dict[str, Any] = {} if favourite is None else {"favourite": favourite}
    if rating is not None:
        changes["rating"] = rating or None
    with transaction.atomic():
        if any(changes.values()):
            _write_judgements(user, images, changes)
        elif changes:
            _take_back(user, images, changes)


def _ends() -> dict[str, int]:
    return {"low": RATINGS[0], "high": RATINGS[-1]}


def _write_judgements(user: User, images: Images, changes: dict[str, Any]) -> None:
    for keys in keys_of(images):
        Judgement.objects.bulk_create(
            [Judgement(user=user, image_id=key, **changes) for key in keys],
            update_conflicts=True,
            unique_fields=["user", "image"],
            update_fields=list(changes),
        )


def _take_back(user: User, images: Images, changes: dict[str, Any]) -> None:
    """A row that says nothing any more is no row."""
    mine = Judgement.objects.filter(user=user)
    mine.filter(image__in=images.order_by().values("pk")).update(**changes)
    mine.filter(favourite=False, rating=None).delete()


def judgement_of(user: User, image: GeneratedImage) -> Judgement:
    """Not saved where nothing was said."""
    return Judgement.objects.filter(user=user, image=image).first() or Judgement(user=user, image=image)


# --- tags -------------------------------------------------------------------------------------------------------
def tag_name(text: str) -> str:
    """Tags are one line in small letters, so that `Summer` and `summer ` are one. Raises ValidationError."""
    name = " ".join(text.split()).casefold()
    longest = Tag._meta.get_field("name").max_length or 0
    if not name or not name.isprintable():
        raise ValidationError(_("A tag is a word or a few; write one."))
    if len(name) > longest:
        raise ValidationError(_("A tag has at most %(number)d characters.") % {"number": longest})
    return name


def tag(user: User, images: Images, name: str) -> str:
    """Returns the tag as it is written."""
    with transaction.atomic():
        chosen, _new = Tag.objects.get_or_create(name=tag_name(name))
        for keys in keys_of(images):
            Tagging.objects.bulk_create(
                [Tagging(tag=chosen, image_id=key, added_by=user) for key in keys], ignore_conflicts=True
            )
    return chosen.name


def tags_seen_by(user: User) -> QuerySet[Tag, str]:
    """The names of tags that pictures of this user's gallery have."""
    seen = Tagging.objects.filter(tag=OuterRef("pk"), image__shelf__in=Shelf.objects.visible_to(user))
    return Tag.objects.filter(Exists(seen)).values_list("name", flat=True)


def untag(images: Images, name: str) -> str:
    """A tag that no picture has any more goes too."""
    wanted = tag_name(name)
    with transaction.atomic():
        Tagging.objects.filter(tag__name=wanted, image__in=images.order_by().values("pk")).delete()
        Tag.objects.filter(name=wanted, taggings__isnull=True).delete()
    return wanted
