"""The gallery: the grid, and taking pictures out."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from gallery.facets import facets_of
from gallery.filters import ImageFilter, visible_images
from gallery.paging import PAGE, page_of
from gallery.selection import selection_of
from gallery.services import metadata_of, zip_of
from gallery.web import filter_query, json_file
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


# --- a selection ------------------------------------------------------------------------------------------------
@login_required
@require_POST
def selection_zip(request: HttpRequest) -> HttpResponseBase:
    images = list(selection_of(request))
    if not images:
        return _nothing_selected(request)
    try:
        archive = zip_of(images)
    except FileNotFoundError as error:
        raise Http404 from error
    response = StreamingHttpResponse(archive, content_type="application/zip")
    response["Content-Length"] = str(len(archive))
    response["Content-Disposition"] = f'attachment; filename="shoes-{timezone.localdate():%Y-%m-%d}.zip"'
    response["Cache-Control"] = "private, no-store"
    return response


@login_required
@require_POST
def selection_metadata(request: HttpRequest) -> HttpResponse:
    images = list(selection_of(request))
    return json_file(metadata_of(images), "metadata.json") if images else _nothing_selected(request)


def _nothing_selected(request: HttpRequest) -> HttpResponse:
    messages.info(request, _("Nothing was selected. Tick some pictures first."))
    return redirect("gallery")
