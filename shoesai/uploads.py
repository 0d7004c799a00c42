"""Files that come with a form: never larger than they may be, and never in memory or on disk beyond that."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.core.files.uploadhandler import FileUploadHandler, SkipFile
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.views.decorators.csrf import csrf_exempt, csrf_protect

View = Callable[..., HttpResponseBase]


class Bounded(FileUploadHandler):
    """Lets nothing beyond the limit reach memory or disk; the file is left out then, and its field is noted."""

    def __init__(self, request: HttpRequest, limit: int) -> None:
        super().__init__(request)
        self.limit = limit
        self.too_large: set[str] = set()

    def receive_data_chunk(self, raw_data: bytes, start: int) -> bytes:
        if start + len(raw_data) > self.limit:
            self.too_large.add(self.field_name or "")
            raise SkipFile
        return raw_data

    def file_complete(self, file_size: int) -> None:
        """The handlers behind this one make the file."""


def bounded(limit: Callable[[], int]) -> Callable[[View], View]:
    """For views with uploads: `request.too_large` has the fields whose file was left out.

    Handlers must be in place before anything reads the body, and checking the CSRF token does.
    """

    def decorate(view: View) -> View:
        checked = csrf_protect(view)

        @csrf_exempt
        @wraps(view)
        def outer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if request.method == "POST":
                handler = Bounded(request, limit())
                request.upload_handlers = [handler, *request.upload_handlers]
                request.too_large = handler.too_large  # type: ignore[attr-defined]
            return checked(request, *args, **kwargs)

        return outer

    return decorate
