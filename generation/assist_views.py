"""What the Generate page asks while somebody fills it in: suggestions, a prompt's meaning, which models there are."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from generation import limits
from generation.forms import GenerateForm
from generation.model_cards import card_of, groups_of
from generation.prompt_check import PromptCheck
from generation.suggestions import Field, suggest
from shoesai.auth import caller
from training.catalogue import UnknownModel, find_model
from training.models import BaseModel

FIELDS: dict[str, Field] = {"prompt": "prompt", "negative_prompt": "negative_prompt"}
MODEL_FIELDS = ("model_name", *(f"lora_{index}" for index in range(limits.LORAS)))
MAX_QUERY = 200


@login_required
@require_POST
@never_cache
def suggestions(request: HttpRequest) -> HttpResponse:
    """For the text before the caret, as options of a list. A POST, because prompts are longer than addresses."""
    field, text = FIELDS.get(request.POST.get("field", "")), request.POST.get("text", "")
    if field is None:
        raise Http404
    found = suggest(caller(request), field, text) if len(text) <= limits.PROMPT_CHARACTERS else []
    return render(request, "generation/_suggestions.html", {"suggestions": found, "field": field})


@login_required
@require_POST
@never_cache
def check(request: HttpRequest) -> HttpResponse:
    base = _base(request, request.POST.get("model_name", ""))
    return render(request, "generation/_prompt_check.html", {"check": PromptCheck.of(base, request.POST.dict())})


@login_required
@require_safe
@never_cache
def models(request: HttpRequest) -> HttpResponse:
    """The picker's list; for a LoRA with what fits the model that was chosen."""
    query = request.GET.get("q", "")[:MAX_QUERY]
    loras_for = _loras_for(request, _field(request))
    groups, more = groups_of(caller(request), query=query, loras_for=loras_for)
    return render(request, "generation/_models.html", {"groups": groups, "more": more, "query": query})


@login_required
@require_safe
@never_cache
def picked(request: HttpRequest) -> HttpResponse:
    """The chosen model as the form shows it."""
    name = _field(request)
    card = card_of(caller(request), request.GET.get(name, ""), _loras_for(request, name))
    field = GenerateForm(user=caller(request))[name]
    return render(request, "generation/_picked.html", {"card": card, "field": field})


def _field(request: HttpRequest) -> str:
    name = request.GET.get("field", "")
    if name not in MODEL_FIELDS:
        raise Http404
    return name


def _loras_for(request: HttpRequest, field: str) -> BaseModel | None:
    """What a LoRA must fit; None for the field of the model itself."""
    if field == "model_name":
        return None
    base = _base(request, request.GET.get("model_name", ""))
    if base is None:
        raise Http404
    return base


def _base(request: HttpRequest, name: str) -> BaseModel | None:
    try:
        return find_model(caller(request), name).base
    except UnknownModel:
        return None
