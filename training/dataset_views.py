"""The datasets, and one: its photos in a grid, what changes the draft, and freezing it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db.models import Prefetch
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.http import content_disposition_header, url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from shoesai import files
from shoesai.auth import caller
from training.dataset_pages import DatasetPage, changes, shown
from training.datasets import drafts
from training.datasets.captions import tokens_of
from training.datasets.choosing import chosen_photos, counts_of, facets_of, ticked_photos
from training.datasets.drafts import open_draft
from training.datasets.findings import KINDS
from training.datasets.fixes import FIXES, Fix
from training.datasets.freezing import FreezeProblem, freeze, why_not_frozen
from training.datasets.recipe_words import recipe_words
from training.models import Dataset, DatasetVersion, Finding, Photo, TrainingRun

CARDS, TILES, COVER = 24, 60, 4
OPEN_FINDINGS = Prefetch("findings", Finding.objects.waiting().order_by("pk"), to_attr="open_findings")


# --- all of them ----------------------------------------------------------------------------------------------------
@login_required
@require_safe
def datasets(request: HttpRequest) -> HttpResponse:
    seen = Dataset.objects.visible_to(caller(request)).distinct()
    words = request.GET.get("q", "").replace("\x00", "").strip()
    found = seen.filter(name__icontains=words) if words else seen
    newest = Prefetch("versions", DatasetVersion.objects.order_by("-number"), to_attr="newest_first")
    listed = found.select_related("owner", "team").prefetch_related(newest).order_by("-created_at", "pk")
    page = Paginator(listed, CARDS).get_page(request.GET.get("page"))
    context = {"page": page, "cards": _cards(list(page)), "q": words, "any": bool(words) or bool(page)}
    return render(request, "datasets/list.html", context)


def _cards(shown_here: list[Any]) -> list[dict[str, Any]]:
    """With covers in one query."""
    first: dict[Any, DatasetVersion | None] = {each.pk: next(iter(each.newest_first), None) for each in shown_here}
    covers: dict[Any, list[Photo]] = {}
    wanted = [version for version in first.values() if version]
    for photo in Photo.objects.present().filter(version__in=wanted, position__lt=4 * COVER).order_by("position"):
        covers.setdefault(photo.version_id, []).append(photo)
    return [
        {"dataset": each, "version": version, "covers": covers.get(version.pk, [])[:COVER] if version else []}
        for each, version in ((each, first[each.pk]) for each in shown_here)
    ]


# --- one ------------------------------------------------------------------------------------------------------------
@login_required
@require_safe
def dataset(request: HttpRequest, dataset_id: UUID) -> HttpResponse:
    page = shown(request, dataset_id)
    context = page.context("photos")
    if page.version:
        photos = chosen_photos(page.version, request.GET).prefetch_related(OPEN_FINDINGS)
        context |= {
            "photos": Paginator(photos, TILES).get_page(request.GET.get("page")),
            "counts": counts_of(page.version),
            "facets": facets_of(page.version, request.GET),
            "show": request.GET.get("show", ""),
            "q": request.GET.get("q", ""),
        }
    context["imports"] = page.dataset.imports.select_related("job")[:3]
    return render(request, "datasets/photos.html", context)


@login_required
@require_safe
def photo(request: HttpRequest, dataset_id: UUID, pk: UUID) -> HttpResponse:
    page = shown(request, dataset_id)
    found = Photo.objects.select_related("version__dataset", "original", "blob")
    photo = get_object_or_404(found, pk=pk, version__dataset=page.dataset)
    page = DatasetPage(page.dataset, page.user, photo.version)
    beside = photo.version.photos.present()
    variants = beside.filter(parent=photo.blob_id)
    context = page.context("photos") | {
        "photo": photo,
        "text": photo.caption,
        "tokens": tokens_of(page.dataset, photo.caption),
        "before": beside.filter(position__lt=photo.position).last(),
        "after": beside.filter(position__gt=photo.position).first(),
        "parent": beside.filter(blob=photo.parent_id).first() if photo.parent_id else None,
        "variants": list(variants[:12]),
        "findings": [(finding, _fixes_of(finding)) for finding in photo.findings.waiting()],
        "made_how": recipe_words(photo),
        "runs": TrainingRun.objects.visible_to(page.user).filter(dataset_version=photo.version).distinct()[:10],
    }
    return render(request, "datasets/photo.html", context)


def _fixes_of(finding: Finding) -> list[tuple[str, Fix]]:
    return [(name, FIXES[name]) for name in KINDS[finding.kind].fixes]


@login_required
@require_safe
def original(request: HttpRequest, dataset_id: UUID, pk: UUID) -> HttpResponse:
    """As it came, for downloading only: nobody has looked into it."""
    page = shown(request, dataset_id)
    photo = get_object_or_404(Photo.objects.select_related("original"), pk=pk, version__dataset=page.dataset)
    if photo.original is None:
        raise Http404
    response = HttpResponse(files.read(photo.original), content_type="application/octet-stream")
    ending = photo.original.mime.rpartition("/")[2]
    name = f"{photo.file_name.rpartition('.')[0] or photo.file_name}.{ending}"
    response["Content-Disposition"] = str(content_disposition_header(True, name))
    response["Cache-Control"] = "private, no-store"
    response["X-Content-Type-Options"] = "nosniff"
    return response


# --- changing the draft -----------------------------------------------------------------------------------------------
def back_to(request: HttpRequest, page: DatasetPage) -> HttpResponse:
    wanted = request.POST.get("next", "")
    if url_has_allowed_host_and_scheme(wanted, {request.get_host()}, require_https=request.is_secure()):
        return redirect(wanted)
    return redirect("dataset", page.dataset.pk)


@require_POST
@changes
def begin(request: HttpRequest, page: DatasetPage) -> HttpResponse:
    """Opens the draft, in which everything is changed."""
    open_draft(page.dataset)
    return back_to(request, page)


# action → (the word of the history, what it makes of a photo's fields)
BULK: dict[str, tuple[str, Mapping[str, Any]]] = {
    "remove": ("remove", {"removed": True}),
    "restore": ("restore", {"removed": False}),
    "hold-out": ("split", {"held_out": True}),
    "learn": ("split", {"held_out": False}),
}


@require_POST
@changes
def bulk(request: HttpRequest, page: DatasetPage) -> HttpResponse:
    draft, action = page.needed_draft(), request.POST.get("action", "")
    if action not in BULK:
        raise Http404
    verb, fields = BULK[action]
    photos = ticked_photos(draft, request.POST)
    if action == "hold-out":
        photos = photos.filter(depth=0)  # only photos can be measured on
    step = drafts.edit(draft, page.user, verb, dict.fromkeys(photos.values_list("pk", flat=True), fields))
    number = step.photo_count if step else 0
    words = ngettext("%(number)d photo changed.", "%(number)d photos changed.", number) % {"number": number}
    messages.success(request, words if step else _("Nothing was changed. Tick some photos first."))
    return back_to(request, page)


@require_POST
@changes
def step(request: HttpRequest, page: DatasetPage, way: str) -> HttpResponse:
    """Undo and redo."""
    draft = page.needed_draft()
    taken = drafts.undo(draft) if way == "undo" else drafts.redo(draft)
    if taken is None:
        messages.info(request, _("There is nothing to undo.") if way == "undo" else _("There is nothing to redo."))
    return back_to(request, page)


@require_POST
@changes
def discard(request: HttpRequest, page: DatasetPage) -> HttpResponse:
    drafts.discard(page.needed_draft())
    messages.success(request, _("The draft is discarded. The frozen versions are as they were."))
    return redirect("dataset", page.dataset.pk)


@require_http_methods(["GET", "HEAD", "POST"])
@changes
def freezing(request: HttpRequest, page: DatasetPage) -> HttpResponse:
    """Everything that is in the way, with where to mend it; then the licence note and the button."""
    draft = page.needed_draft()
    if request.method == "POST":
        note = request.POST.get("licence_note", draft.licence_note).replace("\x00", "").strip()[:5000]
        DatasetVersion.objects.filter(pk=draft.pk).update(licence_note=note)
        try:
            version = freeze(draft)
        except FreezeProblem:
            pass  # told by the page below
        else:
            messages.success(request, _("%(version)s is frozen and can be trained on.") % {"version": version})
            return redirect("dataset-versions", page.dataset.pk)
    draft.refresh_from_db()
    context = page.context("photos") | {
        "problems": why_not_frozen(draft),
        "photos": draft.photos.present().count(),
        "held_out": draft.photos.present().filter(held_out=True).count(),
        "bare": draft.photos.present().filter(caption="").count(),
        "open_findings": draft.findings.waiting().count(),
    }
    status = 422 if request.method == "POST" else 200
    return render(request, "datasets/freeze.html", context, status=status)


VERBS = {
    "captions": gettext_lazy("Captions"),
    "remove": gettext_lazy("Taken out"),
    "restore": gettext_lazy("Put back"),
    "split": gettext_lazy("Split"),
    "replace": gettext_lazy("Find and replace"),
    "template": gettext_lazy("Template"),
    "trigger": gettext_lazy("Trigger word"),
    "accept": gettext_lazy("Proposals accepted"),
    "dismiss": gettext_lazy("Proposals dismissed"),
    "propose": gettext_lazy("Proposals"),
    "edit": gettext_lazy("Changed"),
}


@login_required
@require_safe
def history(request: HttpRequest, dataset_id: UUID) -> HttpResponse:
    page = shown(request, dataset_id)
    edits = page.draft.edits.select_related("user").order_by("-pk")[:200] if page.draft else []
    words = VERBS | {name: fix.label for name, fix in FIXES.items()}
    rows = [(edit, words.get(edit.verb, edit.verb)) for edit in edits]
    return render(request, "datasets/history.html", page.context("photos") | {"rows": rows})
