"""Which models a user can name, and what a name means: a base model (`starter`), or `<run>/checkpoint-150`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.urls import reverse

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
    run_name, _, step = name.rpartition("/checkpoint-")
    if run_name and step.isascii() and step.isdigit() and len(step) < 10:
        found = (
            Checkpoint.objects.visible_to(user)
            .select_related("run__base_model", "blob")
            .filter(run__name=run_name, step=int(step))
            .first()
        )
        if found:
            return found
    raise UnknownModel(f"There is no model named {name!r} among those you can use.")


def list_models(user: User) -> list[dict[str, Any]]:
    """The seed's rows. `path` is where the API describes the model and says nothing of the server's disk."""
    rows = [
        {
            "id": str(base.id), "name": base.name, "path": f"{reverse('api-models')}/{base.id}",
            "type": "base", "step": None, "family": base.family, "base_model": base.name,
            "resolution": base.resolution,
        }
        for base in BaseModel.objects.all()
    ]
    checkpoints = Checkpoint.objects.visible_to(user).select_related("run__base_model")
    rows += [
        {
            "id": str(checkpoint.id), "name": checkpoint.name,
            "path": f"{reverse('api-models')}/{checkpoint.id}", "type": "checkpoint",
            "step": checkpoint.step, "family": checkpoint.family,
            "base_model": checkpoint.run.base_model.name, "resolution": checkpoint.run.base_model.resolution,
        }
        for checkpoint in checkpoints.order_by("-run__created_at", "step")
    ]
    return rows
