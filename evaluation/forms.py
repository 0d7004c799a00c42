"""What a page asks an evaluation for."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from evaluation.services import Settings
from evaluation.suite import PROMPTS, SEEDS
from evaluation.targets import TARGETS
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
