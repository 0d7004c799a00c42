"""The gallery's grid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.cache import patch_cache_control, patch_vary_headers
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from gallery.comparing import MOST
from gallery.completion import MAX_TEXT, completion_of
from gallery.facets import ON_DEMAND, Facet, Facets, facets_of, takes_long, uncounted
from gallery.filters import ImageFilter
from gallery.models import Collection
from gallery.paging import page_asked
from gallery.searches import saved_searches_of
from gallery.selection import selection_of
from gallery.web import filter_query, is_htmx
from shoesai.auth import caller

# What htmx fills anew: all that a changed filter changes, or only the counts. See templates/gallery/gallery.html.
FOUND, FACETS = "found", "facet-list"


@login_required
@require_safe
def gallery(request: HttpRequest) -> HttpResponse:
    """The whole page; for htmx one of the parts above, or only the next tiles at either end."""
    narrowed = ImageFilter(request.GET, user=caller(request))
    target = request.htmx.target if is_htmx(request) else ""  # type: ignore[attr-defined]
    context: dict[str, Any] = {"filter": narrowed, "query": filter_query(request)}
    opened = request.GET.getlist("opened")
    if target == FACETS:
        return _part(request, "gallery/_facets_again.html", context | _around(narrowed, facets_of(narrowed, opened)))
    context["page"] = page_asked(narrowed, request.GET)
    if is_htmx(request) and target != FOUND:
        context["part"] = "newer" if "before" in request.GET else "older"
        return _part(request, "gallery/_tiles.html", context)
    later = "counted" not in request.GET and takes_long(narrowed)
    context |= _around(narrowed, uncounted(narrowed) if later else facets_of(narrowed, opened))
    context["searches"] = saved_searches_of(caller(request))
    return _part(request, "gallery/_found_again.html" if target == FOUND else "gallery/gallery.html", context)


def _part(request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
    """One address has a page and its parts; nothing on the way may take one for the other."""
    response = render(request, template, context)
    patch_vary_headers(response, ["HX-Request", "HX-Target"])
    patch_cache_control(response, private=True, no_cache=True)
    return response


def _around(narrowed: ImageFilter, found: Facets) -> dict[str, Any]:
    """The facets, how many pictures there are, and what narrows them, as chips to take away."""
    facets = [facet for facet in found.facets if _narrows(facet, found.total)]
    return {"facets": facets, "total": found.total, "chips": _chips(narrowed, facets)}


def _narrows(facet: Facet, total: int | None) -> bool:
    """A single option that every picture has is no choice. What somebody has opened stays."""
    if facet.name in ON_DEMAND or len(facet.options) > 1:
        return True
    return any(option.selected or option.count != total for option in facet.options)


@dataclass(frozen=True)
class Chip:
    """One value of one parameter that can be taken away."""

    name: str
    value: str
    words: str


def _chips(narrowed: ImageFilter, facets: list[Facet]) -> list[Chip]:
    chips = [
        Chip(facet.name, option.value, _("%(facet)s: %(value)s") % {"facet": facet.label, "value": option.label})
        for facet in facets
        for option in facet.options
        if option.selected
    ]
    return [*_collection_chip(narrowed), *chips]


def _collection_chip(narrowed: ImageFilter) -> list[Chip]:
    given = narrowed.values.get("collection")
    if not given:
        return []
    try:
        found = Collection.objects.visible_to(narrowed.user).filter(pk=given).first()
    except ValidationError:  # not a UUID at all
        found = None
    name = found.name if found else _("not there any more")
    return [Chip("collection", given, _("Collection: %(name)s") % {"name": name})]


@login_required
@require_safe
def facet(request: HttpRequest, name: str) -> HttpResponse:
    """The options of a facet that is counted only where it is looked at."""
    if name not in ON_DEMAND:
        raise Http404
    narrowed = ImageFilter(request.GET, user=caller(request))
    context = {"facet": ON_DEMAND[name](narrowed), "filter": narrowed}
    return render(request, "gallery/_facet_options.html", context)


@login_required
@require_safe
def complete(request: HttpRequest) -> HttpResponse:
    """What the term under the caret of the search box could become."""
    text = request.GET.get("q", "")
    caret = int(given) if (given := request.GET.get("caret", "")).isdecimal() else len(text)
    context = {"completion": completion_of(caller(request), text[:MAX_TEXT], caret)}
    return render(request, "gallery/_completions.html", context)


@login_required
@require_POST
def compare_selected(request: HttpRequest) -> HttpResponse:
    """The bar posts; pictures beside each other have an address that can be kept."""
    chosen = selection_of(request).values_list("pk", flat=True)[: MOST + 1]
    return redirect(f"{reverse('image-compare')}?{urlencode([('image', str(pk)) for pk in chosen])}")
