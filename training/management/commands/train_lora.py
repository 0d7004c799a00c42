"""Trains a LoRA from the terminal: the flags of the script this product grew from, and the job queue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from django.core.management.base import CommandError, CommandParser

from shoesai import terminal
from shoesai.engine.specs import SpecError, TrainSpec
from shoesai.jobs.queue import QueueFull
from shoesai.models import User
from shoesai.terminal import DataCommand
from training.importers import DatasetProblems
from training.management.following import (
    add_following_flags,
    checkpoint_names,
    described,
    follow_run,
    make_folder,
    run_of,
)
from training.management.photo_source import add_source_flags, photos_of, version_of
from training.management.recipe_flags import add_base_flag, add_recipe_flags, base_of, spec_of
from training.models import BaseModel, Photo, TrainingRun
from training.parameters import UnreadableWeights, count_parameters
from training.plan import Plan, in_words, make_plan, plan_for, prompts_from
from training.services import TrainingProblem, check_new_run, resume_training, start_training


class Command(DataCommand):
    help = (
        "Trains a LoRA on a folder of photos or an imported dataset. A worker does the work and this command"
        " follows it; where no worker runs, it does the work itself. Ctrl-C stops the training and keeps its state:"
        " resume_training RUN goes on from there."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        add_base_flag(parser)
        add_source_flags(parser)
        parser.add_argument("--run_name", help="Default: the last part of --output_dir.")
        parser.add_argument("--resume", metavar="RUN", help="The same as resume_training RUN.")
        parser.add_argument("--notify", action="store_true", help="E-mail you when it has ended or failed.")
        parser.add_argument(
            "--court",
            choices=TrainingRun.Court.values,
            default=TrainingRun.Court.NEVER,
            help="judge: a worker evaluates each checkpoint on the way and pins the best; stop: and the training ends"
            " when it no longer improves.",
        )
        parser.add_argument("--dry-run", action="store_true", help="Print the plan; import and train nothing.")
        add_recipe_flags(parser)
        add_following_flags(parser)
        super().add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        user = self.user(options)
        try:
            if options["resume"]:
                run = self._resume(user, options)
            elif options["dry_run"]:
                self._print_plan(user, options)
                return
            else:
                run = self._start(user, options)
        except DatasetProblems as error:
            if options["json"]:
                self.print_json({"problems": [asdict(problem) for problem in error.problems]})
            raise CommandError(str(error), returncode=terminal.INVALID_DATA) from error
        except (TrainingProblem, SpecError) as error:
            raise CommandError(str(error), returncode=terminal.USAGE) from error
        except QueueFull as error:
            raise CommandError(str(error), returncode=terminal.TRY_LATER) from error
        self._follow(run, options)

    def _start(self, user: User, options: dict[str, Any]) -> TrainingRun:
        name, base, spec = _checked(options)
        make_folder(options["output_dir"])
        version = version_of(user, options)
        spec = _with_prompts(spec, list(version.photos.order_by("position")))
        plan = make_plan(version, base, spec)
        for warning in plan.warnings:
            terminal.say(f"Note: {warning}")
        if plan.problems:
            raise TrainingProblem("\n".join(plan.problems))
        run = start_training(
            user=user,
            name=name,
            dataset_version=version,
            base_model=base,
            spec=spec,
            notify=options["notify"],
            court=options["court"],
        )
        terminal.say(in_short(plan, spec))
        return run

    def _resume(self, user: User, options: dict[str, Any]) -> TrainingRun:
        run = run_of(user, options["resume"], "--resume")
        make_folder(options["output_dir"])
        resume_training(run)
        terminal.say(f"{run.name} goes on from step {run.resume_step} with the settings it was started with.")
        return run

    def _follow(self, run: TrainingRun, options: dict[str, Any]) -> None:
        terminal.say(f"Run {run.name} is queued.")
        job = follow_run(run, options)
        if options["json"]:
            self.print_json(described(run, job, options["output_dir"]))
        else:
            for name in checkpoint_names(run) or [run.name]:
                self.stdout.write(name)

    def _print_plan(self, user: User, options: dict[str, Any]) -> None:
        name, base, spec = _checked(options)
        photos = photos_of(user, options)
        spec = _with_prompts(spec, photos)
        plan = plan_for(photos, base, spec)
        known: dict[str, Any] = {
            "run": name,
            "base_model": base.name,
            **plan.to_dict(),
            "output_dir": str(options["output_dir"]) if options["output_dir"] else None,
        }
        if options["json"]:
            self.print_json(known | {"spec": spec.to_dict()})
            return
        for key, value in (known | spec.to_dict()).items():
            self.stdout.write(f"{key:28} {in_words(key, value)}")


def in_short(plan: Plan, spec: TrainSpec) -> str:
    words = (
        f"{plan.photos} photos ({plan.held_out} held out), {spec.max_train_steps} steps of {plan.effective_batch_size}"
        f" are {plan.epochs:g} epochs; up to {plan.checkpoints_kept} of {plan.checkpoints_written} checkpoints stay;"
        f" {plan.trainable_parameters:,} of {plan.total_parameters:,} parameters learn"
    )
    if plan.estimated_seconds is not None:
        words += f"; about {plan.estimated_seconds / 60:.0f} minutes, as measured"
    return f"{words}."


def _checked(options: dict[str, Any]) -> tuple[str, BaseModel, TrainSpec]:
    """Everything that can be wrong is said before photos are imported or anything is queued."""
    base = base_of(options)
    spec = spec_of(options, base)
    name = options["run_name"] or (options["output_dir"].resolve().name if options["output_dir"] else "")
    if not name:
        raise CommandError("Give --output_dir or --run_name: the run needs a name.", returncode=terminal.USAGE)
    check_new_run(name)
    try:
        count_parameters(base, rank=spec.rank, targets=spec.lora_targets)
    except UnreadableWeights as error:
        raise TrainingProblem(f"--pretrained_model_name_or_path: {error}") from error
    return name, base, spec


def _with_prompts(spec: TrainSpec, photos: Sequence[Photo]) -> TrainSpec:
    if spec.validation_prompts or not spec.validation_steps:
        return spec
    return replace(spec, validation_prompts=prompts_from(photos, spec))
