"""Settings of the Generate form under a name: their owner's, or shared with the team."""

from __future__ import annotations

from typing import Any

from django.core import signing
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.http import Http404
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext as _

from generation import limits
from generation.models import Preset
from shoesai.models import User

MAX_NAME = 120
MAX_PRESETS = 200
SALT = "generation.presets"
UNDO_SECONDS = 600
# What a preset says; a reference and the prompt are a picture's own, unless the prompt is wanted.
FIELDS = (
    "negative_prompt", "model_name", "num_images", "num_inference_steps", "guidance_scale", "seed", "size", "width",
    "height", "scheduler",
    *(f"{field}_{index}" for index in range(limits.LORAS) for field in ("lora", "weight")),
)  # fmt: skip


class PresetProblem(Exception):
    """Says in one sentence why this name cannot be kept."""


def presets_of(user: User) -> list[Preset]:
    """The user's own first, then what the team shares."""
    found = Preset.objects.visible_to(user).select_related("owner").order_by("name")
    return sorted(found, key=lambda preset: preset.owner_id != user.pk)


def find_preset(user: User, pk: object, *, own: bool = False) -> Preset:
    """Everybody else gets a 404; with `own` the team does, too."""
    presets = Preset.objects.visible_to(user)
    try:
        return get_object_or_404(presets.filter(owner=user) if own else presets, pk=pk)
    except ValidationError as error:  # not a UUID at all
        raise Http404 from error


def save_preset(user: User, name: str, settings: dict[str, Any]) -> Preset:
    """Raises PresetProblem."""
    if Preset.objects.filter(owner=user).count() >= MAX_PRESETS:
        raise PresetProblem(_("You have %(count)d presets already; delete one first.") % {"count": MAX_PRESETS})
    return _stored(Preset(owner=user, name=name, settings=settings))


def rename_preset(preset: Preset, name: str) -> None:
    """Raises PresetProblem."""
    preset.name = name
    _stored(preset)


def _stored(preset: Preset) -> Preset:
    preset.name = preset.name.strip()
    if not preset.name or len(preset.name) > MAX_NAME or not preset.name.isprintable():
        raise PresetProblem(_("Give it a name of 1 to %(most)d characters.") % {"most": MAX_NAME})
    try:
        with transaction.atomic():
            preset.save()
    except IntegrityError as error:
        words = _("You have a preset named “%(name)s” already; take another name, or update that one.")
        raise PresetProblem(words % {"name": preset.name}) from error
    return preset


def share_preset(preset: Preset, shared: bool) -> bool:
    """False where there is no team to share with."""
    preset.team = preset.owner.home_team() if shared else None
    preset.save(update_fields=["team"])
    return preset.team is not None or not shared


def delete_preset(preset: Preset) -> str:
    """Returns what brings it back for ten minutes, in the hands of its owner."""
    shared = preset.team_id is not None
    kept = {"owner": str(preset.owner_id), "name": preset.name, "settings": preset.settings, "shared": shared}
    preset.delete()
    return signing.dumps(kept, salt=SALT, compress=True)


def restore_preset(user: User, token: str) -> Preset:
    """Raises PresetProblem when it is too late, or the name is taken again."""
    try:
        kept = signing.loads(token, salt=SALT, max_age=UNDO_SECONDS)
    except signing.BadSignature as error:
        raise PresetProblem(_("It is too late to bring this preset back.")) from error
    if kept["owner"] != str(user.pk):
        raise Http404
    preset = save_preset(user, kept["name"], kept["settings"])
    share_preset(preset, kept["shared"])
    return preset
