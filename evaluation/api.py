"""Evaluations for programs: asking for one, its numbers, its pictures and its report as files."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpResponse, HttpResponseBase
from django.urls import reverse
from django.utils.http import content_disposition_header
from django.utils.text import slugify
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from evaluation.files_of_reports import FORMATS
from evaluation.gallery_pictures import evaluate_pictures, veil_pictures, versions_for
from evaluation.run_models import EvaluationRun, ImageScore
from evaluation.serializers import (
    EvaluationListSerializer,
    EvaluationRequestSerializer,
    EvaluationRowSerializer,
    EvaluationSerializer,
    JudgedPicturesSerializer,
    picture_told,
)
from evaluation.services import EvaluationProblem, evaluate_checkpoints, forget
from evaluation.sittings import request_sitting
from generation.models import GeneratedImage
from shoesai import files
from shoesai.api import (
    LIVE_RETRY_SECONDS,
    PAGE_PARAMETERS,
    ApiView,
    chosen,
    found,
    newest_first,
    some_text,
    whole_number,
    with_etag,
)
from shoesai.auth import caller
from shoesai.models import ApiToken, User
from shoesai.problems import Problem, documented
from training.models import Checkpoint, TrainingRun

ASKED = {"run": "autumn", "checkpoints": [200, 300], "prompts": 12, "seeds": 2, "targets": "prototype"}
COURT = {"run": "autumn", "sitting": True}
MOST_PICTURES = 500
MAX_SEQ = 2**31 - 1


def visible_evaluations(request: Request) -> QuerySet[EvaluationRun]:
    """What a row tells comes along."""
    seen = EvaluationRun.objects.visible_to(caller(request)).select_related("job", "run", "owner")
    seen = seen.defer("settings")  # may hold the ids of 20,000 pictures
    return seen.prefetch_related("subjects__scores", "subjects__checkpoint", "verdicts__checkpoint__run").distinct()


def answer(request: Request, id: UUID, **options: Any) -> Response:
    """The evaluation as it is now."""
    return Response(EvaluationSerializer(found(visible_evaluations(request), "evaluation", id)).data, **options)


class EvaluationsView(ApiView):
    write_scope = ApiToken.Scope.TRAIN
    # (user, query) → pictures; the gallery says which (see shoesai/api_urls.py). Raises ValidationError.
    pictures_of: Callable[[User, str], QuerySet[GeneratedImage]] | None = None

    @extend_schema(
        operation_id="list_evaluations",
        summary="Your evaluations and your team's, newest first",
        tags=["evaluations"],
        parameters=[
            OpenApiParameter("run", OpenApiTypes.STR, description="Only those of the run with this name."),
            OpenApiParameter("purpose", enum=list(EvaluationRun.Purpose.values), description="Only of this kind."),
            *PAGE_PARAMETERS,
        ],
        responses={200: EvaluationListSerializer, **documented(400, 401, 403)},
    )
    def get(self, request: Request) -> Response:
        rows = visible_evaluations(request)
        if "run" in request.query_params:
            rows = rows.filter(run__name=some_text(request, "run"))
        if "purpose" in request.query_params:
            rows = rows.filter(purpose=chosen(request, "purpose", EvaluationRun.Purpose.values))
        page, following = newest_first(request, rows)
        return Response({"evaluations": EvaluationRowSerializer(page, many=True).data, "next": following})

    @extend_schema(
        operation_id="start_evaluation",
        summary="Judge checkpoints of a run, or pictures",
        description=(
            "The bare base beside the checkpoints of one run, on prompts from captions that it has never learned from; "
            "all its checkpoints where none are named. With `sitting` the court judges all of them, pins the best, and "
            "looks a second time on prompts and seeds that nobody chose on. With `images` or `query` in place of "
            "`run`, pictures of the gallery are judged as they are."
        ),
        tags=["evaluations"],
        request=EvaluationRequestSerializer,
        examples=[
            OpenApiExample("two checkpoints", value=ASKED, request_only=True),
            OpenApiExample("results of a search", value={"query": "q=red"}, request_only=True),
            OpenApiExample("the court", value=COURT, request_only=True),
        ],
        responses={201: EvaluationSerializer, **documented(400, 401, 403, 413, 415, 429)},
    )
    def post(self, request: Request) -> Response:
        given = EvaluationRequestSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        try:
            made = self._of_pictures(request, given) if "run" not in given.validated_data else _of_run(request, given)
        except EvaluationProblem as problem:
            raise ValidationError(problem.errors) from None
        return answer(request, made.pk, status=201, headers={"Location": reverse("api-evaluation", args=[made.pk])})

    def _of_pictures(self, request: Request, given: EvaluationRequestSerializer) -> EvaluationRun:
        data, user = given.validated_data, caller(request)
        if "query" in data:
            assert self.pictures_of
            images = self.pictures_of(user, data["query"])
        else:
            images = _all_of(user, data["images"])
        version = versions_for(user).filter(pk=data.get("dataset")).first()
        if "dataset" in data and version is None:
            raise ValidationError({"dataset": _("must be a frozen version of a dataset that you may see.")})
        return evaluate_pictures(user, images, given.settings(), version=version)


def _all_of(user: User, keys: list[UUID]) -> QuerySet[GeneratedImage]:
    """One that is not there refuses all: a part of the pictures would be judged as if it were the whole."""
    seen = GeneratedImage.objects.visible_to(user).filter(pk__in=keys).order_by("-created_at", "-id")
    if missing := len(set(keys)) - seen.order_by().count():
        words = _("%(number)d of these pictures cannot be found among those that you may see.")
        raise ValidationError({"images": words % {"number": missing}})
    return seen


def _of_run(request: Request, given: EvaluationRequestSerializer) -> EvaluationRun:
    data, user = given.validated_data, caller(request)
    run = TrainingRun.objects.visible_to(user).filter(name=data["run"]).distinct().first()
    if run is None:
        raise ValidationError({"run": _("there is no such run, or it is not yours.")})
    if data["sitting"]:
        return request_sitting(user, run, given.settings())
    return evaluate_checkpoints(user, run, _checkpoints(run, data["checkpoints"]), given.settings())


def _checkpoints(run: TrainingRun, steps: list[int]) -> list[Checkpoint]:
    """All where none are named."""
    rows = list(run.checkpoints.order_by("step"))
    if missing := sorted(set(steps) - {row.step for row in rows}):
        words = _("there is no checkpoint of step %(steps)s.") % {"steps": ", ".join(map(str, missing))}
        raise ValidationError({"checkpoints": words})
    return [row for row in rows if row.step in steps] if steps else rows


class EvaluationView(ApiView):
    write_scope = ApiToken.Scope.TRAIN

    @extend_schema(
        operation_id="get_evaluation",
        summary="Where an evaluation stands, and its numbers",
        description=(
            "Each number with its 95 % interval, how many pictures and photos it is of, and the extractor whose "
            "features it is of: never compare numbers of different `extractor_sha256`. Poll it; an unchanged one costs "
            "a 304."
        ),
        tags=["evaluations"],
        responses={
            200: EvaluationSerializer, 304: OpenApiResponse(description="Unchanged"), **documented(401, 403, 404),
        },
    )  # fmt: skip
    def get(self, request: Request, id: UUID) -> HttpResponseBase:
        row = found(visible_evaluations(request), "evaluation", id)
        response = Response(EvaluationSerializer(row).data)
        if row.job and row.job.is_live:
            response["Retry-After"] = str(LIVE_RETRY_SECONDS)
        return with_etag(request, response)

    @extend_schema(
        operation_id="delete_evaluation",
        summary="Delete an evaluation",
        description="With the pictures made for it, where no other evaluation is about them. Not while it works.",
        tags=["evaluations"],
        responses={204: None, **documented(401, 403, 404, 409)},
    )
    def delete(self, request: Request, id: UUID) -> Response:
        row = found(visible_evaluations(request), "evaluation", id)
        if row.owner_id != caller(request).pk:
            raise Problem(403, "not-yours", _("Team members see this evaluation; only its owner can delete it."))
        if row.job and row.job.is_live:
            raise Problem(409, "wrong-state", _("It is at work; cancel its job first."))
        forget(row)
        return Response(status=204)


class JudgedPicturesView(ApiView):
    @extend_schema(
        operation_id="list_judged_pictures",
        summary="The pictures of one subject, with what was measured on each",
        tags=["evaluations"],
        parameters=[
            OpenApiParameter("subject", {"type": "integer", "minimum": 0, "maximum": MAX_SEQ}, default=0,
                             description="Its position; 0 is the first, of checkpoints the bare base."),
            OpenApiParameter("after", {"type": "integer", "minimum": 0, "maximum": MAX_SEQ}, default=0,
                             description="Leave out so many."),
            OpenApiParameter("limit", {"type": "integer", "minimum": 1, "maximum": MOST_PICTURES}, default=100,
                             description="At most so many."),
        ],
        responses={200: JudgedPicturesSerializer, **documented(400, 401, 403, 404)},
    )  # fmt: skip
    def get(self, request: Request, id: UUID) -> Response:
        row = found(visible_evaluations(request), "evaluation", id)
        position = whole_number(request, "subject", 0, low=0, high=MAX_SEQ)
        after = whole_number(request, "after", 0, low=0, high=MAX_SEQ)
        limit = whole_number(request, "limit", 100, low=1, high=MOST_PICTURES)
        images = ImageScore.objects.filter(subject__evaluation=row, subject__position=position).order_by("seq")
        page = list(images.select_related("subject")[after : after + limit])
        veil_pictures(row, page)
        return Response({"pictures": [picture_told(image) for image in page]})


class AnyRenderer(BaseRenderer):
    """For the schema; the file goes out as it was made."""

    media_type = "*/*"
    format = "file"


class JudgedPictureFileView(ApiView):
    renderer_classes = [AnyRenderer]

    @extend_schema(
        operation_id="get_judged_picture",
        summary="A judged picture's bytes",
        tags=["evaluations"],
        responses={(200, "image/png"): OpenApiTypes.BINARY, **documented(401, 403, 404)},
    )
    def get(self, request: Request, id: UUID, subject: int, seq: int) -> HttpResponseBase:
        row = found(visible_evaluations(request), "evaluation", id)
        judged = ImageScore.objects.select_related("blob").filter(subject__evaluation=row, subject__position=subject)
        image = judged.select_related("subject").filter(seq=seq).first() if seq <= MAX_SEQ else None
        veil_pictures(row, [image] if image else [])
        if image is None or image.blob is None:
            raise NotFound(_("There is no such picture here."))
        return HttpResponse(files.read(image.blob), content_type=image.blob.mime, headers={"Cache-Control": "private"})


class EvaluationReportView(ApiView):
    renderer_classes = [AnyRenderer]

    @extend_schema(
        operation_id="get_evaluation_report",
        summary="The report as a file",
        description="`json`, `text` in the layout of the seed's script, self-contained `html`, or the `grid` as PNG.",
        tags=["evaluations"],
        parameters=[
            OpenApiParameter("format", enum=list(FORMATS), default="json", description="Which file."),
            OpenApiParameter("lang", enum=["en", "pt"], description="Of the text; left out: the reader's."),
        ],
        responses={
            **{(200, kind.mime.partition(";")[0]): OpenApiTypes.BINARY for kind in FORMATS.values()},
            **documented(400, 401, 403, 404),
        },
    )
    def get(self, request: Request, id: UUID) -> HttpResponseBase:
        row = found(visible_evaluations(request), "evaluation", id)
        form = chosen(request, "format", list(FORMATS)) if "format" in request.query_params else "json"
        language = chosen(request, "lang", ["en", "pt"]) if "lang" in request.query_params else ""
        kind = FORMATS[form]
        name = f"{slugify(row.name) or 'evaluation'}-{form}.{kind.ending}"
        headers = {
            "Content-Disposition": str(content_disposition_header(True, name)),
            "Cache-Control": "private, no-store",
        }
        return HttpResponse(kind.write(row, language), content_type=kind.mime, headers=headers)
