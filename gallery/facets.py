"""What a search can be narrowed by, with counts: each facet counts with every condition but its own.

Settings are counted on the shelves (one small query whatever the number of pictures); where words, tags, ratings or
dates narrow too, one grouped count says how many pictures of each shelf are left. Everything else is counted up to
10,000, because nobody needs to know more and a count of everything reads everything.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connections
from django.db.models import BooleanField, Count, ExpressionWrapper, QuerySet
from django.utils.formats import number_format
from django.utils.translation import gettext as _

from gallery.filters import ImageFilter
from gallery.models import RATINGS, Judgement, Tagging
from gallery.searching import DATES, made_in
from generation.models import GeneratedImage, Shelf
from generation.schedulers import SCHEDULERS

COUNTED_TO = 10_000
TAGS_OFFERED = 30


@dataclass(frozen=True)
class Option:
    value: str
    label: str
    count: int
    selected: bool


@dataclass(frozen=True)
class Facet:
    name: str
    label: str
    options: list[Option]


@dataclass(frozen=True)
class Facets:
    """`total` is how many pictures match; it is exact, since the shelves know."""

    facets: list[Facet]
    total: int


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


def _named(facet: str, said: Sequence[Any]) -> tuple[str, str] | None:
    """Value and label; None where the shelf has none."""
    if said[0] is None:
        return None
    if facet == "model":
        return said[0], said[1]
    if facet == "checkpoint":
        return f"{said[0]}/checkpoint-{said[1]}", f"{said[0]} · {said[1]}"
    if facet == "size":
        return f"{said[0]}x{said[1]}", f"{said[0]} × {said[1]}"
    if facet == "scheduler":
        return said[0], SCHEDULERS[said[0]].label if said[0] in SCHEDULERS else said[0]
    return said[0], said[0]


@dataclass
class _ShelfRow:
    number: int
    named: dict[str, tuple[str, str] | None]
    refused_by: list[str]


def _shelf_rows(narrowed: ImageFilter) -> list[_ShelfRow]:
    """Every visible shelf with how many of its pictures match what is not about shelves, and who refuses it."""
    conditions = list(narrowed.search.shelf.items())
    flags = {
        f"keeps_{index}": ExpressionWrapper(condition, output_field=BooleanField())
        for index, (_name, condition) in enumerate(conditions)
    }
    columns = [column for dimension in DIMENSIONS.values() for column in dimension]
    shelves = Shelf.objects.visible_to(narrowed.user).filter(images__gt=0).annotate(**flags)
    left = _left_on_shelves(narrowed) if narrowed.search.image else None
    rows = []
    for pk, images, *values in shelves.values_list("pk", "images", *columns, *flags):
        number = images if left is None else left.get(pk, 0)
        if number:
            said, keeps = values[: len(columns)], values[len(columns) :]
            refused_by = [name for (name, _q), kept in zip(conditions, keeps, strict=True) if not kept]
            rows.append(_ShelfRow(number, _all_named(said), refused_by))
    return rows


def _all_named(said: Sequence[Any]) -> dict[str, tuple[str, str] | None]:
    named, start = {}, 0
    for facet, columns in DIMENSIONS.items():
        named[facet] = _named(facet, said[start : start + len(columns)])
        start += len(columns)
    return named


def _left_on_shelves(narrowed: ImageFilter) -> dict[Any, int]:
    matching = GeneratedImage.objects.filter(*narrowed.search.image.values(), shelf__isnull=False).order_by()
    return dict(matching.values_list("shelf").annotate(Count("pk")))


def _of_settings(narrowed: ImageFilter, rows: list[_ShelfRow]) -> list[Facet]:
    facets = []
    for name in DIMENSIONS:
        counts: Counter[tuple[str, str]] = Counter()
        for row in rows:
            here = row.named[name]
            if here and set(row.refused_by) <= {f"facet:{name}"}:
                counts[here] += row.number
        options = [(value, label, number) for (value, label), number in counts.most_common()]
        facets.append(_facet(narrowed, name, options))
    return facets


# --- everything else, on the pictures ---------------------------------------------------------------------------------
def capped_counts(querysets: Iterable[QuerySet[Any]]) -> list[int]:
    """How many rows each has, up to one more than COUNTED_TO, in one query."""
    parts: list[str] = []
    parameters: list[Any] = []
    using = ""
    for queryset in querysets:
        using = queryset.db
        text, values = queryset.order_by().values("pk")[: COUNTED_TO + 1].query.sql_with_params()
        parts.append(f"SELECT COUNT(*) FROM ({text}) AS capped")  # noqa: S608 -- Django's own SQL
        parameters += values
    if not parts:
        return []
    with connections[using].cursor() as cursor:
        cursor.execute("SELECT " + ", ".join(f"({part})" for part in parts), parameters)
        return list(cursor.fetchone())


def _of_dates(narrowed: ImageFilter) -> Facet:
    labels = {
        "today": _("Today"),
        "week": _("Last 7 days"),
        "month": _("Last 30 days"),
        "year": _("Last 365 days"),
        "older": _("Older"),
    }
    images = narrowed.images(without="date")
    numbers = capped_counts(images.filter(made_in(span)) for span in DATES)
    options = [(span, labels[span], number) for span, number in zip(DATES, numbers, strict=True)]
    return _facet(narrowed, "date", options)


def _of_ratings(narrowed: ImageFilter) -> Facet:
    rated = Judgement.objects.filter(user=narrowed.user, rating__isnull=False)
    rated = _standing(rated, narrowed, without="rating")
    numbers = dict(rated.values_list("rating").annotate(Count("pk")))
    options = [(str(stars), "★" * stars, numbers.get(stars, 0)) for stars in reversed(RATINGS)]
    return _facet(narrowed, "rating", options)


def _of_tags(narrowed: ImageFilter) -> Facet:
    tagged = _standing(Tagging.objects.all(), narrowed, without="tag")
    counts = tagged.values_list("tag__name").annotate(number=Count("pk")).order_by("-number", "tag__name")
    return _facet(narrowed, "tag", [(name, name, number) for name, number in counts[:TAGS_OFFERED]])


def _standing(rows: QuerySet[Any], narrowed: ImageFilter, *, without: str) -> QuerySet[Any]:
    """Rows about pictures, as far as those match. Without conditions about the picture its shelf is enough."""
    others = [name for name in narrowed.search.image if name != f"facet:{without}"]
    if not others:
        return rows.filter(image__shelf__in=narrowed.shelves)
    return rows.filter(image__in=narrowed.images(without=without).values("pk"))


def _facet(narrowed: ImageFilter, name: str, counted: Iterable[tuple[str, str, int]]) -> Facet:
    """Nothing that leads nowhere is offered; what is chosen stays, even when it is empty now."""
    chosen = narrowed.chosen(name)
    options = [
        Option(value, label, number, value in chosen) for value, label, number in counted if number or value in chosen
    ]
    missing = [value for value in chosen if value not in {option.value for option in options}]
    options += [Option(value, value, 0, True) for value in missing]
    return Facet(name, str(narrowed.form.fields[name].label), options)


def facets_of(narrowed: ImageFilter) -> Facets:
    rows = _shelf_rows(narrowed)
    total = sum(row.number for row in rows if not row.refused_by)
    facets = [*_of_settings(narrowed, rows), _of_dates(narrowed), _of_ratings(narrowed), _of_tags(narrowed)]
    return Facets([facet for facet in facets if facet.options], total)


def total_of(narrowed: ImageFilter) -> int:
    return sum(row.number for row in _shelf_rows(narrowed) if not row.refused_by)
