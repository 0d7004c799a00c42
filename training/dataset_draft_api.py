"""A dataset's draft for programs: begun, edited in steps that can be undone, checked, frozen."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db import transaction
from django.urls import reverse
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from shoesai.api import JOB_EXAMPLE
from shoesai.auth import caller
from shoesai.problems import Problem, documented
from training.dataset_api import VERSION, VERSION_EXAMPLE, WorkshopView, started, told_version, visible_dataset
from training.dataset_serializers import (
    CheckRequestSerializer,
    EditedSerializer,
    FreezeRequestSerializer,
    PhotoEditsSerializer,
    StartedJobSerializer,
    VersionSerializer,
)
from training.datasets import drafts
from training.datasets.checking import request_check
from training.datasets.drafts import DraftProblem
from training.datasets.freezing import FreezeProblem, freeze
from training.models import Dataset, DatasetVersion, Photo

DRAFT = {**VERSION, "number": 3, "draft": True, "content_hash": "", "frozen_at": None, "checked_at": None}
DRAFT_EXAMPLE = OpenApiExample("a draft", value=DRAFT, response_only=True, status_codes=["200", "201"])


def needed_draft(dataset: Dataset) -> DatasetVersion:
    draft = dataset.draft()
    if draft is None:
        raise Problem(409, "no-draft", _("This dataset has no draft; begin one with POST /api/datasets/{id}/draft."))
    return draft


def address_of(version: DatasetVersion) -> str:
    return reverse("api-dataset-version", args=[version.dataset_id, version.number])


class DraftView(WorkshopView):
    @extend_schema(
        operation_id="begin_draft",
        summary="Begin a draft",
        description="A copy of the newest version; 200 with the draft where there is one already.",
        tags=["datasets"],
        request=None,
        examples=[DRAFT_EXAMPLE],
        responses={200: VersionSerializer, 201: VersionSerializer, **documented(401, 403, 404)},
    )
    def post(self, request: Request, id: UUID) -> Response:
        dataset = visible_dataset(request, id)
        status = 200 if dataset.draft() else 201
        draft = drafts.open_draft(dataset)
        return Response(told_version(draft), status=status, headers={"Location": address_of(draft)})

    @extend_schema(
        operation_id="discard_draft",
        summary="Discard the draft",
        description="The frozen versions stay as they are.",
        tags=["datasets"],
        request=None,
        responses={204: OpenApiResponse(description="It is gone"), **documented(401, 403, 404, 409)},
    )
    def delete(self, request: Request, id: UUID) -> Response:
        draft = needed_draft(visible_dataset(request, id))
        try:
            drafts.discard(draft)
        except DraftProblem as problem:  # somebody was faster
            raise Problem(409, "no-draft", str(problem)) from None
        return Response(status=204)


# --- editing --------------------------------------------------------------------------------------------------------
class DraftPhotosView(WorkshopView):
    @extend_schema(
        operation_id="edit_draft_photos",
        summary="Change photos of the draft",
        description=(
            "Captions, what is held out, what is taken out: up to 500 photos as one step, which the portal's Undo "
            "takes back. All of it is done or nothing. A new caption puts away what was proposed for the photo."
        ),
        tags=["datasets"],
        request=PhotoEditsSerializer,
        examples=[
            OpenApiExample(
                "a caption, and a photo taken out",
                value={
                    "photos": [
                        {"id": "1f0f9c1c-6a5f-4a2c-9a55-1d0f6a3c2b13", "caption": "red leather boots"},
                        {"id": "1f0f9c1c-6a5f-4a2c-9a55-1d0f6a3c2b14", "removed": True},
                    ]
                },
                request_only=True,
            ),
            OpenApiExample(
                "both changed", value={"changed": 2, "version": DRAFT}, response_only=True, status_codes=["200"]
            ),
        ],
        responses={200: EditedSerializer, **documented(400, 401, 403, 404, 409, 413, 415)},
    )
    def patch(self, request: Request, id: UUID) -> Response:
        draft = needed_draft(visible_dataset(request, id))
        given = PhotoEditsSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        rows = given.validated_data["photos"]
        changes = _changes(draft, rows)
        try:
            step = drafts.edit(draft, caller(request), _verb(rows), changes)
        except DraftProblem as problem:  # frozen or emptied meanwhile
            raise Problem(409, "no-draft", str(problem)) from None
        return Response({"changed": step.photo_count if step else 0, "version": told_version(draft)})


def _changes(draft: DatasetVersion, rows: list[dict[str, Any]]) -> dict[UUID, dict[str, Any]]:
    """Photo → field → its new value. Raises ValidationError for what is no photo of the draft, or cannot be so."""
    depths = dict(Photo.objects.filter(version=draft, pk__in=[row["id"] for row in rows]).values_list("pk", "depth"))
    changes: dict[UUID, dict[str, Any]] = {}
    errors = {}
    for place, row in enumerate(rows):
        fields = {name: value for name, value in row.items() if name != "id"}
        if row["id"] not in depths:
            errors[f"photos[{place}].id"] = _("is no photo of this dataset's draft.")
        elif row["id"] in changes:
            errors[f"photos[{place}].id"] = _("is there twice.")
        elif fields.get("held_out") and depths[row["id"]]:
            errors[f"photos[{place}].held_out"] = _("Generated pictures are not held out; only photos are measured on.")
        if "caption" in fields:
            fields["proposal"] = ""
        changes[row["id"]] = fields
    if errors:
        raise ValidationError(errors)
    return changes


def _verb(rows: list[dict[str, Any]]) -> str:
    """The word of the history."""
    said = {name for row in rows for name in row} - {"id"}
    if said == {"removed"}:
        return "remove" if any(row["removed"] for row in rows) else "restore"
    if len(said) > 1:
        return "edit"
    return "captions" if said == {"caption"} else "split"


# --- looking at it, and the end of it -------------------------------------------------------------------------------
class CheckView(WorkshopView):
    @extend_schema(
        operation_id="check_dataset",
        summary="Have the doctor look at a version",
        description=(
            "Sharpness, light, background, framing, duplicates, captions, balance, as one job; a version that is being "
            "looked at already answers with that job. The report is at `findings` of the version."
        ),
        tags=["datasets"],
        request=CheckRequestSerializer,
        examples=[
            OpenApiExample("version 2", value={"version": 2}, request_only=True),
            OpenApiExample("a job", value={"job": {**JOB_EXAMPLE.value, "kind": "check_dataset"}},
                           response_only=True, status_codes=["202"]),
        ],
        responses={202: StartedJobSerializer, **documented(400, 401, 403, 404, 409, 413, 415, 429)},
    )  # fmt: skip
    def post(self, request: Request, id: UUID) -> Response:
        dataset = visible_dataset(request, id)
        given = CheckRequestSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        return started(request_check(caller(request), _asked(dataset, given.validated_data.get("version"))))


def _asked(dataset: Dataset, number: int | None) -> DatasetVersion:
    if number is None:
        version = dataset.draft() or dataset.latest()
        if version is None:
            raise Problem(409, "no-photos", _("This dataset has no photos yet; upload some first."))
        return version
    version = dataset.versions.filter(number=number).first()
    if version is None:
        raise ValidationError({"version": _("is no version of this dataset.")})
    return version


class FreezeView(WorkshopView):
    @extend_schema(
        operation_id="freeze_draft",
        summary="Freeze the draft",
        description=(
            "The draft becomes a version that never changes and can be trained on. Where something is in the way, "
            "nothing has changed and `errors` says what. A draft that says the same as the newest version is dropped: "
            "200 with that version."
        ),
        tags=["datasets"],
        request=FreezeRequestSerializer,
        examples=[OpenApiExample("with a note", value={"licence_note": "Our own photos."}, request_only=True),
                  VERSION_EXAMPLE],
        responses={200: VersionSerializer, 201: VersionSerializer,
                   **documented(400, 401, 403, 404, 409, 413, 415, 422)},
    )  # fmt: skip
    def post(self, request: Request, id: UUID) -> Response:
        draft = needed_draft(visible_dataset(request, id))
        given = FreezeRequestSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        try:
            version = _frozen(draft, given.validated_data.get("licence_note", draft.licence_note).strip())
        except FreezeProblem as problem:
            errors = [("draft", words) for words in problem.problems]
            raise Problem(422, "not-ready", _("The draft cannot be frozen yet; `errors` says why."), errors) from None
        except DraftProblem as problem:
            raise Problem(409, "no-draft", str(problem)) from None
        status = 201 if version.pk == draft.pk else 200
        return Response(told_version(version), status=status, headers={"Location": address_of(version)})


@transaction.atomic
def _frozen(draft: DatasetVersion, licence_note: str) -> DatasetVersion:
    """What is refused does not keep the note either."""
    DatasetVersion.objects.drafts().filter(pk=draft.pk).update(licence_note=licence_note)
    return freeze(draft)
