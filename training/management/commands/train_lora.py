"""Trains a LoRA from the terminal: the flags of the script this product grew from, and the job queue."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import asdict, fields
from math import ceil
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from shoesai import terminal
from shoesai.engine.specs import SpecError, TrainSpec
from shoesai.jobs.queue import QueueFull
from shoesai.models import Job, User
from shoesai.terminal import DataCommand
from training.importers import DatasetProblems
from training.management.commands.import_dataset import import_folder, read_folder
from training.models import BaseModel, Dataset, DatasetVersion, TrainingRun
from training.outputs import write_outputs
from training.services import TrainingProblem, check_new_run, resume_training, start_training

# The hub's names for Stable Diffusion 1.5, old and new; the row itself is called sd15.
ALIASES = {
    "runwayml/stable-diffusion-v1-5": "sd15",
    "stable-diffusion-v1-5/stable-diffusion-v1-5": "sd15",
}
HELP: dict[str, str] = {
    "train_batch_size": "Photos per forward pass.",
    "gradient_accumulation_steps": "Batches per optimizer step.",
    "learning_rate": "Reached after the warm-up.",
    "max_train_steps": "Optimizer steps altogether.",
    "checkpointing_steps": "Keep a usable checkpoint every so many steps.",
    "validation_steps": "Draw the validation prompts every so many steps; 0 never.",
    "rank": "Rank of the LoRA matrices.",
    "lora_alpha": "Their scale is lora_alpha / rank.",
    "gradient_checkpointing": "Less memory, more time.",
    "max_grad_norm": "Longer gradients are cut to this length.",
    "adam_weight_decay": "AdamW's weight decay.",
    "caption_dropout": "Share of captions that are left empty.",
    "seed": "Of everything random in the training.",
}
# Every other field of the spec is a flag of its own name, so a new training option needs nothing here.
_NOT_PLAIN = {"version", "resolution", "validation_prompts", "validation_seeds", "lora_targets",
              "lr_warmup_steps"}  # fmt: skip
DEFAULTS = {each.name: each.default for each in fields(TrainSpec) if each.name not in _NOT_PLAIN}


class Command(DataCommand):
    help = (
        "Trains a LoRA on a folder of photos or an imported dataset. A worker does the work; this command"
        " follows it. Ctrl-C stops the training and keeps its state: --resume RUN goes on from there."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        _add_sources(parser)
        for name, default in DEFAULTS.items():
            kind: dict[str, Any] = {"type": type(default)}
            if isinstance(default, bool):
                kind = {"action": argparse.BooleanOptionalAction}
            parser.add_argument(f"--{name}", default=default, help=f"{HELP.get(name, '')} [{default}]", **kind)
        parser.add_argument("--lr_warmup_steps", type=int, help="Default: a sixth of the steps, at most 500.")
        parser.add_argument("--resolution", type=int, help="Default: the base model's own.")
        parser.add_argument("--validation_prompt", action="append", default=[], help="Can be repeated.")
        parser.add_argument("--no-follow", action="store_true", help="Queue it and return; writes no --output_dir.")
        parser.add_argument("--dry-run", action="store_true", help="Print the plan; import and train nothing.")
        super().add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        user = self.user(options)
        try:
            if options["resume"]:
                self._resume(user, options)
            else:
                self._start(user, options)
        except DatasetProblems as error:
            if options["json"]:
                self.print_json({"problems": [asdict(problem) for problem in error.problems]})
            raise CommandError(str(error), returncode=terminal.INVALID_DATA) from error
        except (TrainingProblem, SpecError) as error:
            raise CommandError(str(error), returncode=terminal.USAGE) from error
        except QueueFull as error:
            raise CommandError(str(error), returncode=terminal.TRY_LATER) from error

    def _start(self, user: User, options: dict[str, Any]) -> None:
        """Everything that can be wrong is said before photos are imported or anything is queued."""
        base = _base_model(options["pretrained_model_name_or_path"])
        spec = _spec(base, options)
        name = _run_name(options)
        check_new_run(name)
        if options["dry_run"]:
            self._print_plan(name, base, spec, _count_photos(user, options), options)
            return
        _prepare(options["output_dir"])
        version = _dataset_version(user, options)
        run = start_training(user=user, name=name, dataset_version=version, base_model=base, spec=spec)
        self._follow(run, options)

    def _resume(self, user: User, options: dict[str, Any]) -> None:
        run = TrainingRun.objects.filter(owner=user, name=options["resume"]).first()
        if run is None:
            text = f"--resume: {user.username} has no run named {options['resume']!r}."
            raise CommandError(text, returncode=terminal.NOT_FOUND)
        _prepare(options["output_dir"])
        resume_training(run)
        terminal.say(f"{run.name} goes on from step {run.resume_step} with the settings it was started with.")
        self._follow(run, options)

    def _follow(self, run: TrainingRun, options: dict[str, Any]) -> None:
        job = _newest_job(run)
        terminal.say(f"Run {run.name} is queued as job {job.pk}.")
        if not options["no_follow"]:
            try:
                terminal.finished(job, f"Training {run.name}", quiet=options["verbosity"] == 0)
            except CommandError as error:
                if error.returncode == terminal.STOPPED:
                    terminal.say(f"What was learned is kept: train_lora --resume {run.name} goes on.")
                raise
            if options["output_dir"]:
                write_outputs(run, options["output_dir"])
        run.refresh_from_db()
        self._print_result(run, job, options)

    def _print_result(self, run: TrainingRun, job: Job, options: dict[str, Any]) -> None:
        names = [checkpoint.name for checkpoint in run.checkpoints.order_by("step")]
        if not options["json"]:
            for name in names or [run.name]:
                self.stdout.write(name)
            return
        version = run.dataset_version
        self.print_json(
            {
                "run": run.name,
                "state": run.state,
                "job": str(job.pk),
                "checkpoints": names,
                "base_model": run.base_model.name,
                "dataset": version.dataset.name if version else None,
                "dataset_version": version.number if version else None,
                "train_seconds": round(run.train_seconds, 2),
                "output_dir": str(options["output_dir"]) if options["output_dir"] else None,
                "spec": run.spec,
            }
        )

    def _print_plan(self, name: str, base: BaseModel, spec: TrainSpec, photos: int, options: dict[str, Any]) -> None:
        seen = spec.max_train_steps * spec.train_batch_size * spec.gradient_accumulation_steps
        plan = {
            "run": name,
            "base_model": base.name,
            "photos": photos,
            "effective_batch_size": spec.train_batch_size * spec.gradient_accumulation_steps,
            "photos_seen": seen,
            "epochs": round(seen / photos, 2),
            "checkpoints": ceil(spec.max_train_steps / spec.checkpointing_steps),
            "output_dir": str(options["output_dir"]) if options["output_dir"] else None,
            "spec": spec.to_dict(),
        }
        if options["json"]:
            self.print_json(plan)
            return
        settings = plan.pop("spec")
        assert isinstance(settings, dict)
        for key, value in (plan | settings).items():
            self.stdout.write(f"{key:28} {value}")


def _add_sources(parser: CommandParser) -> None:
    parser.add_argument(
        "--pretrained_model_name_or_path", default="starter", help="A base model's name. Default: starter."
    )
    parser.add_argument("--dataset_path", type=Path, help="A folder to import and learn from.")
    parser.add_argument(
        "--dataset",
        help="A dataset that is imported already; with --dataset_path: the name to import it under.",
    )
    parser.add_argument("--output_dir", type=Path, help="Where checkpoints and pictures are written at the end.")
    parser.add_argument("--run_name", help="Default: the last part of --output_dir.")
    parser.add_argument("--resume", metavar="RUN", help="Go on with a run that was stopped or failed.")


def _base_model(name: str) -> BaseModel:
    base = BaseModel.objects.filter(name=ALIASES.get(name, name)).first()
    if base is None:
        known = ", ".join(BaseModel.objects.values_list("name", flat=True))
        wanted = f"{name!r} stands for the base model named 'sd15', which" if name in ALIASES else f"{name!r}"
        raise CommandError(
            f"--pretrained_model_name_or_path: {wanted} is not here; there are: {known}. Staff add base"
            " models in the admin (docs/TRAINING_GUIDE.md says how).",
            returncode=terminal.NOT_FOUND,
        )
    return base


def _spec(base: BaseModel, options: dict[str, Any]) -> TrainSpec:
    warmup = options["lr_warmup_steps"]
    return TrainSpec(
        lr_warmup_steps=min(500, options["max_train_steps"] // 6) if warmup is None else warmup,
        **{name: options[name] for name in DEFAULTS},
        resolution=options["resolution"] or base.resolution,
        validation_prompts=tuple(options["validation_prompt"]),
    )


def _run_name(options: dict[str, Any]) -> str:
    name = options["run_name"] or (options["output_dir"].resolve().name if options["output_dir"] else "")
    if not name:
        raise CommandError("Give --output_dir or --run_name: the run needs a name.", returncode=terminal.USAGE)
    return name


def dataset_name_of(folder: Path) -> str:
    """`data/casual_shoes/train` is casual_shoes: the layout calls every folder `train`."""
    parts = [part for part in folder.resolve().parts if part not in ("/", "train")]
    return parts[-1] if parts else "dataset"


def _dataset_version(user: User, options: dict[str, Any]) -> DatasetVersion:
    path = options["dataset_path"]
    if path:
        name = options["dataset"] or dataset_name_of(path)
        version = import_folder(user, path, name, quiet=options["verbosity"] == 0)
        terminal.say(f"Photos: {version} ({version.photo_count}).")
        return version
    return _imported(user, options["dataset"])


def _imported(user: User, name: str | None) -> DatasetVersion:
    if not name:
        raise CommandError("Give --dataset_path or --dataset to learn from.", returncode=terminal.USAGE)
    named = Dataset.objects.visible_to(user).filter(name=name)
    mine_first = sorted(named, key=lambda each: each.owner_id != user.pk)
    version = mine_first[0].latest() if mine_first else None
    if version is None:
        raise CommandError(f"--dataset: there is no dataset named {name!r}.", returncode=terminal.NOT_FOUND)
    return version


def _count_photos(user: User, options: dict[str, Any]) -> int:
    if options["dataset_path"]:
        return _count(read_folder(options["dataset_path"], quiet=options["verbosity"] == 0))
    return _imported(user, options["dataset"]).photo_count


def _count(things: Iterable[Any]) -> int:
    return sum(1 for _ in things)


def _prepare(folder: Path | None) -> None:
    """Hours of training should not end at a folder that cannot be written."""
    try:
        if folder:
            folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CommandError(f"--output_dir: {folder}: {error.strerror}.", returncode=terminal.USAGE) from error


def _newest_job(run: TrainingRun) -> Job:
    return run.jobs.order_by("-created_at")[0]
