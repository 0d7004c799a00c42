"""The Generate page as an answer: whole, or the piece of it that htmx asked for."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from django.utils import timezone

from generation.estimates import LANE
from generation.forms import GenerateForm
from generation.live import GenerationView, generations_of, views_of
from generation.models import Generation
from generation.phrases import IDEAS
from generation.presets import presets_of
from generation.prompt_check import PromptCheck
from shoesai.auth import caller
from shoesai.models import Job, User

GENERATIONS_SHOWN = 12
LIVE_SHOWN = 60


def is_htmx(request: HttpRequest) -> bool:
    return bool(getattr(request, "htmx", False))


def page(request: HttpRequest, form: GenerateForm, status: int = 200, **more: Any) -> HttpResponse:
    views = newest_views(caller(request))
    context = {
        **form_context(form),
        "views": views,
        "live": live_context(views),
        "presets": presets_of(caller(request)),
        "ideas": IDEAS,
        **more,
    }
    return render(request, "generation/generate.html", context, status=status)


def form_piece(request: HttpRequest, form: GenerateForm, status: int = 200) -> HttpResponse:
    """The form alone, in its place, whatever element had asked."""
    response = render(request, "generation/_form.html", form_context(form), status=status)
    response["HX-Retarget"] = "#generate-form"
    response["HX-Reswap"] = "outerHTML"
    return response


def form_or_page(request: HttpRequest, form: GenerateForm, status: int = 200) -> HttpResponse:
    return form_piece(request, form, status) if is_htmx(request) else page(request, form, status)


def form_context(form: GenerateForm) -> dict[str, Any]:
    values = {name: form[name].value() for name in ("prompt", "negative_prompt", "num_images")}
    return {"form": form, "check": PromptCheck.of(form.base(), values)}


def form_of(user: User, posted: QueryDict, **changes: Any) -> GenerateForm:
    """What somebody has filled in so far, with some fields changed, and not judged yet."""
    values = {name: value for name, value in posted.items() if name in GenerateForm.base_fields or name[:-1] in LORA}
    return GenerateForm(user=user, initial=values | changes)


LORA = ("lora_", "weight_")


# --- the results ------------------------------------------------------------------------------------------------
def newest_views(user: User) -> list[GenerationView]:
    """The newest, and all that are still to be made, however many."""
    mine = Generation.objects.filter(owner=user)
    live = list(Job.objects.filter(owner=user, lane=LANE, state__in=Job.LIVE).values_list("pk", flat=True)[:LIVE_SHOWN])
    keys = {*mine.order_by("-created_at", "-id").values_list("pk", flat=True)[:GENERATIONS_SHOWN],
            *mine.filter(job__in=live).values_list("pk", flat=True)}  # fmt: skip
    return views_of(list(generations_of(user).filter(pk__in=keys).order_by("-created_at", "-id")))


def live_context(views: list[GenerationView], since: datetime | None = None) -> dict[str, Any]:
    """For the element that asks what is new: since when, and whether it must ask often."""
    moments = [view.generation.created_at for view in views] + ([since] if since else [])
    live = sum(view.job.is_live for view in views)
    return {"since": max(moments, default=timezone.now()), "count": live}
