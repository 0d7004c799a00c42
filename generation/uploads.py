"""Files that come with the Generate form, no larger than a reference may be, whatever the sender says."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.core.files.uploadhandler import FileUploadHandler, SkipFile
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.views.decorators.csrf import csrf_exempt, csrf_protect

from generation import limits

View = Callable[..., HttpResponseBase]


class Bounded(FileUploadHandler):
    """Lets nothing beyond the limit reach memory or disk; the file is left out then, and its name is noted."""

    def __init__(self, request: HttpRequest) -> None:
        super().__init__(request)
        self.too_large: set[str] = set()

    def receive_data_chunk(self, raw_data: bytes, start: int) -> bytes:
        if start + len(raw_data) > limits.REFERENCE_BYTES:
            self.too_large.add(self.field_name or "")
            raise SkipFile
        return raw_data

    def file_complete(self, file_size: int) -> None:
        """The handlers behind this one make the file."""


def bounded_uploads(view: View) -> View:
    """Handlers must be in place before anything reads the body, and checking the CSRF token does."""
    checked = csrf_protect(view)

    @csrf_exempt
    @wraps(view)
    def outer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.method == "POST":
            bounded = Bounded(request)
            request.upload_handlers = [bounded, *request.upload_handlers]
            request.too_large = bounded.too_large  # type: ignore[attr-defined]
        return checked(request, *args, **kwargs)

    return outer
