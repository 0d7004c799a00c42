"""Asking for a training by names, as programs do: what is left out is found, what cannot be meant is refused."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from typing import Any, TypeVar
from uuid import UUID

from django.utils.translation import gettext as _

from shoesai.engine.specs import SpecError, TrainSpec
from shoesai.jobs import queue
from shoesai.models import User
from shoesai.sentences import said
from training.base_models import UnknownBaseModel, find_base_model
from training.models import BaseModel, Dataset, DatasetVersion, TrainingRun
from training.plan import PRESETS, default_validation_prompts, make_plan, settings_of_base
from training.services import TrainingProblem, start_training

T = TypeVar("T")


class InvalidRun(Exception):
    """A request that cannot be meant: for each field what is wrong and what is allowed."""

    def __init__(self, errors: dict[str, str]) -> None:
        super().__init__("; ".join(f"{name}: {text}" for name, text in errors.items()))
        self.errors = errors


@dataclass(frozen=True)
class RunRequest:
    """`dataset` is a name or a version's id. The recipe begins with `parent`'s, a preset or the defaults; `settings`
    of TrainSpec go before it. An empty dataset or base model is that of `parent`."""

    name: str
    dataset: str = ""
    base_model: str = ""
    parent: UUID | None = None
    preset: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    notify: bool = False
    court: str = TrainingRun.Court.NEVER

    def digest(self) -> str:
        return hashlib.sha256(json.dumps(["run", asdict(self)], sort_keys=True, default=str).encode()).hexdigest()


def request_run(*, user: User, request: RunRequest, idempotency_key: str | None = None) -> TrainingRun:
    """Checks everything, then creates the run with its job, or neither.

    Raises InvalidRun, queue.QueueFull and queue.KeyReused. The same idempotency key with the same request returns the
    run that it made the first time.
    """
    digest = request.digest()
    earlier = queue.job_for_key(user, idempotency_key, digest)
    if earlier:
        return earlier.training_runs.get()
    errors: dict[str, str] = {}
    parent = _parent(user, request)
    base = _or_error(errors, "base_model", lambda: _base_model(request, parent))
    version = _or_error(errors, "dataset", lambda: _version(user, request, parent))
    if errors or base is None or version is None:
        raise InvalidRun(errors)
    spec = _spec(request, base, version, parent)
    for problem in make_plan(version, base, spec).problems:
        raise _about_a_field(problem)
    try:
        return start_training(
            user=user,
            name=request.name,
            dataset_version=version,
            base_model=base,
            spec=spec,
            notify=request.notify,
            court=request.court,
            parent=parent,
            idempotency_key=idempotency_key,
            request_digest=digest,
        )
    except TrainingProblem as error:
        raise _about_a_field(str(error)) from error


_FIELDS = {each.name for each in (*fields(RunRequest), *fields(TrainSpec))}


def _or_error(errors: dict[str, str], name: str, find: Callable[[], T]) -> T | None:
    try:
        return find()
    except LookupError as error:
        errors[name] = str(error.args[0])
        return None


def _about_a_field(problem: str) -> InvalidRun:
    """Services say `field: what is wrong`; a full disk is about the request as a whole."""
    name, _colon, words = problem.partition(": ")
    return InvalidRun({name: words} if name in _FIELDS else {"body": problem})


def _parent(user: User, request: RunRequest) -> TrainingRun | None:
    if request.parent is None:
        return None
    parent = TrainingRun.objects.visible_to(user).filter(pk=request.parent).first()
    if parent is None:
        raise InvalidRun({"parent": _("there is no such run, or it is not yours.")})
    return parent


def _base_model(request: RunRequest, parent: TrainingRun | None) -> BaseModel:
    if parent and not request.base_model:
        return parent.base_model
    try:
        return find_base_model(request.base_model or "starter")
    except UnknownBaseModel as error:
        raise LookupError(str(error)) from error


def _version(user: User, request: RunRequest, parent: TrainingRun | None) -> DatasetVersion:
    datasets = Dataset.objects.visible_to(user)
    if parent and parent.dataset_version and not request.dataset:
        if not datasets.filter(pk=parent.dataset_version.dataset_id).exists():  # a team's run on personal photos
            raise LookupError(_("that of `parent` is not among those you can use; name one that is."))
        return parent.dataset_version
    if not request.dataset:
        raise LookupError(_("is required; this parent was not trained here, so it has none."))
    mine_first = sorted(datasets.filter(name=request.dataset), key=lambda each: each.owner_id != user.pk)
    version = mine_first[0].latest() if mine_first else _version_by_id(request.dataset, user)
    if version is None:
        words = _("there is no dataset or version '%(name)s' among those you can use.")
        raise LookupError(words % {"name": request.dataset})
    return version


def _version_by_id(text: str, user: User) -> DatasetVersion | None:
    try:
        wanted = UUID(text)
    except ValueError:
        return None
    visible = Dataset.objects.visible_to(user)
    return DatasetVersion.objects.frozen().filter(dataset__in=visible, pk=wanted).select_related("dataset").first()


def _spec(
    request: RunRequest, base: BaseModel, version: DatasetVersion, parent: TrainingRun | None
) -> TrainSpec:
    try:
        settings = _beginning(request, base, parent) | request.settings
        steps = settings.get("max_train_steps", TrainSpec.max_train_steps)
        settings.setdefault("lr_warmup_steps", TrainSpec.usual_warmup(steps))
        spec = TrainSpec.from_dict(settings)
        if spec.validation_steps and "validation_prompts" not in settings:
            prompts = default_validation_prompts(version, spec)
            spec = TrainSpec.from_dict({**settings, "validation_prompts": prompts})
    except SpecError as error:
        raise InvalidRun({error.field_name: f"{said(error.message)}."}) from error
    return spec


def _beginning(request: RunRequest, base: BaseModel, parent: TrainingRun | None) -> dict[str, Any]:
    """Another base than the parent's brings its own size and guidance."""
    if parent and parent.spec:
        spec = TrainSpec.from_dict(parent.spec).to_dict()
        return spec if base == parent.base_model else spec | settings_of_base(base)
    return PRESETS[request.preset].settings_for(base) if request.preset else settings_of_base(base)
