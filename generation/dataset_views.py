"""The Expand page of a dataset: prompts, what fits, the work, and which pictures were refused."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_safe

from generation.expansion import (
    AUGMENTATIONS_PER_IMAGE,
    IMAGES_PER_PROMPT,
    ExpansionRequest,
    Room,
    rejected_of,
    request_expansion,
    statistics,
)
from generation.expansion_checks import REASONS
from generation.expansion_prompts import BadPrompts, read_prompts
from generation.models import Expansion, ExpansionTry
from generation.schedulers import CHOICES, DEFAULT
from generation.services import GenerationRequest, InvalidRequest
from shoesai.jobs.queue import QuotaReached
from shoesai.models import User
from training.catalogue import list_models
from training.dataset_pages import DatasetPage, shown
from training.models import Dataset

REFUSED_SHOWN = 48


class ExpandForm(forms.Form):
    prompts = forms.CharField(
        label=gettext_lazy("Prompts"),
        help_text=gettext_lazy("One a line; they become the captions. Lines that begin with # are left out."),
        strip=False,
        widget=forms.Textarea(attrs={"rows": 8, "placeholder": "brown leather casual shoes on white background"}),
    )
    images_per_prompt = forms.IntegerField(
        label=gettext_lazy("Pictures per prompt"), initial=4,
        min_value=IMAGES_PER_PROMPT.low, max_value=IMAGES_PER_PROMPT.high,
    )  # fmt: skip
    augmentations_per_image = forms.IntegerField(
        label=gettext_lazy("Variants per picture"), initial=5,
        min_value=AUGMENTATIONS_PER_IMAGE.low, max_value=AUGMENTATIONS_PER_IMAGE.high,
    )  # fmt: skip
    model_name = forms.ChoiceField(label=gettext_lazy("Model"))
    negative_prompt = forms.CharField(label=gettext_lazy("Negative prompt"), required=False)
    num_inference_steps = forms.IntegerField(label=gettext_lazy("Steps"), initial=50)
    guidance_scale = forms.FloatField(
        label=gettext_lazy("Guidance"), required=False, help_text=gettext_lazy("Empty: the model's own.")
    )
    seed = forms.IntegerField(label=gettext_lazy("Seed"), required=False, help_text=gettext_lazy("Empty: any."))
    width = forms.IntegerField(
        label=gettext_lazy("Width"), required=False, help_text=gettext_lazy("Empty: the model's own.")
    )
    height = forms.IntegerField(
        label=gettext_lazy("Height"), required=False, help_text=gettext_lazy("Empty: the model's own.")
    )
    scheduler = forms.ChoiceField(label=gettext_lazy("Scheduler"), choices=CHOICES, initial=DEFAULT, required=False)

    def __init__(self, *args: Any, user: User, **options: Any) -> None:
        super().__init__(*args, **options)
        field: Any = self.fields["model_name"]
        field.choices = [(row["name"], row["name"]) for row in list_models(user)]

    def clean_prompts(self) -> list[str]:
        try:
            return read_prompts(self.cleaned_data["prompts"])
        except BadPrompts as error:
            raise forms.ValidationError([str(line) for line in error.lines[:20]]) from error

    def numbers(self) -> list[Any]:
        return [self[name] for name in ("images_per_prompt", "augmentations_per_image", "num_inference_steps")]

    def details(self) -> list[Any]:
        return [self[name] for name in ("guidance_scale", "seed", "scheduler", "width", "height")]

    def to_request(self, dataset: Dataset) -> ExpansionRequest:
        data = {**self.cleaned_data, "scheduler": self.cleaned_data["scheduler"] or DEFAULT}
        prompts, images = data.pop("prompts"), data.pop("images_per_prompt")
        variants = data.pop("augmentations_per_image")
        return ExpansionRequest(dataset, prompts, images, variants, GenerationRequest(prompt="", **data))

    def show_problems(self, errors: dict[str, str]) -> None:
        for name, words in errors.items():
            self.add_error(name if name in self.fields else None, f"{words[0].upper()}{words[1:]}")


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def expand(request: HttpRequest, dataset_id: UUID) -> HttpResponse:
    page = shown(request, dataset_id)
    form = ExpandForm(request.POST or None, user=page.user)
    if request.method == "POST" and form.is_valid():
        try:
            request_expansion(user=page.user, request=form.to_request(page.dataset))
        except InvalidRequest as error:
            form.show_problems(error.errors)
        except QuotaReached as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, _("The pictures are on their way into the draft."))
            return redirect("dataset-expand", page.dataset.pk)
    status = 422 if request.method == "POST" else 200
    return render(request, "datasets/expand.html", _context(page, form), status=status)


def _context(page: DatasetPage, form: ExpandForm) -> dict[str, Any]:
    room = Room.in_version(page.draft or page.version, page.dataset)
    expansion = Expansion.objects.filter(dataset=page.dataset).select_related("job").first()
    return page.context("expand") | {
        "form": form,
        "room": room,
        "share_now": room.share_with(0),
        "expansion": expansion,
        "told": statistics(expansion) if expansion else {},
        "refused": _refused(expansion) if expansion else [],
    }


def _refused(expansion: Expansion) -> list[dict[str, Any]]:
    rows = rejected_of(expansion).defer("preview").order_by("-pk")[:REFUSED_SHOWN]
    return [
        {"pk": row.pk, "prompt": expansion.prompts[row.seq // expansion.images_per_prompt],
         "reasons": [REASONS[reason] for reason in row.reasons if reason in REASONS]}
        for row in rows
    ]  # fmt: skip


@login_required
@require_safe
def refused_picture(request: HttpRequest, dataset_id: UUID, pk: int) -> HttpResponse:
    """A small copy of a picture that was not taken."""
    page = shown(request, dataset_id)
    tried = get_object_or_404(ExpansionTry, pk=pk, expansion__dataset=page.dataset, preview__isnull=False)
    response = HttpResponse(bytes(tried.preview or b""), content_type="image/webp")
    response["Cache-Control"] = "private, max-age=86400"
    return response
