"""The trash of the one who is signed in."""

from __future__ import annotations

from uuid import UUID

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST, require_safe

from gallery import trash
from gallery.answers import done, refused
from gallery.selection_views import trashed_of
from generation.media import picture_bytes
from shoesai.auth import caller

SHOWN = 120


@login_required
@require_safe
def page(request: HttpRequest) -> HttpResponse:
    thrown = trash.in_trash(caller(request)).select_related("generation")
    shown = Paginator(thrown, SHOWN).get_page(request.GET.get("page"))
    context = {
        "pages": shown,
        "thrown": [(image, trash.days_left(image)) for image in shown.object_list],
        "days": settings.TRASH_DAYS,
    }
    return render(request, "gallery/trash.html", context)


@login_required
@require_safe
def thumbnail(request: HttpRequest, pk: UUID) -> HttpResponseBase:
    thrown = trash.in_trash(caller(request)).select_related("generation", "thumbnail")
    return picture_bytes(request, get_object_or_404(thrown, pk=pk), "thumbnail")


@login_required
@require_POST
def delete(request: HttpRequest) -> HttpResponse:
    """For good: what is ticked, or with `all` everything in it."""
    number = trash.delete_forever(trashed_of(request))
    if not number:
        return refused(request, _("Nothing was selected. Tick some pictures first."), then=reverse("trash"))
    words = ngettext("%(number)d picture is deleted for good.", "%(number)d pictures are deleted for good.", number)
    return done(request, words % {"number": number}, then=reverse("trash"))
