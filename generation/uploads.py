"""The reference that comes with the Generate form: never larger than it may be, and kept before anything else."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.core.files.uploadhandler import FileUploadHandler, SkipFile
from django.http import HttpRequest, QueryDict
from django.http.response import HttpResponseBase
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt, csrf_protect

from generation import limits
from generation.references import keep_reference
from shoesai.auth import caller
from shoesai.pictures import NotAPicture

FIELD = "reference_file"
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


def posted_with_upload(request: HttpRequest) -> tuple[QueryDict, str]:
    """The fields, and what is wrong with the picture that came along, if anything. For views with `bounded_uploads`.

    A good picture is kept at once and stands in the fields, so that nothing that goes wrong later loses it.
    """
    posted = request.POST.copy()
    if FIELD in request.too_large:  # type: ignore[attr-defined]
        return posted, _("is larger than %(most)d MB.") % {"most": limits.REFERENCE_BYTES // 1024 // 1024}
    if FIELD not in request.FILES:
        return posted, ""
    try:
        blob = keep_reference(caller(request), request.FILES[FIELD])
    except NotAPicture as problem:
        return posted, str(problem)
    posted["reference"], posted["reference_image"] = blob.sha256, ""
    posted.setdefault("strength", str(limits.DEFAULT_STRENGTH))
    return posted, ""


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
