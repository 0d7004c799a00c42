"""What only a dataset's owner decides: its name, who sees it, how much of it may be generated, and its end."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST

from shoesai.models import Team, User
from training.dataset_pages import own, shown
from training.datasets.importing import MAX_NAME, DatasetNameProblem
from training.datasets.owning import DatasetInUse, delete_dataset, free_name, runs_of
from training.models import Dataset


class DatasetForm(forms.ModelForm):
    synthetic_percent = forms.IntegerField(
        label=gettext_lazy("Generated pictures, at most (%)"),
        min_value=0,
        max_value=100,
        help_text=gettext_lazy("A version with more than this share of generated pictures is not frozen."),
    )

    class Meta:
        model = Dataset
        fields = ("name", "description", "trigger_words", "team")
        labels = {
            "name": gettext_lazy("Name"),
            "description": gettext_lazy("Description"),
            "trigger_words": gettext_lazy("Trigger word"),
            "team": gettext_lazy("Who sees it"),
        }
        widgets = {"description": forms.Textarea(attrs={"rows": 3})}

    def __init__(self, *args: Any, user: User, **options: Any) -> None:
        super().__init__(*args, **options)
        self.user = user
        self.fields["name"].widget.attrs["maxlength"] = MAX_NAME
        team: Any = self.fields["team"]
        team.queryset, team.required = Team.objects.filter(members=user).order_by("name"), False
        team.empty_label = gettext_lazy("Only you")
        self.initial["synthetic_percent"] = round(100 * self.instance.synthetic_cap)

    def clean_name(self) -> str:
        try:
            return free_name(self.user, self.cleaned_data["name"], but=self.instance)
        except DatasetNameProblem as problem:
            raise forms.ValidationError(str(problem)) from problem

    def save(self, commit: bool = True) -> Dataset:
        self.instance.synthetic_cap = self.cleaned_data["synthetic_percent"] / 100
        return super().save(commit)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def settings(request: HttpRequest, dataset_id: UUID) -> HttpResponse:
    """Whoever is not the owner reads them."""
    page = shown(request, dataset_id)
    if request.method == "POST":
        page = own(request, dataset_id)
    form = DatasetForm(request.POST or None, instance=page.dataset, user=page.user)
    if form.is_valid():
        form.save()
        messages.success(request, _("Saved."))
        return redirect("dataset-settings", page.dataset.pk)
    if form.is_bound:
        page.dataset.refresh_from_db()
    context = page.context("settings") | {"form": form, "runs": runs_of(page.dataset).count()}
    return render(request, "datasets/settings.html", context, status=422 if form.is_bound else 200)


@login_required
@require_POST
def delete(request: HttpRequest, dataset_id: UUID) -> HttpResponse:
    """Refused where a run learned from it; asked twice, because nothing brings it back."""
    page = own(request, dataset_id)
    if request.POST.get("name", "").strip() != page.dataset.name:
        messages.error(request, _("Nothing was deleted: type the dataset's name to say that you mean it."))
        return redirect("dataset-settings", page.dataset.pk)
    try:
        delete_dataset(page.dataset)
    except DatasetInUse as problem:
        messages.error(request, str(problem))
        return redirect("dataset-settings", page.dataset.pk)
    messages.success(request, _("“%(name)s” is deleted.") % {"name": page.dataset.name})
    return redirect("datasets")
