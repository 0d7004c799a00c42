"""Which models a user can name, and what a name means: a base model (`starter`), or `<run>/checkpoint-150`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.urls import reverse
from django.utils.translation import gettext as _

from shoesai.models import User
from training.models import BaseModel, Checkpoint


class UnknownModel(Exception):
    """No model of this name is there for this user."""


@dataclass(frozen=True)
class NamedModel:
    """A base model, or a checkpoint together with the base it was trained on."""

    name: str
    base: BaseModel
    checkpoint: Checkpoint | None = None


def find_model(user: User, name: str) -> NamedModel:
    """Raises UnknownModel. Somebody else's checkpoint is as unknown as one that never was."""
    base = BaseModel.objects.filter(name=name).first()
    if base:
        return NamedModel(name, base)
    checkpoint = find_checkpoint(user, name)
    return NamedModel(checkpoint.name, checkpoint.run.base_model, checkpoint)


def find_checkpoint(user: User, name: str) -> Checkpoint:
    run_name, _slash, step = name.rpartition("/checkpoint-")
    if run_name and step.isascii() and step.isdigit() and len(step) < 10:
        found = _checkpoints(user).filter(run__name=run_name, step=int(step)).first()
        if found:
            return found
    raise UnknownModel(_("There is no model named '%(name)s' among those you can use.") % {"name": name})


def list_models(user: User) -> list[dict[str, Any]]:
    """The seed's rows: base models first, then the checkpoints of the newest runs."""
    checkpoints = _checkpoints(user).order_by("-run__created_at", "step")
    return [_row(NamedModel(base.name, base)) for base in BaseModel.objects.all()] + [
        _row(NamedModel(checkpoint.name, checkpoint.run.base_model, checkpoint)) for checkpoint in checkpoints
    ]


def model_row(user: User, id: UUID) -> dict[str, Any] | None:
    """The row of one model, or None when there is none of this id for this user."""
    base = BaseModel.objects.filter(pk=id).first()
    if base:
        return _row(NamedModel(base.name, base))
    checkpoint = _checkpoints(user).filter(pk=id).first()
    return _row(NamedModel(checkpoint.name, checkpoint.run.base_model, checkpoint)) if checkpoint else None


def _checkpoints(user: User) -> QuerySet[Checkpoint]:
    return Checkpoint.objects.visible_to(user).select_related("run__base_model", "blob")


def _row(model: NamedModel) -> dict[str, Any]:
    """`path` is where the API describes the model and says nothing of the server's disk."""
    thing = model.checkpoint or model.base
    return {
        "id": str(thing.pk),
        "name": model.name,
        "path": f"{reverse('api-models')}/{thing.pk}",
        "type": "checkpoint" if model.checkpoint else "base",
        "step": model.checkpoint.step if model.checkpoint else None,
        "family": thing.family,
        "base_model": model.base.name,
        "resolution": model.base.resolution,
    }
