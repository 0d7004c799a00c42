"""Registers the LoRAs that lie in MODELS_DIR, in the training's output layout.

    <run>/checkpoints/checkpoint-500/pytorch_lora_weights.safetensors
    <run>/lora_weights/pytorch_lora_weights.safetensors        what the run ended with

Nothing here reads a pickle, follows a link out of the folder, or loads a tensor: the header says all we need.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction

from shoesai.engine.lora_formats import MAX_BYTES, WEIGHTS
from shoesai.engine.lora_header import LoraHeader, read_lora_header
from shoesai.engine.lora_names import LoraProblem
from shoesai.models import User
from training.imports import STEPS_IN_NAME, keep_imported, new_imported_run
from training.models import BaseModel, TrainingRun
from training.services import is_run_name

PICKLES = {".bin", ".pt", ".pth", ".ckpt", ".pkl"}
_CHECKPOINT = re.compile(r"checkpoint-(\d{1,9})")


@dataclass(frozen=True)
class ScanProblem:
    file: str
    problem: str


@dataclass
class ScanReport:
    """Model names that are new, that were there already, and what was left out and why."""

    registered: list[str] = field(default_factory=list)
    known: list[str] = field(default_factory=list)
    problems: list[ScanProblem] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Found:
    """One weights file; without a step it is what the run ended with."""

    path: Path
    step: int | None


class LeftOut(Exception):
    """Why a file is not registered, in words for the person who put it there."""


def scan(user: User) -> ScanReport:
    """What is new belongs to `user`. Scanning again changes nothing; a missing MODELS_DIR is an empty one."""
    report = ScanReport()
    root = Path(os.path.realpath(settings.MODELS_DIR))
    if root.is_dir():
        for folder in sorted(root.iterdir()):
            if folder.is_dir() and _inside(root, folder):
                _scan_run(user, root, folder, report)
    return report


def _scan_run(user: User, root: Path, folder: Path, report: ScanReport) -> None:
    try:
        weights = list(_weights_of(root, folder, report))
    except OSError as error:
        _leave_out(report, root, folder, f"cannot be read: {error.strerror}.")
        return
    for found in weights:
        try:
            name, is_new = _register(user, folder.name, found)
        except (LoraProblem, LeftOut, OSError) as error:
            _leave_out(report, root, found.path, str(error))
            continue
        (report.registered if is_new else report.known).append(name)


# --- what lies there ----------------------------------------------------------------------------------------
def _weights_of(root: Path, folder: Path, report: ScanReport) -> Iterator[Found]:
    """Checkpoints by step, then the final weights, so that these can be recognised as the last checkpoint."""
    checkpoints = folder / "checkpoints"
    steps = {}
    for path in checkpoints.iterdir() if checkpoints.is_dir() else ():
        match = _CHECKPOINT.fullmatch(path.name)
        if match and path.is_dir():
            steps[int(match[1])] = path
    for step in sorted(steps):
        weights = _weights_in(root, steps[step], report)
        if weights:
            yield Found(weights, step)
    if (folder / "lora_weights").is_dir():
        weights = _weights_in(root, folder / "lora_weights", report)
        if weights:
            yield Found(weights, None)


def _weights_in(root: Path, folder: Path, report: ScanReport) -> Path | None:
    """The one LoRA file of a folder; says why there is none."""
    inside = [path for path in sorted(folder.iterdir()) if _inside(root, path)]
    candidates = [path for path in inside if path.suffix == ".safetensors" and path.is_file()]
    for path in folder.iterdir():
        if not _inside(root, path):
            _leave_out(report, root, path, "is a link that leads out of MODELS_DIR; not followed.")
        elif path.suffix.lower() in PICKLES:
            _leave_out(report, root, path, "is a pickle, which can run programs; only .safetensors is read.")
    named = [path for path in candidates if path.name == WEIGHTS] or candidates
    if len(named) > 1:
        names = ", ".join(path.name for path in named)
        _leave_out(report, root, folder, f"holds several weights files ({names}); name the LoRA {WEIGHTS}.")
        return None
    return named[0] if named else None


def _inside(root: Path, path: Path) -> bool:
    return Path(os.path.realpath(path)).is_relative_to(root)


def _leave_out(report: ScanReport, root: Path, path: Path, problem: str) -> None:
    report.problems.append(ScanProblem(str(path.relative_to(root)), problem))


# --- into the catalogue -------------------------------------------------------------------------------------
def _register(user: User, run_name: str, found: Found) -> tuple[str, bool]:
    """The model's name and whether it is new. Raises LeftOut and LoraProblem."""
    if not is_run_name(run_name):
        raise LeftOut("its run's folder may be named with letters, digits, '.', '_' and '-' only.")
    if found.path.stat().st_size > MAX_BYTES:
        raise LeftOut(f"is larger than {MAX_BYTES // 1024**3} GB, which no LoRA is.")
    header = read_lora_header(found.path)
    base = _base_for(header)
    data = found.path.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    with transaction.atomic():
        run = TrainingRun.objects.select_for_update().filter(name=run_name).first()
        same = run.checkpoints.filter(blob_id=digest).first() if run else None
        if same and found.step in (None, same.step):
            return same.name, False
        if run and not run.shared:
            raise LeftOut(f"a run named {run_name} was trained here or imported; rename this folder to register it.")
        if run and run.family != base.family:
            raise LeftOut(f"is for {base.family} models, but the rest of {run_name} is for {run.family}.")
        run = run or new_imported_run(user, run_name, base, shared=True)
        return _keep(run, found, header, data)


def _keep(run: TrainingRun, found: Found, header: LoraHeader, data: bytes) -> tuple[str, bool]:
    step = _final_step(run) if found.step is None else found.step
    taken = run.checkpoints.filter(step=step).first()
    if taken and found.step is None:
        return taken.name, False  # the final weights again, saved in another way than the last checkpoint
    if taken:
        raise LeftOut(f"{taken.name} is registered with other bytes; rename the run's folder to add it.")
    alpha = header.alpha or header.rank  # a file that does not say is loaded with scale 1
    checkpoint = keep_imported(run, step, data, rank=header.rank, alpha=alpha)
    return checkpoint.name, True


def _final_step(run: TrainingRun) -> int:
    """The last checkpoint's, or what a name like `lora_casual_shoes_3000steps_full` says; 0 is unknown."""
    last = run.checkpoints.order_by("-step").first()
    said = STEPS_IN_NAME.search(run.name)
    return max(last.step if last else 0, int(said[1]) if said else 0)


def _base_for(header: LoraHeader) -> BaseModel:
    for base in BaseModel.objects.order_by("created_at"):
        if base.family == header.family or _text_width(base) == header.cross_attention_dim:
            return base
    wanted = header.family or f"unknown (texts of width {header.cross_attention_dim})"
    raise LeftOut(
        f"is for {wanted} models, and there is no base model of that family yet:"
        " add one with `manage.py add_base_model`, then scan again."
    )


def _text_width(base: BaseModel) -> int:
    """How wide the text embeddings are that its UNet reads; the starter's is nobody else's. 0 is unknown."""
    try:
        width = json.loads((base.path / "unet" / "config.json").read_bytes())["cross_attention_dim"]
    except (OSError, ValueError, KeyError, TypeError):
        return 0
    return width if isinstance(width, int) else 0
