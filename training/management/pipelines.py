"""A checkpoint fused into its base, as a diffusers folder: asked for as a job, followed, and moved into place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from shoesai import terminal
from shoesai.engine.specs import PRECISIONS
from shoesai.jobs import queue
from shoesai.models import User
from training import work
from training.models import Checkpoint, TrainingRun
from training.work import MERGED_FROM

FINAL = "final_pipeline"


def add_precision_flag(parser: CommandParser) -> None:
    parser.add_argument("--precision", choices=PRECISIONS, default="fp16", help="Of the pipeline's weights. [fp16]")


def write_final_pipeline(
    run: TrainingRun, folder: Path, precision: str = "fp16", quiet: bool = False, user: User | None = None
) -> Path | None:
    """`folder/final_pipeline`, from the run's last checkpoint; replaces an older one. None where there is none yet.

    The job is the user's, by default the run's owner's. Raises CommandError, with its exit code.
    """
    last = run.checkpoints.select_related("run__base_model").order_by("-step").first()
    return write_pipeline(user or run.owner, last, folder / FINAL, precision, quiet) if last else None


def write_pipeline(
    user: User, checkpoint: Checkpoint, destination: Path, precision: str = "fp16", quiet: bool = False
) -> Path:
    """The whole folder or nothing. Replaces what was merged there before; anything else stays, and is an error."""
    refuse_to_replace(destination)
    try:
        job = queue.enqueue(
            owner=user,
            team=user.home_team(),
            kind="merge_lora",
            spec={"checkpoint": str(checkpoint.pk), "precision": precision},
        )
    except queue.QueueFull as error:
        raise CommandError(str(error), returncode=terminal.TRY_LATER) from error
    try:
        terminal.finished(job, f"Merging {checkpoint.name}", quiet=quiet)
        return work.take(job, destination)
    except OSError as error:
        raise CommandError(f"{destination}: {error.strerror}.", returncode=terminal.FAILED) from error
    finally:
        work.forget(job)


def refuse_to_replace(destination: Path) -> None:
    """Nobody's files are swept away, least of all a base model: only what a merge has written here before."""
    if not destination.exists() or (destination / MERGED_FROM).is_file():
        return
    if not destination.is_dir() or any(destination.iterdir()):
        raise CommandError(
            f"{destination}: is there already and was not merged by this command; choose another place.",
            returncode=terminal.USAGE,
        )


def described(checkpoint: Checkpoint, destination: Path, precision: str) -> dict[str, Any]:
    return {
        "checkpoint": checkpoint.name,
        "base_model": checkpoint.run.base_model.name,
        "precision": precision,
        "scale": checkpoint.lora_alpha / checkpoint.rank,
        "pipeline": str(destination),
    }
