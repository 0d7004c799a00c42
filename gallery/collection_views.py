"""Collections: all of them, one in its own order, and what its owner and its team may change about it."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from gallery import arranging, sharing
from gallery.answers import done, refused
from gallery.covers import covers_of, with_covers
from gallery.filters import ImageFilter
from gallery.forms import CollectionForm, LinkForm
from gallery.models import Collection, ShareLink
from gallery.paging import page_asked
from gallery.selection import selection_of
from gallery.web import is_htmx, uuid_or_404
from shoesai.auth import caller
from shoesai.models import User

SHOWN = 48


def _seen(request: HttpRequest, pk: UUID) -> Collection:
    return get_object_or_404(Collection.objects.visible_to(caller(request)).select_related("owner", "team"), pk=pk)


def _own(request: HttpRequest, pk: UUID) -> Collection:
    return get_object_or_404(Collection.objects.select_related("team"), pk=pk, owner=caller(request))


# --- all of them, and a new one -----------------------------------------------------------------------------------
@login_required
@require_safe
def collections(request: HttpRequest) -> HttpResponse:
    user = caller(request)
    listed = with_covers(user, Collection.objects.visible_to(user).order_by("-updated_at", "pk"))
    page = Paginator(listed, SHOWN).get_page(request.GET.get("page"))
    context = {"covers": covers_of(user, list(page.object_list)), "pages": page}
    return render(request, "gallery/collections.html", context)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    form = CollectionForm(request.POST or None, user=caller(request), instance=Collection(owner=caller(request)))
    if not form.is_valid():
        return _form_page(request, form, None)
    data = form.cleaned_data
    collection = arranging.create_collection(
        caller(request), data["name"], description=data["description"], team=data["team"]
    )
    return redirect(collection)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def edit(request: HttpRequest, pk: UUID) -> HttpResponse:
    collection = _own(request, pk)
    before = collection.team
    form = CollectionForm(request.POST or None, user=caller(request), instance=collection)
    if not form.is_valid():
        return _form_page(request, form, _own(request, pk))
    team, collection.team = form.cleaned_data["team"], before
    arranging.change_collection(collection, name=collection.name, description=collection.description)
    if team != before:
        _say_who_sees(request, collection, arranging.share_collection(collection, team))
    return redirect(collection)


def _form_page(request: HttpRequest, form: CollectionForm, collection: Collection | None) -> HttpResponse:
    context = {"form": form, "collection": collection}
    return render(request, "gallery/collection_form.html", context, status=422 if form.is_bound else 200)


def _say_who_sees(request: HttpRequest, collection: Collection, shared: int) -> None:
    if not collection.team:
        words = _("Only you see this collection now. Its pictures are shared as they were.")
    else:
        words = ngettext(
            "%(team)s sees this collection, and %(number)d picture of yours more.",
            "%(team)s sees this collection, and %(number)d pictures of yours more.",
            shared,
        ) % {"team": collection.team, "number": shared}
    messages.success(request, words)


@login_required
@require_POST
def delete(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The pictures stay; links to it end."""
    collection = _own(request, pk)
    collection.delete()
    messages.success(request, _("“%(name)s” is deleted. Its pictures are still there.") % {"name": collection.name})
    return redirect("collections")


# --- one ----------------------------------------------------------------------------------------------------------
@login_required
@require_safe
def collection(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The pictures in their order; `?arrange` shows them with what moves them."""
    user, shown = caller(request), _seen(request, pk)
    narrowed = ImageFilter(QueryDict(f"collection={shown.pk}"), user=user)
    page = page_asked(narrowed, request.GET)
    context = {
        "collection": shown,
        "page": page,
        "images": page.images,
        "more": page.more,
        "part": "newer" if "before" in request.GET else "older",
        "query": f"collection={shown.pk}",
        "arranging": "arrange" in request.GET,
    }
    if is_htmx(request) and ("cursor" in request.GET or "before" in request.GET):
        return render(request, "gallery/_places.html" if context["arranging"] else "gallery/_tiles.html", context)
    return render(request, "gallery/collection.html", context | _around(request, user, shown))


def _around(request: HttpRequest, user: User, shown: Collection) -> dict[str, object]:
    mine = shown.owner_id == user.pk
    return {
        "part": "",
        "total": arranging.in_collection(user, shown).order_by().count(),
        "mine": mine,
        "links": _links(request, shown) if mine else [],
        "show_links": "links" in request.GET,
        "link_form": LinkForm() if mine else None,
        "collections": arranging.collections_for(user),
    }


def _links(request: HttpRequest, shown: Collection) -> list[tuple[ShareLink, str]]:
    """Each with its whole address, as long as it opens something."""
    return [
        (link, request.build_absolute_uri(reverse("shared", args=[sharing.token_of(link)])) if link.is_open else "")
        for link in shown.links.order_by("-created_at")
    ]


@login_required
@require_POST
def take_out(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The selected pictures leave the collection and nothing else."""
    chosen = _seen(request, pk)
    number = arranging.take_out(chosen, selection_of(request))
    if not number:
        return refused(request, _("Nothing was selected. Tick some pictures first."))
    words = ngettext("%(number)d picture is out of “%(name)s”.", "%(number)d pictures are out of “%(name)s”.", number)
    return done(request, words % {"number": number, "name": chosen.name}, then=chosen.get_absolute_url())


@login_required
@require_POST
def move(request: HttpRequest, pk: UUID) -> HttpResponse:
    """`image` one place `earlier` or `later`, or `before` another picture, which is empty for the end."""
    user, chosen = caller(request), _seen(request, pk)
    order = arranging.in_collection(user, chosen)
    image = get_object_or_404(order, pk=uuid_or_404(request.POST.get("image", "")))
    if "by" in request.POST:
        arranging.step(user, chosen, image, -1 if request.POST["by"] == "earlier" else 1)
    else:
        other = request.POST.get("before")
        arranging.move(chosen, image, before=get_object_or_404(order, pk=uuid_or_404(other)) if other else None)
    if is_htmx(request):
        return HttpResponse(status=204)
    return redirect(f"{chosen.get_absolute_url()}?arrange#i-{image.pk}")


# --- links --------------------------------------------------------------------------------------------------------
@login_required
@require_POST
def link_create(request: HttpRequest, pk: UUID) -> HttpResponse:
    chosen, form = _own(request, pk), LinkForm(request.POST)
    if not form.is_valid():
        return refused(request, " ".join(str(error) for errors in form.errors.values() for error in errors))
    data = form.cleaned_data
    sharing.create_link(
        caller(request), chosen, label=data["label"], lifetime=form.days(), allows_download=data["allows_download"]
    )
    messages.success(request, _("The link is ready. Copy it below and send it."))
    return redirect(f"{chosen.get_absolute_url()}?links#links")


@login_required
@require_POST
def link_revoke(request: HttpRequest, pk: UUID, link: UUID) -> HttpResponse:
    found = get_object_or_404(ShareLink, pk=link, collection=_own(request, pk))
    sharing.revoke(found)
    messages.success(request, _("The link is revoked; whoever opens it finds nothing."))
    return redirect(f"{found.collection.get_absolute_url()}?links#links")
