"""A dataset expanded with generated pictures, asked for by a program."""

from __future__ import annotations

from uuid import UUID

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from generation import limits
from generation.expansion import AUGMENTATIONS_PER_IMAGE, IMAGES_PER_PROMPT, ExpansionRequest, request_expansion
from generation.expansion_prompts import MOST_PROMPTS, BadPrompts, read_prompts
from generation.schedulers import DEFAULT, SCHEDULERS
from generation.serializers import MAX_NAME, LoraSerializer, Seed, Side
from generation.services import GenerationRequest, InvalidRequest, LoraChoice
from shoesai.api import IDEMPOTENCY_KEY, JOB_EXAMPLE
from shoesai.models import ApiToken, Job, User
from shoesai.problems import documented
from shoesai.serializers import Number, StrictSerializer, Text, WholeNumber
from training.dataset_api import DatasetJobView
from training.dataset_serializers import StartedJobSerializer
from training.models import Dataset


class ExpandRequestSerializer(StrictSerializer):
    prompts = serializers.ListField(child=Text(limits.PROMPT_CHARACTERS), min_length=1, max_length=MOST_PROMPTS)
    images_per_prompt = WholeNumber(IMAGES_PER_PROMPT.low, IMAGES_PER_PROMPT.high, default=4)
    augmentations_per_image = WholeNumber(AUGMENTATIONS_PER_IMAGE.low, AUGMENTATIONS_PER_IMAGE.high, default=5)
    model_name = Text(MAX_NAME, default="starter", help_text="A name from GET /api/models.")
    negative_prompt = Text(limits.PROMPT_CHARACTERS, default="", allow_blank=True)
    num_inference_steps = WholeNumber(limits.NUM_INFERENCE_STEPS.low, limits.NUM_INFERENCE_STEPS.high, default=50)
    guidance_scale = Number(limits.GUIDANCE_SCALE.low, limits.GUIDANCE_SCALE.high, required=False, allow_null=True)
    seed = Seed(limits.SEED.low, limits.SEED.high, required=False, allow_null=True)
    width = Side(help_text="Left out: the model's own.")
    height = Side(help_text="Left out: the model's own.")
    scheduler = serializers.ChoiceField(list(SCHEDULERS), default=DEFAULT)
    loras = LoraSerializer(many=True, default=list, max_length=limits.LORAS)  # type: ignore[call-arg]

    def to_request(self, dataset: Dataset) -> ExpansionRequest:
        given = dict(self.validated_data)
        prompts, images = given.pop("prompts"), given.pop("images_per_prompt")
        variants = given.pop("augmentations_per_image")
        loras = tuple(LoraChoice(**lora) for lora in given.pop("loras"))
        try:
            read = read_prompts("\n".join(prompt.replace("\n", " ") for prompt in prompts))
        except BadPrompts as error:
            raise ValidationError({"prompts": str(error)}) from None
        return ExpansionRequest(dataset, read, images, variants, GenerationRequest(prompt="", loras=loras, **given))


class DatasetExpandView(DatasetJobView):
    write_scope = ApiToken.Scope.GENERATE
    request_serializer = ExpandRequestSerializer

    @extend_schema(
        operation_id="expand_dataset",
        summary="Expand a dataset with generated pictures",
        description=(
            "Prompts × pictures × variants as one job. A picture comes into the draft when it passes its checks; else "
            "it is tried again with other seeds. What would go beyond the dataset's limit is refused with the number "
            "that fits."
        ),
        tags=["datasets"],
        request=ExpandRequestSerializer,
        parameters=[IDEMPOTENCY_KEY],
        examples=[
            OpenApiExample(
                "two prompts",
                value={"prompts": ["brown leather boots on white background", "black sneakers on white background"],
                       "images_per_prompt": 4, "augmentations_per_image": 5},
                request_only=True,
            ),
            OpenApiExample("a job", value={"job": {**JOB_EXAMPLE.value, "kind": "expand_dataset"}},
                           response_only=True, status_codes=["202"]),
        ],
        responses={202: StartedJobSerializer, **documented(400, 401, 403, 404, 413, 415, 422, 429)},
    )  # fmt: skip
    def post(self, request: Request, id: UUID) -> Response:
        return self.answer(request, id)

    def ask(self, user: User, dataset: Dataset, given: ExpandRequestSerializer, key: str | None) -> Job:
        try:
            return request_expansion(user=user, request=given.to_request(dataset), idempotency_key=key).job
        except InvalidRequest as error:
            raise ValidationError(error.errors) from None
