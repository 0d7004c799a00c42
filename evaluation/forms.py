"""What a page asks an evaluation for."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from evaluation.gallery_pictures import versions_for
from evaluation.services import Settings
from evaluation.suite import PROMPTS, SEEDS
from evaluation.targets import TARGETS
from shoesai.models import User
from training.models import Checkpoint, TrainingRun


class EvaluateForm(forms.Form):
    """Without ticks all checkpoints of the run are judged."""

    prompts = forms.IntegerField(label=_("Prompts"), min_value=1, max_value=2000, initial=PROMPTS, required=False)
    seeds = forms.IntegerField(label=_("Pictures of each"), min_value=1, max_value=100, initial=SEEDS, required=False)
    targets = forms.ChoiceField(
        label=_("Targets"), choices=[(name, row.label) for name, row in TARGETS.items()], required=False
    )
    checkpoint = forms.ModelMultipleChoiceField(Checkpoint.objects.none(), required=False)

    def __init__(self, *args: Any, run: TrainingRun, **options: Any) -> None:
        super().__init__(*args, **options)
        field: Any = self.fields["checkpoint"]
        field.queryset = run.checkpoints.order_by("step")

    def checkpoints(self) -> list[Checkpoint]:
        field: Any = self.fields["checkpoint"]
        return list(self.cleaned_data["checkpoint"].order_by("step") or field.queryset)

    def settings(self) -> Settings:
        data = self.cleaned_data
        return Settings(
            prompts=data["prompts"] or PROMPTS, seeds=data["seeds"] or SEEDS, targets=data["targets"] or "prototype"
        )


class PicturesForm(forms.Form):
    """What pictures of the gallery are held against, and how the evaluation is called."""

    name = forms.CharField(label=_("Name"), max_length=160, required=False)
    dataset: Any = forms.ModelChoiceField(
        queryset=None, label=_("Photos"), required=False, empty_label=_("Those that they were learned from"),
        help_text=_("Its held-out photos are the reference, the others what may have been copied."),
    )  # fmt: skip
    targets = forms.ChoiceField(
        label=_("Targets"), choices=[(name, row.label) for name, row in TARGETS.items()], required=False
    )

    def __init__(self, *args: Any, user: User, **options: Any) -> None:
        super().__init__(*args, **options)
        field: Any = self.fields["dataset"]
        field.queryset = versions_for(user)

    def settings(self) -> Settings:
        return Settings(targets=self.cleaned_data["targets"] or "prototype")
