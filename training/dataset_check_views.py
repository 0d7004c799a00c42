"""The Checks page of a dataset: what the doctor found, looked at kind by kind, mended or accepted."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from io import BytesIO
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST, require_safe
from PIL import Image

from shoesai.jobs.queue import QuotaReached
from shoesai.models import Job
from shoesai.photo_mending import CannotMend
from training.dataset_pages import DatasetPage, changes, shown
from training.datasets import checking, drafts, fixes
from training.datasets.coverage import coverage_of
from training.datasets.findings import KINDS
from training.datasets.measuring import unmeasured
from training.models import DatasetImport, DatasetVersion, Finding, Photo

TILES, GROUPS, COVERS, PREVIEWS, PROBLEMS = 60, 20, 6, 8, 100
PREVIEW_SIDE = 384  # mending the full size takes a second, and both fit beside each other like this
MAX_TICKED = 5_000


# --- looking ----------------------------------------------------------------------------------------------------
@login_required
@require_safe
def checks(request: HttpRequest, dataset_id: UUID) -> HttpResponse:
    """Everything at a glance; with `?kind=` one kind of finding, and with `&accepted=1` what was accepted of it."""
    page = shown(request, dataset_id)
    kind = request.GET.get("kind", "")
    if kind and kind not in KINDS:
        raise Http404
    context = page.context("checks")
    if page.version:
        context |= _report(page.version) | {"job": _newest(page.version), "unreadable": _unreadable(page)}
        context |= _of_kind(request, page.version, kind) if kind else {"cards": _cards(page.version, context["counts"])}
    return render(request, "datasets/findings.html" if kind else "datasets/checks.html", context)


def _report(version: DatasetVersion) -> dict[str, Any]:
    counts = checking.open_counts(version.findings.waiting())
    return {
        "counts": counts,
        "chips": [(name, KINDS[name].label, number) for name, number in counts.items()],
        "open": sum(counts.values()),
        "accepted": version.findings.current().filter(accepted=True).count(),
        "unseen": unmeasured(version).count() if version.checked_at else 0,
    }


def _newest(version: DatasetVersion) -> Job | None:
    jobs = Job.objects.filter(kind__in=(checking.CHECK, checking.MEND), spec__version=str(version.pk))
    return jobs.defer("preview").order_by("-created_at").first()


def _unreadable(page: DatasetPage) -> list[dict[str, Any]]:
    """What the dataset's imports could not use, newest import first; until its report is put away."""
    imports = DatasetImport.objects.filter(dataset=page.dataset).order_by("-created_at")
    rows = [{**problem, "source": each.source} for each in imports for problem in each.report.get("problems", [])]
    return rows[:PROBLEMS]


def _cards(version: DatasetVersion, counts: dict[str, int]) -> list[dict[str, Any]]:
    """Each kind that waits, with the first photos of it; findings about the whole say themselves."""
    waiting = version.findings.waiting().select_related("photo").order_by("group", "photo__position", "pk")
    cards = []
    for name, number in counts.items():
        kind, of_kind = KINDS[name], waiting.filter(kind=name)
        found = list(of_kind if kind.whole else of_kind[:COVERS])
        cards.append({"name": name, "kind": kind, "number": number, "found": found})
    return cards


def _of_kind(request: HttpRequest, version: DatasetVersion, kind: str) -> dict[str, Any]:
    accepted = request.GET.get("accepted") == "1"
    found = version.findings.current().filter(kind=kind, accepted=accepted).select_related("photo")
    known = KINDS[kind]
    context: dict[str, Any] = {
        "name": kind,
        "kind": known,
        "showing_accepted": accepted,
        "open_of_kind": version.findings.waiting().filter(kind=kind).count(),
        "fixes": [(name, fixes.FIXES[name]) for name in known.fixes],
        "accepted_of_kind": version.findings.current().filter(kind=kind, accepted=True).count(),
    }
    if known.grouped:
        return context | {"groups": _groups(request, found)}
    rows = Paginator(found.order_by("photo__position", "pk"), TILES).get_page(request.GET.get("page"))
    return context | {"rows": rows, "coverage": coverage_of(version) if kind == "coverage" else None}


def _groups(request: HttpRequest, found: QuerySet[Finding]) -> Any:
    """A page whose items are groups: lists of findings. A group of which one photo is left needs nothing."""
    numbers = found.order_by("group").values_list("group", flat=True).distinct()
    groups = Paginator(numbers, GROUPS).get_page(request.GET.get("page"))
    members: dict[int | None, list[Finding]] = {}
    for finding in found.filter(group__in=list(groups)).order_by("group", "photo__position"):
        members.setdefault(finding.group, []).append(finding)
    groups.object_list = list(members.values())  # type: ignore[arg-type]
    return groups


# --- acting -----------------------------------------------------------------------------------------------------
def _back(request: HttpRequest, page: DatasetPage) -> HttpResponse:
    """To the same kind while there is some of it left, else to everything."""
    kind = request.POST.get("kind", "")
    left = page.version and kind in KINDS and page.version.findings.waiting().filter(kind=kind).exists()
    query = {"kind": kind} if left else {}
    if request.GET.get("version"):
        query["version"] = request.GET["version"]
    return redirect(reverse("dataset-checks", args=[page.dataset.pk], query=query or None))


@require_POST
@changes
def check(request: HttpRequest, page: DatasetPage) -> HttpResponse:
    """Asks for the doctor. With `edit=1` a draft is begun first, so that what is found can be mended."""
    version = drafts.open_draft(page.dataset) if request.POST.get("edit") == "1" else page.version
    if version is None:
        raise Http404
    try:
        checking.request_check(page.user, version)
    except QuotaReached as problem:
        messages.error(request, str(problem))
    return _back(request, page)


@require_POST
@changes
def act(request: HttpRequest, page: DatasetPage) -> HttpResponse:
    """One fix for the ticked findings (or all of the kind), accepting them, or taking that back."""
    action = request.POST.get("action", "")
    if page.version is None or action not in {"accept", "take_back", *fixes.FIXES}:
        raise Http404
    found = list(_chosen(request, page.version, accepted=action == "take_back"))
    if not found:
        messages.info(request, _("Nothing was changed. Tick some photos first."))
    elif action == "accept":
        number = fixes.accept(found, page.user)
        words = ngettext("%(number)d finding accepted.", "%(number)d findings accepted.", number)
        messages.success(request, words % {"number": number})
    elif action == "take_back":
        fixes.take_acceptance_back(found)
    elif fixes.FIXES[action].mends and request.POST.get("apply") != "1":
        return _preview(request, page, found, action)
    else:
        _fix(request, page, found, action)
    return _back(request, page)


def _chosen(request: HttpRequest, version: DatasetVersion, accepted: bool) -> QuerySet[Finding]:
    kind = request.POST.get("kind", "")
    of_kind = version.findings.current().filter(kind=kind, accepted=accepted)
    if request.POST.get("all") != "1":
        of_kind = of_kind.filter(pk__in=_numbers(request.POST.getlist("findings")[:MAX_TICKED]))
    return of_kind.select_related("photo", "version").order_by("photo__position", "pk")


def _numbers(texts: list[str]) -> list[int]:
    return [int(text) for text in texts if text.isascii() and text.isdigit() and len(text) < 19]


def _fix(request: HttpRequest, page: DatasetPage, found: list[Finding], action: str) -> None:
    draft = page.needed_draft()
    if fixes.FIXES[action].mends and len(found) > fixes.MOST_AT_ONCE:
        try:
            checking.request_mending(page.user, draft, found, action)
        except QuotaReached as problem:
            messages.error(request, str(problem))
        return
    done = fixes.apply(draft, page.user, found, action)
    words = ngettext("%(number)d photo changed.", "%(number)d photos changed.", done.changed)
    messages.success(request, words % {"number": done.changed})
    for photo, reason in done.refused[:5]:
        messages.warning(request, f"{photo.file_name}: {reason}")


@dataclass(frozen=True)
class BeforeAfter:
    """Two pictures as data URIs, or why there is no second."""

    photo: Photo
    before: str
    after: str = ""
    refused: str = ""


def _preview(request: HttpRequest, page: DatasetPage, found: list[Finding], action: str) -> HttpResponse:
    page.needed_draft()
    pairs = [_before_after(finding.photo, action) for finding in found[:PREVIEWS] if finding.photo]
    context = page.context("checks") | {
        "pairs": pairs,
        "number": len(found),
        "fix": fixes.FIXES[action],
        "action": action,
        "name": request.POST.get("kind", ""),
        "posted": [(name, value) for name in ("findings", "all") for value in request.POST.getlist(name)],
    }
    return render(request, "datasets/mend_preview.html", context)


def _before_after(photo: Photo, fix: str) -> BeforeAfter:
    small = fixes.opened(photo)
    small.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE))
    mend = fixes.FIXES[fix].mends
    assert mend
    try:
        return BeforeAfter(photo, _uri(small), after=_uri(mend(small)))
    except CannotMend as reason:
        return BeforeAfter(photo, _uri(small), refused=str(reason))


def _uri(picture: Image.Image) -> str:
    out = BytesIO()
    picture.save(out, "WEBP", quality=85)
    return f"data:image/webp;base64,{base64.b64encode(out.getvalue()).decode()}"


@require_POST
@changes
def keep_one(request: HttpRequest, page: DatasetPage, kind: str, group: int) -> HttpResponse:
    """Of one group of copies: the photo in `keep` stays, the others are taken out; or all of them are accepted."""
    version = page.version
    if version is None or not (kind in KINDS and KINDS[kind].grouped):
        raise Http404
    found = list(version.findings.waiting().filter(kind=kind, group=group).select_related("photo", "version"))
    if request.POST.get("action") == "accept":
        fixes.accept(found, page.user)
        return _back(request, page)
    photos = [finding.photo for finding in found if finding.photo]
    keep = get_object_or_404(Photo, pk__in=[photo.pk for photo in photos], pk=_uuid(request.POST.get("keep", "")))
    others = {photo.pk: {"removed": True} for photo in photos if photo.pk != keep.pk}
    drafts.edit(page.needed_draft(), page.user, "keep_best", others)
    words = ngettext("%(number)d photo taken out.", "%(number)d photos taken out.", len(others))
    messages.success(request, words % {"number": len(others)})
    return _back(request, page)


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise Http404 from None
