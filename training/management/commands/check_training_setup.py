"""Tries a recipe before hours are spent on it: counts what learns, measures a step, and says what stands in its way."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from shoesai import terminal
from shoesai.engine.specs import SpecError, TrainSpec
from shoesai.jobs.queue import QueueFull
from shoesai.models import User
from shoesai.terminal import DataCommand
from training.importers import DatasetProblems
from training.management.photo_source import add_source_flags, photos_of
from training.management.recipe_flags import add_base_flag, add_recipe_flags, base_of, spec_of
from training.measuring import MEASURED, measurement_of, request_measurement
from training.models import BaseModel, Photo
from training.plan import NO_PHOTOS, Plan, in_words, memory_problem, plan_for


class Command(DataCommand):
    help = (
        "Checks a recipe on a base model: trainable parameters, seconds a step and memory (measured on the device that"
        " trains), disk, dataset. Exit code 0 when nothing stands in its way, 1 when something does."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        add_base_flag(parser)
        add_source_flags(parser)
        add_recipe_flags(parser)
        super().add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        user = self.user(options)
        base = base_of(options)
        try:
            spec = spec_of(options, base)
        except SpecError as error:
            raise CommandError(str(error), returncode=terminal.USAGE) from error
        problems: list[str] = []
        photos = _photos(user, options, problems)
        plan = plan_for(photos, base, spec)
        problems += [text for text in plan.problems if photos or text != NO_PHOTOS]
        figures = _counted(plan) | self._measured(user, base, spec, problems, options)
        problems += memory_problem(figures)
        self._print(figures, problems, plan, options)

    def _measured(
        self, user: User, base: BaseModel, spec: TrainSpec, problems: list[str], options: dict[str, Any]
    ) -> dict[str, Any]:
        """What the engine says; nothing, and the reason among the problems, when it cannot."""
        try:
            job = request_measurement(user, base, spec)
            job = terminal.finished(job, "Measuring", quiet=options["verbosity"] == 0)
        except QueueFull as error:
            raise CommandError(str(error), returncode=terminal.TRY_LATER) from error
        except CommandError as error:
            if error.returncode != terminal.FAILED:
                raise
            problems.append(str(error))
            return {}
        return measurement_of(job, spec)

    def _print(self, figures: dict[str, Any], problems: list[str], plan: Plan, options: dict[str, Any]) -> None:
        told = {
            **figures,
            "problems": problems,
            "warnings": list(plan.warnings),
            "base_model": options["base"],
            "photos": plan.photos,
            "disk_bytes": plan.disk_bytes,
            "free_bytes": plan.free_bytes,
        }
        if options["json"]:
            self.print_json(told)
        else:
            for name in MEASURED:
                self.stdout.write(f"{name:28} {in_words(name, told[name])}")
            for text in (*problems, *plan.warnings):
                self.stdout.write(f"{'✗' if text in problems else '–'} {text}")
        if problems:
            raise CommandError("Something stands in its way; see above.", returncode=terminal.FAILED)


def _photos(user: User, options: dict[str, Any], problems: list[str]) -> list[Photo]:
    if not (options["dataset"] or options["dataset_path"]):
        return []
    try:
        photos = photos_of(user, options)
    except (CommandError, DatasetProblems) as error:
        problems.append(str(error))
        return []
    if not photos:
        problems.append(str(NO_PHOTOS))
    return photos


def _counted(plan: Plan) -> dict[str, Any]:
    """Known without the engine; the rest stays None when it cannot measure."""
    counted = {"trainable_parameters": plan.trainable_parameters, "total_parameters": plan.total_parameters}
    return dict.fromkeys(MEASURED) | counted
