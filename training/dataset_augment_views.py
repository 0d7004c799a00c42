"""The Augment page of a dataset: settings, what would be made, a look at it, and the work."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from shoesai.engine.specs import AugmentSpec
from shoesai.jobs.queue import QuotaReached
from shoesai.models import Job
from training.augment_forms import DEFAULT, AugmentForm, as_form_values
from training.dataset_pages import DatasetPage, shown
from training.datasets.augmenting import (
    KIND,
    PREVIEW,
    AugmentProblem,
    plan_of,
    request_augmentation,
    request_preview,
)
from training.models import Photo
from training.work import folder_of


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def augment(request: HttpRequest, dataset_id: UUID) -> HttpResponse:
    """Settings in the address are shown with their plan; POST previews or starts."""
    page = shown(request, dataset_id)
    if request.method == "POST":
        return _posted(request, page)
    preview = _job_of(page, PREVIEW, request.GET.get("preview", ""))
    if "recipe" in request.GET:
        return _page(request, page, AugmentForm(request.GET), preview)
    spec = AugmentSpec.from_dict(preview.spec["augment"]) if preview else DEFAULT
    return _page(request, page, AugmentForm(as_form_values(spec)), preview)


def _posted(request: HttpRequest, page: DatasetPage) -> HttpResponse:
    form = AugmentForm(request.POST)
    spec = form.spec()
    if spec is None or page.version is None:
        return _page(request, page, form, status=422)
    try:
        if request.POST.get("action") == "start":
            request_augmentation(user=page.user, dataset=page.dataset, spec=spec)
            messages.success(request, _("The variants are on their way into the draft."))
            return redirect("dataset-augment", page.dataset.pk)
        job = request_preview(user=page.user, version=page.version, spec=spec)
    except (AugmentProblem, QuotaReached) as problem:
        form.add_error(None, str(problem))
        return _page(request, page, form, status=422)
    return redirect(f"{reverse('dataset-augment', args=[page.dataset.pk])}?preview={job.pk}#preview")


def _page(
    request: HttpRequest, page: DatasetPage, form: AugmentForm, preview: Job | None = None, status: int = 200
) -> HttpResponse:
    spec = form.spec()
    version = page.draft or page.version
    plan = plan_of(version, spec) if version and spec else None
    context = page.context("augment") | {
        "form": form,
        "plan": plan,
        "problems": plan.problems() if plan else [],
        "after": version.photo_count + len(plan.missing) if version and plan else 0,
        "job": _newest(page),
        "preview": preview,
        "rows": _rows(page, preview) if preview and preview.state == Job.State.SUCCEEDED else [],
    }
    return render(request, "datasets/augment.html", context, status=status)


def _newest(page: DatasetPage) -> Job | None:
    jobs = Job.objects.filter(kind=KIND, spec__dataset=str(page.dataset.pk)).defer("preview")
    return jobs.order_by("-created_at").first()


def _job_of(page: DatasetPage, kind: str, text: str) -> Job | None:
    """Of this dataset, which the user may see; None for any other."""
    try:
        pk = UUID(text)
    except ValueError:
        return None
    return Job.objects.filter(pk=pk, kind=kind, spec__dataset=str(page.dataset.pk)).first()


def _rows(page: DatasetPage, preview: Job) -> list[dict[str, Any]]:
    """Each photo of a preview with its variants, and why it has none."""
    photos = Photo.objects.filter(version__dataset=page.dataset, pk__in=preview.result["photos"])
    return [
        {
            "photo": photo,
            "variants": [one for one in preview.result["variants"] if one["photo"] == str(photo.pk)],
            "reason": preview.result["skipped"].get(str(photo.pk), ""),
        }
        for photo in photos.order_by("position")
    ]


@login_required
@require_safe
def preview_picture(request: HttpRequest, dataset_id: UUID, job_id: UUID, name: str) -> HttpResponseBase:
    """One variant of a preview; it is kept for a day."""
    page = shown(request, dataset_id)
    job = get_object_or_404(Job, pk=job_id, kind=PREVIEW, spec__dataset=str(page.dataset.pk))
    if name not in {one["file"] for one in job.result.get("variants", [])}:
        raise Http404
    try:
        file = (folder_of(job) / name).open("rb")
    except FileNotFoundError:
        raise Http404 from None
    response = FileResponse(file, content_type="image/png")
    response["Cache-Control"] = "private, max-age=86400"
    return response


