"""What `make_base_model` and `add_base_model` have in common: the plan, the job, and what is printed at the end."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from shoesai import terminal
from shoesai.engine.base_folder import BaseModelProblem
from shoesai.engine.specs import BASE_FAMILIES, SpecError
from shoesai.jobs.queue import QueueFull
from shoesai.models import Job, User
from shoesai.terminal import DataCommand
from training import base_models
from training.base_models import NewBase, Refused
from training.models import BaseModel


def add_common_flags(parser: CommandParser) -> None:
    parser.add_argument("--family", choices=BASE_FAMILIES, default="sd15", help="LoRAs fit their own family. [sd15]")
    parser.add_argument("--title", default="", help="What people read. Default: the name.")
    parser.add_argument("--dry-run", action="store_true", help="Say what would be done, and do nothing.")


def add_and_follow(command: DataCommand, user: User, new: NewBase, options: dict[str, Any]) -> None:
    """Adds the base model, or with --dry-run prints the plan. Raises CommandError with the exit code."""
    try:
        if options["dry_run"]:
            base_models.check_new_base(user, new)
            _print(command, base_models.describe(new), options)
            return
        job = base_models.add_base_model(user, new)
    except (Refused, SpecError) as error:
        raise CommandError(str(error), returncode=terminal.USAGE) from error
    except BaseModelProblem as error:
        raise CommandError(f"{error}.", returncode=terminal.INVALID_DATA) from error
    except QueueFull as error:
        raise CommandError(str(error), returncode=terminal.TRY_LATER) from error
    _follow(job, new, quiet=options["verbosity"] == 0)
    base = BaseModel.objects.get(name=new.name)
    job.refresh_from_db()
    terminal.say(f"{base.title} is here as {base.name}: train_lora --pretrained_model_name_or_path={base.name}")
    _print(command, _result(base, job), options)


def _follow(job: Job, new: NewBase, *, quiet: bool) -> None:
    try:
        terminal.finished(job, f"Base model {new.name}", quiet=quiet)
    except CommandError as error:
        job.refresh_from_db()
        if job.error_code == "bad_weights":
            raise CommandError(f"{job.error_text}.", returncode=terminal.INVALID_DATA) from error
        raise


def _result(base: BaseModel, job: Job) -> dict[str, Any]:
    return {
        "base_model": base.name,
        "title": base.title,
        "family": base.family,
        "source": base.source,
        "folder": base.location,
        "sha256": base.sha256,
        "parameters": job.result["parameters"],
        "bytes": job.result["bytes"],
        "resolution": base.resolution,
        "guidance_scale": base.guidance_scale,
    }


def _print(command: DataCommand, facts: dict[str, Any], options: dict[str, Any]) -> None:
    if options["json"]:
        command.print_json(facts)
    elif options["dry_run"]:
        for key, value in facts.items():
            command.stdout.write(f"{key:16} {value}")
    else:
        command.stdout.write(facts["base_model"])
