"""Saved searches: kept from the gallery's page, renamed, shared and deleted on a page of their own."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from gallery.answers import refused
from gallery.arranging import team_of
from gallery.models import SavedSearch
from gallery.searches import change_search, save_search, saved_searches_of, words_of
from shoesai.auth import caller


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def searches(request: HttpRequest) -> HttpResponse:
    """A post saves `query` under `name` and goes on to what it finds."""
    user = caller(request)
    if request.method == "POST":
        return _save(request)
    listed = [(search, words_of(search.query)) for search in saved_searches_of(user)]
    context = {"searches": listed, "teams": user.teams.order_by("name")}
    return render(request, "gallery/searches.html", context)


def _save(request: HttpRequest) -> HttpResponse:
    try:
        saved = save_search(caller(request), request.POST.get("name", ""), request.POST.get("query", ""))
    except ValidationError as problem:
        return refused(request, problem)
    messages.success(request, _("“%(name)s” is saved.") % {"name": saved.name})
    return redirect(f"{reverse('gallery')}?{saved.query}")


@login_required
@require_POST
def change(request: HttpRequest, pk: UUID) -> HttpResponse:
    search = get_object_or_404(SavedSearch, pk=pk, owner=caller(request))
    try:
        team = team_of(caller(request), request.POST["team"]) if request.POST.get("team") else None
        change_search(search, request.POST.get("name", ""), team)
    except ValidationError as problem:
        return refused(request, problem, then=reverse("searches"))
    messages.success(request, _("“%(name)s” is changed.") % {"name": search.name})
    return redirect("searches")


@login_required
@require_POST
def delete(request: HttpRequest, pk: UUID) -> HttpResponse:
    search = get_object_or_404(SavedSearch, pk=pk, owner=caller(request))
    search.delete()
    words = _("The search “%(name)s” is deleted; its pictures are still there.")
    messages.success(request, words % {"name": search.name})
    return redirect("searches")
