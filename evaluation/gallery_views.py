"""From the gallery's selection to an evaluation of those pictures. Folders are the terminal's alone."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from evaluation.forms import PicturesForm
from evaluation.gallery_pictures import evaluate_pictures, run_behind
from evaluation.services import MOST_PICTURES, EvaluationProblem
from generation.models import GeneratedImage
from shoesai.auth import caller
from shoesai.jobs.queue import QuotaReached

SELECTION = ("all", "query", "collection", "image")  # what of a form says which pictures are meant
Images = QuerySet[GeneratedImage]


@login_required
@require_POST
def new(request: HttpRequest, selection_of: Callable[[HttpRequest], Images]) -> HttpResponse:
    """First asks what the pictures are held against; `start=1` is the answer, with the same selection."""
    user, images = caller(request), selection_of(request)
    number = images.order_by().count()
    if not number:
        messages.error(request, _("Nothing was selected. Tick some pictures first."))
        return redirect("gallery")
    if number > MOST_PICTURES:
        words = _(
            "At most %(most)d pictures are evaluated together, and %(number)d are selected. Select fewer of them."
        )
        messages.error(request, words % {"most": MOST_PICTURES, "number": number})
        return redirect("gallery")
    started = request.POST.get("start") == "1"
    form = PicturesForm(request.POST if started else None, user=user)
    if started and form.is_valid():
        try:
            data = form.cleaned_data
            made = evaluate_pictures(user, images, form.settings(), name=data["name"], version=data["dataset"])
            return redirect("evaluation", made.pk)
        except EvaluationProblem as problem:
            messages.error(request, " ".join(problem.errors.values()))
        except QuotaReached as problem:
            messages.error(request, str(problem))
    context = {"form": form, "number": number, "run": run_behind(user, images), "selection": _selection(request)}
    return render(request, "evaluation/of_pictures.html", context)


def _selection(request: HttpRequest) -> list[tuple[str, str]]:
    """The fields that the next form sends again; of all results no single one."""
    names = [name for name in SELECTION if name != "image" or request.POST.get("all") != "1"]
    return [(name, value) for name in names for value in request.POST.getlist(name)]
