"""The gallery: the grid, and taking pictures out."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from gallery.filters import ImageFilter, older_than, visible_images
from gallery.services import metadata_of, zip_of
from gallery.web import filter_query, json_file, uuid_or_404
from generation.models import GeneratedImage
from shoesai.auth import caller

PAGE = 60


@login_required
@require_safe
def gallery(request: HttpRequest) -> HttpResponse:
    """The grid from the picture named by `after` on; htmx gets only the next tiles."""
    narrowed = ImageFilter(request.GET, user=caller(request))
    images, more = _page_of(narrowed.qs, request.GET.get("after"))
    context: dict[str, Any] = {"filter": narrowed, "images": images, "more": more, "query": filter_query(request)}
    if getattr(request, "htmx", False) and "after" in request.GET:
        return render(request, "gallery/_tiles.html", context)
    if not images:
        context["has_any"] = visible_images(caller(request)).exists()
    context["total"] = narrowed.qs.count()
    return render(request, "gallery/gallery.html", context)


def _page_of(queryset: QuerySet[GeneratedImage], after: str | None) -> tuple[list[GeneratedImage], bool]:
    """Keyset: a page begins after a picture, so nothing shifts when new pictures come."""
    last = queryset.filter(pk=uuid_or_404(after)).first() if after else None
    if last:
        queryset = older_than(queryset, last)
    found = list(queryset[: PAGE + 1])
    return found[:PAGE], len(found) > PAGE


# --- a selection ------------------------------------------------------------------------------------------------
def _selection(request: HttpRequest) -> list[GeneratedImage]:
    """The ticked pictures, as far as the user may see them, in the gallery's order."""
    wanted = [uuid_or_404(text) for text in request.POST.getlist("image")]
    return list(visible_images(caller(request)).filter(pk__in=wanted))


@login_required
@require_POST
def selection_zip(request: HttpRequest) -> HttpResponseBase:
    images = _selection(request)
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
    images = _selection(request)
    return json_file(metadata_of(images), "metadata.json") if images else _nothing_selected(request)


def _nothing_selected(request: HttpRequest) -> HttpResponse:
    messages.info(request, _("Nothing was selected. Tick some pictures first."))
    return redirect("gallery")
