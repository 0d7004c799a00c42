"""Presets of the Generate page: kept, changed, shared, thrown away and brought back. Each answers with their list."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from generation import presets
from generation.forms import GenerateForm
from generation.models import Preset
from generation.presets import PresetProblem, find_preset
from generation.services import check_numbers
from generation.studio import form_of, form_or_page, is_htmx, page
from generation.uploads import bounded_uploads, posted_with_upload
from shoesai.auth import caller


@bounded_uploads
@login_required
@require_POST
def save(request: HttpRequest) -> HttpResponse:
    """The form's settings under the name that stands beside the button."""
    form = _judged(request)
    if form.errors:
        return form_or_page(request, form, status=422)
    settings = form.to_preset(with_prompt="with_prompt" in request.POST)
    try:
        preset = presets.save_preset(caller(request), request.POST.get("preset_name", ""), settings)
    except PresetProblem as problem:
        return _list(request, problem=str(problem))
    return _list(request, said=_("“%(name)s” is saved.") % {"name": preset.name})


@bounded_uploads
@login_required
@require_POST
def change(request: HttpRequest, pk: UUID) -> HttpResponse:
    preset = find_preset(caller(request), pk, own=True)
    action = CHANGES.get(request.POST.get("action", ""))
    if action is None:
        raise Http404
    return action(request, preset)


@bounded_uploads
@login_required
@require_POST
def restore(request: HttpRequest) -> HttpResponse:
    try:
        preset = presets.restore_preset(caller(request), request.POST.get("undo", ""))
    except PresetProblem as problem:
        return _list(request, problem=str(problem))
    return _list(request, said=_("“%(name)s” is back.") % {"name": preset.name})


def _update(request: HttpRequest, preset: Preset) -> HttpResponse:
    """With the form's settings of now; with their prompt where it had one."""
    form = _judged(request)
    if form.errors:
        return form_or_page(request, form, status=422)
    preset.settings = form.to_preset(with_prompt="prompt" in preset.settings)
    preset.save(update_fields=["settings"])
    return _list(request, said=_("“%(name)s” holds the settings of now.") % {"name": preset.name})


def _rename(request: HttpRequest, preset: Preset) -> HttpResponse:
    try:
        presets.rename_preset(preset, request.POST.get(f"name-{preset.pk}", ""))
    except PresetProblem as problem:
        return _list(request, problem=str(problem))
    return _list(request, said=_("It is called “%(name)s” now.") % {"name": preset.name})


def _share(request: HttpRequest, preset: Preset) -> HttpResponse:
    if not presets.share_preset(preset, True):
        return _list(request, problem=_("You are in no team that could use it."))
    words = _("The team %(team)s can use “%(name)s” now.")
    return _list(request, said=words % {"team": preset.team, "name": preset.name})


def _unshare(request: HttpRequest, preset: Preset) -> HttpResponse:
    presets.share_preset(preset, False)
    return _list(request, said=_("Only you can use “%(name)s” now.") % {"name": preset.name})


def _delete(request: HttpRequest, preset: Preset) -> HttpResponse:
    undo = presets.delete_preset(preset)
    return _list(request, said=_("“%(name)s” is deleted.") % {"name": preset.name}, undo=undo)


CHANGES = {"update": _update, "rename": _rename, "share": _share, "unshare": _unshare, "delete": _delete}


def _judged(request: HttpRequest) -> GenerateForm:
    """The posted form with what the service would refuse, except an empty prompt."""
    form = GenerateForm(request.POST, user=caller(request))
    if form.is_valid():
        problems = check_numbers(form.to_request())
        problems.pop("prompt", None)
        form.show_problems(problems)
    return form


def _list(request: HttpRequest, **said: Any) -> HttpResponse:
    """Without JavaScript the whole page, with everything that was typed."""
    status = 422 if "problem" in said else 200
    if not is_htmx(request):
        posted, _problem = posted_with_upload(request)
        return page(request, form_of(caller(request), posted), status, presets_said=said)
    context = {"presets": presets.presets_of(caller(request)), "presets_said": said}
    return render(request, "generation/_presets.html", context, status=status)
