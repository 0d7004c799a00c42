"""Base models by name: finding them, and what they are called on the hub."""

from __future__ import annotations

from training.models import BaseModel

# The hub's id of Stable Diffusion 1.5, and the one that the seed and many tutorials still use for it.
SD15_HUB_ID = "stable-diffusion-v1-5/stable-diffusion-v1-5"
HUB_ALIASES = {"runwayml/stable-diffusion-v1-5": SD15_HUB_ID}
# What the row is called when a hub id is added without a name, and found under when a hub id is asked for.
NAME_OF_HUB_ID = {SD15_HUB_ID: "sd15"}


class UnknownBaseModel(Exception):
    """No base model of this name is here; the words list those that are, and how to add one."""


def find_base_model(name: str) -> BaseModel:
    """By its own name, or by the hub's. Raises UnknownBaseModel."""
    base = BaseModel.objects.filter(name=name).first() or BaseModel.objects.filter(name=local_name(name)).first()
    if base:
        return base
    known = ", ".join(BaseModel.objects.values_list("name", flat=True)) or "none yet"
    wanted = f"{name!r}" if local_name(name) == name else f"{name!r}, called {local_name(name)!r} here,"
    source = hub_id(name) if "/" in name else "SOURCE"
    raise UnknownBaseModel(
        f"there is no base model {wanted} among those that are here: {known}."
        f" Staff add one with `manage.py add_base_model {source} --name {local_name(name)}`"
        " (docs/TRAINING_GUIDE.md, section 2)."
    )


def hub_id(name: str) -> str:
    """The repository that a hub name stands for today."""
    return HUB_ALIASES.get(name, name)


def local_name(name: str) -> str:
    """What a base model that the hub knows under this name is called here; other names are their own."""
    return NAME_OF_HUB_ID.get(hub_id(name), name)
