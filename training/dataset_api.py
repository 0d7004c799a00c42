"""Datasets for programs: what is there, new ones, their settings and their versions. Whoever sees one works on it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import Count, Prefetch, Q, QuerySet
from django.http import HttpResponseBase
from django.urls import reverse
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from shoesai.api import (
    LIVE_RETRY_SECONDS,
    PAGE_PARAMETERS,
    ApiView,
    chosen,
    found,
    idempotency_key,
    newest_first,
    some_text,
    with_etag,
)
from shoesai.auth import caller
from shoesai.models import ApiToken, Job, User
from shoesai.problems import Problem, documented
from shoesai.serializers import JobSerializer, StrictSerializer
from training.dataset_serializers import (
    DatasetListSerializer,
    DatasetRequestSerializer,
    DatasetRowSerializer,
    DatasetSerializer,
    FindingsSerializer,
    VersionListSerializer,
    VersionSerializer,
)
from training.datasets.checking import told
from training.datasets.exporting import FORMATS
from training.datasets.importing import DatasetNameProblem
from training.datasets.owning import DatasetInUse, change_settings, delete_dataset, new_dataset
from training.media import version_bytes
from training.models import Dataset, DatasetVersion

ID = "9b7a6a43-7a0e-4d7f-8f0b-1d8c6f0b2a11"
URL = f"/api/datasets/{ID}"
VERSION: dict[str, Any] = {
    "id": "8a0a5a3e-53a8-4b43-9a42-5f4f0a7b1d10",
    "url": f"{URL}/versions/2",
    "number": 2,
    "draft": False,
    "content_hash": "6f1c…",
    "photo_count": 48,
    "held_out": 4,
    "synthetic_share": 0.25,
    "licence_note": "Our own photos.",
    "created_at": "2026-01-31T12:00:00Z",
    "frozen_at": "2026-01-31T13:00:00Z",
    "checked_at": "2026-01-31T12:30:00Z",
    "links": {
        "photos": f"{URL}/versions/2/photos",
        "findings": f"{URL}/versions/2/findings",
        "export": f"{URL}/versions/2/export",
    },
}
ROW: dict[str, Any] = {
    "id": ID,
    "url": URL,
    "name": "casual_shoes",
    "description": "Spring catalogue",
    "trigger_words": "acmeshoe",
    "synthetic_cap": 0.5,
    "owner": "alice",
    "team": "Studio",
    "draft": None,
    "latest": {"number": 2, "url": VERSION["url"], "photo_count": 48},
    "created_at": "2026-01-31T11:00:00Z",
    "links": {"versions": f"{URL}/versions", "page": f"/datasets/{ID}/"},
}
DATASET: dict[str, Any] = {
    **ROW,
    "imports": [
        {
            "id": "5d1c0c5e-7a0e-4d7f-8f0b-1d8c6f0b2a12",
            "source": "shoes.zip",
            "job": "5f0f9c1c-6a5f-4a2c-9a55-1d0f6a3c2b11",
            "state": "succeeded",
            "images": 48,
            "problems": [{"file": "images/broken.png", "problem": "is not a picture."}],
            "created_at": "2026-01-31T11:00:00Z",
        }
    ],
}
DATASET_EXAMPLE = OpenApiExample("a dataset", value=DATASET, response_only=True, status_codes=["200", "201"])
VERSION_EXAMPLE = OpenApiExample("a version", value=VERSION, response_only=True, status_codes=["200", "201"])


def visible_datasets(request: Request) -> QuerySet[Dataset]:
    newest = Prefetch("versions", DatasetVersion.objects.order_by("-number"), to_attr="newest_first")
    seen = Dataset.objects.visible_to(request.user).distinct()
    return seen.select_related("owner", "team").prefetch_related(newest)


def visible_dataset(request: Request, id: UUID) -> Any:
    return found(visible_datasets(request), "dataset", id)


def own_dataset(request: Request, id: UUID) -> Dataset:
    dataset: Dataset = visible_dataset(request, id)
    if dataset.owner_id != caller(request).pk:
        words = _("Your team works on this dataset; only its owner can change its settings or delete it.")
        raise Problem(403, "not-yours", words)
    return dataset


def counted_versions(dataset: Dataset) -> QuerySet[DatasetVersion]:
    """With what VersionSerializer tells of their photos."""
    learned = Q(photos__removed=False, photos__held_out=False)
    return dataset.versions.annotate(
        held_out=Count("photos", filter=Q(photos__removed=False, photos__held_out=True)),
        learned=Count("photos", filter=learned),
        generated=Count("photos", filter=learned & Q(photos__depth__gt=0)),
    )


def version_of(request: Request, id: UUID, number: int) -> Any:
    version = counted_versions(visible_dataset(request, id)).filter(number=number).first()
    if version is None:
        raise NotFound(_("This dataset has no version %(number)s.") % {"number": str(number)[:20]})
    return version


def told_version(version: DatasetVersion) -> dict[str, Any]:
    """As it is now."""
    return dict(VersionSerializer(counted_versions(version.dataset).get(pk=version.pk)).data)


def started(job: Job) -> Response:
    """202 with the job, and where to ask after it."""
    headers = {"Location": reverse("api-job", args=[job.pk]), "Retry-After": str(LIVE_RETRY_SECONDS)}
    return Response({"job": JobSerializer(job).data}, status=202, headers=headers)


class WorkshopView(ApiView):
    write_scope = ApiToken.Scope.TRAIN


class DatasetJobView(WorkshopView):
    """A request that is a job's work on a dataset; `ask` queues it, or raises ValidationError."""

    request_serializer: type[StrictSerializer]

    def ask(self, user: User, dataset: Dataset, given: Any, key: str | None) -> Job:
        raise NotImplementedError

    def answer(self, request: Request, id: UUID) -> Response:
        dataset = visible_dataset(request, id)
        given = self.request_serializer(data=request.data)
        given.is_valid(raise_exception=True)
        return started(self.ask(caller(request), dataset, given, idempotency_key(request)))


# --- datasets -------------------------------------------------------------------------------------------------------
class DatasetsView(WorkshopView):
    @extend_schema(
        operation_id="list_datasets",
        summary="Your datasets and your team's, newest first",
        tags=["datasets"],
        parameters=[
            OpenApiParameter("q", OpenApiTypes.STR, description="Only datasets with this in their name."),
            *PAGE_PARAMETERS,
        ],
        examples=[
            OpenApiExample(
                "one dataset", value={"datasets": [ROW], "next": None}, response_only=True, status_codes=["200"]
            )
        ],
        responses={200: DatasetListSerializer, **documented(400, 401, 403)},
    )
    def get(self, request: Request) -> Response:
        seen = visible_datasets(request)
        if "q" in request.query_params:
            seen = seen.filter(name__icontains=some_text(request, "q").strip())
        page, following = newest_first(request, seen)
        return Response({"datasets": DatasetRowSerializer(page, many=True).data, "next": following})

    @extend_schema(
        operation_id="create_dataset",
        summary="A new dataset",
        description="Empty; photos come into its draft with POST /api/datasets/{id}/upload.",
        tags=["datasets"],
        request=DatasetRequestSerializer,
        examples=[
            OpenApiExample("shared", value={"name": "casual_shoes", "team": "Studio"}, request_only=True),
            DATASET_EXAMPLE,
        ],
        responses={201: DatasetSerializer, **documented(400, 401, 403, 413, 415)},
    )
    def post(self, request: Request) -> Response:
        given = DatasetRequestSerializer(data=request.data, context={"user": caller(request)})
        given.is_valid(raise_exception=True)
        try:
            dataset = new_dataset(caller(request), **given.validated_data)
        except DatasetNameProblem as problem:
            raise ValidationError({"name": str(problem)}) from None
        address = reverse("api-dataset", args=[dataset.pk])
        told = DatasetSerializer(visible_dataset(request, dataset.pk)).data
        return Response(told, status=201, headers={"Location": address})


class DatasetView(WorkshopView):
    @extend_schema(
        operation_id="get_dataset",
        summary="One dataset",
        description="With what its newest imports brought, and what they could not use.",
        tags=["datasets"],
        examples=[DATASET_EXAMPLE],
        responses={200: DatasetSerializer, 304: OpenApiResponse(description="Unchanged"), **documented(401, 403, 404)},
    )
    def get(self, request: Request, id: UUID) -> HttpResponseBase:
        return with_etag(request, Response(DatasetSerializer(visible_dataset(request, id)).data))

    @extend_schema(
        operation_id="change_dataset",
        summary="Change a dataset's settings",
        description="What is left out stays as it is. Its owner's alone.",
        tags=["datasets"],
        request=DatasetRequestSerializer,
        examples=[
            OpenApiExample("less generated", value={"synthetic_cap": 0.25, "team": None}, request_only=True),
            DATASET_EXAMPLE,
        ],
        responses={200: DatasetSerializer, **documented(400, 401, 403, 404, 413, 415)},
    )
    def patch(self, request: Request, id: UUID) -> Response:
        dataset = own_dataset(request, id)
        given = DatasetRequestSerializer(data=request.data, partial=True, context={"user": caller(request)})
        given.is_valid(raise_exception=True)
        try:
            change_settings(dataset, given.validated_data)
        except DatasetNameProblem as problem:
            raise ValidationError({"name": str(problem)}) from None
        return Response(DatasetSerializer(visible_dataset(request, id)).data)

    @extend_schema(
        operation_id="delete_dataset",
        summary="Delete a dataset",
        description="At once and for good, photos and all. Its owner's alone; refused where a run has learned from it.",
        tags=["datasets"],
        request=None,
        responses={204: OpenApiResponse(description="It is gone"), **documented(401, 403, 404, 409)},
    )
    def delete(self, request: Request, id: UUID) -> Response:
        try:
            delete_dataset(own_dataset(request, id))
        except DatasetInUse as problem:
            raise Problem(409, "dataset-in-use", str(problem)) from None
        return Response(status=204)


# --- versions -------------------------------------------------------------------------------------------------------
class VersionsView(WorkshopView):
    @extend_schema(
        operation_id="list_dataset_versions",
        summary="A dataset's versions, newest first",
        description="A draft is one of them: the only one that can change.",
        tags=["datasets"],
        parameters=PAGE_PARAMETERS,
        examples=[
            OpenApiExample(
                "one version", value={"versions": [VERSION], "next": None}, response_only=True, status_codes=["200"]
            )
        ],
        responses={200: VersionListSerializer, **documented(400, 401, 403, 404)},
    )
    def get(self, request: Request, id: UUID) -> Response:
        page, following = newest_first(request, counted_versions(visible_dataset(request, id)))
        return Response({"versions": VersionSerializer(page, many=True).data, "next": following})


class VersionView(WorkshopView):
    @extend_schema(
        operation_id="get_dataset_version",
        summary="One version of a dataset",
        description="Its `id` is what POST /api/runs takes as `dataset` to learn from exactly these photos.",
        tags=["datasets"],
        examples=[VERSION_EXAMPLE],
        responses={200: VersionSerializer, 304: OpenApiResponse(description="Unchanged"), **documented(401, 403, 404)},
    )
    def get(self, request: Request, id: UUID, number: int) -> HttpResponseBase:
        return with_etag(request, Response(VersionSerializer(version_of(request, id, number)).data))


class FindingsView(WorkshopView):
    @extend_schema(
        operation_id="get_dataset_findings",
        summary="What the doctor holds against a version",
        description="As of the newest check; POST /api/datasets/{id}/check has it looked at again.",
        tags=["datasets"],
        examples=[
            OpenApiExample(
                "one blurred photo",
                value={
                    "dataset": "casual_shoes", "version": 2, "photos": 48, "checked_at": "2026-01-31T12:30:00Z",
                    "open": 1, "findings": {"blurred": [{"file": "100007.png", "accepted": False, "sharpness": 3.1}]},
                },
                response_only=True,
                status_codes=["200"],
            )
        ],
        responses={
            200: FindingsSerializer,
            304: OpenApiResponse(description="Unchanged"),
            **documented(401, 403, 404),
        },
    )  # fmt: skip
    def get(self, request: Request, id: UUID, number: int) -> HttpResponseBase:
        return with_etag(request, Response(told(version_of(request, id, number))))


class ZipRenderer(BaseRenderer):
    """For the schema; the ZIP goes out as it is made."""

    media_type = "application/zip"
    format = "zip"


class ExportView(WorkshopView):
    renderer_classes = [ZipRenderer]

    @extend_schema(
        operation_id="export_dataset_version",
        summary="A version as a ZIP",
        description="Uploaded again it is the same version, to the hash. The draft goes out, too.",
        tags=["datasets"],
        parameters=[
            OpenApiParameter("format", enum=list(FORMATS), default="captions-json", description="For which tool.")
        ],
        responses={(200, "application/zip"): OpenApiTypes.BINARY, **documented(400, 401, 403, 404)},
    )
    def get(self, request: Request, id: UUID, number: int) -> HttpResponseBase:
        version = version_of(request, id, number)
        form = chosen(request, "format", list(FORMATS)) if "format" in request.query_params else "captions-json"
        return version_bytes(request._request, version, form)
