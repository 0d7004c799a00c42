"""Requests for pictures and the pictures, as JSON in the seed's shapes."""

from __future__ import annotations

import base64
import binascii
from io import BytesIO
from typing import Any, TypedDict
from uuid import UUID

from django.db.models import prefetch_related_objects
from django.utils.text import format_lazy
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from generation import limits
from generation.limits import SIDE
from generation.metadata import LORAS, recipe_of_image
from generation.models import GeneratedImage, Generation
from generation.references import keep_reference
from generation.schedulers import CHOICES, DEFAULT, SCHEDULERS
from generation.services import GenerationRequest, InvalidRequest, LoraChoice
from shoesai import files
from shoesai.models import Job, User
from shoesai.numbers import grouped
from shoesai.pictures import NotAPicture
from shoesai.problems import Problem
from shoesai.serializers import (
    REQUIRED,
    JobSerializer,
    Number,
    StrictJSONParser,
    StrictSerializer,
    Text,
    WholeNumber,
    image_url,
)

MAX_NAME = 200
DEFAULT_WAIT = 60
MAX_WAIT = 300


@extend_schema_field({"type": "integer", "minimum": 0, "maximum": limits.SEED.high})
class Seed(WholeNumber):
    pass


@extend_schema_field({"type": "integer", "minimum": SIDE.low, "maximum": SIDE.high, "multipleOf": SIDE.step})
class Side(WholeNumber):
    def __init__(self, **options: Any) -> None:
        super().__init__(SIDE.low, SIDE.high, step=SIDE.step, required=False, allow_null=True, **options)


class RequestParser(StrictJSONParser):
    """Has room for one reference in base64, and not for a million small values: those take many times their bytes."""

    MAX_VALUES = 10_000

    def read(self, stream: Any, limit: int) -> bytes:
        body = super().read(stream, limit + limits.REFERENCE_BYTES * 4 // 3)
        if len(body) > limit and sum(body.count(mark) for mark in (b",", b"[", b"{")) > self.MAX_VALUES:
            words = gettext("Only a reference may need more than %(limit)s bytes.")
            raise Problem(413, "body-too-large", words % {"limit": grouped(limit)})
        return body


@extend_schema_field({"type": "string", "format": "byte"})
class Base64(serializers.Field):
    def __init__(self, **options: Any) -> None:
        messages = {**REQUIRED, "invalid": _("must be a file in base64, without line breaks.")}
        super().__init__(error_messages=messages, **options)

    def to_internal_value(self, data: Any) -> bytes:
        try:
            return base64.b64decode(data, validate=True) if isinstance(data, str) else self.fail("invalid")
        except (binascii.Error, ValueError):
            self.fail("invalid")


class PublicId(serializers.UUIDField):
    def __init__(self, **options: Any) -> None:
        messages = {**REQUIRED, "invalid": _("must be the id of a picture, as answers tell it.")}
        super().__init__(error_messages=messages, **options)

    def to_internal_value(self, data: Any) -> UUID:
        """DRF takes numbers, too."""
        return super().to_internal_value(data) if isinstance(data, str) else self.fail("invalid")


class LoraSerializer(StrictSerializer):
    name = Text(MAX_NAME, help_text="`<run>/checkpoint-<step>`, a name from GET /api/models.")
    weight = Number(limits.LORA_WEIGHT.low, limits.LORA_WEIGHT.high, default=1.0)


class GenerateSerializer(StrictSerializer):
    model_name = Text(MAX_NAME, default="starter", help_text="A name from GET /api/models.")
    prompt = Text(limits.PROMPT_CHARACTERS, blank=_("must not be empty; describe the shoe you want."))
    negative_prompt = Text(limits.PROMPT_CHARACTERS, default="", allow_blank=True, help_text="What should not be seen.")
    num_images = WholeNumber(limits.NUM_IMAGES.low, limits.NUM_IMAGES.high, default=1)
    num_inference_steps = WholeNumber(limits.NUM_INFERENCE_STEPS.low, limits.NUM_INFERENCE_STEPS.high, default=50)
    guidance_scale = Number(
        limits.GUIDANCE_SCALE.low, limits.GUIDANCE_SCALE.high, required=False, allow_null=True,
        help_text="Left out: the model's own.",
    )  # fmt: skip
    seed = Seed(
        limits.SEED.low, limits.SEED.high, required=False, allow_null=True,
        help_text="Of the first picture; picture k gets seed + k. Left out: one is chosen, and told.",
    )  # fmt: skip
    width = Side(help_text="Left out: the model's own.")
    height = Side(help_text="Left out: the model's own.")
    scheduler = serializers.ChoiceField(
        CHOICES,
        default=DEFAULT,
        error_messages={
            **REQUIRED,
            "invalid_choice": format_lazy(_("must be one of {names}."), names=", ".join(SCHEDULERS)),
        },
    )
    loras = LoraSerializer(many=True, default=list, max_length=limits.LORAS)  # type: ignore[call-arg]
    reference = Base64(
        required=False, allow_null=True,
        help_text="A picture to start from: PNG, JPEG or WebP in base64, at most 20 MB. It is cut to width and height.",
    )  # fmt: skip
    reference_image = PublicId(
        required=False, allow_null=True, help_text="Instead: the id of a picture that you can see."
    )
    strength = Number(
        limits.STRENGTH.low, limits.STRENGTH.high, required=False, allow_null=True,
        help_text="How far to go from the reference; 1 ignores it. Left out: 0.6. Only with a reference.",
    )  # fmt: skip
    wait = Number(
        0, MAX_WAIT, default=DEFAULT_WAIT,
        help_text="Seconds to wait for the pictures before answering 202 with the job.",
    )  # fmt: skip

    def to_request(self, user: User) -> GenerationRequest:
        """Stores the reference, if one came along. Raises InvalidRequest when it is no picture."""
        given = dict(self.validated_data)
        given.pop("wait")
        loras = tuple(LoraChoice(**lora) for lora in given.pop("loras"))
        upload = given.pop("reference", None)
        try:
            reference = None if upload is None else keep_reference(user, BytesIO(upload)).pk
        except NotAPicture as error:
            raise InvalidRequest({"reference": str(error)}) from error
        return GenerationRequest(**given, loras=loras, reference=reference)


class Check(TypedDict):
    profile: str
    passed: bool
    reasons: list[str]
    advice: list[str]


def metadata_of(image: GeneratedImage) -> dict[str, Any]:
    return recipe_of_image(image)


class ImageSerializer(serializers.ModelSerializer):
    """One picture and everything needed to make it again."""

    seed = serializers.SerializerMethodField()
    url = serializers.SerializerMethodField(help_text="The PNG.")
    job = serializers.UUIDField(source="generation.job_id")
    metadata = serializers.SerializerMethodField()
    mended_from = serializers.UUIDField(
        source="parent_id", allow_null=True, help_text="The picture that this one was mended from."
    )
    checks = serializers.SerializerMethodField(
        help_text="What it passes of each channel's photo checks, with the reasons; empty until it was judged."
    )

    class Meta:
        model = GeneratedImage
        fields = ["id", "job", "seq", "seed", "width", "height", "url", "metadata", "mended_from", "checks",
                  "created_at"]  # fmt: skip
        read_only_fields = fields

    def get_seed(self, image: GeneratedImage) -> int:
        return image.seed_number

    def get_url(self, image: GeneratedImage) -> str:
        return image_url(image.id)

    def get_metadata(self, image: GeneratedImage) -> dict[str, Any]:
        return metadata_of(image)

    def get_checks(self, image: GeneratedImage) -> list[Check]:
        """By the reverse relation: who judges is above this app. Queries bring `photo_check` along."""
        check = getattr(image, "photo_check", None)
        return [verdict.as_json() for verdict in check.told] if check else []


class PictureSerializer(serializers.Serializer):
    image = serializers.SerializerMethodField(help_text="The PNG in base64.")
    seed = serializers.IntegerField(source="seed_number")
    metadata = serializers.SerializerMethodField(help_text="Everything needed to make the picture again.")
    id = serializers.UUIDField()
    url = serializers.SerializerMethodField(help_text="The PNG again, for later.")

    def get_image(self, image: GeneratedImage) -> str:
        return base64.b64encode(files.read(image.blob)).decode()

    def get_metadata(self, image: GeneratedImage) -> dict[str, Any]:
        return metadata_of(image)

    def get_url(self, image: GeneratedImage) -> str:
        return image_url(image.id)


class GeneratedSerializer(serializers.Serializer):
    success = serializers.BooleanField()
    images = PictureSerializer(many=True)
    generation_time = serializers.FloatField(help_text="Seconds from the start of the work to its end.")
    job = JobSerializer()


class AcceptedSerializer(serializers.Serializer):
    job = JobSerializer()


def generated(generation: Generation, job: Job) -> dict[str, Any]:
    """The seed's response."""
    prefetch_related_objects([generation], LORAS)
    images = list(generation.images.select_related("blob").filter(mending__isnull=True).order_by("seq"))
    for image in images:
        image.generation = generation
    return {
        "success": True,
        "images": PictureSerializer(images, many=True).data,
        "generation_time": generation_seconds(job, images),
        "job": JobSerializer(job).data,
    }


def generation_seconds(job: Job, images: list[GeneratedImage]) -> float:
    if job.started_at and job.finished_at:
        return round((job.finished_at - job.started_at).total_seconds(), 3)
    return round(sum(image.seconds for image in images), 3)
