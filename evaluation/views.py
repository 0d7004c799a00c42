"""The pages of evaluations: their list, a report, its files, and asking for one."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.http import content_disposition_header
from django.utils.text import slugify
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from evaluation import files_of_reports, gallery_pictures, showing
from evaluation.forms import EvaluateForm
from evaluation.run_models import EvaluationRun, ImageScore
from evaluation.services import EvaluationProblem, evaluate_checkpoints, forget
from evaluation.sittings import request_sitting
from shoesai import files
from shoesai.auth import caller
from shoesai.jobs.queue import QuotaReached
from training.models import TrainingRun

ROWS = 30


def _visible(request: HttpRequest, pk: UUID) -> EvaluationRun:
    seen = EvaluationRun.objects.visible_to(caller(request)).select_related("job", "run", "owner").distinct()
    seen = seen.defer("settings")  # may hold the ids of 20,000 pictures, and a page polls
    return get_object_or_404(seen, pk=pk)


@login_required
@require_safe
def evaluations(request: HttpRequest) -> HttpResponse:
    seen = EvaluationRun.objects.visible_to(caller(request)).defer("settings").distinct()
    rows = seen.select_related("job", "run", "owner").prefetch_related("subjects").order_by("-created_at", "pk")
    context = {"page": Paginator(rows, ROWS).get_page(request.GET.get("page"))}
    return render(request, "evaluation/list.html", context)


@login_required
@require_safe
def evaluation(request: HttpRequest, pk: UUID) -> HttpResponse:
    found = _visible(request, pk)
    context = showing.context_of(found) | {"formats": files_of_reports.FORMATS, "is_mine": _is_mine(request, found)}
    return render(request, "evaluation/report.html", context)


def _is_mine(request: HttpRequest, found: EvaluationRun) -> bool:
    return found.owner_id == caller(request).pk


@login_required
@require_safe
def report(request: HttpRequest, pk: UUID, form: str) -> HttpResponse:
    """The same numbers as a file; `?lang=en` or `pt` for the text."""
    found = _visible(request, pk)
    kind = files_of_reports.FORMATS.get(form)
    if kind is None:
        raise Http404
    response = HttpResponse(kind.write(found, request.GET.get("lang", "")), content_type=kind.mime)
    name = f"{slugify(found.name) or 'evaluation'}-{form}.{kind.ending}"
    response["Content-Disposition"] = str(content_disposition_header(True, name))
    response["Cache-Control"] = "private, no-store"
    response["X-Content-Type-Options"] = "nosniff"
    return response


@login_required
@require_safe
def picture(request: HttpRequest, pk: UUID, subject: int, seq: int) -> HttpResponseBase:
    """A judged picture that is stored here; those of a folder are not."""
    found = _visible(request, pk)
    judged = ImageScore.objects.select_related("blob").filter(subject__evaluation=found, subject=subject)
    row = get_object_or_404(judged.select_related("subject"), seq=seq)
    gallery_pictures.veil_pictures(found, [row])
    if row.blob is None:
        raise Http404
    response = HttpResponse(files.read(row.blob), content_type=row.blob.mime)
    response["Cache-Control"] = "private, max-age=31536000, immutable"
    response["X-Content-Type-Options"] = "nosniff"
    return response


@login_required
@require_POST
def new(request: HttpRequest) -> HttpResponse:
    """The checkpoints of one run, or those that are ticked."""
    user = caller(request)
    run = get_object_or_404(TrainingRun.objects.visible_to(user).distinct(), pk=_uuid(request.POST.get("run", "")))
    form = EvaluateForm(request.POST, run=run)
    if not form.is_valid():
        for problems in form.errors.values():
            messages.error(request, str(problems[0]))
        return redirect("training-run", run.pk)
    try:
        if request.POST.get("court") == "1":
            made = request_sitting(user, run, form.settings())
        else:
            made = evaluate_checkpoints(user, run, form.checkpoints(), form.settings())
    except EvaluationProblem as problem:
        messages.error(request, " ".join(problem.errors.values()))
    except QuotaReached as problem:
        messages.error(request, str(problem))
    else:
        return redirect("evaluation", made.pk)
    return redirect("training-run", run.pk)


@login_required
@require_POST
def delete(request: HttpRequest, pk: UUID) -> HttpResponse:
    found = _visible(request, pk)
    if not _is_mine(request, found):
        raise Http404
    if found.job and found.job.is_live:
        messages.error(request, _("It is at work; cancel its job first."))
        return redirect("evaluation", found.pk)
    forget(found)
    messages.success(request, _("The evaluation is deleted."))
    return redirect("evaluations")


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise Http404 from None
