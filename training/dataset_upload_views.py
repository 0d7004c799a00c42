"""Photos from a browser into a dataset: as one form, or file by file from the page's module.

The module asks for JSON: it begins an upload, sends each file by itself, and starts the import.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from shoesai.auth import caller
from shoesai.jobs.queue import QueueFull
from shoesai.models import User
from shoesai.uploads import bounded
from training.dataset_pages import shown
from training.datasets import uploads
from training.datasets.importing import DatasetNameProblem
from training.datasets.owning import NameTaken, new_dataset
from training.datasets.uploads import UploadProblem
from training.models import Dataset, DatasetImport

bounded_files = bounded(lambda: uploads.MAX_UPLOAD_BYTES)


@bounded_files
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    """A dataset begins with its name and its first photos."""
    if request.method != "POST":
        return _page(request)
    user, name = caller(request), request.POST.get("name", "")
    try:
        dataset = _named(user, name)
    except DatasetNameProblem as problem:
        return _refused(request, str(problem), field="name")
    return _taken(request, dataset)


def _named(user: User, name: str) -> Dataset:
    """Raises DatasetNameProblem."""
    try:
        return new_dataset(user, name)
    except NameTaken as problem:
        words = _("You have a dataset called “%(name)s” already; choose another name, or add photos on its page.")
        raise DatasetNameProblem(words % {"name": name.strip()}) from problem


@bounded_files
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def upload(request: HttpRequest, dataset_id: UUID) -> HttpResponse:
    """More photos for a dataset that is there."""
    page = shown(request, dataset_id)
    return _taken(request, page.dataset) if request.method == "POST" else _page(request, page.dataset)


def _page(request: HttpRequest, dataset: Dataset | None = None, **context: Any) -> HttpResponse:
    context = {"dataset": dataset, "limit_gb": uploads.MAX_UPLOAD_BYTES // 1024**3, **context}
    return render(request, "datasets/upload.html", context, status=422 if context.get("problem") else 200)


def _taken(request: HttpRequest, dataset: Dataset) -> HttpResponse:
    """Everything that came with the form; for the module only a place to send files to."""
    source = request.POST.get("source", "").replace("\x00", "")
    begun = uploads.begin(caller(request), dataset, source)
    if _wants_json(request):
        return JsonResponse(
            {
                "files": reverse("dataset-upload-file", args=[dataset.pk, begun.pk]),
                "start": reverse("dataset-upload-start", args=[dataset.pk, begun.pk]),
                "next": reverse("dataset", args=[dataset.pk]),
            }
        )
    try:
        for file in request.FILES.getlist("files"):
            uploads.add_file(begun, file.name or "?", file.chunks())
        if request.too_large:  # type: ignore[attr-defined]
            raise UploadProblem(_("One of the files is too large; send the photos in several parts."))
        uploads.start(begun)
    except (UploadProblem, QueueFull) as problem:
        uploads.forget(begun)
        begun.delete()
        return _refused(request, str(problem), dataset=dataset, field="files")
    return redirect("dataset", dataset.pk)


def _refused(request: HttpRequest, problem: str, *, field: str, dataset: Dataset | None = None) -> HttpResponse:
    if _wants_json(request):
        return JsonResponse({"field": field, "problem": problem}, status=422)
    return _page(request, dataset, problem=problem, field=field, name=request.POST.get("name", ""))


def _wants_json(request: HttpRequest) -> bool:
    return request.headers.get("Accept") == "application/json"


def _own_upload(request: HttpRequest, dataset_id: UUID, pk: UUID) -> DatasetImport:
    page = shown(request, dataset_id)
    return get_object_or_404(DatasetImport, pk=pk, dataset=page.dataset, owner=caller(request))


@bounded_files
@login_required
@require_POST
def upload_file(request: HttpRequest, dataset_id: UUID, pk: UUID) -> HttpResponse:
    """One `file`; `name` says where it lay in the folder that was dropped."""
    begun = _own_upload(request, dataset_id, pk)
    file = request.FILES.get("file")
    if file is None:
        return JsonResponse({"problem": _("is too large; send the photos in several parts.")}, status=422)
    try:
        uploads.add_file(begun, request.POST.get("name") or file.name or "?", file.chunks())
    except UploadProblem as problem:
        return JsonResponse({"problem": str(problem)}, status=422)
    return HttpResponse(status=204)


@login_required
@require_POST
def upload_start(request: HttpRequest, dataset_id: UUID, pk: UUID) -> HttpResponse:
    begun = _own_upload(request, dataset_id, pk)
    try:
        uploads.start(begun)
    except (UploadProblem, QueueFull) as problem:
        return JsonResponse({"problem": str(problem)}, status=422)
    return HttpResponse(status=204)


@login_required
@require_POST
def dismiss_report(request: HttpRequest, dataset_id: UUID, pk: UUID) -> HttpResponse:
    """What an import could not use has been read."""
    page = shown(request, dataset_id)
    page.dataset.imports.filter(pk=pk, job__finished_at__isnull=False).delete()
    messages.success(request, _("The report is put away."))
    return redirect("dataset", dataset_id)
