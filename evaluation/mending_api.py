"""POST /api/images/{id}/mend."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from evaluation.mending import mend_image
from evaluation.profiles import PROFILES
from generation.metadata import LORAS
from generation.models import GeneratedImage
from generation.serializers import ImageSerializer
from shoesai.api import ApiView, found
from shoesai.auth import caller
from shoesai.photo_mending import CannotMend
from shoesai.problems import Problem, documented
from shoesai.serializers import REQUIRED, StrictSerializer


class MendSerializer(StrictSerializer):
    profile = serializers.ChoiceField(
        list(PROFILES),
        help_text="The channel that it is made fit for.",
        error_messages={
            **REQUIRED, "invalid_choice": format_lazy(_("must be one of {names}."), names=", ".join(PROFILES)),
        },
    )  # fmt: skip


class ImageMendView(ApiView):
    @extend_schema(
        operation_id="mend_image",
        summary="Make a picture fit for a channel",
        description=(
            "White behind the shoe with its soft shadow, re-framed, and enlarged to what the channel asks for. A new "
            "picture beside your own one, which stays; its recipe tells what was done. 422 says why it cannot be done."
        ),
        tags=["pictures"],
        request=MendSerializer,
        examples=[OpenApiExample("for Amazon", value={"profile": "amazon-main"}, request_only=True)],
        responses={201: ImageSerializer, **documented(400, 401, 403, 404, 413, 415, 422, 429)},
    )
    def post(self, request: Request, id: UUID) -> Response:
        user = caller(request)
        mine = GeneratedImage.objects.visible_to(user).filter(owner=user).select_related("generation__base_model")
        image = found(mine.prefetch_related(f"generation__{LORAS}"), "picture", id)
        given = MendSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        try:
            made: Any = mend_image(user, image, given.validated_data["profile"])
        except CannotMend as refusal:
            raise Problem(422, "cannot-mend", str(refusal)) from None
        return Response(ImageSerializer(made).data, status=201)
