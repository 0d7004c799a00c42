"""What a half-typed term of the search box could become: a key, or one of the values that its key has here.

Only what the user may see is offered: names come from the shelves, tags and collections that are visible to them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db.models import Exists, F, OuterRef, Q
from django.utils import timezone
from django.utils.translation import gettext as _

from gallery.models import RATINGS, Collection, Tag, Tagging
from gallery.searching import ALSO, DATES, IS, KEYS
from generation.models import GeneratedImage, Shelf, View
from generation.schedulers import SCHEDULERS
from shoesai.models import User
from training.models import Checkpoint

MAX_TEXT = 1000
OFFERED = 8
_TERM = re.compile(r'(?:[^\s"]|"[^"]*"?)+')

Values = Callable[[User, str], Iterable[Any]]


@dataclass(frozen=True)
class Offer:
    """`text` takes the term's place; `hint` says what it means."""

    text: str
    hint: str = ""
    example: str = ""


@dataclass(frozen=True)
class Completion:
    """The offers for what stands between two places of the text."""

    start: int
    end: int
    offers: list[Offer]


def completion_of(user: User, text: str, caret: int) -> Completion:
    found = next((term for term in _TERM.finditer(text) if term.start() < caret <= term.end()), None)
    if found is None:
        return Completion(caret, caret, _keys("", ""))
    typed = text[found.start() : caret]
    minus = "-" if typed.startswith("-") else ""
    key, colon, value = typed.removeprefix("-").partition(":")
    offers = _values(user, minus, key.lower(), value) if colon else _keys(minus, key)
    return Completion(found.start(), found.end(), offers)


def _keys(minus: str, typed: str) -> list[Offer]:
    wanted = typed.lower()
    return [
        Offer(f"{minus}{name}:", str(key.help), key.example) for name, key in KEYS.items() if name.startswith(wanted)
    ]


def _values(user: User, minus: str, key: str, typed: str) -> list[Offer]:
    """After `a|` the second value of the term is completed."""
    name = ALSO.get(key, key)
    if name not in VALUES:
        return []
    before, bar, last = typed.rpartition("|")
    wanted = last.strip('"').replace("\x00", "")
    values = [str(value) for value in VALUES[name](user, wanted)]
    fitting = [value for value in values if value.lower().startswith(wanted.lower()) and value.lower() != last.lower()]
    return [Offer(f"{minus}{key}:{before}{bar}{_quoted(value)}", _hint(name, value)) for value in fitting[:OFFERED]]


def _quoted(value: str) -> str:
    return f'"{value}"' if re.search(r"[\s|]", value) else value


def _hint(name: str, value: str) -> str:
    if name == "view":
        return str(View(value).label)
    if name == "scheduler":
        return SCHEDULERS[value].label if value in SCHEDULERS else ""
    return _HINTS[value]() if name in ("is", "date") and value in _HINTS else ""


_HINTS: dict[str, Callable[[], str]] = {
    "favourite": lambda: _("your favourites"),
    "rated": lambda: _("rated by you"),
    "tagged": lambda: _("has a tag"),
    "mine": lambda: _("made by you"),
    "shared": lambda: _("shared with a team"),
    "private": lambda: _("seen by its owner only"),
    "variation": lambda: _("started from a picture"),
    "today": lambda: _("made today"),
    "week": lambda: _("the last 7 days"),
    "month": lambda: _("the last 30 days"),
    "year": lambda: _("the last 365 days"),
    "older": lambda: _("more than 365 days ago"),
}


# --- where the values come from ---------------------------------------------------------------------------------
def _of_shelves(column: str) -> Values:
    def values(user: User, typed: str) -> Iterable[Any]:
        there = Shelf.objects.visible_to(user).filter(images__gt=0, **{f"{column}__istartswith": typed})
        return there.order_by(column).values_list(column, flat=True).distinct()[:OFFERED]

    return values


def _sizes(user: User, typed: str) -> Iterable[str]:
    there = Shelf.objects.visible_to(user).filter(images__gt=0).order_by(F("width") * F("height"), "width")
    return dict.fromkeys(f"{width}x{height}" for width, height in there.values_list("width", "height"))


def _models(user: User, typed: str) -> Iterable[Any]:
    names = [*_of_shelves("base_model__name")(user, typed), *_of_shelves("checkpoint__run__name")(user, typed)]
    return dict.fromkeys(names)


def _checkpoints(user: User, typed: str) -> Iterable[str]:
    """Of runs whose name begins so; a step may follow."""
    run = typed.partition("/")[0]
    used = Shelf.objects.visible_to(user).filter(images__gt=0).values("checkpoint")
    there = Checkpoint.objects.filter(pk__in=used, run__name__istartswith=run).order_by("run__name", "step")
    return [f"{name}/checkpoint-{step}" for name, step in there.values_list("run__name", "step")[:200]]


def _tags(user: User, typed: str) -> Iterable[str]:
    seen = Tagging.objects.filter(tag=OuterRef("pk"), image__shelf__in=Shelf.objects.visible_to(user))
    return Tag.objects.filter(Exists(seen), name__istartswith=typed).values_list("name", flat=True)[:OFFERED]


def _skus(user: User, typed: str) -> Iterable[str]:
    there = GeneratedImage.objects.visible_to(user).filter(~Q(sku=""), sku__istartswith=typed)
    return there.order_by("sku").values_list("sku", flat=True).distinct()[:OFFERED]


def _collections(user: User, typed: str) -> Iterable[str]:
    there = Collection.objects.visible_to(user).filter(name__istartswith=typed)
    return there.order_by("name").values_list("name", flat=True)[:OFFERED]


def _days(user: User, typed: str) -> list[str]:
    today = timezone.localdate()
    days = [today, today - timedelta(days=7), today - timedelta(days=30), today.replace(month=1, day=1)]
    return list(dict.fromkeys(day.isoformat() for day in days))


def _always(values: Iterable[str]) -> Values:
    def known(user: User, typed: str) -> Iterable[str]:
        return values

    return known


VALUES: dict[str, Values] = {
    "model": _models,
    "checkpoint": _checkpoints,
    "lora": _checkpoints,
    "dataset": _of_shelves("dataset__name"),
    "user": _of_shelves("owner__username"),
    "size": _sizes,
    "scheduler": _of_shelves("scheduler"),
    "steps": _of_shelves("num_inference_steps"),
    "rating": _always([*(str(stars) for stars in reversed(RATINGS)), ">=4", ">=3"]),
    "tag": _tags,
    "sku": _skus,
    "view": _always(View.values),
    "collection": _collections,
    "is": _always(IS),
    "date": _always(DATES),
    "after": _days,
    "before": _days,
}
