"""The Split page of a dataset: how much of each kind of shoe is held out, and holding it out."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_http_methods

from training.dataset_pages import DatasetPage, changes
from training.datasets import splitting
from training.datasets.drafts import DraftProblem
from training.models import DatasetVersion

USUAL_PERCENT, USUAL_SEED = 10, 42
MOST_PERCENT = round(100 * splitting.MOST)


class SplitForm(forms.Form):
    percent = forms.IntegerField(
        label=gettext_lazy("Held out (%)"), min_value=0, max_value=MOST_PERCENT, initial=USUAL_PERCENT
    )
    seed = forms.IntegerField(
        label=gettext_lazy("Seed"),
        min_value=0,
        max_value=2**32 - 1,
        initial=USUAL_SEED,
        help_text=gettext_lazy("Another one holds other photos out; the same one always the same."),
    )


@require_http_methods(["GET", "HEAD", "POST"])
@changes
def split(request: HttpRequest, page: DatasetPage) -> HttpResponse:
    """With `percent` and `seed` in the address the split is proposed beside the present one; POST makes it so."""
    given = request.POST if request.method == "POST" else request.GET
    form = SplitForm(given) if "percent" in given else SplitForm()
    if not form.is_bound or not form.is_valid():
        return _page(request, page, form, 422 if request.method == "POST" else 200)
    version = page.needed_draft() if request.method == "POST" else page.version
    if version is None:
        return _page(request, page, form)
    try:
        proposed = splitting.propose(version, form.cleaned_data["percent"] / 100, form.cleaned_data["seed"])
        if request.method == "POST":
            splitting.apply(version, page.user, proposed)
    except DraftProblem as problem:
        form.add_error(None, str(problem))
        return _page(request, page, form, 422 if request.method == "POST" else 200)
    if request.method == "POST":
        words = ngettext("%(number)d photo is held out.", "%(number)d photos are held out.", len(proposed))
        messages.success(request, words % {"number": len(proposed)})
        return redirect("dataset-split", page.dataset.pk)
    return _page(request, page, form, proposed=proposed)


def _page(
    request: HttpRequest, page: DatasetPage, form: SplitForm, status: int = 200, proposed: set[UUID] | None = None
) -> HttpResponse:
    context = page.context("split") | {"form": form, "percent_most": MOST_PERCENT}
    if page.version:
        context |= _shares(page.version, proposed)
        if proposed is not None and not proposed and form.cleaned_data["percent"]:
            words = _("With fewer than %(least)d photos none can be spared; each run then holds out a few by itself.")
            context["note"] = words % {"least": splitting.FEWEST}
    return render(request, "datasets/split.html", context, status=status)


def _shares(version: DatasetVersion, proposed: set[UUID] | None) -> dict[str, Any]:
    """Each kind of shoe with what is held out of it now, and what would be."""
    photos = list(version.photos.present().only("pk", "held_out", "said_type", "said_colour", "depth"))
    now = {photo.pk for photo in photos if photo.held_out}
    then = {share.stratum: share.held_out for share in splitting.shares(photos, proposed or set())}
    rows = [(share, then.get(share.stratum, 0)) for share in splitting.shares(photos, now)]
    return {
        "rows": rows,
        "proposed": proposed,
        "photos": len(photos),
        "held_out": len(now),
        "would_be": len(proposed or ()),
    }
