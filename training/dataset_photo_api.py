"""Photos for programs: those of a version, page by page, each one's bytes, and new ones into the draft."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any
from uuid import UUID

from django.core.exceptions import SuspiciousOperation
from django.http import HttpRequest, HttpResponseBase
from django.utils.datastructures import MultiValueDict
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.exceptions import ParseError, ValidationError
from rest_framework.parsers import BaseParser, MultiPartParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from shoesai.api import (
    IDEMPOTENCY_KEY,
    JOB_EXAMPLE,
    MAX_PAGE_SIZE,
    PAGE_PARAMETERS,
    PAGE_SIZE,
    ApiView,
    chosen,
    found,
    idempotency_key,
    some_text,
    whole_number,
)
from shoesai.auth import caller
from shoesai.models import Job, User
from shoesai.problems import Problem, documented
from shoesai.serializers import readable
from shoesai.uploads import Bounded
from training.dataset_api import WorkshopView, started, version_of, visible_dataset
from training.dataset_serializers import PhotoListSerializer, PhotoSerializer, StartedJobSerializer
from training.datasets import uploads
from training.datasets.choosing import SHOWS, chosen_photos
from training.datasets.findings import KINDS
from training.datasets.uploads import UploadProblem
from training.media import photo_bytes
from training.models import Dataset, Photo

MAX_POSITION = 2**31 - 1
MAX_FILE_NAME = 255
CHUNK = 1024 * 1024
PHOTO: dict[str, Any] = {
    "id": "1f0f9c1c-6a5f-4a2c-9a55-1d0f6a3c2b13",
    "position": 7,
    "file_name": "100007_var1.png",
    "caption": "red leather boots",
    "proposal": "",
    "held_out": False,
    "removed": False,
    "origin": "augmented",
    "depth": 0,
    "parent": "0c1d…",
    "recipe": {"recipe": "product", "seed": 42, "variant": 1},
    "extra": {},
    "width": 1024,
    "height": 1024,
    "sha256": "7f3a…",
    "file": "/api/photos/1f0f9c1c-6a5f-4a2c-9a55-1d0f6a3c2b13/file",
}


# --- those that are there -------------------------------------------------------------------------------------------
class PhotosView(WorkshopView):
    @extend_schema(
        operation_id="list_dataset_photos",
        summary="The photos of a version, in order",
        tags=["datasets"],
        parameters=[
            OpenApiParameter("show", enum=list(SHOWS), description="Only these. Left out: all but what is taken out."),
            OpenApiParameter("finding", enum=list(KINDS), description="Only those with a finding of this kind open."),
            OpenApiParameter("q", OpenApiTypes.STR, description="Words that stand in caption or file name."),
            *PAGE_PARAMETERS,
        ],
        examples=[
            OpenApiExample("one photo", value={"photos": [PHOTO], "total": 1, "next": None}, response_only=True,
                           status_codes=["200"])
        ],
        responses={200: PhotoListSerializer, **documented(400, 401, 403, 404)},
    )  # fmt: skip
    def get(self, request: Request, id: UUID, number: int) -> Response:
        version = version_of(request, id, number)
        for name, allowed in (("show", SHOWS), ("finding", KINDS)):
            if name in request.query_params:
                chosen(request, name, list(allowed))
        if "q" in request.query_params:
            some_text(request, "q")
        photos = chosen_photos(version, request.query_params)
        limit = whole_number(request, "limit", PAGE_SIZE, low=1, high=MAX_PAGE_SIZE)
        page = list(photos.filter(position__gte=_cursor(request))[: limit + 1])
        following = None
        if len(page) > limit:
            query = request.query_params.copy()
            query["cursor"] = str(page[limit].position)
            following = f"{request.path}?{query.urlencode()}"
        told = PhotoSerializer(page[:limit], many=True).data
        return Response({"photos": told, "total": photos.count(), "next": following})


def _cursor(request: Request) -> int:
    try:
        return whole_number(request, "cursor", 0, low=0, high=MAX_POSITION)
    except ValidationError:
        raise ValidationError({"cursor": _("must be the cursor of an earlier page's `next`.")}) from None


class PngRenderer(BaseRenderer):
    """For the schema; the bytes go out as `training.media` makes them."""

    media_type = "image/png"
    format = "png"


class PhotoFileView(ApiView):
    renderer_classes = [PngRenderer]

    @extend_schema(
        operation_id="get_photo_file",
        summary="One photo as PNG",
        description="The working copy: upright, sRGB, on white, without metadata.",
        tags=["datasets"],
        responses={
            (200, "image/png"): OpenApiTypes.BINARY,
            304: OpenApiResponse(description="Unchanged"),
            **documented(401, 403, 404),
        },
    )
    def get(self, request: Request, id: UUID) -> HttpResponseBase:
        seen = Dataset.objects.visible_to(request.user)
        photos = Photo.objects.select_related("blob").filter(version__dataset__in=seen)
        return photo_bytes(request._request, found(photos, "photo", id), small=False)


# --- new ones -------------------------------------------------------------------------------------------------------
class FormParser(MultiPartParser):
    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        try:
            return super().parse(stream, media_type, parser_context)
        except SuspiciousOperation as error:  # too many fields, or too much in one
            raise ParseError(str(error)) from error


class RawFile(BaseParser):
    """The body is the file, and stays a stream: nothing of it is kept in memory."""

    media_type = "*/*"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        return {"stream": stream}


class UploadView(WorkshopView):
    parser_classes = [FormParser, RawFile]

    def initialize_request(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Request:
        """Before anything reads the body, and a session's CSRF check does."""
        self.bounds = Bounded(request, uploads.MAX_UPLOAD_BYTES)
        request.upload_handlers = [self.bounds, *request.upload_handlers]
        return super().initialize_request(request, *args, **kwargs)

    @extend_schema(
        operation_id="upload_photos",
        summary="Photos into the draft",
        description=(
            "One picture (PNG, JPEG, WebP) or a ZIP in one of the layouts that the portal reads, at most 8 GiB; "
            "as a form's `file` or as the body with `?name=`. A job reads it into the dataset's draft, which is begun "
            "where there is none; `imports` of the dataset then tells what could not be used."
        ),
        tags=["datasets"],
        request={
            "multipart/form-data": {
                "type": "object",
                "properties": {
                    "file": {"type": "string", "format": "binary"},
                    "name": {"type": "string", "maxLength": MAX_FILE_NAME},
                },
                "required": ["file"],
            },
            "application/octet-stream": OpenApiTypes.BINARY,
        },
        parameters=[
            IDEMPOTENCY_KEY,
            OpenApiParameter(
                "name",
                {"type": "string", "minLength": 1, "maxLength": MAX_FILE_NAME},
                description="What the file is called; where the body is the file, this is needed.",
            )
        ],
        examples=[
            OpenApiExample("a job", value={"job": {**JOB_EXAMPLE.value, "kind": "import_dataset"}},
                           response_only=True, status_codes=["202"]),
        ],
        responses={202: StartedJobSerializer, **documented(400, 401, 403, 404, 413, 422, 429)},
    )  # fmt: skip
    def post(self, request: Request, id: UUID) -> Response:
        dataset = visible_dataset(request, id)
        name, key = _file_name(request.query_params.get("name")), idempotency_key(request)
        data = request.data
        if "Transfer-Encoding" in request.headers:
            raise ValidationError({"Content-Length": _("is required: a body in chunks is not read.")})
        if isinstance(data, MultiValueDict):
            name, chunks = self._of_form(request, name)
        elif "stream" not in data:
            raise ValidationError({"file": _("is required.")})
        elif not name:
            raise ValidationError({"name": _("is required.")})
        else:
            chunks = in_full(data["stream"], int(request.META["CONTENT_LENGTH"]))
        return started(_queued(caller(request), dataset, name, _of_known_kind(chunks), key))

    def _of_form(self, request: Request, name: str) -> tuple[str, Iterator[bytes]]:
        """What came, and what it is called. Raises ValidationError."""
        if self.bounds.too_large:
            raise _too_large()
        unknown = [each for each in request.data if each not in ("file", "name")][:20]
        if unknown:
            words = _("is not a field of this request; allowed are %(names)s.") % {"names": "file, name"}
            raise ValidationError({readable(each): words for each in unknown})
        files = request.FILES.getlist("file")
        if len(files) != 1:
            raise ValidationError({"file": _("must be one file.") if files else _("is required.")})
        said = request.data.get("name")
        return _file_name(said if isinstance(said, str) else None) or name or files[0].name, files[0].chunks()


def _file_name(name: str | None) -> str:
    """Empty where none was said."""
    if name is None:
        return ""
    if not name.strip() or len(name) > MAX_FILE_NAME or "\x00" in name:
        raise ValidationError({"name": _("must have 1 to %(most)d characters.") % {"most": MAX_FILE_NAME}})
    return name


def _of_known_kind(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """By its first bytes, so that what can never be used is refused at once and not by a job."""
    rest = iter(chunks)
    start = b""
    for chunk in rest:
        start += chunk
        if len(start) >= len(b"RIFF....WEBP"):
            break
    webp = start[:4] == b"RIFF" and start[8:12] == b"WEBP"
    if not webp and not start.startswith((b"PK\x03\x04", b"\x89PNG", b"\xff\xd8")):
        raise ValidationError({"file": _("must be a ZIP, or a PNG, JPEG or WebP picture.")})
    return chain([start], rest)


def in_full(stream: Any, length: int) -> Iterator[bytes]:
    """Raises ValidationError where the sender stopped in the middle; servers say nothing of that."""
    for chunk in iter(lambda: stream.read(CHUNK), b""):
        length -= len(chunk)
        yield chunk
    if length > 0:
        raise ValidationError({"file": _("did not come to its end; send it again.")})


def _queued(user: User, dataset: Dataset, name: str, chunks: Iterable[bytes], key: str | None) -> Job:
    """The import of this file. Raises QuotaReached and KeyReused; nothing is left then."""
    begun, digest = uploads.begin(user, dataset, name), hashlib.sha256(f"{dataset.pk}/{name}/".encode())

    def digested() -> Iterator[bytes]:
        for chunk in chunks:
            digest.update(chunk)
            yield chunk

    try:
        uploads.add_file(begun, name, digested())
        return uploads.start(begun, idempotency_key=key, request_digest=digest.hexdigest())
    except BaseException as error:
        uploads.forget(begun)
        begun.delete()
        if isinstance(error, UploadProblem):
            raise _too_large() from None
        raise


def _too_large() -> Problem:
    words = _("The file is too large; send the photos in several parts.")
    return Problem(413, "body-too-large", words, [("file", words)])
