"""How a form's post is answered: a browser goes back where it came from and reads a message; htmx gets an event.

The event `pictures-changed` says that what is on screen may be out of date; its `words` are shown as a toast, with a
button where the change can be taken back. `toast` says only something.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme

from gallery.web import is_htmx


def undo_by(address: str, **fields: str) -> dict[str, Any]:
    """What the toast's button posts, and where."""
    return {"url": reverse(address), "fields": fields}


def done(
    request: HttpRequest, words: str, *, undo: dict[str, Any] | None = None, then: str = "", remedy: str = ""
) -> HttpResponse:
    """`then` is where a browser goes when it does not say itself; `remedy` tells it how to undo without a toast."""
    if is_htmx(request):
        return _event(204, "pictures-changed", {"words": words, "undo": undo})
    messages.success(request, f"{words} {remedy}".strip())
    return redirect(back(request, then))


def refused(request: HttpRequest, problem: str | ValidationError, *, then: str = "") -> HttpResponse:
    words = " ".join(problem.messages) if isinstance(problem, ValidationError) else problem
    if is_htmx(request):
        return _event(422, "toast", {"words": words})
    messages.error(request, words)
    return redirect(back(request, then))


def _event(status: int, name: str, detail: dict[str, Any]) -> HttpResponse:
    return HttpResponse(status=status, headers={"HX-Trigger": json.dumps({name: detail}), "HX-Reswap": "none"})


def back(request: HttpRequest, default: str = "") -> str:
    """Where the form was, if that is on this site: its `next`, else the page that posted it."""
    wanted = request.POST.get("next", "") or _path_of(request.headers.get("Referer", ""), request)
    safe = url_has_allowed_host_and_scheme(wanted, {request.get_host()}, require_https=request.is_secure())
    return wanted if safe else default or reverse("gallery")


def _path_of(address: str, request: HttpRequest) -> str:
    parts = urlsplit(address)
    if parts.netloc != request.get_host():
        return ""
    return f"{parts.path}?{parts.query}" if parts.query else parts.path
