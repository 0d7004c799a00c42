"""GET /api/images: the gallery for programs, through the same filter as the page."""

from __future__ import annotations

from uuid import UUID

from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from gallery.facets import total_of
from gallery.filters import ImageFilter
from gallery.paging import SORTS, page_of
from gallery.searching import DATES
from generation.metadata import LORAS
from generation.serializers import ImageSerializer
from shoesai.api import MAX_PAGE_SIZE, PAGE_PARAMETERS, PAGE_SIZE, ApiView, chosen, whole_number
from shoesai.auth import caller
from shoesai.problems import documented


class ImageListSerializer(serializers.Serializer):
    images = ImageSerializer(many=True)
    total = serializers.IntegerField(help_text="How many match in all.")
    next = serializers.CharField(allow_null=True, help_text="Where the next page is; null on the last one.")


def _several(name: str, description: str) -> OpenApiParameter:
    return OpenApiParameter(name, OpenApiTypes.STR, many=True, description=f"{description} May be given several times.")


FILTERS = [
    OpenApiParameter(
        "q",
        OpenApiTypes.STR,
        description=(
            'The gallery\'s search: words and "phrases" of the prompt, `key:value` such as `steps:>30`, '
            "`is:favourite`, `after:2026-11-01`, and `-` in front of what must not be."
        ),
    ),
    _several("model", "Base models by name."),
    _several("checkpoint", "`<run>/checkpoint-<step>`."),
    _several("dataset", "Names of the datasets that the checkpoint learned from."),
    _several("owner", "User names."),
    _several("size", "`512x512`."),
    _several("scheduler", "Schedulers by key."),
    _several("rating", "Your own rating, 1 to 5."),
    _several("tag", "Tags."),
    _several("passes", "Channels whose photo checks it passes: house, amazon-main, google-merchant, shopify."),
    OpenApiParameter("date", OpenApiTypes.STR, description=f"{', '.join(DATES)}, a day or a month (2026-11)."),
    OpenApiParameter("favourite", OpenApiTypes.BOOL, description="Your favourites, or everything else."),
    OpenApiParameter("collection", OpenApiTypes.UUID, description="Only what is in this collection."),
    OpenApiParameter("sort", enum=list(SORTS), description="`rating` shows only what you have rated."),
]


class ImagesView(ApiView):
    @extend_schema(
        operation_id="list_images",
        summary="Your pictures and those that your team shares",
        description="The parameters are those of the gallery page's address, so a search can be tried there.",
        tags=["pictures"],
        parameters=[*FILTERS, *PAGE_PARAMETERS],
        responses={200: ImageListSerializer, **documented(400, 401, 403)},
    )
    def get(self, request: Request) -> Response:
        narrowed = _understood(request)
        limit = whole_number(request, "limit", PAGE_SIZE, low=1, high=MAX_PAGE_SIZE)
        page = page_of(narrowed, _cursor(request), limit, related=("generation__base_model", f"generation__{LORAS}"))
        following = None
        if page.next:
            query = request.query_params.copy()
            query["cursor"] = str(page.next)
            following = f"{request.path}?{query.urlencode()}"
        images = ImageSerializer(page.images, many=True).data
        return Response({"images": images, "total": total_of(narrowed), "next": following})


def _understood(request: Request) -> ImageFilter:
    """A page shows what it understood and says the rest; a program must not take half an answer for a whole one."""
    narrowed = ImageFilter(request.query_params, user=caller(request))
    if "sort" in request.query_params:
        chosen(request, "sort", list(SORTS))
    if narrowed.form.is_valid() and "favourite" in request.query_params and narrowed.values["favourite"] is None:
        raise ValidationError({"favourite": _("must be true or false.")})
    if request.query_params.get("collection") == "":
        raise ValidationError({"collection": _("“%(value)s” is no collection's id.") % {"value": ""}})
    if narrowed.form.errors:
        raise ValidationError(narrowed.form.errors)
    if narrowed.problems:
        raise ValidationError({"q": narrowed.problems})
    return narrowed


def _cursor(request: Request) -> UUID | None:
    if "cursor" not in request.query_params:
        return None
    try:
        return UUID(request.query_params["cursor"])
    except ValueError:
        raise ValidationError({"cursor": _("must be the cursor of an earlier page's `next`.")}) from None
