"""Variants of a dataset's photos, asked for by a program."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from shoesai.api import IDEMPOTENCY_KEY, JOB_EXAMPLE
from shoesai.engine.specs import AUGMENT_RECIPES, MAX_ANGLES, MAX_SEED, AugmentSpec, SpecError
from shoesai.models import Job, User
from shoesai.problems import documented
from shoesai.sentences import said
from shoesai.serializers import Number, StrictSerializer, WholeNumber
from training.dataset_api import DatasetJobView
from training.dataset_serializers import StartedJobSerializer
from training.datasets.augmenting import AugmentProblem, request_augmentation
from training.models import Dataset

ANY = 1_000_000  # what a setting may be, AugmentSpec says, with the reason


def _setting(words: str, default: float) -> Number:
    return Number(-ANY, ANY, required=False, help_text=f"{words} Left out: {default:g}.")


class AugmentRequestSerializer(StrictSerializer):
    recipe = serializers.ChoiceField(AUGMENT_RECIPES, required=False, help_text="Left out: product.")
    variants = WholeNumber(-ANY, ANY, required=False, help_text="Of each photo. Left out: 5, or one for each angle.")
    angles = serializers.ListField(
        child=Number(-ANY, ANY), required=False, max_length=MAX_ANGLES, help_text="Degrees, of rotations."
    )
    rotation = _setting("Degrees to each side.", AugmentSpec.rotation)
    brightness = _setting("How far to each side; 0.1 is 10 %.", AugmentSpec.brightness)
    contrast = _setting("As brightness.", AugmentSpec.contrast)
    saturation = _setting("As brightness.", AugmentSpec.saturation)
    hue = _setting("Of the colour circle, to each side.", AugmentSpec.hue)
    flip = _setting("Probability of mirroring; captions that name a side keep their photos from it.", AugmentSpec.flip)
    crop = _setting("Of each side, around the shoe.", AugmentSpec.crop)
    output_size = WholeNumber(-ANY, ANY, required=False, help_text="Pixels of the shorter side. Left out: as it is.")
    seed = WholeNumber(0, MAX_SEED, required=False, help_text="Left out: 42.")

    def to_spec(self) -> AugmentSpec:
        """Raises ValidationError that names the setting and the reason."""
        given: dict[str, Any] = dict(self.validated_data)
        if given.get("recipe") == "rotations":
            given.setdefault("variants", len(given.get("angles", AugmentSpec.angles)))
        try:
            return AugmentSpec.from_dict(given)
        except SpecError as error:
            raise ValidationError({error.field_name.partition("[")[0]: f"{said(error.message)}."}) from error


class DatasetAugmentView(DatasetJobView):
    request_serializer = AugmentRequestSerializer

    @extend_schema(
        operation_id="augment_dataset",
        summary="Vary a dataset's photos",
        description=(
            "Queues a job that writes variants into the dataset's draft, which is begun where there is none. Variants "
            "that are there already are not made again. Settings that a product photo does not bear are refused."
        ),
        tags=["datasets"],
        request=AugmentRequestSerializer,
        parameters=[IDEMPOTENCY_KEY],
        examples=[
            OpenApiExample("the seed's recipe", value={"recipe": "product", "variants": 5}, request_only=True),
            OpenApiExample("a job", value={"job": {**JOB_EXAMPLE.value, "kind": "augment_dataset"}},
                           response_only=True, status_codes=["202"]),
        ],
        responses={202: StartedJobSerializer, **documented(400, 401, 403, 404, 413, 415, 422, 429)},
    )  # fmt: skip
    def post(self, request: Request, id: UUID) -> Response:
        return self.answer(request, id)

    def ask(self, user: User, dataset: Dataset, given: AugmentRequestSerializer, key: str | None) -> Job:
        try:
            return request_augmentation(user=user, dataset=dataset, spec=given.to_spec(), idempotency_key=key)
        except AugmentProblem as problem:
            raise ValidationError({"dataset": str(problem)}) from None
