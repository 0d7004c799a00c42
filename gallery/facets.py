"""What a search can be narrowed by, with counts: each facet counts with every condition but its own.

Settings are counted on the shelves (one small query whatever the number of pictures); where words, tags, ratings or
dates narrow too, one grouped count says how many pictures of each shelf are left. Everything else is counted up to
10,000, because nobody needs to know more and a count of everything reads everything.

In a large gallery such a grouped count takes longer than the page itself, so there the pictures come first
(`takes_long`, `uncounted`) and the numbers follow by themselves.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db import connections
from django.db.models import Aggregate, BooleanField, Count, ExpressionWrapper, Q, QuerySet, Sum
from django.utils.formats import number_format
from django.utils.translation import gettext as _

from gallery.filters import ImageFilter
from gallery.models import RATINGS
from gallery.passing import channels, passing
from gallery.searching import DATES, made_in, since, stacked_in
from generation.models import GeneratedImage, Shelf, Stack
from generation.schedulers import SCHEDULERS

COUNTED_TO = 10_000
TAGS_OFFERED = 30
COUNTED_AT_ONCE = 50_000  # pictures of a gallery whose numbers come with the page


@dataclass(frozen=True)
class Option:
    value: str
    label: str
    count: int | None
    selected: bool


@dataclass(frozen=True)
class Facet:
    name: str
    label: str
    options: list[Option]
    is_counted: bool = True


@dataclass(frozen=True)
class Facets:
    """`total` is how many pictures match; it is exact, since the shelves know. None: that is not counted yet."""

    facets: list[Facet]
    total: int | None


def count_words(number: int) -> str:
    """`1,234`, and `10,000+` for whatever is more."""
    words = number_format(min(number, COUNTED_TO), use_l10n=True, force_grouping=True)
    return f"{words}+" if number > COUNTED_TO else words


# --- settings, on the shelves -----------------------------------------------------------------------------------------
# facet → (the value of a shelf, columns that say it)
DIMENSIONS: dict[str, tuple[str, ...]] = {
    "model": ("base_model__name", "base_model__title"),
    "checkpoint": ("checkpoint__run__name", "checkpoint__step"),
    "dataset": ("dataset__name",),
    "owner": ("owner__username",),
    "size": ("width", "height"),
    "scheduler": ("scheduler",),
}


Said = tuple[Any, ...]
"""The columns of one facet in one shelf's row."""


def _named(facet: str, said: Said) -> tuple[str, str]:
    """Value and label."""
    if facet == "model":
        return said[0], said[1]
    if facet == "checkpoint":
        return f"{said[0]}/checkpoint-{said[1]}", f"{said[0]} · {said[1]}"
    if facet == "size":
        return f"{said[0]}x{said[1]}", f"{said[0]} × {said[1]}"
    if facet == "scheduler":
        return said[0], SCHEDULERS[said[0]].label if said[0] in SCHEDULERS else said[0]
    return said[0], said[0]


ByDate = Counter[str]
"""Span of time, of DATES → number of pictures that are in it and in no shorter one."""


@dataclass
class _ShelfRow:
    """A visible shelf: how many of its pictures match what is not about shelves, and which conditions refuse it."""

    number: int
    by_date: ByDate | None
    said: Said
    refused_by: list[str]


def _shelf_rows(narrowed: ImageFilter) -> list[_ShelfRow]:
    conditions = list(narrowed.search.shelf.items())
    flags = {
        f"keeps_{index}": ExpressionWrapper(condition, output_field=BooleanField())
        for index, (_name, condition) in enumerate(conditions)
    }
    columns = [column for dimension in DIMENSIONS.values() for column in dimension]
    shelves = Shelf.objects.visible_to(narrowed.user).filter(images__gt=0).annotate(**flags)
    left = _left_on_shelves(narrowed)
    rows = []
    for pk, images, *values in shelves.values_list("pk", "images", *columns, *flags):
        by_date = None if left is None else left.get(pk)
        number = images if left is None else _matching(narrowed, by_date) if by_date else 0
        if number or by_date:
            keeps = values[len(columns) :]
            refused_by = [name for (name, _q), kept in zip(conditions, keeps, strict=True) if not kept]
            rows.append(_ShelfRow(number, by_date, tuple(values[: len(columns)]), refused_by))
    return rows


def _left_on_shelves(narrowed: ImageFilter) -> dict[Any, ByDate] | None:
    """Shelf → how many pictures match what is not about shelves, by date, whatever the date that is chosen.

    None where nothing of that kind is asked, so that the shelves' own numbers hold. Words and spans of time are
    counted in stacks. Where it is only the date, its own facet is counted by walking, and here the date is heeded.
    """
    search = narrowed.search
    if not search.image and not search.words:
        return None
    if set(search.image) <= {"facet:date"}:
        asked = [words.of_stacks for words in search.words] or [stacked_in(narrowed.chosen("date")[0])]
        days = {name: at.date() for name, at in since().items()}
        return _by_date(Stack.objects.filter(*asked), lambda within: Sum("images", filter=within), "day", days)
    standing = GeneratedImage.objects.filter(*narrowed.about_pictures(without="date"), shelf__isnull=False).order_by()
    return _by_date(standing, lambda within: Count("pk", filter=within), "created_at", since())


def _by_date(
    rows: QuerySet[Any], number: Callable[[Q | None], Aggregate], when: str, begins: dict[str, Any]
) -> dict[Any, ByDate]:
    """One row a shelf: how many there are since each day that a span begins with, and in all."""
    since_then = {f"since_{name}": number(Q(**{f"{when}__gte": begin})) for name, begin in begins.items()}
    counted = rows.values_list("shelf").annotate(**since_then, ever=number(None))
    return {shelf: _apart(found) for shelf, *found in counted}


def _apart(found: list[int | None]) -> ByDate:
    """Each span without the shorter ones in it."""
    spans, before = Counter[str](), 0
    for name, number in zip(DATES, found, strict=True):
        spans[name], before = (number or 0) - before, number or 0
    return spans


def _matching(narrowed: ImageFilter, by_date: ByDate) -> int:
    chosen = narrowed.chosen("date")
    return _within(by_date, chosen[0]) if chosen and chosen[0] in DATES else by_date.total()


def _within(by_date: ByDate, span: str) -> int:
    """Today is in the week, the week in the month; what is older is in none."""
    if span == "older":
        return by_date["older"]
    return sum(by_date[name] for name in DATES[: DATES.index(span) + 1])


def _of_settings(narrowed: ImageFilter, rows: list[_ShelfRow]) -> list[Facet]:
    facets, start = [], 0
    for name, columns in DIMENSIONS.items():
        here, start = slice(start, start + len(columns)), start + len(columns)
        counts: Counter[Said] = Counter()
        for row in rows:
            if row.number and row.said[here][0] is not None and _is_free_for(name, row):
                counts[row.said[here]] += row.number
        options = [(*_named(name, said), number) for said, number in counts.most_common()]
        facets.append(_facet(narrowed, name, options))
    return facets


def _is_free_for(facet: str, row: _ShelfRow) -> bool:
    """Nothing but the facet's own condition refuses the shelf."""
    return not row.refused_by or row.refused_by == [f"facet:{facet}"]


# --- everything else, on the pictures ---------------------------------------------------------------------------------
def capped_counts(querysets: Iterable[QuerySet[Any]]) -> list[int]:
    """How many rows each has, up to one more than COUNTED_TO, in one query."""
    parts: list[str] = []
    parameters: list[Any] = []
    using = ""
    for queryset in querysets:
        using = queryset.db
        try:
            text, values = queryset.order_by().values("pk")[: COUNTED_TO + 1].query.sql_with_params()
        except EmptyResultSet:  # its conditions exclude each other
            parts.append("SELECT 0")
            continue
        parts.append(f"SELECT COUNT(*) FROM ({text}) AS capped")  # noqa: S608 -- Django's own SQL
        parameters += values
    if not parts:
        return []
    with connections[using].cursor() as cursor:
        cursor.execute("SELECT " + ", ".join(f"({part})" for part in parts), parameters)
        return list(cursor.fetchone())


def _of_dates(narrowed: ImageFilter, rows: list[_ShelfRow]) -> Facet:
    labels = {
        "today": _("Today"),
        "week": _("Last 7 days"),
        "month": _("Last 30 days"),
        "year": _("Last 365 days"),
        "older": _("Older"),
    }
    if narrowed.search.words or set(narrowed.search.image) - {"facet:date"}:
        shown = [row.by_date for row in rows if row.by_date and not row.refused_by]
        numbers = [sum(_within(by_date, span) for by_date in shown) for span in DATES]
    else:
        numbers = capped_counts(narrowed.standing.filter(made_in(span)) for span in DATES)
    return _facet(narrowed, "date", [(span, labels[span], number) for span, number in zip(DATES, numbers, strict=True)])


def _of_ratings(narrowed: ImageFilter) -> Facet:
    mine = Q(judgements__user=narrowed.user, judgements__rating__isnull=False)
    rated = narrowed.images(without="rating").filter(mine)
    numbers = dict(rated.values_list("judgements__rating").annotate(Count("pk")))
    options = [(str(stars), "★" * stars, numbers.get(stars, 0)) for stars in reversed(RATINGS)]
    return _facet(narrowed, "rating", options)


def _of_tags(narrowed: ImageFilter) -> Facet:
    tagged = narrowed.images(without="tag", walked=True).filter(taggings__isnull=False)
    counts = tagged.values_list("taggings__tag__name").annotate(number=Count("pk"))
    commonest = counts.order_by("-number", "taggings__tag__name")[:TAGS_OFFERED]
    return _facet(narrowed, "tag", [(name, name, number) for name, number in commonest])


def _of_channels(narrowed: ImageFilter) -> Facet:
    """In a large gallery without numbers: a channel that most pictures pass is counted by looking at all of them."""
    chosen = narrowed.chosen("passes")
    if _is_large(narrowed):
        offered = [Option(name, label, None, name in chosen) for name, label in channels().items()]
        return Facet("passes", str(narrowed.form.fields["passes"].label), offered)
    others = narrowed.images(without="passes", walked=True)
    numbers = capped_counts(others.filter(passing([name])) for name in channels())
    counted = [(name, label, number) for (name, label), number in zip(channels().items(), numbers, strict=True)]
    return _facet(narrowed, "passes", counted)


def _facet(narrowed: ImageFilter, name: str, counted: Iterable[tuple[str, str, int]]) -> Facet:
    """Nothing that leads nowhere is offered; what is chosen stays, even when it is empty now."""
    chosen = narrowed.chosen(name)
    options = [
        Option(value, label, number, value in chosen) for value, label, number in counted if number or value in chosen
    ]
    missing = [value for value in chosen if value not in {option.value for option in options}]
    options += [Option(value, value, 0, True) for value in missing]
    return Facet(name, str(narrowed.form.fields[name].label), options)


# What is counted only where it is looked at: it costs as much as there are judgements, tags and verdicts.
ON_DEMAND = {"rating": _of_ratings, "tag": _of_tags, "passes": _of_channels}


def facets_of(narrowed: ImageFilter, opened: Iterable[str] = ()) -> Facets:
    """With the counts of settings and dates, and of those ON_DEMAND that are `opened`."""
    rows = _shelf_rows(narrowed)
    facets = [*_of_settings(narrowed, rows), _of_dates(narrowed, rows)]
    for name, count in ON_DEMAND.items():
        facets.append(count(narrowed) if name in opened else _not_counted(narrowed, name))
    return Facets([facet for facet in facets if facet.options or not facet.is_counted], _total(rows))


def takes_long(narrowed: ImageFilter) -> bool:
    """Whether counting goes through pictures, and there are many."""
    if not narrowed.search.image and not narrowed.search.words:
        return False
    return _is_large(narrowed)


def _is_large(narrowed: ImageFilter) -> bool:
    seen = Shelf.objects.visible_to(narrowed.user).aggregate(images=Sum("images"))["images"]
    return (seen or 0) > COUNTED_AT_ONCE


def uncounted(narrowed: ImageFilter) -> Facets:
    """What is chosen from each facet, and nothing that takes time to know."""
    facets = [_not_counted(narrowed, name) for name in (*DIMENSIONS, "date", *ON_DEMAND) if narrowed.chosen(name)]
    return Facets(facets, None)


def _not_counted(narrowed: ImageFilter, name: str) -> Facet:
    labels = channels() if name == "passes" else {}
    chosen = [Option(value, labels.get(value, value), None, True) for value in narrowed.chosen(name)]
    return Facet(name, str(narrowed.form.fields[name].label), chosen, is_counted=False)


def _total(rows: Iterable[_ShelfRow]) -> int:
    return sum(row.number for row in rows if not row.refused_by)


def total_of(narrowed: ImageFilter) -> int:
    return _total(_shelf_rows(narrowed))
