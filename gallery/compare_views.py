"""The page that shows two to four pictures beside each other."""

from __future__ import annotations

from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_safe

from gallery.comparing import FEWEST, LETTERS, MOST, prompts_of, rows_of
from gallery.filters import visible_images
from gallery.judging import judgement_of
from gallery.models import RATINGS
from gallery.web import uuid_or_404
from generation.models import GeneratedImage
from shoesai.auth import caller
from shoesai.models import User

VIEWS = {
    "slider": gettext_lazy("Slider"),
    "side": gettext_lazy("Side by side"),
    "difference": gettext_lazy("Difference"),
}


@login_required
@require_safe
def compare(request: HttpRequest) -> HttpResponse:
    """`?image=…&image=…`, in the order that they are to stand; two may also lie upon each other (`view`)."""
    wanted = list(dict.fromkeys(uuid_or_404(text) for text in request.GET.getlist("image")))
    if not FEWEST <= len(wanted) <= MOST:
        status = 400 if wanted else 200
        return render(request, "gallery/compare.html", {"sides": [], "words": _how_many(len(wanted))}, status=status)
    user = caller(request)
    images = _in_order(user, wanted)
    views = VIEWS if len(images) == 2 else {}
    view = request.GET.get("view", "")
    context = {
        "sides": [(letter, image, judgement_of(user, image)) for letter, image in zip(LETTERS, images, strict=False)],
        "ratings": RATINGS,
        "here": request.get_full_path(),
        "prompts": prompts_of(images),
        "rows": rows_of(images),
        "views": views.items(),
        "view": view if view in views else "side",
        "query": "&".join(f"image={pk}" for pk in wanted),
    }
    return render(request, "gallery/compare.html", context)


def _how_many(number: int) -> str:
    if not number:
        return _("Select two to four pictures in the gallery, then press Compare.")
    return _("Two to four pictures can be compared, and this address names %(number)d.") % {"number": number}


def _in_order(user: User, wanted: list[UUID]) -> list[GeneratedImage]:
    found = visible_images(user).in_bulk(wanted)
    if len(found) < len(wanted):
        raise Http404
    return [found[pk] for pk in wanted]
