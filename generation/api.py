"""POST /api/generate, and the pictures."""

from __future__ import annotations

import logging
import threading
import time
from uuid import UUID

from django.http import HttpResponseBase
from django.urls import reverse
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from generation.media import variant_bytes
from generation.models import GeneratedImage, Generation
from generation.serializers import (
    AcceptedSerializer,
    GeneratedSerializer,
    GenerateSerializer,
    ImageSerializer,
    RequestParser,
    generated,
)
from generation.services import InvalidRequest, request_generation
from generation.variants import CHOICES_OF, UnknownVariant
from shoesai.api import IDEMPOTENCY_KEY, JOB_EXAMPLE, LIVE_RETRY_SECONDS, ApiView, found, idempotency_key, with_etag
from shoesai.auth import caller
from shoesai.models import Job, User
from shoesai.problems import Problem, documented
from shoesai.sentences import said
from shoesai.serializers import JobSerializer

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.1
# `serve` has 16 threads a process; some must stay free for those who do not wait.
WAITERS = threading.BoundedSemaphore(12)

SEED_REQUEST = {
    "model_name": "casual/checkpoint-150",
    "prompt": "A professional product photo of brown leather casual shoes",
    "num_images": 1,
    "num_inference_steps": 50,
    "guidance_scale": 7.5,
    "seed": 42,
}
SEED_RESPONSE = {
    "success": True,
    "images": [
        {
            "image": "iVBORw0KGgo…",
            "seed": 42,
            "metadata": {"model": "casual/checkpoint-150", "steps": 50, "guidance_scale": 7.5},
            "id": "0b0f6a53-3c53-4a8e-8f0a-6a4f3d7c9e10",
            "url": "/api/images/0b0f6a53-3c53-4a8e-8f0a-6a4f3d7c9e10/file",
        }
    ],
    "generation_time": 12.5,
    "job": {**JOB_EXAMPLE.value, "state": "succeeded"},
}


class GenerateView(ApiView):
    parser_classes = [RequestParser]

    @extend_schema(
        operation_id="generate",
        summary="Make pictures",
        description=(
            "200 when the pictures are ready within `wait` seconds, else 202 with the job and its "
            "`Location`. `Prefer: respond-async` answers 202 at once. A server on which many wait already "
            "answers 202 early."
        ),
        tags=["pictures"],
        request=GenerateSerializer,
        parameters=[
            OpenApiParameter("Prefer", OpenApiTypes.STR, "header", description="`respond-async`: do not wait."),
            IDEMPOTENCY_KEY,
        ],
        examples=[
            OpenApiExample("pictures", value=SEED_REQUEST, request_only=True),
            OpenApiExample("ready", value=SEED_RESPONSE, response_only=True, status_codes=["200"]),
            OpenApiExample("not yet", value={"job": JOB_EXAMPLE.value}, response_only=True, status_codes=["202"]),
        ],
        responses={
            200: GeneratedSerializer,
            202: AcceptedSerializer,
            **documented(400, 401, 403, 409, 413, 415, 422, 429, 500),
        },
    )
    def post(self, request: Request) -> Response:
        given = GenerateSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        generation = _ask(caller(request), given, idempotency_key(request))
        patience = 0 if _prefers_async(request) else given.validated_data["wait"]
        job = wait_for(generation.job_id, patience)
        return _answer(generation, job, preferred=_prefers_async(request))


def _ask(user: User, given: GenerateSerializer, key: str | None) -> Generation:
    try:
        return request_generation(user=user, request=given.to_request(user), idempotency_key=key)
    except InvalidRequest as error:
        raise ValidationError(error.errors) from None


def _prefers_async(request: Request) -> bool:
    preferences = request.headers.get("Prefer", "").split(",")
    return any(preference.split(";")[0].strip().lower() == "respond-async" for preference in preferences)


def wait_for(job_id: UUID, seconds: float) -> Job:
    """The job when it has ended, or as it stands after `seconds`. No transaction is open meanwhile."""
    deadline = time.monotonic() + seconds
    may_wait = seconds > 0 and WAITERS.acquire(blocking=False)
    try:
        while True:
            job = Job.objects.defer("preview").get(pk=job_id)
            if not may_wait or not job.is_live or time.monotonic() >= deadline:
                return job
            time.sleep(POLL_SECONDS)
    finally:
        if may_wait:
            WAITERS.release()


def _answer(generation: Generation, job: Job, *, preferred: bool) -> Response:
    if job.state == Job.State.FAILED:
        raise Problem(500, "generation-failed", f"{said(job.error_text)} ({job.error_code})")
    if job.state == Job.State.CANCELLED:
        raise Problem(409, "generation-cancelled", _("The job was cancelled before its pictures were finished."))
    if job.state == Job.State.SUCCEEDED and not preferred:
        return Response(generated(generation, job))
    headers = {"Location": reverse("api-job", args=[job.pk]), "Retry-After": str(LIVE_RETRY_SECONDS)}
    if preferred:
        headers["Preference-Applied"] = "respond-async"
    return Response({"job": JobSerializer(job).data}, status=202, headers=headers)


# --- one picture --------------------------------------------------------------------------------------------
class PngRenderer(BaseRenderer):
    """For the schema; the bytes go out as `generation.media` makes them."""

    media_type = "image/png"
    format = "png"


class ImageView(ApiView):
    @extend_schema(
        operation_id="get_image",
        summary="One picture's recipe",
        tags=["pictures"],
        responses={
            200: ImageSerializer,
            304: OpenApiResponse(description="Unchanged"),
            **documented(401, 403, 404),
        },
    )
    def get(self, request: Request, id: UUID) -> HttpResponseBase:
        seen = GeneratedImage.objects.visible_to(request.user)
        images = seen.select_related("generation__base_model", "photo_check")
        return with_etag(request, Response(ImageSerializer(found(images, "picture", id)).data))


class ImageFileView(ApiView):
    renderer_classes = [PngRenderer]

    @extend_schema(
        operation_id="get_image_file",
        summary="One picture as PNG, WebP or JPEG",
        description=(
            "The stored PNG, or its pixels as WebP or JPEG at quality 95. The recipe is inside in every format, unless "
            "`metadata=0` leaves it out. The mark of AI origin always stays."
        ),
        tags=["pictures"],
        parameters=[
            OpenApiParameter("format", {"type": "string", "enum": list(CHOICES_OF["format"]), "default": "png"}),
            OpenApiParameter("metadata", {"type": "string", "enum": list(CHOICES_OF["metadata"]), "default": "1"}),
        ],
        responses={
            **{(200, f"image/{name}"): OpenApiTypes.BINARY for name in CHOICES_OF["format"]},
            304: OpenApiResponse(description="Unchanged"),
            **documented(400, 401, 403, 404),
        },
    )
    def get(self, request: Request, id: UUID) -> HttpResponseBase:
        image = found(GeneratedImage.objects.visible_to(request.user).select_related("blob"), "picture", id)
        try:
            return variant_bytes(request._request, image)
        except UnknownVariant as refusal:
            raise ValidationError(refusal.errors) from None
