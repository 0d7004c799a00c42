"""The frozen versions of a dataset: what each holds, two beside each other, and out as a ZIP."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.db.models import Count, Q
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from training.dataset_pages import shown
from training.datasets.comparing import compare_versions
from training.datasets.exporting import FORMATS
from training.media import version_bytes
from training.models import Dataset, DatasetVersion, TrainingRun

CHANGES_SHOWN = 60


@login_required
@require_safe
def versions(request: HttpRequest, dataset_id: UUID) -> HttpResponse:
    page = shown(request, dataset_id)
    present = Q(photos__removed=False)
    rows = page.dataset.versions.order_by("-number").annotate(
        held_out=Count("photos", filter=present & Q(photos__held_out=True)),
        generated=Count("photos", filter=present & Q(photos__depth__gt=0)),
    )
    runs: dict[Any, list[TrainingRun]] = {}
    for run in TrainingRun.objects.visible_to(page.user).filter(dataset_version__in=rows).distinct():
        runs.setdefault(run.dataset_version_id, []).append(run)
    context = page.context("versions") | {
        "rows": [(version, runs.get(version.pk, [])) for version in rows],
        "formats": [(name, form.label) for name, form in FORMATS.items()],
    }
    return render(request, "datasets/versions.html", context)


def _version(dataset: Dataset, number: str) -> DatasetVersion:
    if not (number.isascii() and number.isdigit() and len(number) < 9):
        raise Http404
    return get_object_or_404(dataset.versions, number=int(number))


@login_required
@require_safe
def compare(request: HttpRequest, dataset_id: UUID) -> HttpResponse:
    """`?before=1&after=2`; without them the newest two."""
    page = shown(request, dataset_id)
    newest = list(page.dataset.versions.order_by("-number")[:2])
    context = page.context("versions") | {"versions": page.dataset.versions.order_by("-number"), "shown": CHANGES_SHOWN}
    if len(newest) == 2:
        before = request.GET.get("before") or str(newest[1].number)
        after = request.GET.get("after") or str(newest[0].number)
        context["compared"] = compare_versions(_version(page.dataset, before), _version(page.dataset, after))
    return render(request, "datasets/compare.html", context)


@login_required
@require_safe
def export(request: HttpRequest, dataset_id: UUID, number: int, form: str) -> HttpResponseBase:
    """The draft too: what one works on may be wanted elsewhere."""
    page = shown(request, dataset_id)
    version = get_object_or_404(page.dataset.versions, number=number)
    if form not in FORMATS:
        raise Http404
    return version_bytes(request, version, form)
