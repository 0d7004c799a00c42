"""A LoRA from somewhere else into the catalogue: judged by the strict gate, registered as a run of its own.

What a person imports is theirs and their team's; only what the operator puts into MODELS_DIR is everybody's (`scan`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from django.db import IntegrityError, transaction

from shoesai import files
from shoesai.engine.base_shapes import base_shapes, check_fits
from shoesai.engine.lora_formats import WEIGHTS, Lora, lora_files, read_lora
from shoesai.engine.lora_names import LoraProblem
from shoesai.models import User
from training.base_models import find_base_model
from training.models import BaseModel, Checkpoint, TrainingRun
from training.results import SAFETENSORS
from training.services import TrainingProblem, check_new_run

MAX_STEP = 10**9 - 1
MAX_TRIGGER_WORDS = 500
STEPS_IN_NAME = re.compile(r"(\d{1,9})_?steps")
_STEP_KEYS = ("shoesai.step", "ss_steps")


@dataclass(frozen=True)
class Incoming:
    """A LoRA that has passed the gate and can be registered as it is here."""

    name: str
    base: BaseModel
    step: int
    trigger_words: str
    lora: Lora
    data: bytes

    @property
    def model_name(self) -> str:
        return f"{self.name}/checkpoint-{self.step}"


def look_at(
    path: Path, name: str, *, base_name: str = "", step: int | None = None, trigger_words: str = ""
) -> Incoming:
    """Everything that can be wrong is said here, and nothing is stored.

    Raises LoraProblem for the file, TrainingProblem for a setting, UnknownBaseModel.
    """
    check_new_run(name)
    lora = read_lora(path)
    base = find_base_model(base_name) if base_name else first_fitting_base(lora)
    check_fits_base(lora, base)
    step = _said_step(lora, path.stem) if step is None else step
    if not 0 <= step <= MAX_STEP:
        raise TrainingProblem(f"step: {step} must be between 0 and {MAX_STEP}.")
    if not _is_one_line(trigger_words):
        raise TrainingProblem(f"trigger_words: must be one line of at most {MAX_TRIGGER_WORDS} characters.")
    said = lora.metadata.get("modelspec.trigger_phrase", "")
    words = trigger_words or (said if _is_one_line(said) else "")
    return Incoming(name, base, step, words, lora, _bytes_to_keep(lora, path))


def import_lora(user: User, incoming: Incoming) -> Checkpoint:
    """Registers it as the only checkpoint of a new run of this user. Raises TrainingProblem for a taken name."""
    try:
        with transaction.atomic():
            run = new_imported_run(user, incoming.name, incoming.base, trigger_words=incoming.trigger_words)
            lora = incoming.lora
            return keep_imported(run, incoming.step, incoming.data, rank=lora.rank, alpha=lora.alpha)
    except IntegrityError as error:  # somebody else took the name in this moment
        check_new_run(incoming.name)
        raise TrainingProblem(f"name: {incoming.name!r} cannot be registered; try again.") from error


def new_imported_run(
    user: User, name: str, base: BaseModel, *, shared: bool = False, trigger_words: str = ""
) -> TrainingRun:
    return TrainingRun.objects.create(
        owner=user,
        team=user.home_team(),
        name=name,
        base_model=base,
        family=base.family,
        spec={"trigger_words": trigger_words} if trigger_words else {},
        state=TrainingRun.State.IMPORTED,
        shared=shared,
    )


def keep_imported(run: TrainingRun, step: int, data: bytes, *, rank: int, alpha: float) -> Checkpoint:
    blob = files.publish(data, SAFETENSORS)
    return Checkpoint.objects.create(
        run=run, step=step, family=run.family, blob=blob, rank=rank, lora_alpha=alpha
    )


# --- which base -----------------------------------------------------------------------------------------------
def check_fits_base(lora: Lora, base: BaseModel) -> None:
    """Raises LoraProblem, with the module that this base does not have in this size."""
    try:
        check_fits(lora.matrix_shapes, base_shapes(base.path))
    except LoraProblem as problem:
        raise LoraProblem(f"it does not fit the base model {base.name}: {problem}") from problem


def fitting_bases(lora: Lora) -> list[BaseModel]:
    """Every base model whose UNet and text encoder have all its modules, in its sizes; the oldest first."""
    return [base for base in BaseModel.objects.order_by("created_at") if _fits(lora, base)]


def first_fitting_base(lora: Lora) -> BaseModel:
    fitting = fitting_bases(lora)
    if fitting:
        return fitting[0]
    known = ", ".join(BaseModel.objects.values_list("name", flat=True)) or "none yet"
    family = lora.family or "an unknown family"
    raise LoraProblem(
        f"it is for {family} and fits none of the base models that are here ({known});"
        " staff add one with `manage.py add_base_model`"
    )


def _fits(lora: Lora, base: BaseModel) -> bool:
    try:
        check_fits_base(lora, base)
    except LoraProblem:
        return False
    return True


# --- what it says of itself -----------------------------------------------------------------------------------
def facts_of(lora: Lora) -> dict[str, Any]:
    """For people and programs; every value of a LoRA that was read is finite, or it would not have been."""
    every = lora.modules.values()
    ranks, alphas = sorted({each.rank for each in every}), sorted({each.alpha for each in every})
    scales = sorted({each.alpha / each.rank for each in every})
    return {
        "format": lora.form,
        "rank": _one_or_all(ranks),
        "alpha": _one_or_all(alphas),
        "scale": _one_or_all(scales),
        "family": lora.family,
        "parts": lora.parts,
        "modules": len(lora.modules),
        "tensors": 2 * len(lora.modules),
        "parameters": sum(prod(tensor.shape) for each in every for tensor in (each.down, each.up)),
        "dtypes": sorted({tensor.dtype for each in every for tensor in (each.down, each.up)}),
        "finite": True,
    }


def _one_or_all(values: list[Any]) -> Any:
    return values[0] if len(values) == 1 else values


def _is_one_line(words: str) -> bool:
    return len(words) <= MAX_TRIGGER_WORDS and words.isprintable()


def _said_step(lora: Lora, file_name: str) -> int:
    """What the file says, else what a name like `casual_3000steps` does; 0 is unknown."""
    for key in _STEP_KEYS:
        said = lora.metadata.get(key, "")
        if said.isascii() and said.isdigit() and int(said[:10]) <= MAX_STEP:
            return int(said[:10])
    in_name = STEPS_IN_NAME.search(file_name)
    return int(in_name[1]) if in_name else 0


def _bytes_to_keep(lora: Lora, path: Path) -> bytes:
    """As they came; only PEFT's are renamed, because their alpha lies in another file."""
    if lora.form == "peft":
        (data,) = lora_files(lora, "diffusers").values()
        return data
    return file_of(path).read_bytes()


def file_of(path: Path) -> Path:
    """The one file of a diffusers folder, or the file itself."""
    return path / WEIGHTS if path.is_dir() else path
