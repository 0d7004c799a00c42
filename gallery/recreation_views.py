"""Making a picture again as proof: the wish, and how far it is."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.cache import get_conditional_response
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from gallery.recreating import RecreationState
from gallery.web import is_htmx
from generation.media import blob_bytes, visible_image
from generation.models import GeneratedImage, Recreation
from generation.recreating import newest_recreation, request_recreation
from shoesai.auth import caller
from shoesai.jobs.queue import QuotaReached

FRAGMENT = "gallery/_recreation_state.html"


@login_required
@require_POST
def recreate(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The same post serves a browser without JavaScript (redirect) and htmx (the fragment)."""
    image = visible_image(caller(request), pk)
    if image.mending:
        raise Http404(_("A mended picture is proved by the one that it was mended from."))
    try:
        state, status = RecreationState(image, request_recreation(caller(request), image)), 200
    except QuotaReached as problem:
        state, status = RecreationState(image, newest_recreation(image), str(problem)), 422
    if not is_htmx(request):
        if state.problem:
            messages.error(request, state.problem)
        return _page(image)
    response = render(request, FRAGMENT, {"state": state}, status=status)
    response["HX-Trigger"] = "jobs-changed"
    return response


@login_required
@require_safe
def recreation(request: HttpRequest, pk: UUID, recreation: UUID) -> HttpResponse:
    """The fragment. It asks for itself again only while its job lives, and 304 costs neither bytes nor a swap."""
    found = _visible(request, pk, recreation)
    if not is_htmx(request):
        return _page(found.image)
    state = RecreationState(found.image, found)
    response = get_conditional_response(request, etag=state.etag) or render(request, FRAGMENT, {"state": state})
    response["ETag"] = state.etag
    response["Cache-Control"] = "private, no-cache"
    if not found.job.is_live:
        response["HX-Trigger"] = "jobs-changed"
    return response


@login_required
@require_safe
def recreation_file(request: HttpRequest, pk: UUID, recreation: UUID) -> HttpResponseBase:
    """The second picture, which is kept only where it is another one."""
    found = _visible(request, pk, recreation)
    if found.blob is None:
        raise Http404
    return blob_bytes(request, found.blob, found.image.file_name("again.png"))


def _visible(request: HttpRequest, pk: UUID, recreation: UUID) -> Recreation:
    """Of a picture that the user sees, whoever asked for it."""
    image = visible_image(caller(request), pk)
    found = get_object_or_404(image.recreations.select_related("job", "blob"), pk=recreation)
    found.image = image
    return found


def _page(image: GeneratedImage) -> HttpResponse:
    return redirect(f"{reverse('image', args=[image.pk])}#recreation")
