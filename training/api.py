"""GET /api/models: what `model_name` can be."""

from __future__ import annotations

from uuid import UUID

from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from shoesai.api import ApiView
from shoesai.auth import caller
from shoesai.problems import documented
from training.catalogue import list_models, model_row
from training.models import Family

CHECKPOINT = {
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
            raise NotFound("There is no such model, or it is not yours.")
        return Response(row)
