"""A run from the terminal: finding it, following it, and writing down what came out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from shoesai import terminal
from shoesai.models import Job, User
from training.management.pipelines import write_final_pipeline
from training.models import TrainingRun
from training.outputs import write_outputs


def add_following_flags(parser: CommandParser) -> None:
    parser.add_argument("--output_dir", type=Path, help="Where checkpoints and pictures are written at the end.")
    parser.add_argument("--no-final-pipeline", action="store_true", help="Leave it out of --output_dir: it is large.")
    parser.add_argument("--no-follow", action="store_true", help="Queue it and return; writes no --output_dir.")


def run_of(user: User, name: str, flag: str = "RUN") -> TrainingRun:
    """The user's own run. Raises CommandError; one that the user may not see is as unknown as one that never was."""
    run = TrainingRun.objects.visible_to(user).filter(name=name).first()
    if run is None:
        raise CommandError(f"{flag}: there is no run named {name!r}.", returncode=terminal.NOT_FOUND)
    if run.owner_id != user.pk:
        raise CommandError(
            f"{flag}: {name} belongs to {run.owner}; only its owner resumes, pauses or cancels it.",
            returncode=terminal.USAGE,
        )
    return run


def make_folder(folder: Path | None) -> None:
    """Hours of training should not end at a folder that cannot be written."""
    try:
        if folder:
            folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CommandError(f"--output_dir: {folder}: {error.strerror}.", returncode=terminal.USAGE) from error


def follow_run(run: TrainingRun, options: dict[str, Any]) -> Job:
    """To the end, unless --no-follow; then writes --output_dir. Raises CommandError for every end but success."""
    job = run.newest_job()
    assert job
    if options["no_follow"]:
        return job
    try:
        terminal.finished(job, f"Training {run.name}", quiet=options["verbosity"] == 0)
    except CommandError as error:
        if error.returncode == terminal.STOPPED:
            terminal.say(f"What was learned is kept: manage.py resume_training {run.name}")
        raise
    if options["output_dir"]:
        write_outputs(run, options["output_dir"])
        if not options["no_final_pipeline"]:
            write_final_pipeline(run, options["output_dir"], quiet=options["verbosity"] == 0)
    return job


def described(run: TrainingRun, job: Job, output_dir: Path | None) -> dict[str, Any]:
    run.refresh_from_db()
    version = run.dataset_version
    return {
        "run": run.name,
        "state": run.state,
        "job": str(job.pk),
        "checkpoints": checkpoint_names(run),
        "base_model": run.base_model.name,
        "dataset": version.dataset.name if version else None,
        "dataset_version": version.number if version else None,
        "train_seconds": round(run.train_seconds, 2),
        "output_dir": str(output_dir) if output_dir else None,
        "spec": run.spec,
    }


def checkpoint_names(run: TrainingRun) -> list[str]:
    return [checkpoint.name for checkpoint in run.checkpoints.order_by("step")]
