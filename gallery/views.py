"""The gallery's grid."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from gallery.facets import facets_of
from gallery.filters import ImageFilter, visible_images
from gallery.paging import PAGE, page_of
from gallery.web import filter_query
from shoesai.auth import caller


@login_required
@require_safe
def gallery(request: HttpRequest) -> HttpResponse:
    """The grid from the picture named by `cursor` on; htmx gets only the next tiles."""
    narrowed = ImageFilter(request.GET, user=caller(request))
    page = page_of(narrowed, request.GET.get("cursor"), PAGE)
    query = filter_query(request)
    context: dict[str, Any] = {"filter": narrowed, "images": page.images, "more": page.more, "query": query}
    if getattr(request, "htmx", False) and "cursor" in request.GET:
        return render(request, "gallery/_tiles.html", context)
    if not page.images:
        context["has_any"] = visible_images(caller(request)).exists()
    found = facets_of(narrowed)
    context |= {"facets": found.facets, "total": found.total}
    return render(request, "gallery/gallery.html", context)
