"""What the grid's templates need, kept cheap: a page has sixty tiles."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any
from uuid import UUID

from django import template
from django.template.context import RequestContext
from django.urls import get_script_prefix, reverse
from django.utils.formats import number_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from gallery.arranging import collections_for
from gallery.facets import Facet, Option, count_words
from gallery.models import Judgement
from gallery.passing import checks_of
from generation.models import GeneratedImage, View

register = template.Library()
register.filter("count_words", count_words)

NARROWEST, WIDEST = 0.3, 3.3
OPTIONS_SHOWN = 8
COLLECTIONS_OFFERED = 30
NOBODY = UUID(int=0)


@register.filter
def at(image: GeneratedImage, name: str) -> str:
    """The address of a page about the picture. `{% url %}` looks it up anew for every tile."""
    return _address(name, get_script_prefix()).replace(str(NOBODY), str(image.pk))


@cache
def _address(name: str, prefix: str) -> str:
    return reverse(name, args=[NOBODY])


@register.filter
def ratio(image: GeneratedImage) -> str:
    """Width by height as `1.33`, from which gallery.css makes the tile; what is longer still is cropped."""
    return f"{min(max(image.width / image.height, NARROWEST), WIDEST):.2f}"


@register.filter
def judgement(image: GeneratedImage) -> Judgement | None:
    """What the user thinks of a picture, where the query fetched it (see `filters.with_what_is_shown`)."""
    judged: list[Judgement] = getattr(image, "judged", [])
    return judged[0] if judged else None


@register.simple_tag
def channels_passed(image: GeneratedImage) -> SafeString | str:
    """`3/4` on a tile, in words for who listens or points at it; nothing while it is not judged."""
    verdicts = checks_of(image)
    if not verdicts:
        return ""
    passed = [verdict.label for verdict in verdicts if verdict.passed]
    told = [_("Passes %(channels)s.") % {"channels": ", ".join(passed)}] if passed else []
    told += [
        _("Fails %(channel)s: %(reason)s") % {"channel": verdict.label, "reason": " ".join(verdict.why[:1])}
        for verdict in verdicts
        if not verdict.passed
    ]
    words = " ".join(told)
    return format_html(
        '<span class="passes" role="img" title="{}" aria-label="{}"{}>{}/{}</span>',
        words, words, SafeString(" data-all") if len(passed) == len(verdicts) else "", len(passed), len(verdicts),
    )  # fmt: skip


@register.filter
def times(number: int) -> range:
    return range(number)


@register.filter
def grouped(number: int | None) -> str:
    """`1,234` or `1.234`, as the language writes it."""
    return "" if number is None else number_format(number, use_l10n=True, force_grouping=True)


@register.filter
def folded(options: Sequence[Option]) -> tuple[list[Option], list[Option]]:
    """The options to show at once, which are the first ones and whatever is chosen, and the rest."""
    shown = [option for place, option in enumerate(options) if place < OPTIONS_SHOWN or option.selected]
    return shown, [option for option in options if option not in shown]


@register.simple_tag(takes_context=True)
def query_without(context: RequestContext, name: str, value: str) -> str:
    """The filter in the page's address without one value of one parameter."""
    query = context["request"].GET.copy()
    query.setlist(name, [other for other in query.getlist(name) if other != value])
    for place in ("cursor", "before"):
        query.pop(place, None)
    return f"?{query.urlencode()}"


@register.inclusion_tag("gallery/_selection_bar.html", takes_context=True)
def selection_bar(context: RequestContext, total: int | None = 0) -> dict[str, Any]:
    """What can be done with the ticked pictures; with `total`, with all of them there are. None: not counted yet."""
    user = context["request"].user
    facets: list[Facet] = context.get("facets") or []
    return {
        "request": context["request"],
        "total": total,
        "tags": [option.value for facet in facets if facet.name == "tag" for option in facet.options],
        "collection": context.get("collection"),
        "collections": collections_for(user)[:COLLECTIONS_OFFERED],
        "teams": user.teams.order_by("name"),
        "views": View.choices,
    }
