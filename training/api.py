"""What `model_name` can be, and trainings: starting, watching, pausing, resuming, cancelling."""

from __future__ import annotations

import hashlib
import logging
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpResponse, HttpResponseBase
from django.urls import reverse
from django.utils.cache import get_conditional_response
from django.utils.http import content_disposition_header, quote_etag
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from shoesai import files
from shoesai.api import (
    IDEMPOTENCY_KEY,
    JOB_EXAMPLE,
    LIVE_RETRY_SECONDS,
    PAGE_PARAMETERS,
    ApiView,
    chosen,
    found,
    idempotency_key,
    newest_first,
    some_text,
    whole_number,
    with_etag,
)
from shoesai.auth import caller
from shoesai.engine.lora_names import LoraProblem
from shoesai.engine.specs import MAX_TRAIN_STEPS
from shoesai.models import ApiToken
from shoesai.problems import Problem, documented
from training.catalogue import list_models, model_row
from training.exports import FORMATS, ZIP, Download, download
from training.models import Checkpoint, Family, TrainingRun
from training.results import SAFETENSORS
from training.run_requests import InvalidRun, request_run
from training.serializers import (
    EventSerializer,
    EventsSerializer,
    MetricSerializer,
    MetricsSerializer,
    RunListSerializer,
    RunRequestSerializer,
    RunRowSerializer,
    RunSerializer,
    ValidationLossSerializer,
)
from training.services import WrongState, cancel_training, may_act, pause_training, resume_training
from training.standing import with_standing

logger = logging.getLogger(__name__)

CHECKPOINT: dict[str, Any] = {
    "id": "7c1d3b0e-5a34-4e0e-9d5c-0f2f4f6d8a01",
    "name": "casual/checkpoint-150",
    "path": "/api/models/7c1d3b0e-5a34-4e0e-9d5c-0f2f4f6d8a01",
    "type": "checkpoint",
    "step": 150,
    "family": "starter",
    "base_model": "starter",
    "resolution": 128,
}


class NamedModelSerializer(serializers.Serializer):
    id = serializers.UUIDField()
    name = serializers.CharField(help_text="What to send as `model_name`.")
    path = serializers.CharField(help_text="Where the API describes it.")
    type = serializers.ChoiceField(["base", "checkpoint"])
    step = serializers.IntegerField(allow_null=True, help_text="Null for a base model.")
    family = serializers.ChoiceField(Family.choices)
    base_model = serializers.CharField()
    resolution = serializers.IntegerField(help_text="Pixels on a side when none are asked for.")


class NamedModelListSerializer(serializers.Serializer):
    models = NamedModelSerializer(many=True)


class ModelsView(ApiView):
    @extend_schema(
        operation_id="list_models",
        summary="Base models and checkpoints you can use",
        tags=["models"],
        examples=[
            OpenApiExample("one checkpoint", value={"models": [CHECKPOINT]}, response_only=True, status_codes=["200"])
        ],
        responses={200: OpenApiResponse(NamedModelListSerializer), **documented(401, 403)},
    )
    def get(self, request: Request) -> Response:
        return Response({"models": list_models(caller(request))})


class ModelView(ApiView):
    @extend_schema(
        operation_id="get_model",
        summary="One model",
        tags=["models"],
        examples=[OpenApiExample("a checkpoint", value=CHECKPOINT, response_only=True, status_codes=["200"])],
        responses={200: NamedModelSerializer, **documented(401, 403, 404)},
    )
    def get(self, request: Request, id: UUID) -> Response:
        row = model_row(caller(request), id)
        if row is None:
            raise NotFound(_("There is no such %(what)s, or it is not yours.") % {"what": "model"})
        return Response(row)


# --- trainings ----------------------------------------------------------------------------------------------
RUN_ROW: dict[str, Any] = {
    "id": "2b1e1a52-3b1c-4a0e-8a55-0d3f6c2b9e77",
    "url": "/api/runs/2b1e1a52-3b1c-4a0e-8a55-0d3f6c2b9e77",
    "name": "casual",
    "state": "running",
    "pausing": False,
    "step": 180,
    "total": 300,
    "family": "starter",
    "base_model": "starter",
    "dataset": "casual_shoes",
    "best_checkpoint": {"name": "casual/checkpoint-150", "step": 150, "validation_loss": 0.1893},
    "owner": "alice",
    "created_at": "2026-01-31T12:00:00Z",
    "finished_at": None,
}
RUN: dict[str, Any] = {
    **RUN_ROW,
    "base_model": {"name": "starter", "family": "starter", "sha256": ""},
    "dataset": {
        "name": "casual_shoes",
        "version": 2,
        "version_id": "8a0a5a3e-53a8-4b43-9a42-5f4f0a7b1d10",
        "content_hash": "6f1c…",
        "photos": 48,
    },
    "resume_step": 150,
    "spec": {"max_train_steps": 300, "learning_rate": 0.001, "rank": 8, "lora_alpha": 16, "seed": 42},
    "engine": {"device": "cuda", "precision": "bf16", "photos": 46, "held_out": 2},
    "checkpoints": [
        {
            "id": CHECKPOINT["id"],
            "name": CHECKPOINT["name"],
            "step": 150,
            "validation_loss": 0.1893,
            "best": True,
            "pinned": False,
            "rank": 8,
            "lora_alpha": 16.0,
            "sha256": "0c1d…",
            "size": 466432,
            "url": CHECKPOINT["path"],
            "file": f"/api/checkpoints/{CHECKPOINT['id']}/file",
        }
    ],
    "parent": None,
    "notify": False,
    "court": "never",
    "train_seconds": 0.0,
    "job": {**JOB_EXAMPLE.value, "kind": "train"},
    "error": None,
    "links": {
        "metrics": f"{RUN_ROW['url']}/metrics",
        "events": f"{RUN_ROW['url']}/events",
        "page": "/training/2b1e1a52-3b1c-4a0e-8a55-0d3f6c2b9e77/",
    },
}
RUN_REQUEST = {
    "name": "casual",
    "dataset": "casual_shoes",
    "base_model": "starter",
    "preset": "quick_look",
    "max_train_steps": 300,
    "learning_rate": 0.001,
    "validation_prompts": ["a red leather sneaker on a white background"],
    "notify": True,
    "court": "stop",
}
RUN_EXAMPLE = OpenApiExample("a run", value=RUN, response_only=True, status_codes=["200", "201", "202"])
MAX_EVENTS = 1000
MAX_EVENT_ID = 2**63 - 1


def visible_runs(request: Request) -> QuerySet[TrainingRun]:
    runs = TrainingRun.objects.visible_to(request.user)
    return with_standing(runs.select_related("base_model", "dataset_version__dataset", "owner"))


def run_answer(request: Request, id: UUID, **options: Any) -> Response:
    """The run as it is now."""
    return Response(RunSerializer(found(visible_runs(request), "run", id)).data, **options)


class RunsView(ApiView):
    write_scope = ApiToken.Scope.TRAIN

    @extend_schema(
        operation_id="list_runs",
        summary="Your trainings and your team's, newest first",
        tags=["trainings"],
        parameters=[
            OpenApiParameter("state", enum=list(TrainingRun.State.values), description="Only runs in this state."),
            OpenApiParameter("base", OpenApiTypes.STR, description="Only runs on the base model of this name."),
            OpenApiParameter("dataset", OpenApiTypes.STR, description="Only runs that learned from this dataset."),
            OpenApiParameter("search", OpenApiTypes.STR, description="Only runs with this in their name."),
            *PAGE_PARAMETERS,
        ],
        examples=[
            OpenApiExample(
                "one run", value={"runs": [RUN_ROW], "next": None}, response_only=True, status_codes=["200"]
            )
        ],
        responses={200: RunListSerializer, **documented(400, 401, 403)},
    )
    def get(self, request: Request) -> Response:
        page, following = newest_first(request, _narrowed(request, visible_runs(request)))
        return Response({"runs": RunRowSerializer(page, many=True).data, "next": following})

    @extend_schema(
        operation_id="start_run",
        summary="Train a LoRA",
        description=(
            "Creates a run and queues its training; nothing is created when anything is refused. Left out settings are "
            "those of `parent`, else of `preset`, else the seed's; resolution is the base model's, the warm-up a sixth "
            "of the steps (at most 500), validation prompts are captions of held-out photos."
        ),
        tags=["trainings"],
        request=RunRequestSerializer,
        parameters=[IDEMPOTENCY_KEY],
        examples=[OpenApiExample("a training", value=RUN_REQUEST, request_only=True), RUN_EXAMPLE],
        responses={201: RunSerializer, **documented(400, 401, 403, 413, 415, 422, 429)},
    )
    def post(self, request: Request) -> Response:
        given = RunRequestSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        key = idempotency_key(request)
        try:
            run = request_run(user=caller(request), request=given.to_request(), idempotency_key=key)
        except InvalidRun as error:
            raise ValidationError(error.errors) from None
        return run_answer(request, run.pk, status=201, headers={"Location": reverse("api-run", args=[run.pk])})


def _narrowed(request: Request, runs: QuerySet[TrainingRun]) -> QuerySet[TrainingRun]:
    if "state" in request.query_params:
        runs = runs.filter(state=chosen(request, "state", TrainingRun.State.values))
    lookups = {"base": "base_model__name", "dataset": "dataset_version__dataset__name", "search": "name__icontains"}
    for name, lookup in lookups.items():
        if name in request.query_params:
            runs = runs.filter(**{lookup: some_text(request, name)})
    return runs


class RunView(ApiView):
    @extend_schema(
        operation_id="get_run",
        summary="Where a training stands",
        description="Poll it; with the ETag as If-None-Match an unchanged run costs a 304.",
        tags=["trainings"],
        examples=[RUN_EXAMPLE],
        responses={200: RunSerializer, 304: OpenApiResponse(description="Unchanged"), **documented(401, 403, 404)},
    )
    def get(self, request: Request, id: UUID) -> HttpResponseBase:
        run = found(visible_runs(request), "run", id)
        response = Response(RunSerializer(run).data)
        if run.is_live:
            response["Retry-After"] = str(LIVE_RETRY_SECONDS)
        return with_etag(request, response)


class RunActionView(ApiView):
    """What its owner and staff may ask of a run; `act` raises WrongState."""

    write_scope = ApiToken.Scope.TRAIN

    def act(self, run: TrainingRun) -> Any:
        raise NotImplementedError

    def answer(self, request: Request, id: UUID) -> Response:
        run = found(visible_runs(request), "run", id)
        if not may_act(run, caller(request)):
            raise Problem(403, "not-yours", _("Team members see this run; only its owner and staff can change it."))
        try:
            self.act(run)
        except WrongState as error:
            raise Problem(409, "wrong-state", str(error)) from None
        return run_answer(request, id, status=202, headers={"Location": reverse("api-run", args=[id])})


class RunPauseView(RunActionView):
    @extend_schema(
        operation_id="pause_run",
        summary="Pause a training",
        description=(
            "A run that waits is paused at once; one that trains keeps its state after the step at hand and is "
            "`running` with `pausing` until then. Resuming it goes on exactly there."
        ),
        tags=["trainings"],
        request=None,
        examples=[RUN_EXAMPLE],
        responses={202: RunSerializer, **documented(401, 403, 404, 409)},
    )
    def post(self, request: Request, id: UUID) -> Response:
        return self.answer(request, id)

    def act(self, run: TrainingRun) -> None:
        pause_training(run)


class RunResumeView(RunActionView):
    @extend_schema(
        operation_id="resume_run",
        summary="Let a stopped training go on",
        description="Queues a paused, failed or cancelled run from its last kept state.",
        tags=["trainings"],
        request=None,
        examples=[RUN_EXAMPLE],
        responses={202: RunSerializer, **documented(401, 403, 404, 409, 429)},
    )
    def post(self, request: Request, id: UUID) -> Response:
        return self.answer(request, id)

    def act(self, run: TrainingRun) -> None:
        resume_training(run)


class RunCancelView(RunActionView):
    @extend_schema(
        operation_id="cancel_run",
        summary="Stop a training for good",
        description="Its checkpoints and its last state are kept, so a change of mind can still resume it.",
        tags=["trainings"],
        request=None,
        examples=[RUN_EXAMPLE],
        responses={202: RunSerializer, **documented(401, 403, 404, 409)},
    )
    def post(self, request: Request, id: UUID) -> Response:
        return self.answer(request, id)

    def act(self, run: TrainingRun) -> None:
        cancel_training(run)


class RunMetricsView(ApiView):
    @extend_schema(
        operation_id="get_run_metrics",
        summary="A training's curves",
        description="At most about 1,000 points. To poll, send the answer's `since` and its ETag back.",
        tags=["trainings"],
        parameters=[
            OpenApiParameter(
                "since",
                {"type": "integer", "minimum": 0, "maximum": MAX_TRAIN_STEPS, "default": 0},
                description="Only points after this step.",
            )
        ],
        examples=[
            OpenApiExample(
                "curves",
                value={
                    "metrics": [
                        {"step": 10, "loss": 0.21, "learning_rate": 0.001, "grad_norm": 0.9, "seconds": 0.31,
                         "memory_bytes": 3221225472}
                    ],
                    "validation_losses": [{"step": 0, "loss": 0.24, "photos": 2}],
                    "since": 10,
                },
                response_only=True,
                status_codes=["200"],
            )
        ],
        responses={
            200: MetricsSerializer,
            304: OpenApiResponse(description="Unchanged"),
            **documented(400, 401, 403, 404),
        },
    )  # fmt: skip
    def get(self, request: Request, id: UUID) -> HttpResponseBase:
        run = found(TrainingRun.objects.visible_to(request.user), "run", id)
        since = whole_number(request, "since", 0, low=0, high=MAX_TRAIN_STEPS)
        points = list(run.metrics.filter(step__gt=since).order_by("step"))
        said = {
            "metrics": MetricSerializer(points, many=True).data,
            "validation_losses": ValidationLossSerializer(run.validation_losses.order_by("step"), many=True).data,
            "since": points[-1].step if points else since,
        }
        return with_etag(request, Response(said))


class RunEventsView(ApiView):
    @extend_schema(
        operation_id="get_run_events",
        summary="A training's log, in words",
        description="Oldest first. To poll, send the answer's `after` back.",
        tags=["trainings"],
        parameters=[
            OpenApiParameter(
                "after",
                {"type": "integer", "minimum": 0, "maximum": MAX_EVENT_ID, "default": 0},
                description="Only lines after the one with this id.",
            ),
            OpenApiParameter(
                "limit",
                {"type": "integer", "minimum": 1, "maximum": MAX_EVENTS, "default": MAX_EVENTS},
                description="At most so many lines.",
            ),
        ],
        examples=[
            OpenApiExample(
                "log",
                value={
                    "events": [
                        {"id": 7, "at": "2026-01-31T12:00:00Z", "step": None, "message": "Queued."},
                        {"id": 9, "at": "2026-01-31T12:00:09Z", "step": 0,
                         "message": "Training on cuda (bf16): 46 photos to learn from, 2 held out."},
                    ],
                    "after": 9,
                },
                response_only=True,
                status_codes=["200"],
            )
        ],
        responses={
            200: EventsSerializer,
            304: OpenApiResponse(description="Unchanged"),
            **documented(400, 401, 403, 404),
        },
    )  # fmt: skip
    def get(self, request: Request, id: UUID) -> HttpResponseBase:
        run = found(TrainingRun.objects.visible_to(request.user), "run", id)
        after = whole_number(request, "after", 0, low=0, high=MAX_EVENT_ID)
        limit = whole_number(request, "limit", MAX_EVENTS, low=1, high=MAX_EVENTS)
        lines = list(run.events.filter(pk__gt=after).order_by("pk")[:limit])
        said = {"events": EventSerializer(lines, many=True).data, "after": lines[-1].pk if lines else after}
        return with_etag(request, Response(said))


# --- checkpoints as files -----------------------------------------------------------------------------------
class FileRenderer(BaseRenderer):
    """For the schema; the file goes out as it was made."""

    media_type = SAFETENSORS
    format = "safetensors"


class CheckpointFileView(ApiView):
    renderer_classes = [FileRenderer]

    @extend_schema(
        operation_id="get_checkpoint_file",
        summary="A checkpoint for another tool",
        description=(
            "One safetensors file, or several in a ZIP: `diffusers`, `kohya` (A1111, ComfyUI, InvokeAI), `peft`, `hub` "
            "(with a model card and pictures). The scale is right in each: alpha is written into every format."
        ),
        tags=["models"],
        parameters=[OpenApiParameter("format", enum=list(FORMATS), default="diffusers", description="For which tool.")],
        responses={
            (200, SAFETENSORS): OpenApiTypes.BINARY,
            (200, ZIP): OpenApiTypes.BINARY,
            304: OpenApiResponse(description="Unchanged"),
            **documented(400, 401, 403, 404, 500),
        },
    )
    def get(self, request: Request, id: UUID) -> HttpResponseBase:
        checkpoints = Checkpoint.objects.visible_to(caller(request)).select_related("blob", "run__base_model")
        checkpoint = found(checkpoints, "checkpoint", id)
        wanted = chosen(request, "format", list(FORMATS)) if "format" in request.query_params else "diffusers"
        made = _whole(checkpoint, wanted)
        etag = quote_etag(hashlib.sha256(made.data).hexdigest()[:32])
        headers = {
            "Content-Disposition": str(content_disposition_header(True, made.file_name)),
            "Cache-Control": "private, no-cache",
            "ETag": etag,
        }
        response = HttpResponse(made.data, content_type=made.mime, headers=headers)
        return get_conditional_response(request._request, etag=etag, response=response) or response


def _whole(checkpoint: Checkpoint, format: str) -> Download:
    """Hours of somebody's work go out as they were kept, or not at all."""
    try:
        if hashlib.sha256(files.read(checkpoint.blob)).hexdigest() != checkpoint.blob_id:
            raise LoraProblem("its bytes are not those that were kept")
        return download(checkpoint, format)
    except (LoraProblem, OSError):
        logger.exception("checkpoint %s cannot be exported", checkpoint.pk)
        words = _("The file of %(checkpoint)s is missing or damaged; tell whoever runs this site.")
        raise Problem(500, "checkpoint-damaged", words % {"checkpoint": checkpoint.name}) from None
