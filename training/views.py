"""The runs: their list, each one's page, a new one, two beside each other. Curves and rows come from `watching`."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.template.loader import render_to_string
from django.utils.http import content_disposition_header
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from shoesai.auth import caller
from shoesai.engine.lora_names import LoraProblem
from shoesai.engine.specs import TrainSpec
from shoesai.jobs.queue import QueueFull
from shoesai.models import Job, User
from training import exports, forms, recipe
from training.charts import sparkline
from training.comparing import Comparison
from training.exports import FORMATS
from training.filters import RunFilter
from training.forms import TrainForm
from training.measuring import KIND as MEASURING
from training.measuring import request_measurement
from training.media import photo_bytes, validation_bytes, visible_photo, visible_validation_image
from training.models import BaseModel, Checkpoint, TrainingMetric, TrainingRun
from training.plan import PRESETS, Plan, make_plan
from training.services import TrainingProblem, cancel_training, pause_training, resume_training, start_training
from training.watching import RunView, clonable_by, runs_of

RUNS_SHOWN = 20
RUNS_OFFERED = 200


def _is_htmx(request: HttpRequest) -> bool:
    return bool(getattr(request, "htmx", False))


# --- the list ---------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class RunRow:
    run: TrainingRun
    step: int
    total: int
    loss: float | None
    spark: str
    checkpoints: Sequence[Checkpoint]


@login_required
@require_safe
def runs(request: HttpRequest) -> HttpResponse:
    narrowed = RunFilter(request.GET, user=caller(request))
    found = narrowed.qs.prefetch_related("checkpoints")
    page = Paginator(found, RUNS_SHOWN).get_page(request.GET.get("page"))
    rows = _rows(list(page))
    context = {
        "rows": rows,
        "page": page,
        "filter": narrowed,
        "narrowed": any(request.GET.get(name) for name in narrowed.filters),
        "live": any(row.run.is_live for row in rows),
    }
    return render(request, "training/_runs.html" if _is_htmx(request) else "training/runs.html", context)


def _rows(runs: list[TrainingRun]) -> list[RunRow]:
    """With their losses in one query, however many runs there are."""
    points: dict[UUID, list[tuple[int, float]]] = defaultdict(list)
    metrics = TrainingMetric.objects.filter(run__in=runs).order_by("step")
    for run, step, loss in metrics.values_list("run_id", "step", "loss"):
        points[run].append((step, loss))
    return [_row(run, points[run.pk]) for run in runs]


def _row(run: TrainingRun, points: list[tuple[int, float]]) -> RunRow:
    checkpoints = list(run.checkpoints.all())
    steps = [checkpoint.step for checkpoint in checkpoints] + [step for step, _loss in points[-1:]]
    return RunRow(
        run=run,
        step=max(steps, default=0),
        total=int(run.spec.get("max_train_steps") or 0),
        loss=points[-1][1] if points else None,
        spark=sparkline([loss for _step, loss in points]),
        checkpoints=checkpoints,
    )


# --- one run ----------------------------------------------------------------------------------------------------
PIECES = ("charts", "strip", "checkpoints", "log", "stretches")


@dataclass(frozen=True)
class Piece:
    """A part of the run page that changes while it trains; the digest tells whether the browser has it already."""

    name: str
    body: SafeString

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.body.encode()).hexdigest()[:10]


@login_required
@require_safe
def run(request: HttpRequest, run_id: UUID) -> HttpResponse:
    view = _view_of(request, run_id)
    if _is_htmx(request):
        return _living(request, view)
    pieces = _pieces(request, view)
    context = {"view": view, "run": view.run, "pieces": pieces, "seen": _seen(pieces)}
    return render(request, "training/run.html", context)


def _view_of(request: HttpRequest, run_id: UUID) -> RunView:
    return RunView(get_object_or_404(runs_of(caller(request)), pk=run_id), caller(request))


def _pieces(request: HttpRequest, view: RunView) -> dict[str, Piece]:
    """They hold no CSRF token, which is another one each time."""
    context = {"view": view, "run": view.run, "formats": FORMATS}
    return {
        name: Piece(name, render_to_string(f"training/_run_{name}.html", context, request))
        for name in ("head", *PIECES)
    }


def _seen(pieces: dict[str, Piece]) -> str:
    return ".".join(piece.digest for piece in pieces.values())


def _living(request: HttpRequest, view: RunView, said: str = "") -> HttpResponse:
    """The head, and beside it what else has changed since the browser looked; nothing at all when nothing has."""
    pieces = _pieces(request, view)
    known = request.GET.get("seen", "").split(".")
    changed = [piece for piece in pieces.values() if piece.digest not in known]
    was = request.GET.get("state", "")
    if not changed and was == view.run.state:
        return HttpResponse(status=204)
    context = {
        "view": view,
        "run": view.run,
        "head": pieces["head"],
        "changed": [piece for piece in changed if piece.name != "head"],
        "seen": _seen(pieces),
    }
    response = render(request, "training/_living.html", context)
    response["Cache-Control"] = "private, no-store"
    triggers = {"run-said": said} if said else {}
    if was != view.run.state:
        triggers["jobs-changed"] = ""
    if triggers:
        response["HX-Trigger"] = json.dumps(triggers)
    return response


ACTIONS: dict[str, Callable[[TrainingRun], object]] = {
    "pause": pause_training,
    "resume": resume_training,
    "cancel": cancel_training,
}


@login_required
@require_POST
def act(request: HttpRequest, run_id: UUID, action: str) -> HttpResponse:
    """Its owner, and staff who see it."""
    view = _view_of(request, run_id)
    if not view.may_act:
        raise Http404
    said = ""
    try:
        ACTIONS[action](view.run)
    except (TrainingProblem, QueueFull) as problem:
        said = str(problem)
    return _after(request, run_id, said)


def _after(request: HttpRequest, run_id: UUID, said: str = "") -> HttpResponse:
    if _is_htmx(request):
        return _living(request, _view_of(request, run_id), said)
    if said:
        messages.error(request, said)
    return redirect("training-run", run_id)


# --- pictures and files -----------------------------------------------------------------------------------------
@login_required
@require_safe
def validation_image(request: HttpRequest, run_id: UUID, pk: UUID) -> HttpResponseBase:
    return validation_bytes(request, visible_validation_image(caller(request), run_id, pk), small=False)


@login_required
@require_safe
def validation_thumbnail(request: HttpRequest, run_id: UUID, pk: UUID) -> HttpResponseBase:
    return validation_bytes(request, visible_validation_image(caller(request), run_id, pk), small=True)


@login_required
@require_safe
def photo(request: HttpRequest, pk: UUID, *, small: bool) -> HttpResponseBase:
    return photo_bytes(request, visible_photo(caller(request), pk), small=small)


def _checkpoint_of(request: HttpRequest, pk: UUID) -> Checkpoint:
    return get_object_or_404(Checkpoint.objects.visible_to(caller(request)).select_related("run", "blob"), pk=pk)


@login_required
@require_POST
def pin(request: HttpRequest, pk: UUID) -> HttpResponse:
    """`pinned=1` keeps a checkpoint from being tidied away, `pinned=0` no longer."""
    checkpoint = _checkpoint_of(request, pk)
    if not RunView(checkpoint.run, caller(request)).may_act:
        raise Http404
    checkpoint.pinned = request.POST.get("pinned") == "1"
    checkpoint.save(update_fields=["pinned"])
    return _after(request, checkpoint.run_id)


@login_required
@require_safe
def download(request: HttpRequest, pk: UUID, form: str) -> HttpResponse:
    checkpoint = _checkpoint_of(request, pk)
    if form not in FORMATS:
        raise Http404
    try:
        made = exports.download(checkpoint, form)
    except LoraProblem as problem:
        messages.error(request, str(problem))
        return redirect("training-run", checkpoint.run_id)
    except FileNotFoundError as error:
        raise Http404(_("The file of this checkpoint is missing; tell whoever runs this site.")) from error
    response = HttpResponse(made.data, content_type=made.mime)
    response["Content-Disposition"] = str(content_disposition_header(True, made.file_name))
    response["Cache-Control"] = "private, no-store"
    return response


# --- a new run --------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Forecast:
    """What the plan's panel shows: a plan, or why there is none yet; and the measurement that this page asked for.

    Problems and warnings are pairs of a setting's label, which may be empty, and words.
    """

    problems: Sequence[tuple[str, str]]
    job: Job | None
    spec: TrainSpec | None = None
    plan: Plan | None = None

    @property
    def warnings(self) -> list[tuple[str, str]]:
        return [_labelled(warning) for warning in self.plan.warnings] if self.plan else []


def _labelled(words: str) -> tuple[str, str]:
    """ "max_train_steps: every photo …" under the label that the form has for this setting."""
    name, colon, rest = words.partition(": ")
    known = colon and name in recipe.DEFAULTS
    return (str(recipe.words_for(name).label), rest[0].upper() + rest[1:]) if known else ("", words)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def new_run(request: HttpRequest) -> HttpResponse:
    """Without JavaScript each button posts the whole form, and the page comes back with its answer."""
    user = caller(request)
    if request.method != "POST":
        beginning = _beginning(request)
        form = TrainForm(user=user, initial=beginning)
        return _new_page(request, form, _forecast(TrainForm(beginning, user=user)))
    preset = request.POST.get("preset", "")
    if preset:
        form = TrainForm(_with_preset(request, preset), user=user)
        return _new_page(request, form, _forecast(form))
    form = TrainForm(request.POST, user=user)
    action = request.POST.get("action", "start")
    if action in ("plan", "measure"):
        return _answer(request, form, _measured(request, form) if action == "measure" else _measurement(request))
    return _start(request, form)


def _beginning(request: HttpRequest) -> dict[str, Any]:
    """`?clone=<run>` takes its settings; `?version=`, `?base=` and `?preset=` choose where to begin."""
    if "clone" in request.GET:
        run = forms.found(clonable_by(caller(request)), request.GET["clone"])
        if run is None:
            raise Http404
        return forms.cloned(run)
    asked = {name: request.GET.get(name, "") for name in ("version", "base", "preset")}
    return forms.beginning(caller(request), **asked)


def _with_preset(request: HttpRequest, preset: str) -> QueryDict:
    """What was typed, with the settings of a preset for the chosen base model."""
    data = request.POST.copy()
    base = forms.found(BaseModel.objects.all(), data.get("base_model"))
    if base is None or preset not in PRESETS:
        return data
    for name, value in forms.as_form_values(forms.preset_values(preset, base)).items():
        if value is False:
            data.pop(name, None)
        else:
            data.setlist(name, value if isinstance(value, list) else ["on" if value is True else value])
    return data


def _new_page(request: HttpRequest, form: TrainForm, forecast: Forecast, status: int = 200) -> HttpResponse:
    return render(request, "training/new.html", {"form": form, "forecast": forecast}, status=status)


def _answer(request: HttpRequest, form: TrainForm, job: Job | None) -> HttpResponse:
    forecast = _forecast(form, job)
    if not _is_htmx(request):
        return _new_page(request, form, forecast)
    return render(request, "training/_plan.html", {"form": form, "forecast": forecast, "alone": True})


def _forecast(form: TrainForm, job: Job | None = None) -> Forecast:
    spec = form.spec()
    if spec is None:
        labels = {name: str(form[name].label) if name in form.fields else "" for name in form.errors}
        return Forecast([(labels[name], str(errors[0])) for name, errors in form.errors.items()], job)
    plan = make_plan(form.cleaned_data["dataset_version"], form.cleaned_data["base_model"], spec)
    return Forecast([_labelled(problem) for problem in plan.problems], job, spec, plan)


def _measurement(request: HttpRequest) -> Job | None:
    """The one that this page has asked for."""
    return forms.found(Job.objects.filter(owner=caller(request), kind=MEASURING), request.POST.get("measurement"))


def _measured(request: HttpRequest, form: TrainForm) -> Job | None:
    spec = form.spec()
    if spec is None:
        return None
    try:
        return request_measurement(caller(request), form.cleaned_data["base_model"], spec)
    except QueueFull as problem:
        form.add_error(None, str(problem))
        return None


def _start(request: HttpRequest, form: TrainForm) -> HttpResponse:
    run = _try(form, caller(request))
    if run is None:
        return _new_page(request, form, _forecast(form, _measurement(request)), status=422)
    return redirect("training-run", run.pk)


def _try(form: TrainForm, user: User) -> TrainingRun | None:
    if not form.is_valid():
        return None
    data = form.cleaned_data
    plan = make_plan(data["dataset_version"], data["base_model"], data["spec"])
    for problem in plan.problems:
        form.show_problem(problem)
    if plan.problems:
        return None
    names = ("name", "dataset_version", "base_model", "spec", "notify", "parent")
    court = data["court"] or TrainingRun.Court.NEVER
    try:
        return start_training(user=user, court=court, **{name: data[name] for name in names})
    except (TrainingProblem, QueueFull) as problem:
        form.show_problem(str(problem))
    return None


# --- two runs ---------------------------------------------------------------------------------------------------
@login_required
@require_safe
def compare(request: HttpRequest) -> HttpResponse:
    """`?a=<run>&b=<run>`; `?all=1` shows the settings that agree, too."""
    runs = runs_of(caller(request)).exclude(state=TrainingRun.State.IMPORTED)
    views = {side: _side(request, runs, side) for side in ("a", "b")}
    a, b = views["a"], views["b"]
    context = {
        **views,
        "offered": runs[:RUNS_OFFERED],
        "comparison": Comparison(a, b) if a and b else None,
        "all": "all" in request.GET,
    }
    return render(request, "training/compare.html", context)


def _side(request: HttpRequest, runs: QuerySet[TrainingRun], side: str) -> RunView | None:
    """None before one is chosen; a run that is not theirs is a 404."""
    wanted = request.GET.get(side)
    if not wanted:
        return None
    run = forms.found(runs, wanted)
    if run is None:
        raise Http404
    return RunView(run, caller(request))
