"""Which photos of a version a page shows: what is asked in the address, and what is ticked in a form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Count, Q, QuerySet
from django.http import QueryDict
from django.utils.translation import gettext_lazy as _

from training.models import DatasetVersion, Photo

MAX_TICKED = 5_000
# name → (what it is called, condition)
SHOWS: dict[str, tuple[Any, Q]] = {
    "bare": (_("Without caption"), Q(caption="", removed=False)),
    "proposed": (_("With a proposal"), ~Q(proposal="") & Q(removed=False)),
    "held-out": (_("Held out"), Q(held_out=True, removed=False)),
    "augmented": (_("Augmented"), Q(origin=Photo.Origin.AUGMENTED, removed=False)),
    "generated": (_("Generated"), Q(depth__gt=0, removed=False)),
    "flagged": (_("With findings"), Q(findings__accepted=False, removed=False)),
    "removed": (_("Taken out"), Q(removed=True)),
}
# name in the address → (what it is called, the photo's field)
FACETS: dict[str, tuple[Any, str]] = {
    "type": (_("Type"), "said_type"),
    "colour": (_("Colour"), "said_colour"),
    "view": (_("View"), "said_view"),
}


def chosen_photos(version: DatasetVersion, given: QueryDict) -> QuerySet[Photo]:
    """`show` is a row of SHOWS, `finding` a kind of finding, `type`, `colour` and `view` what captions name, and `q`
    stands in caption or file name.
    """
    photos = version.photos.all()
    show = SHOWS.get(given.get("show", ""))
    photos = photos.filter(show[1]) if show else photos.present()
    if kind := given.get("finding", "").replace("\x00", ""):
        photos = photos.filter(findings__kind=kind, findings__accepted=False)
    for name, (_label, field) in FACETS.items():
        if value := given.get(name, "").replace("\x00", ""):
            photos = photos.filter(**{field: value})
    for word in given.get("q", "").replace("\x00", "").split()[:10]:
        photos = photos.filter(Q(caption__icontains=word) | Q(file_name__icontains=word))
    return photos.order_by("position").distinct()


def ticked_photos(version: DatasetVersion, posted: QueryDict) -> QuerySet[Photo]:
    """Those in `photos`, or with `all=1` everything that `query` shows."""
    if posted.get("all") == "1":
        return chosen_photos(version, QueryDict(posted.get("query", "").lstrip("?")))
    keys = []
    for text in posted.getlist("photos")[:MAX_TICKED]:
        try:
            keys.append(UUID(text))
        except ValueError:
            continue
    return version.photos.filter(pk__in=keys).order_by("position")


def counts_of(version: DatasetVersion) -> list[tuple[str, Any, int]]:
    """The rows of SHOWS that have any, and how many."""
    photos = version.photos
    numbers = [(name, label, photos.filter(condition).distinct().count()) for name, (label, condition) in SHOWS.items()]
    return [row for row in numbers if row[2]]


@dataclass(frozen=True)
class Facet:
    """`choices`: each value with how many photos there would be with everything else that is asked."""

    name: str
    label: Any
    value: str
    choices: list[tuple[str, int]]


def facets_of(version: DatasetVersion, given: QueryDict) -> list[Facet]:
    """Those that captions say anything for; never leading to nothing."""
    found = []
    for name, (label, field) in FACETS.items():
        others = given.copy()
        others.pop(name, None)
        counted = chosen_photos(version, others).exclude(**{field: ""}).order_by().values_list(field)
        choices = list(counted.annotate(number=Count("pk", distinct=True)).order_by("-number", field))
        if choices:
            found.append(Facet(name, label, given.get(name, ""), choices))
    return found
