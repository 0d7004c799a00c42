"""Every error of the API, as RFC 9457 problem+json with the request's id."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from django.core.exceptions import PermissionDenied
from django.core.signals import got_request_exception
from django.db import InterfaceError, OperationalError
from django.http import Http404, JsonResponse
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiExample, OpenApiResponse
from rest_framework import exceptions, serializers
from rest_framework.settings import api_settings

from shoesai.jobs.queue import KeyReused, QueueFull, QuotaReached

logger = logging.getLogger(__name__)

CONTENT_TYPE = "application/problem+json"
QUEUE_RETRY_SECONDS = 30
DATABASE_RETRY_SECONDS = 5


class Problem(exceptions.APIException):
    """A refusal with a status and a short code of its own; `errors` are fields and what is wrong with each."""

    def __init__(self, status: int, code: str, detail: str, errors: Iterable[tuple[str, str]] = ()) -> None:
        super().__init__(detail)
        self.status_code = status
        self.default_code = code
        self.errors = [{"field": name, "message": message} for name, message in errors]


@dataclass(frozen=True)
class Description:
    status: int
    code: str
    detail: str
    errors: list[dict[str, str]] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)


def problem_handler(error: Exception, context: dict[str, Any]) -> JsonResponse:
    request = context["request"]
    known = describe(error)
    if known.status >= 500 and not isinstance(error, Problem):
        logger.error("%s %s", request.method, request.path, exc_info=error)
    if known.code == "internal-error":
        # As Django does for an uncaught exception: error reporters listen, and the test client raises.
        got_request_exception.send(sender=None, request=request)
    return problem_response(known, getattr(request, "request_id", ""))


def problem_response(known: Description, request_id: str) -> JsonResponse:
    body = {
        "type": f"urn:shoesai:problem:{known.code}",
        "title": known.code.replace("-", " ").capitalize(),
        "status": known.status,
        "detail": known.detail,
        "errors": known.errors,
        "request_id": request_id,
    }
    return JsonResponse(body, status=known.status, headers=known.headers, content_type=CONTENT_TYPE)


def describe(error: Exception) -> Description:
    if isinstance(error, exceptions.ValidationError):
        errors = [{"field": name, "message": message} for name, message in flatten(error.detail)]
        return Description(400, "invalid-request", _("Nothing was done; `errors` says what is allowed."), errors)
    if isinstance(error, exceptions.APIException):
        return _from_rest_framework(error)
    if isinstance(error, QueueFull):
        return Description(429, "queue-full", str(error), headers={"Retry-After": str(QUEUE_RETRY_SECONDS)})
    if isinstance(error, QuotaReached):
        return Description(429, "quota-reached", str(error))
    if isinstance(error, KeyReused):
        return Description(422, "idempotency-key-reused", str(error), _one_error("Idempotency-Key", str(error)))
    if isinstance(error, Http404):
        return Description(404, "not-found", str(error) or _("There is nothing here, or it is not yours."))
    if isinstance(error, PermissionDenied):
        return Description(403, "permission-denied", str(error) or _("You may not do this."))
    if isinstance(error, OperationalError | InterfaceError):
        retry = {"Retry-After": str(DATABASE_RETRY_SECONDS)}
        return Description(503, "database-unavailable", _("The database does not answer."), headers=retry)
    return Description(500, "internal-error", _("Something broke here; the log knows it by this request_id."))


def _from_rest_framework(error: exceptions.APIException) -> Description:
    headers = {}
    if challenge := getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = challenge
    if wait := getattr(error, "wait", None):
        headers["Retry-After"] = str(math.ceil(wait))
    code = str(error.default_code).replace("_", "-")
    about_body = isinstance(error, exceptions.ParseError) or error.status_code == 413
    errors = getattr(error, "errors", None) or (_one_error("body", str(error.detail)) if about_body else [])
    return Description(error.status_code, code, str(error.detail), errors, headers)


def _one_error(name: str, message: str) -> list[dict[str, str]]:
    return [{"field": name, "message": message}]


def _below(path: str, name: str | int) -> str:
    if name == api_settings.NON_FIELD_ERRORS_KEY:
        return path
    return f"{path}[{name}]" if isinstance(name, int) else f"{path}.{name}".lstrip(".")


def flatten(detail: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """`{"loras": [{}, {"weight": ["…"]}]}` → `loras[1].weight`; what names no field is about the `body`."""
    if isinstance(detail, dict):
        for name, inner in detail.items():
            yield from flatten(inner, _below(path, name))
    elif isinstance(detail, list):
        for position, inner in enumerate(detail):
            yield from flatten(inner, f"{path}[{position}]" if isinstance(inner, dict) else path)
    else:
        yield path or "body", str(detail)


# --- what the schema says about them ------------------------------------------------------------------------
class FieldErrorSerializer(serializers.Serializer):
    field = serializers.CharField(help_text="A field of the body, a query parameter, a header, or `body`.")
    message = serializers.CharField(help_text="What is wrong and what is allowed.")


class ProblemSerializer(serializers.Serializer):
    """RFC 9457."""

    type = serializers.CharField(help_text="`urn:shoesai:problem:…`, stable: switch on this.")
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField()
    errors = FieldErrorSerializer(many=True)  # type: ignore[assignment]
    request_id = serializers.CharField(help_text="Also in the header X-Request-ID and in the server's log.")


EXAMPLES = {
    400: ("invalid-request", "Nothing was done; `errors` says what is allowed.",
          _one_error("num_images", "must be a whole number between 1 and 10.")),
    401: ("authentication-failed", "This token is unknown, expired or revoked.", []),
    403: ("permission-denied", "This token lacks the scope 'generate'; it has: read.", []),
    404: ("not-found", "There is nothing here, or it is not yours.", []),
    405: ("method-not-allowed", 'Method "DELETE" not allowed.', []),
    409: ("job-ended", "The job had ended already: succeeded.", []),
    413: ("body-too-large", "The body may have at most 2,097,152 bytes.",
          _one_error("body", "The body may have at most 2,097,152 bytes.")),
    415: ("unsupported-media-type", 'Unsupported media type "text/plain" in request.', []),
    422: ("idempotency-key-reused", "This Idempotency-Key was used for a different request.",
          _one_error("Idempotency-Key", "This Idempotency-Key was used for a different request.")),
    429: ("queue-full", "100 jobs are waiting or running already; at most 100.", []),
    500: ("generation-failed", "The engine ran out of memory. (out_of_memory)", []),
    503: ("database-unavailable", "The database does not answer; try again.", []),
}  # fmt: skip


def documented(*statuses: int) -> dict[tuple[int, str], OpenApiResponse]:
    """Rows for `extend_schema(responses=…)`."""
    return {(status, CONTENT_TYPE): _documented(status) for status in statuses}


def _documented(status: int) -> OpenApiResponse:
    code, detail, errors = EXAMPLES[status]
    value = {
        "type": f"urn:shoesai:problem:{code}",
        "title": code.replace("-", " ").capitalize(),
        "status": status,
        "detail": detail,
        "errors": errors,
        "request_id": "0f2c6d1e9c5b4c7e8f0a3b1d2e4f5a6b",
    }
    example = OpenApiExample(code, value=value, response_only=True, status_codes=[str(status)], media_type=CONTENT_TYPE)
    return OpenApiResponse(ProblemSerializer, HTTPStatus(status).phrase, [example])
