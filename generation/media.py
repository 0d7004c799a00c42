"""The one door to a picture's bytes, for pages and API alike."""

from __future__ import annotations

import logging
from typing import Literal

from django.core.exceptions import ValidationError
from django.http import FileResponse, Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.utils.cache import get_conditional_response

from generation.models import GeneratedImage
from shoesai import files
from shoesai.models import User

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
    blob = getattr(image, which)
    etag = f'"{blob.sha256}"'
    response: HttpResponseBase | None = get_conditional_response(request, etag=etag)
    if response is None:
        try:
            stored = files.path_of(blob.sha256).open("rb")
        except FileNotFoundError as error:
            logger.error("the file of image %s is missing: %s", image.pk, blob.sha256)
            raise Http404("The file of this picture is missing; tell whoever runs this site.") from error
        response = FileResponse(
            stored,
            content_type=blob.mime,
            as_attachment="download" in request.GET,
            filename=image.file_name("png" if which == "blob" else "webp"),
        )
    response["ETag"] = etag
    response["Cache-Control"] = FOREVER
    response["X-Content-Type-Options"] = "nosniff"
    return response
