"""The list of runs, narrowed by name, state and dataset."""

from __future__ import annotations

from typing import Any

import django_filters
from django import forms
from django.utils.translation import gettext_lazy as _

from shoesai.models import User
from training.models import Dataset, TrainingRun
from training.watching import runs_of


class RunFilter(django_filters.FilterSet):
    q = django_filters.CharFilter(
        label=_("Search runs by name"),
        field_name="name",
        lookup_expr="icontains",
        widget=forms.TextInput(attrs={"type": "search", "placeholder": _("Search runs"), "autocomplete": "off"}),
    )
    state = django_filters.ChoiceFilter(
        label=_("State"), choices=TrainingRun.State.choices, empty_label=_("Every state")
    )
    dataset = django_filters.ModelChoiceFilter(
        label=_("Dataset"),
        field_name="dataset_version__dataset",
        queryset=Dataset.objects.none(),
        empty_label=_("Every dataset"),
    )

    class Meta:
        model = TrainingRun
        fields: list[str] = []

    def __init__(self, data: Any, *, user: User) -> None:
        super().__init__(data, queryset=runs_of(user))
        self.form.fields["dataset"].queryset = Dataset.objects.visible_to(user).order_by("name")
