"""What every API view shares, and the API of jobs, health and documentation."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet
from django.http import Http404, HttpResponseBase
from django.urls import reverse
from django.utils.cache import get_conditional_response
from django.utils.http import quote_etag
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema
from drf_spectacular.views import SpectacularSwaggerSplitView
from rest_framework import serializers
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from shoesai import health
from shoesai.auth import HasScope, require_scope
from shoesai.jobs import queue
from shoesai.jobs.kinds import HOUSEKEEPING
from shoesai.models import ApiToken, Job
from shoesai.problems import Problem, documented
from shoesai.serializers import JobSerializer, StrictJSONParser

PAGE_SIZE = 20
MAX_PAGE_SIZE = 100
LIVE_RETRY_SECONDS = 1
# Stopping a training takes the right to train; every other kind of work is stopped by whoever may generate.
SCOPE_OF_KIND = {"train": ApiToken.Scope.TRAIN}


class AlwaysJson(DefaultContentNegotiation):
    """We have one format, so a browser's `Accept: text/html` is no reason to answer 406."""

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        return renderers[0], renderers[0].media_type


class ApiView(APIView):
    permission_classes = [IsAuthenticated, HasScope]
    parser_classes = [StrictJSONParser]
    renderer_classes = [JSONRenderer]
    content_negotiation_class = AlwaysJson
    write_scope = ApiToken.Scope.GENERATE


def found(rows: QuerySet[Any], what: str, public_id: UUID) -> Any:
    """The row, or a 404 that says the same whether it is absent or somebody else's."""
    row = rows.filter(pk=public_id).first()
    if row is None:
        raise NotFound(_("There is no such %(what)s, or it is not yours.") % {"what": what})
    return row


GOOD_KEY = re.compile(r"[\x21-\x7e]{1,200}")
IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[!-~]+$"},
    "header",
    description="The same key with the same request is the same job, however often it is sent.",
)


def idempotency_key(request: Request) -> str | None:
    key = request.headers.get("Idempotency-Key")
    if key is not None and not GOOD_KEY.fullmatch(key):
        raise ValidationError({"Idempotency-Key": _("must have 1 to 200 visible ASCII characters.")})
    return key


def with_etag(request: Request, response: Response) -> HttpResponseBase:
    """304 when the caller has this very answer already; polling is cheap then."""
    digest = hashlib.sha256(JSONRenderer().render(response.data)).hexdigest()[:32]
    etag = quote_etag(digest)
    response["ETag"] = etag
    response["Cache-Control"] = "private, no-cache"
    return get_conditional_response(request._request, etag=etag, response=response) or response


# --- lists ----------------------------------------------------------------------------------------------------
PAGE_PARAMETERS = [
    OpenApiParameter(
        "limit",
        {"type": "integer", "minimum": 1, "maximum": MAX_PAGE_SIZE, "default": PAGE_SIZE},
        description="How many a page has.",
    ),
    OpenApiParameter("cursor", OpenApiTypes.STR, description="From `next` of the page before."),
]


def newest_first(request: Request, rows: QuerySet[Any]) -> tuple[list[Any], str | None]:
    """The page of Owned rows that `limit` and `cursor` ask for, and the address of the next one."""
    limit = whole_number(request, "limit", PAGE_SIZE, low=1, high=MAX_PAGE_SIZE)
    rows = rows.order_by("-created_at", "-id")
    if "cursor" in request.query_params:
        moment, last = _read_cursor(request.query_params["cursor"])
        rows = rows.filter(Q(created_at__lt=moment) | Q(created_at=moment, id__lt=last))
    page = list(rows[: limit + 1])
    more = len(page) > limit
    return page[:limit], _next(request, page[limit - 1]) if more else None


def whole_number(request: Request, name: str, default: int, *, low: int, high: int) -> int:
    """A query parameter."""
    text = request.query_params.get(name, str(default))
    if text.isascii() and text.isdigit() and len(text) <= len(str(high)) and low <= int(text) <= high:
        return int(text)
    words = {"low": low, "high": high}
    raise ValidationError({name: _("must be a whole number between {low} and {high}.").format(**words)})


def chosen(request: Request, name: str, allowed: Sequence[str]) -> str:
    """A query parameter that is there."""
    text: str = request.query_params[name]
    if text in allowed:
        return text
    raise ValidationError({name: _("must be one of %(names)s.") % {"names": ", ".join(allowed)}})


def some_text(request: Request, name: str) -> str:
    """A query parameter that is there. A NUL would be an error of PostgreSQL's."""
    text: str = request.query_params[name]
    if "\x00" in text:
        raise ValidationError({name: _("contains characters that are not text (NUL).")})
    return text


def _next(request: Request, last: Any) -> str:
    """A place in the order and not a page number, so that new rows shift nothing."""
    query = request.query_params.copy()
    query["cursor"] = base64.urlsafe_b64encode(f"{last.created_at.isoformat()} {last.pk}".encode()).decode()
    return f"{request.path}?{query.urlencode()}"


def _read_cursor(text: str) -> tuple[datetime, UUID]:
    try:
        moment, _space, last = base64.urlsafe_b64decode(text.encode()).decode().partition(" ")
        when = datetime.fromisoformat(moment)
        if when.tzinfo is None:
            raise ValueError("a moment without time zone")
        return when.astimezone(UTC), UUID(last)  # a moment at the end of time has no UTC
    except (ValueError, OverflowError, binascii.Error):
        raise ValidationError({"cursor": _("must be the cursor of an earlier page's `next`.")}) from None


# --- jobs ---------------------------------------------------------------------------------------------------
JOB_EXAMPLE = OpenApiExample(
    "a running job",
    value={
        "id": "5f0f9c1c-6a5f-4a2c-9a55-1d0f6a3c2b11",
        "url": "/api/jobs/5f0f9c1c-6a5f-4a2c-9a55-1d0f6a3c2b11",
        "kind": "generate",
        "state": "running",
        "progress": {"step": 12, "total": 50, "message": "", "percent": 24},
        "position": 0,
        "attempts": 1,
        "cancel_requested": False,
        "error": None,
        "images": [],
        "created_at": "2026-01-31T12:00:00Z",
        "started_at": "2026-01-31T12:00:01Z",
        "finished_at": None,
    },
    response_only=True,
    status_codes=["200", "202"],
)


class JobListSerializer(serializers.Serializer):
    jobs = JobSerializer(many=True)
    next = serializers.CharField(allow_null=True, help_text="Where the next page is; null on the last one.")


def visible_jobs(request: Request) -> QuerySet[Job]:
    jobs = Job.objects.visible_to(request.user).exclude(kind__in=HOUSEKEEPING).defer("preview")
    return queue.with_positions(jobs.select_related("generation").prefetch_related("generation__images"))


class JobsView(ApiView):
    @extend_schema(
        operation_id="list_jobs",
        summary="Your jobs and your team's, newest first",
        tags=["jobs"],
        parameters=[
            OpenApiParameter("state", enum=list(Job.State.values), description="Only jobs in this state."),
            *PAGE_PARAMETERS,
        ],
        responses={200: JobListSerializer, **documented(400, 401, 403)},
    )
    def get(self, request: Request) -> Response:
        jobs = visible_jobs(request)
        if "state" in request.query_params:
            jobs = jobs.filter(state=chosen(request, "state", Job.State.values))
        page, following = newest_first(request, jobs)
        return Response({"jobs": JobSerializer(page, many=True).data, "next": following})


class JobView(ApiView):
    @extend_schema(
        operation_id="get_job",
        summary="How far a job is",
        description="Poll it once a second; with the ETag as If-None-Match an unchanged job costs a 304.",
        tags=["jobs"],
        examples=[JOB_EXAMPLE],
        responses={
            200: JobSerializer,
            304: OpenApiResponse(description="Unchanged"),
            **documented(401, 403, 404),
        },
    )
    def get(self, request: Request, id: UUID) -> HttpResponseBase:
        job = found(visible_jobs(request), "job", id)
        response = Response(JobSerializer(job).data)
        if job.is_live:
            response["Retry-After"] = str(LIVE_RETRY_SECONDS)
        return with_etag(request, response)


class JobCancelView(ApiView):
    @extend_schema(
        operation_id="cancel_job",
        summary="Stop a job",
        description="A queued job ends at once, a running one at its next step. Finished pictures stay.",
        tags=["jobs"],
        request=None,
        examples=[JOB_EXAMPLE],
        responses={202: JobSerializer, **documented(401, 403, 404, 409)},
    )
    def post(self, request: Request, id: UUID) -> Response:
        job = found(visible_jobs(request), "job", id)
        if job.owner_id != request.user.pk:
            raise Problem(403, "not-yours", _("Team members see this job; only its owner can stop it."))
        require_scope(request, SCOPE_OF_KIND.get(job.kind, ApiToken.Scope.GENERATE))
        if not queue.request_cancel(job):
            raise Problem(409, "job-ended", _("The job had ended already: %(state)s.") % {"state": job.state})
        return Response(JobSerializer(job).data, status=202, headers={"Location": reverse("api-job", args=[id])})


# --- health -------------------------------------------------------------------------------------------------
class HealthSerializer(serializers.Serializer):
    """Staff get `database`, `queue`, `lanes` and `storage` as well."""

    status = serializers.ChoiceField(["ok", "degraded", "down"])
    version = serializers.CharField()
    database = serializers.DictField(required=False)
    queue = serializers.DictField(required=False)
    lanes = serializers.DictField(required=False)
    storage = serializers.DictField(required=False)


class HealthView(ApiView):
    permission_classes = [AllowAny]

    def perform_authentication(self, request: Request) -> None:
        """Later, because finding out who asks takes the database, which may be what is down."""

    @extend_schema(
        operation_id="get_health",
        summary="Whether the studio works",
        description=(
            "Open to everybody, who learn one word: `degraded` means that jobs wait and nobody takes them, "
            "`down` (503) that the database does not answer. Staff learn what stands behind it."
        ),
        tags=["health"],
        examples=[OpenApiExample("fine", value={"status": "ok", "version": "1.0.0"}, status_codes=["200"])],
        responses={200: HealthSerializer, 503: HealthSerializer, **documented(401)},
    )
    def get(self, request: Request) -> Response:
        if not health.database_answers():
            return Response({"status": "down", "version": health.VERSION}, status=503)
        status = "degraded" if health.is_degraded() else "ok"
        said: dict[str, Any] = {"status": status, "version": health.VERSION}
        if request.user.is_staff:
            require_scope(request, ApiToken.Scope.READ)
            said |= health.details()
        return Response(said, headers={"Cache-Control": "no-store"})


# --- the rest -----------------------------------------------------------------------------------------------
class DocsView(SpectacularSwaggerSplitView):
    """Swagger from our own static files; its script has its own address, so only styles are inline."""

    url_name = "api-schema"


@extend_schema(exclude=True)
class NothingHereView(ApiView):
    """Every other address below /api, so that programs read JSON there too."""

    permission_classes = [AllowAny]
    authentication_classes: list[Any] = []

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        words = _("There is nothing at %(path)s; GET /api/schema lists what there is.")
        raise Http404(words % {"path": request.path[:200]})
