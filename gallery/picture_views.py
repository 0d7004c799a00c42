"""One picture: everything about it, and what can be done with it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from gallery.arranging import collections_for
from gallery.comparing import FEWEST, MOST
from gallery.filters import ImageFilter, visible_images
from gallery.judging import judgement_of, tags_seen_by
from gallery.models import RATINGS
from gallery.origins import mended_from, origins_of, parent_of, reference_of, siblings_of, variations_of
from gallery.paging import neighbours
from gallery.recreating import RecreationState
from gallery.rows import row_of, with_rows
from gallery.web import filter_query, json_file
from generation.api_call import call_of
from generation.models import GeneratedImage, View
from generation.recreating import newest_recreation
from generation.schedulers import CHOICES
from shoesai.auth import caller
from shoesai.models import User

TAGS_OFFERED = 100
FORMATS = [("png", "PNG"), ("webp", "WebP"), ("jpeg", "JPEG")]


@login_required
@require_safe
def image(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The query string is the gallery's, so that previous and next stay inside what was searched for."""
    user = caller(request)
    picture = get_object_or_404(visible_images(user), pk=pk)
    before, after = neighbours(ImageFilter(request.GET, user=user), picture)
    context = {
        "image": picture,
        "before": before,
        "after": after,
        "query": filter_query(request),
        "here": request.get_full_path(),
        "onward": _onward(request, after or before),
        "formats": FORMATS,
        "state": RecreationState(picture, newest_recreation(picture)),
        **_api_call(request, picture),
        **_recipe(picture),
        **_lineage(picture, user),
        **_organised(picture, user),
    }
    return render(request, "gallery/image.html", context)


def _onward(request: HttpRequest, neighbour: GeneratedImage | None) -> str:
    """Where one stands when this picture is gone."""
    address = reverse("image", args=[neighbour.pk]) if neighbour else reverse("gallery")
    query = filter_query(request)
    return f"{address}?{query}" if query else address


def _recipe(picture: GeneratedImage) -> dict[str, Any]:
    generation = picture.generation
    return {
        "generation": generation,
        "scheduler": dict(CHOICES).get(generation.scheduler, generation.scheduler),
        "loras": generation.extra_loras(),
        "device": generation.engine.get("device") or generation.job.result.get("device", ""),
        "engine": [(key.replace("_", " "), value) for key, value in generation.engine.items() if key != "device"],
    }


def _lineage(picture: GeneratedImage, user: User) -> dict[str, Any]:
    siblings = siblings_of(picture, user)
    compared = urlencode([("image", str(sibling.pk)) for sibling in siblings])
    return {
        "origins": origins_of(picture.generation, user),
        "reference": reference_of(picture.generation, user),
        "parent": parent_of(picture, user),
        "mended": mended_from(picture, user),
        "siblings": siblings,
        "compare_siblings": compared if FEWEST <= len(siblings) <= MOST else "",
        "variations": variations_of(picture, user),
    }


def _organised(picture: GeneratedImage, user: User) -> dict[str, Any]:
    """What people have said of it, and what this one may say."""
    collections = collections_for(user)
    return {
        "judgement": judgement_of(user, picture),
        "ratings": RATINGS,
        "tags": [tagging.tag.name for tagging in picture.taggings.select_related("tag").order_by("tag__name")],
        "tags_offered": tags_seen_by(user)[:TAGS_OFFERED],
        "collections": collections.exclude(items__image=picture),
        "collected_in": collections.filter(items__image=picture),
        "is_mine": picture.owner_id == user.pk,
        "teams": list(user.teams.order_by("name")),
        "product_views": View.choices,
    }


def _api_call(request: HttpRequest, picture: GeneratedImage) -> dict[str, Any]:
    call = call_of(picture, caller(request), request.build_absolute_uri(reverse("api-generate")))
    return {
        "needs_file": call.needs_file,
        "calls": [
            {"label": "curl", "code": call.as_curl(), "copied": _("The curl call is copied.")},
            {"label": "Python", "code": call.as_python(), "copied": _("The Python program is copied.")},
        ],
    }


@login_required
@require_safe
def image_metadata(request: HttpRequest, pk: UUID) -> HttpResponse:
    user = caller(request)
    picture = get_object_or_404(with_rows(visible_images(user), user), pk=pk)
    return json_file(row_of(picture, picture.file_name()), picture.file_name("json"))
