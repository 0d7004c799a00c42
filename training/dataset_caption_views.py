"""The editor of captions: one row a photo, saved one by one; and what changes many, after a look at it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST, require_safe

from shoesai.jobs.queue import QueueFull
from training.dataset_pages import DatasetPage, changes, shown
from training.datasets import captions as texts
from training.datasets import proposals as proposing
from training.datasets.caption_templates import FIELDS, USUAL, filling
from training.datasets.captions import CaptionProblem, Change, Stale
from training.datasets.choosing import SHOWS, chosen_photos, counts_of
from training.datasets.drafts import DraftProblem
from training.models import Photo

ROWS = 30
PREVIEWED = 60
OFFERED = ("bare", "proposed", "held-out")


@login_required
@require_safe
def captions(request: HttpRequest, dataset_id: UUID) -> HttpResponse:
    page = shown(request, dataset_id)
    context = page.context("captions")
    if page.version:
        photos = Paginator(chosen_photos(page.version, request.GET), ROWS).get_page(request.GET.get("page"))
        counts = [row for row in counts_of(page.version) if row[0] in OFFERED]
        context |= {
            "photos": photos,
            "rows": [_row(page, photo) for photo in photos],
            "counts": counts,
            "show": request.GET.get("show", ""),
            "show_label": SHOWS[request.GET["show"]][0] if request.GET.get("show") in SHOWS else "",
            "q": request.GET.get("q", ""),
            "fields": FIELDS.items(),
            "template": USUAL,
            "proposing": proposing.live_job(page.version),
            "proposed": page.version.photos.present().exclude(proposal="").count(),
        }
    return render(request, "datasets/captions.html", context)


def _row(page: DatasetPage, photo: Photo, **more: Any) -> dict[str, Any]:
    """What templates/datasets/_caption.html needs."""
    return {"photo": photo, "tokens": texts.tokens_of(page.dataset, photo.caption), "text": photo.caption, **more}


# --- one ------------------------------------------------------------------------------------------------------------
@require_POST
@changes
def save_one(request: HttpRequest, page: DatasetPage, pk: UUID) -> HttpResponse:
    """`caption` is the new one and `was` the one that it was made from; `accept` takes the proposal, `dismiss` not."""
    draft = page.needed_draft()
    photo = get_object_or_404(Photo, pk=pk, version=draft)
    text = photo.proposal if "accept" in request.POST else request.POST.get("caption", "")
    try:
        if "dismiss" in request.POST:
            texts.dismiss(draft, page.user, [photo])
        else:
            texts.set_caption(draft, page.user, pk, text, was=request.POST.get("was", photo.caption))
    except CaptionProblem as problem:
        return _answered(request, page, _row(page, photo, text=text, problem=str(problem)))
    except Stale:
        return _answered(request, page, _row(page, photo, text=text, stale=True))
    photo.refresh_from_db()
    return _answered(request, page, _row(page, photo, saved=True))


def _answered(request: HttpRequest, page: DatasetPage, row: dict[str, Any]) -> HttpResponse:
    if not getattr(request, "htmx", False):
        if row.get("saved"):
            wanted = request.POST.get("next", "")
            here = reverse("dataset-captions", args=[page.dataset.pk])
            return redirect(wanted if wanted.startswith(here) else f"{here}#c-{row['photo'].pk}")
        context = page.context("captions") | {"rows": [row], "photos": None, "alone": True}
        return render(request, "datasets/captions.html", context, status=422)
    context = page.context("captions") | {"here": request.POST.get("next", "")} | row
    return render(request, "datasets/_caption_again.html", context, status=200 if row.get("saved") else 422)


# --- many -----------------------------------------------------------------------------------------------------------
def _asked(page: DatasetPage, posted: QueryDict) -> tuple[str, Callable[[Photo], str]]:
    """The word of the history, and what becomes of each caption. Raises CaptionProblem."""
    what = posted.get("do", "")
    if what == "replace":
        how = {name: bool(posted.get(name)) for name in ("whole_words", "match_case")}
        return "replace", texts.replacing(posted.get("find", ""), posted.get("put", ""), **how)
    if what == "template":
        return "template", filling(posted.get("template", "")[: texts.MAX_CAPTION], page.dataset)
    if what == "trigger":
        return "trigger", texts.with_trigger(page.dataset.trigger_words)
    if what == "no-trigger":
        return "trigger", texts.without_trigger(page.dataset.trigger_words)
    raise Http404


@require_POST
@changes
def change_many(request: HttpRequest, page: DatasetPage) -> HttpResponse:
    """First a preview of what would change; with `apply` it is done, if it still is the same."""
    draft = page.needed_draft()
    query = QueryDict(request.POST.get("query", "").lstrip("?"))
    photos = chosen_photos(draft, query)
    if request.POST.get("only_bare"):
        photos = photos.filter(caption="")
    try:
        verb, change = _asked(page, request.POST)
        found = texts.changed(photos, change)
    except CaptionProblem as problem:
        messages.error(request, str(problem))
        return _to_captions(page, query)
    if "apply" in request.POST:
        if request.POST.get("digest") != _digest(found):
            raise DraftProblem(_("Some captions have changed meanwhile; look at the preview again."))
        step = texts.apply(draft, page.user, verb, found)
        number = step.photo_count if step else 0
        words = ngettext("%(number)d caption changed.", "%(number)d captions changed.", number) % {"number": number}
        messages.success(request, words)
        return _to_captions(page, query)
    context = page.context("captions") | {
        "changes": found[:PREVIEWED],
        "number": len(found),
        "looked_at": photos.count(),
        "digest": _digest(found),
        "posted": [(name, value) for name, value in request.POST.items() if name != "csrfmiddlewaretoken"],
        "query": query.urlencode(),
    }
    return render(request, "datasets/caption_preview.html", context)


def _digest(found: list[Change]) -> str:
    """Of what the preview shows, so that nothing else is done."""
    return str(proposing.digest_of((str(change.photo.pk), change.before, change.after) for change in found))


def _to_captions(page: DatasetPage, query: QueryDict) -> HttpResponse:
    address = reverse("dataset-captions", args=[page.dataset.pk])
    return redirect(f"{address}?{query.urlencode()}" if query else address)


@require_POST
@changes
def proposals(request: HttpRequest, page: DatasetPage) -> HttpResponse:
    """`do` is ask, accept (all that are shown), accept-bare or dismiss."""
    draft, what = page.needed_draft(), request.POST.get("do", "")
    query = QueryDict(request.POST.get("query", "").lstrip("?"))
    photos = chosen_photos(draft, query).exclude(proposal="")
    if what == "ask":
        try:
            proposing.request_proposals(page.user, draft, everything=bool(request.POST.get("everything")))
        except QueueFull as problem:
            messages.error(request, str(problem))
        return _to_captions(page, query)
    if what == "accept":
        step = texts.accept(draft, page.user, photos.filter(caption="") if request.POST.get("only_bare") else photos)
    elif what == "dismiss":
        step = texts.dismiss(draft, page.user, photos)
    else:
        raise Http404
    number = step.photo_count if step else 0
    words = ngettext("%(number)d caption changed.", "%(number)d captions changed.", number) % {"number": number}
    messages.success(request, words)
    return _to_captions(page, query)
