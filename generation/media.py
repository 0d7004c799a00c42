"""The one door to a picture's bytes, for pages and API alike."""

from __future__ import annotations

import logging
from collections.abc import Callable
from io import BytesIO
from typing import IO, Literal

from django.core.exceptions import ValidationError
from django.http import FileResponse, Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.utils.cache import get_conditional_response
from django.utils.translation import gettext as _

from generation.models import GeneratedImage
from generation.variants import Variant
from shoesai import files
from shoesai.models import Blob, User

logger = logging.getLogger(__name__)

# A picture's bytes never change: its address holds for ever, for this browser only.
FOREVER = "private, max-age=31536000, immutable"


def visible_image(user: User, pk: object) -> GeneratedImage:
    """The one place that decides who gets a picture; everyone else gets a 404."""
    images = GeneratedImage.objects.visible_to(user).select_related("generation__base_model", "blob", "thumbnail")
    try:
        return get_object_or_404(images, pk=pk)
    except ValidationError as error:  # not a UUID at all
        raise Http404 from error


def picture_bytes(
    request: HttpRequest, image: GeneratedImage, which: Literal["blob", "thumbnail"]
) -> HttpResponseBase:
    """The file as it lies on the disk."""
    return blob_bytes(request, getattr(image, which), image.file_name("png" if which == "blob" else "webp"))


def blob_bytes(request: HttpRequest, blob: Blob, name: str) -> HttpResponseBase:
    """For what the caller has found to be this user's to see."""
    return _answer(
        request,
        etag=f'"{blob.sha256}"',
        make=lambda: files.path_of(blob.sha256).open("rb"),
        mime=blob.mime,
        name=name,
    )


def variant_bytes(request: HttpRequest, image: GeneratedImage) -> HttpResponseBase:
    """The picture as `?format=` and `?metadata=` ask for it. Raises UnknownVariant."""
    variant = Variant.of(request.GET)
    if variant.is_stored:
        return picture_bytes(request, image, "blob")
    return _answer(
        request,
        etag=variant.etag(image.blob_id),
        make=lambda: BytesIO(variant.encode(files.path_of(image.blob_id))),
        mime=variant.mime,
        name=image.file_name(variant.suffix),
    )


def _answer(
    request: HttpRequest, *, etag: str, make: Callable[[], IO[bytes]], mime: str, name: str
) -> HttpResponseBase:
    """Who has it already costs neither a file nor an encoding."""
    response: HttpResponseBase | None = get_conditional_response(request, etag=etag)
    if response is None:
        try:
            data = make()
        except FileNotFoundError as error:
            logger.error("the file of %s is missing: its etag is %s", name, etag)
            raise Http404(_("The file of this picture is missing; tell whoever runs this site.")) from error
        response = FileResponse(data, content_type=mime, as_attachment="download" in request.GET, filename=name)
    response["ETag"] = etag
    response["Cache-Control"] = FOREVER
    response["X-Content-Type-Options"] = "nosniff"
    return response
