"""The bytes of a validation picture: whole, or small for the strip."""

from __future__ import annotations

import logging
from io import BytesIO

from django.core.cache import cache
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.utils.cache import get_conditional_response
from django.utils.http import content_disposition_header
from django.utils.translation import gettext as _
from PIL import Image

from shoesai import files
from shoesai.models import Blob, User
from training.models import TrainingRun, ValidationImage

logger = logging.getLogger(__name__)

THUMBNAIL_SIDE = 256  # twice what the strip shows, for sharp screens
THUMBNAIL_SECONDS = 7 * 24 * 3600
# A run that goes on from an earlier step draws some pictures again, so only an address with `?v=` holds for ever.
FOREVER, ASK_AGAIN = "private, max-age=31536000, immutable", "private, no-cache"


def visible_validation_image(user: User, run: object, pk: object) -> ValidationImage:
    """Whoever may see the run; everyone else gets a 404."""
    runs = TrainingRun.objects.visible_to(user).filter(pk=run)
    return get_object_or_404(ValidationImage.objects.select_related("blob", "run").filter(run__in=runs), pk=pk)


def validation_bytes(request: HttpRequest, image: ValidationImage, *, small: bool) -> HttpResponseBase:
    """A browser that has it already costs neither a file nor a drawing."""
    etag = f'"{image.blob_id}{"-small" if small else ""}"'
    response = get_conditional_response(request, etag=etag)
    if response is None:
        try:
            data = _thumbnail(image.blob) if small else files.read(image.blob)
        except FileNotFoundError as error:
            logger.error("the file of validation image %s is missing: %s", image.pk, image.blob_id)
            raise Http404(_("The file of this picture is missing; tell whoever runs this site.")) from error
        response = HttpResponse(data, content_type="image/webp" if small else image.blob.mime)
        name = f"{image.run.name}-step-{image.step}-{image.seq}.{'webp' if small else 'png'}"
        response["Content-Disposition"] = str(content_disposition_header("download" in request.GET, name))
    response["ETag"] = etag
    response["Cache-Control"] = FOREVER if "v" in request.GET else ASK_AGAIN
    response["X-Content-Type-Options"] = "nosniff"
    return response


def _thumbnail(blob: Blob) -> bytes:
    key = f"validation-thumbnail-{blob.sha256}"
    data = cache.get(key)
    if data is None:
        data = webp_of(files.read(blob))
        cache.set(key, data, THUMBNAIL_SECONDS)
    return data


def webp_of(png: bytes, side: int = THUMBNAIL_SIDE) -> bytes:
    """At most `side` pixels on each side; a small picture stays as it is."""
    picture = Image.open(BytesIO(png)).convert("RGB")
    picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    out = BytesIO()
    picture.save(out, "WEBP", quality=86)
    return out.getvalue()
