"""Home: what runs, what came out lately, how much room is left, and the first steps of somebody new."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.db.models import Exists, OuterRef, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from generation import storage
from generation.models import GeneratedImage
from shoesai import health
from shoesai.auth import caller
from shoesai.jobs import queue
from shoesai.models import ApiToken, Job, Membership, User
from shoesai.views import is_htmx, jobs_of
from training.models import Checkpoint, Dataset, DatasetVersion, ValidationImage

JOBS = 6
PICTURES = 12
CHECKPOINTS = 5


@login_required
@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """The whole page, or the one part of it that asks for itself again."""
    user = caller(request)
    part = PARTS.get(request.headers.get("HX-Target", ""))
    if is_htmx(request) and part:
        template, context_of = part
        return render(request, template, context_of(user))
    context: dict[str, Any] = {}
    for _template, context_of in PARTS.values():
        context |= context_of(user)
    context["empty"] = not (context["live"] or context["pictures"] or context["checkpoints"] or context["has_photos"])
    return render(request, "home/home.html", context)


# --- what goes on -----------------------------------------------------------------------------------------------
def _jobs(user: User) -> dict[str, Any]:
    """Running first. Where jobs wait and nobody takes them, the page says so."""
    mine = jobs_of(user).filter(owner=user, state__in=Job.LIVE)
    live = list(mine.order_by("-state", "priority", "created_at")[: JOBS + 1])
    waiting = any(job.state == Job.State.QUEUED for job in live)
    return {"live": live[:JOBS], "more_jobs": len(live) > JOBS, "stuck": waiting and health.is_degraded()}


# --- what came out ----------------------------------------------------------------------------------------------
def _new(user: User) -> dict[str, Any]:
    pictures = GeneratedImage.objects.visible_to(user).select_related("generation").order_by("-created_at", "-id")
    return {"pictures": list(pictures[:PICTURES]), "checkpoints": _newest_checkpoints(user)}


def _newest_checkpoints(user: User) -> list[Checkpoint]:
    """Each with the picture that its run drew at that step, if it drew one."""
    visible = Checkpoint.objects.visible_to(user).select_related("run__base_model")
    checkpoints = list(visible.order_by("-created_at", "-step")[:CHECKPOINTS])
    if checkpoints:
        drawn = reduce(or_, (Q(run=checkpoint.run_id, step=checkpoint.step) for checkpoint in checkpoints))
        images = {(image.run_id, image.step): image for image in ValidationImage.objects.filter(drawn, seq=0)}
        for checkpoint in checkpoints:
            checkpoint.picture = images.get((checkpoint.run_id, checkpoint.step))  # type: ignore[attr-defined]
    return checkpoints


# --- room and first steps ---------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Step:
    name: str
    done: bool


def _side(user: User) -> dict[str, Any]:
    done = _what_is_done(user)
    steps = [Step(name, done[name]) for name in ("photos", "run", "picture", "mate", "token") if _is_for(name, user)]
    open_steps = [step for step in steps if not step.done]
    return {
        "storage": storage.pictures_of(user),
        "steps": steps if open_steps and not user.checklist_closed else [],
        "steps_done": len(steps) - len(open_steps),
        "has_photos": done["photos"],
    }


def _is_for(name: str, user: User) -> bool:
    """Only staff can put people into a team."""
    return name != "mate" or user.is_staff


def _what_is_done(user: User) -> dict[str, bool]:
    mates = Membership.objects.filter(team__in=user.teams.all()).exclude(user=user)
    photos = DatasetVersion.objects.frozen().filter(dataset__in=Dataset.objects.visible_to(user), photo_count__gt=0)
    found = User.objects.filter(pk=user.pk).values(
        photos=Exists(photos),
        run=Exists(Checkpoint.objects.visible_to(user)),
        picture=Exists(GeneratedImage.objects.filter(owner=OuterRef("pk"))),
        mate=Exists(mates),
        token=Exists(ApiToken.objects.filter(user=OuterRef("pk"))),
    )
    return {name: bool(there) for name, there in found.get().items()}


PARTS = {
    "home-jobs": ("home/_jobs.html", _jobs),
    "home-new": ("home/_new.html", _new),
    "home-side": ("home/_side.html", _side),
}


@login_required
@require_POST
def close_checklist(request: HttpRequest) -> HttpResponse:
    User.objects.filter(pk=caller(request).pk).update(checklist_closed=True)
    return redirect("home")


# --- the demo ---------------------------------------------------------------------------------------------------
@login_required
@require_POST
def demo(request: HttpRequest) -> HttpResponse:
    """Queues the making of the demo data; asked twice, it is made once."""
    user = caller(request)
    if not user.is_staff:
        raise PermissionDenied
    try:
        _queue_demo(user)
    except queue.QuotaReached as problem:
        messages.error(request, str(problem))
    else:
        messages.success(request, _("The demo data is being made. You can follow it here."))
    return redirect("home")


def _queue_demo(user: User) -> None:
    with queue.accepting(user):
        if not Job.objects.filter(owner=user, kind="make_demo", state__in=Job.LIVE).exists():
            queue.enqueue(owner=user, team=user.home_team(), kind="make_demo")
