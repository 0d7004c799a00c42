"""Between requests and the gallery: the filter in the address, ids, and JSON to keep."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse

from gallery.rows import json_bytes


def filter_query(request: HttpRequest) -> str:
    """The filter as a query string, which a picture's page keeps so that ← and → stay inside it."""
    query = request.GET.copy()
    for name in ("cursor", "before", "opened", "counted", *[name for name, value in query.items() if not value]):
        query.pop(name, None)
    return query.urlencode()


def is_htmx(request: HttpRequest) -> bool:
    return bool(getattr(request, "htmx", False))


def uuid_or_404(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise Http404 from error


def json_file(content: Any, name: str) -> HttpResponse:
    response = HttpResponse(json_bytes(content), content_type="application/json")
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    response["Cache-Control"] = "private, no-store"
    return response
