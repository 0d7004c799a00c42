"""What a version's captions cover: type × colour × view, and what is said far more often than anything else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.db.models import Count

from training.datasets import caption_words
from training.datasets.caption_words import CaptionWords
from training.datasets.models import DatasetVersion

UNSAID: Final = ""
FIELDS: Final = ("type", "colour", "material", "view", "side")
ENOUGH: Final = 20  # photos; of fewer nobody expects balance
HEAVY: Final = 0.7  # of the photos that say a field; all of them is a choice, and no imbalance
THIN: Final = 0.5  # of the table's cells without or with a single photo


@dataclass(frozen=True)
class Row:
    """One type: how many photos for each colour, and of those in each view."""

    type: str
    cells: tuple[Cell, ...]
    total: int


@dataclass(frozen=True)
class Cell:
    colour: str
    count: int
    views: tuple[tuple[str, int], ...]

    @property
    def is_thin(self) -> bool:
        return self.count <= 1


@dataclass(frozen=True)
class Coverage:
    """`rows` × `colours`, the most frequent first; `unsaid`: photos whose captions name no type or no colour."""

    colours: tuple[str, ...]
    rows: tuple[Row, ...]
    views: tuple[tuple[str, int], ...]
    unsaid: int

    @property
    def cells(self) -> list[tuple[str, Cell]]:
        return [(row.type, cell) for row in self.rows for cell in row.cells]

    @property
    def missing(self) -> list[tuple[str, str]]:
        return [(type_, cell.colour) for type_, cell in self.cells if not cell.count]

    @property
    def rare(self) -> list[tuple[str, str]]:
        return [(type_, cell.colour) for type_, cell in self.cells if cell.count == 1]


def coverage_of(version: DatasetVersion) -> Coverage:
    """Counted by the database, from what photos keep of their captions."""
    counted = version.photos.present().order_by().values_list(*caption_words.SAID).annotate(number=Count("pk"))
    return coverage_of_counts({(type_, colour, view): number for type_, colour, view, number in counted})


def coverage_of_words(photos: Iterable[CaptionWords]) -> Coverage:
    return coverage_of_counts(Counter((words.type or "", words.colour or "", words.view or UNSAID) for words in photos))


def coverage_of_counts(counts: Mapping[tuple[str, str, str], int]) -> Coverage:
    """From (type, colour, view) to how many photos say so."""
    said = Counter({key: count for key, count in counts.items() if key[0] and key[1]})
    unsaid = sum(counts.values()) - said.total()
    types, colours, views = (Counter[str](), Counter[str](), Counter[str]())
    for (type_, colour, view), count in said.items():
        types[type_] += count
        colours[colour] += count
        views[view] += count
    columns = tuple(name for name, _count in colours.most_common())
    rows = tuple(
        Row(type_, tuple(_cell(said, type_, colour, views) for colour in columns), count)
        for type_, count in types.most_common()
    )
    return Coverage(columns, rows, tuple(views.most_common()), unsaid)


def _cell(said: Counter[tuple[str, str, str]], type_: str, colour: str, views: Iterable[str]) -> Cell:
    found = tuple((view, count) for view in views if (count := said[type_, colour, view]))
    return Cell(colour, sum(count for _view, count in found), found)


def imbalances(photos: Sequence[CaptionWords]) -> list[dict[str, Any]]:
    """Field, value and share of everything that most photos have in common and some do not."""
    found = []
    for field in FIELDS:
        counts = Counter(value for words in photos if (value := getattr(words, field)))
        total = sum(counts.values())
        if total < ENOUGH:
            continue
        value, count = counts.most_common(1)[0]
        if HEAVY < count / total < 1:
            found.append({"field": field, "value": value, "share": round(count / total, 3), "photos": count})
    return found


def gaps(photos: Sequence[CaptionWords]) -> dict[str, Any] | None:
    """The table's empty and single cells, where they are most of it."""
    coverage = coverage_of_words(photos)
    cells = len(coverage.cells)
    if len(photos) - coverage.unsaid < ENOUGH or cells < 4:
        return None
    missing, rare = coverage.missing, coverage.rare
    if (len(missing) + len(rare)) / cells < THIN:
        return None
    examples = [f"{colour} {type_}" for type_, colour in missing[:5]]
    return {"cells": cells, "missing": len(missing), "rare": len(rare), "examples": examples}
