"""The bytes of validation pictures and of photos, whole or small for strips and rows; and of a version as a ZIP."""

from __future__ import annotations

import logging
from io import BytesIO
from pathlib import PurePosixPath

from django.core.cache import cache
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.utils.cache import get_conditional_response
from django.utils.http import content_disposition_header
from django.utils.text import slugify
from django.utils.translation import gettext as _
from PIL import Image, ImageOps

from shoesai import files
from shoesai.models import Blob, User
from training.datasets.exporting import zip_of
from training.models import Dataset, DatasetVersion, Photo, TrainingRun, ValidationImage

logger = logging.getLogger(__name__)

THUMBNAIL_SIDE = 256  # twice what the strip shows, for sharp screens
THUMBNAIL_SECONDS = 7 * 24 * 3600
# A run that goes on from an earlier step draws some pictures again, so only an address with `?v=` holds for ever.
FOREVER, ASK_AGAIN = "private, max-age=31536000, immutable", "private, no-cache"


def visible_validation_image(user: User, run: object, pk: object) -> ValidationImage:
    """Whoever may see the run; everyone else gets a 404."""
    runs = TrainingRun.objects.visible_to(user).filter(pk=run)
    return get_object_or_404(ValidationImage.objects.select_related("blob", "run").filter(run__in=runs), pk=pk)


def visible_photo(user: User, pk: object) -> Photo:
    """Whoever may see the dataset; everyone else gets a 404."""
    datasets = Dataset.objects.visible_to(user)
    return get_object_or_404(Photo.objects.select_related("blob").filter(version__dataset__in=datasets), pk=pk)


def validation_bytes(request: HttpRequest, image: ValidationImage, *, small: bool) -> HttpResponseBase:
    name = f"{image.run.name}-step-{image.step}-{image.seq}.{'webp' if small else 'png'}"
    caching = FOREVER if "v" in request.GET else ASK_AGAIN
    return _answer(request, image.blob, small=small, name=name, caching=caching)


def photo_bytes(request: HttpRequest, photo: Photo, *, small: bool) -> HttpResponseBase:
    name = PurePosixPath(photo.file_name)
    return _answer(
        request, photo.blob, small=small, name=f"{name.stem}.webp" if small else name.name, caching=FOREVER
    )


def version_bytes(request: HttpRequest, version: DatasetVersion, form: str) -> HttpResponseBase:
    """`form` is a key of `exporting.FORMATS`. Made while it goes out; its length is known before."""
    length, chunks = zip_of(version, form)
    asked_only = request.method == "HEAD"
    response = StreamingHttpResponse(() if asked_only else chunks, content_type="application/zip")
    name = f"{slugify(version.dataset.name) or 'dataset'}-v{version.number}-{form}.zip"
    response["Content-Length"] = str(length)
    response["Content-Disposition"] = str(content_disposition_header(True, name))
    response["Cache-Control"] = "private, no-store"
    return response


def _answer(request: HttpRequest, blob: Blob, *, small: bool, name: str, caching: str) -> HttpResponseBase:
    """A browser that has it already costs neither a file nor a drawing."""
    etag = f'"{blob.sha256}{"-small" if small else ""}"'
    response = get_conditional_response(request, etag=etag)
    if response is None:
        try:
            data = _thumbnail(blob) if small else files.read(blob)
        except FileNotFoundError as error:
            logger.error("the file of %r is missing: %s", name, blob.sha256)
            raise Http404(_("The file of this picture is missing; tell whoever runs this site.")) from error
        response = HttpResponse(data, content_type="image/webp" if small else blob.mime)
        response["Content-Disposition"] = str(content_disposition_header("download" in request.GET, name))
    response["ETag"] = etag
    response["Cache-Control"] = caching
    response["X-Content-Type-Options"] = "nosniff"
    return response


def _thumbnail(blob: Blob) -> bytes:
    key = f"small-{blob.sha256}"
    data = cache.get(key)
    if data is None:
        data = webp_of(files.read(blob))
        cache.set(key, data, THUMBNAIL_SECONDS)
    return data


def webp_of(data: bytes, side: int = THUMBNAIL_SIDE) -> bytes:
    """At most `side` pixels on each side; a small picture stays as it is. Upright, as the camera meant it."""
    picture = ImageOps.exif_transpose(Image.open(BytesIO(data))).convert("RGB")
    picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    out = BytesIO()
    picture.save(out, "WEBP", quality=86)
    return out.getvalue()
