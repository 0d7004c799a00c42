"""The search box's language: `red sneaker "white sole" model:starter steps:>30 is:favourite -suede after:2026-11-01`.

Plain words and quoted phrases are looked for in the prompt; `key:value` narrows by one thing, `a|b` means either, and
a minus in front means not. KEYS has one row per key. What is said about the settings of a picture is said of its shelf
(see `generation.models.Shelf`), everything else of the picture itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from functools import cached_property
from typing import Any
from uuid import UUID

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone
from django.utils.dateparse import parse_date
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from gallery.models import RATINGS, Collection, CollectionItem, Judgement, Tagging
from gallery.passing import channels, passing
from generation.models import GenerationLora, Stack, View
from generation.schedulers import SCHEDULERS
from generation.words import Phrase, phrases
from shoesai.models import User

MAX_TERMS = 30
COMMON = 2_000  # stacks of pictures
_TERM = re.compile(r'(?P<minus>-)?(?:(?P<key>[a-zA-Z]+):)?(?P<value>"[^"]*"?|\S+)')
_RANGE = re.compile(r"(?P<sign>>=|<=|>|<|=)?(?P<low>\d+(?:\.\d+)?)(?:\.\.(?P<high>\d+(?:\.\d+)?))?")
_SIGNS = {">": "gt", ">=": "gte", "<": "lt", "<=": "lte", "=": "exact", None: "exact"}


class Unclear(ValueError):
    """A term that cannot be meant, in words for whoever typed it."""


@dataclass(frozen=True)
class Term:
    value: str
    key: str = ""
    negated: bool = False
    quoted: bool = False


def terms_of(text: str) -> Iterator[Term]:
    for found in _TERM.finditer(text):
        value = found["value"]
        quoted = value.startswith('"')
        yield Term(value.strip('"'), (found["key"] or "").lower(), bool(found["minus"]), quoted)


# --- what a term says ------------------------------------------------------------------------------------------
Build = Callable[[User, str], Q]


@dataclass(frozen=True)
class Key:
    """`build(user, value)` raises Unclear. `of_shelf`: the condition is about Shelf, not about GeneratedImage."""

    build: Build
    help: Any
    example: str
    of_shelf: bool = False


def _number(path: str) -> Build:
    def build(user: User, value: str) -> Q:
        found = _RANGE.fullmatch(value)
        if not found:
            raise Unclear(_("“%(value)s” is no number; write 30, >30, <=30 or 25..50.") % {"value": value})
        low = float(found["low"])
        if found["high"]:
            return Q(**{f"{path}__gte": low, f"{path}__lte": float(found["high"])})
        return Q(**{f"{path}__{_SIGNS[found['sign']]}": low})

    return build


def _model(user: User, value: str) -> Q:
    """A base model, or a run whose checkpoint made it."""
    base = Q(base_model__name__istartswith=value) | Q(base_model__title__istartswith=value)
    return base | Q(checkpoint__run__name__istartswith=value)


def checkpoint_named(value: str) -> Q:
    run, _slash, step = value.rpartition("/checkpoint-")
    if run and step.isascii() and step.isdigit() and len(step) < 10:
        return Q(checkpoint__run__name=run, checkpoint__step=int(step))
    return Q(checkpoint__run__name__istartswith=value)


def size_named(value: str) -> Q:
    found = re.fullmatch(r"(\d{1,5})\s*[x×*]\s*(\d{1,5})", value.lower())
    if not found:
        raise Unclear(_("“%(value)s” is no size; write 512x512.") % {"value": value})
    return Q(width=int(found[1]), height=int(found[2]))


def _scheduler(user: User, value: str) -> Q:
    if value.lower() not in SCHEDULERS:
        known = ", ".join(SCHEDULERS)
        raise Unclear(_("“%(value)s” is no scheduler; known are %(known)s.") % {"value": value, "known": known})
    return Q(scheduler=value.lower())


def _lora(user: User, value: str) -> Q:
    name, _slash, step = value.rpartition("/checkpoint-")
    named = Q(checkpoint__run__name__istartswith=value)
    if name and step.isascii() and step.isdigit() and len(step) < 10:
        named = Q(checkpoint__run__name=name, checkpoint__step=int(step))
    return Q(generation__in=GenerationLora.objects.filter(named).values("generation"))


def _seed(user: User, value: str) -> Q:
    if not (value.isascii() and value.isdigit() and len(value) <= 20 and int(value) < 2**64):
        raise Unclear(_("“%(value)s” is no seed; a seed is a whole number.") % {"value": value})
    return Q(seed=int(value))


def _rating(user: User, value: str) -> Q:
    wanted = _number("rating")(user, value)
    return Q(pk__in=Judgement.objects.filter(wanted, user=user).values("image"))


def _tag(user: User, value: str) -> Q:
    return Q(pk__in=Tagging.objects.filter(tag__name__iexact=value).values("image"))


def _view(user: User, value: str) -> Q:
    if value.lower() not in View.values:
        known = ", ".join(View.values)
        raise Unclear(_("“%(value)s” is no view; known are %(known)s.") % {"value": value, "known": known})
    return Q(view=value.lower())


def _passes(user: User, value: str) -> Q:
    if value.lower() not in channels():
        known = ", ".join(channels())
        raise Unclear(_("“%(value)s” is no channel; known are %(known)s.") % {"value": value, "known": known})
    return passing([value.lower()])


def _collection(user: User, value: str) -> Q:
    named = Collection.objects.visible_to(user).filter(name__istartswith=value)
    return Q(pk__in=CollectionItem.objects.filter(collection__in=named).values("image"))


def _is(user: User, value: str) -> Q:
    mine = Judgement.objects.filter(user=user)
    states = {
        "favourite": Q(pk__in=mine.filter(favourite=True).values("image")),
        "rated": Q(pk__in=mine.filter(rating__isnull=False).values("image")),
        "tagged": Q(pk__in=Tagging.objects.values("image")),
        "mine": Q(owner=user),
        "shared": Q(team__isnull=False),
        "private": Q(team__isnull=True),
        "variation": Q(generation__reference__isnull=False),
    }
    name = {"fav": "favourite", "favorite": "favourite", "starred": "favourite"}.get(value.lower(), value.lower())
    if name not in states:
        known = ", ".join(states)
        raise Unclear(_("“is:%(value)s” means nothing here; known are %(known)s.") % {"value": value, "known": known})
    return states[name]


IS = ("favourite", "rated", "tagged", "mine", "shared", "private", "variation")


# --- days ---------------------------------------------------------------------------------------------------------
def _midnight(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, time.min))


def _day(value: str) -> date:
    try:
        day = parse_date(value)
    except ValueError:
        day = None
    if day is None or not date.min < day < date.max:
        raise Unclear(_("“%(value)s” is no day; write 2026-11-01.") % {"value": value})
    return day


def _after(user: User, value: str) -> Q:
    return Q(created_at__gte=_midnight(_day(value)))


def _before(user: User, value: str) -> Q:
    return Q(created_at__lt=_midnight(_day(value)))


DATES = ("today", "week", "month", "year", "older")


def since() -> dict[str, datetime]:
    """Where the spans begin: today, and the last 7, 30 and 365 days."""
    today = timezone.localdate()
    return {
        "today": _midnight(today),
        "week": _midnight(today - timedelta(days=6)),
        "month": _midnight(today - timedelta(days=29)),
        "year": _midnight(today - timedelta(days=364)),
    }


def made_in(span: str) -> Q:
    """One of DATES, a day (2026-11-05) or a month (2026-11)."""
    begins = since()
    if span in begins:
        return Q(created_at__gte=begins[span])
    if span == "older":
        return Q(created_at__lt=begins["year"])
    if re.fullmatch(r"\d{4}-\d{2}", span):
        first = _day(f"{span}-01")
        return Q(created_at__gte=_midnight(first), created_at__lt=_midnight(_next_month(first)))
    day = _day(span)
    return Q(created_at__gte=_midnight(day), created_at__lt=_midnight(day + timedelta(days=1)))


def stacked_in(span: str) -> Q:
    """The same of Stack, for one of DATES."""
    begins = since()
    if span == "older":
        return Q(day__lt=begins["year"].date())
    return Q(day__gte=begins[span].date())


def _next_month(first: date) -> date:
    return (first + timedelta(days=31)).replace(day=1)


KEYS: dict[str, Key] = {
    "model": Key(_model, gettext_lazy("base model or training run"), "model:starter", of_shelf=True),
    "checkpoint": Key(
        lambda user, value: checkpoint_named(value), gettext_lazy("checkpoint"), "checkpoint:autumn/checkpoint-300",
        of_shelf=True,
    ),
    "dataset": Key(
        lambda user, value: Q(dataset__name__istartswith=value), gettext_lazy("photos that it learned from"),
        "dataset:autumn", of_shelf=True,
    ),
    "user": Key(lambda user, value: Q(owner__username__iexact=value), gettext_lazy("who made it"), "user:bob",
                of_shelf=True),
    "size": Key(lambda user, value: size_named(value), gettext_lazy("width and height in pixels"), "size:512x512",
                of_shelf=True),
    "scheduler": Key(_scheduler, gettext_lazy("scheduler"), "scheduler:ddim", of_shelf=True),
    "steps": Key(_number("num_inference_steps"), gettext_lazy("number of steps"), "steps:>30", of_shelf=True),
    "guidance": Key(_number("generation__guidance_scale"), gettext_lazy("guidance"), "guidance:5..9"),
    "lora": Key(_lora, gettext_lazy("any LoRA that was used"), "lora:autumn"),
    "seed": Key(_seed, gettext_lazy("seed"), "seed:42"),
    "rating": Key(_rating, gettext_lazy("your rating"), "rating:>=4"),
    "tag": Key(_tag, gettext_lazy("tag"), "tag:hero"),
    "sku": Key(lambda user, value: Q(sku__istartswith=value), gettext_lazy("article number"), "sku:AB-12"),
    "view": Key(_view, gettext_lazy("product view"), "view:side"),
    "passes": Key(_passes, gettext_lazy("channel whose photo checks it passes"), "passes:amazon-main"),
    "collection": Key(_collection, gettext_lazy("collection"), "collection:spring"),
    "is": Key(_is, gettext_lazy("state of the picture"), "is:favourite"),
    "date": Key(lambda user, value: made_in(value.lower()), gettext_lazy("when it was made"), "date:week"),
    "after": Key(_after, gettext_lazy("made on this day or later"), "after:2026-11-01"),
    "before": Key(_before, gettext_lazy("made before this day"), "before:2026-11-01"),
}  # fmt: skip
ALSO = {"owner": "user", "by": "user", "run": "checkpoint"}


# --- a whole search -----------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Words:
    """Phrases that must all be in the prompt, or, negated, must not all be in it."""

    phrases: Sequence[Phrase]
    negated: bool = False

    @property
    def of_stacks(self) -> Q:
        matching = Q(words__matches=self.phrases)
        return ~matching if self.negated else matching

    @cached_property
    def few(self) -> list[UUID] | None:
        """The generations that match, where there are few."""
        found = self._stacks.values_list("generation", flat=True)[: COMMON + 1]
        return list(found) if len(found) <= COMMON else None

    @property
    def _stacks(self) -> QuerySet[Stack]:
        return Stack.objects.filter(words__matches=self.phrases)

    def of_pictures(self, *, walked: bool) -> Q:
        """Rare words are looked up and their pictures fetched; for common ones the pictures are `walked` in order.

        Either database, left alone, would now and then sort all of them in the first way, or walk through everything
        in the second.
        """
        if self.few is not None:
            matching = Q(generation__in=self.few)
        elif walked:
            matching = Q(Exists(Stack.objects.filter(words__hold=self.phrases, generation=OuterRef("generation"))))
        else:
            matching = Q(generation__in=self._stacks.values("generation"))
        return ~matching if self.negated else matching


@dataclass
class Search:
    """Conditions by what they are about, so that a facet can count with all but its own."""

    shelf: dict[str, Q] = field(default_factory=dict)
    image: dict[str, Q] = field(default_factory=dict)
    words: list[Words] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def add(self, name: str, condition: Q, *, of_shelf: bool) -> None:
        conditions = self.shelf if of_shelf else self.image
        conditions[name] = conditions.get(name, Q()) & condition


def understand(user: User, text: str) -> Search:
    """Never raises: what cannot be meant is left out and told in `problems`."""
    search = Search()
    terms = list(terms_of(text.replace("\x00", "")))
    if len(terms) > MAX_TERMS:
        search.problems.append(_("Only the first %(number)d terms count.") % {"number": MAX_TERMS})
    wanted: list[str] = []
    for term in terms[:MAX_TERMS]:
        if term.key:
            _add_key(search, user, term)
        elif term.negated:
            search.words += [Words(one, negated=True) for one in [phrases([term.value])] if one]
        else:
            wanted.append(term.value)
    if positive := phrases(wanted):
        search.words.append(Words(positive))
    return search


def _add_key(search: Search, user: User, term: Term) -> None:
    name = ALSO.get(term.key, term.key)
    key = KEYS.get(name)
    if key is None:
        known = ", ".join(KEYS)
        search.problems.append(_("“%(key)s:” is no key; known are %(known)s.") % {"key": term.key, "known": known})
        return
    try:
        values = [term.value] if term.quoted else [value for value in term.value.split("|") if value]
        condition = Q()
        for value in values:
            condition |= key.build(user, value)
    except Unclear as unclear:
        search.problems.append(str(unclear))
        return
    search.add(name, ~condition if term.negated else condition, of_shelf=key.of_shelf)


def rating_values(values: list[str]) -> list[int]:
    return [int(value) for value in values if value.isascii() and value.isdigit() and int(value) in RATINGS]
