"""One picture: everything about it, and what can be done with it."""

from __future__ import annotations

from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from gallery.filters import ImageFilter, visible_images
from gallery.paging import neighbours
from gallery.rows import row_of, with_rows
from gallery.services import provenance_of
from gallery.web import filter_query, json_file
from generation.schedulers import CHOICES
from shoesai.auth import caller


@login_required
@require_safe
def image(request: HttpRequest, pk: UUID) -> HttpResponse:
    picture = get_object_or_404(visible_images(caller(request)), pk=pk)
    newer, older = neighbours(ImageFilter(request.GET, user=caller(request)), picture)
    generation = picture.generation
    loras = list(generation.loras.select_related("checkpoint__run"))
    context = {
        "image": picture,
        "generation": generation,
        "scheduler": dict(CHOICES).get(generation.scheduler, generation.scheduler),
        "loras": [lora for lora in loras if lora.position or lora.checkpoint.name != generation.model_name],
        "provenance": provenance_of(generation),
        "newer": newer,
        "older": older,
        "siblings": generation.images.order_by("seq") if generation.num_images > 1 else [],
        "query": filter_query(request),
    }
    return render(request, "gallery/image.html", context)


@login_required
@require_safe
def image_metadata(request: HttpRequest, pk: UUID) -> HttpResponse:
    user = caller(request)
    picture = get_object_or_404(with_rows(visible_images(user), user), pk=pk)
    return json_file(row_of(picture, picture.file_name()), picture.file_name("json"))
