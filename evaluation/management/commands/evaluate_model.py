"""A folder of pictures judged, or a checkpoint beside its bare base: the seed's report, and more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from evaluation.files_of_reports import as_json, as_png, as_text
from evaluation.reports import report_of
from evaluation.run_models import EvaluationRun
from evaluation.services import (
    EvaluationProblem,
    Folders,
    Settings,
    evaluate_checkpoints,
    evaluate_folder,
)
from evaluation.suite import PROMPTS, SEEDS
from evaluation.targets import TARGETS
from evaluation.tasks import files_in
from evaluation.text_report import LANGUAGES
from generation.management.flags import whole
from shoesai import terminal
from shoesai.engine.specs import EXTRACTORS
from shoesai.jobs.queue import QuotaReached
from shoesai.models import User
from shoesai.terminal import DataCommand
from training.models import Checkpoint

MOST_PROMPT_BYTES = 16 * 1024 * 1024


class Command(DataCommand):
    help = (
        "Judges a folder of generated pictures against real ones, or with --checkpoint a checkpoint beside its bare"
        " base on captions that it has never learned from."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--generated", type=Path, metavar="DIR", help="Generated pictures, judged by name order.")
        parser.add_argument("--real", type=Path, metavar="DIR", help="Photos that they are held against.")
        parser.add_argument("--prompts", type=Path, metavar="FILE", help="One a line, in the order of the pictures.")
        parser.add_argument("--checkpoint", metavar="RUN/checkpoint-N", help="Instead of a folder.")
        parser.add_argument("--num-prompts", type=whole, default=PROMPTS, help=f"Of a checkpoint. Default: {PROMPTS}.")
        parser.add_argument("--seeds", type=whole, default=SEEDS, help=f"Pictures of each prompt. Default: {SEEDS}.")
        parser.add_argument("--steps", type=whole, default=50, help="Of a checkpoint's pictures. Default: 50.")
        parser.add_argument("--output", type=Path, metavar="FILE", help="The report as text; .json makes it JSON.")
        parser.add_argument("--grid", type=Path, metavar="FILE.png", help="Pictures in frames by their score.")
        parser.add_argument("--lang", choices=list(LANGUAGES), default="pt", help="Of the text. Default: pt.")
        parser.add_argument("--targets", choices=list(TARGETS), default="prototype", help="Default: prototype.")
        parser.add_argument(
            "--extractor", choices=EXTRACTORS, action="append", metavar="NAME",
            help="auto, starter, clip or inception; may be repeated. Default: auto.",
        )  # fmt: skip
        super().add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        for name in ("output", "grid"):
            path = options[name]
            if path and not path.parent.is_dir():
                raise CommandError(f"--{name} {path}: there is no such folder.", returncode=terminal.USAGE)
        if bool(options["generated"]) == bool(options["checkpoint"]):
            raise CommandError("Say what is judged: --generated DIR or --checkpoint NAME.", returncode=terminal.USAGE)
        user = self.user(options)
        try:
            evaluation = self._asked(user, options)
        except EvaluationProblem as problem:
            raise CommandError(str(problem), returncode=terminal.USAGE) from problem
        except QuotaReached as problem:
            raise CommandError(str(problem), returncode=terminal.TRY_LATER) from problem
        assert evaluation.job
        terminal.finished(evaluation.job, f"Judging {evaluation.name}", quiet=options["verbosity"] == 0)
        evaluation.refresh_from_db()
        self._write(evaluation, options)

    # --- asking -------------------------------------------------------------------------------------------------
    def _asked(self, user: User, options: dict[str, Any]) -> EvaluationRun:
        settings = Settings(
            prompts=options["num_prompts"],
            seeds=options["seeds"],
            num_inference_steps=options["steps"],
            targets=options["targets"],
            extractors=tuple(options["extractor"] or ("auto",)),
        )
        if options["checkpoint"]:
            checkpoint = _checkpoint(user, options["checkpoint"])
            return evaluate_checkpoints(user, checkpoint.run, [checkpoint], settings)
        generated = _folder(options["generated"], "--generated")
        real = _folder(options["real"], "--real") if options["real"] else None
        prompts = _prompts(options["prompts"]) if options["prompts"] else ()
        return evaluate_folder(user, Folders(generated, real, prompts), generated.name or "pictures", settings)

    # --- telling ------------------------------------------------------------------------------------------------
    def _write(self, evaluation: EvaluationRun, options: dict[str, Any]) -> None:
        output, text = options["output"], as_text(evaluation, options["lang"])
        if output:
            output.write_bytes(as_json(evaluation) if output.suffix == ".json" else text)
            terminal.say(f"Report: {output}")
        if options["grid"]:
            options["grid"].write_bytes(as_png(evaluation))
            terminal.say(f"Grid: {options['grid']}")
        if options["json"]:
            self.print_json(report_of(evaluation))
        elif not output:
            self.stdout.write(text.decode())


def _checkpoint(user: User, name: str) -> Checkpoint:
    run, _, step = name.rpartition("/checkpoint-")
    found = Checkpoint.objects.visible_to(user).select_related("run__base_model", "run__dataset_version")
    checkpoint = found.filter(run__name=run, step=step).first() if step.isdecimal() and len(step) < 10 else None
    if checkpoint is None:
        raise CommandError(f"--checkpoint: there is no checkpoint named {name!r}.", returncode=terminal.NOT_FOUND)
    return checkpoint


def _folder(path: Path, flag: str) -> Path:
    if not path.is_dir():
        raise CommandError(f"{flag} {path}: there is no such folder.", returncode=terminal.NOT_FOUND)
    if not files_in(path):
        raise CommandError(
            f"{flag} {path}: there is no PNG, JPEG or WebP picture in it.", returncode=terminal.INVALID_DATA
        )
    return path.resolve()


def _prompts(path: Path) -> tuple[str, ...]:
    """One a line, empty lines left out; the same one may come often."""
    try:
        with path.open("rb") as file:
            text = file.read(MOST_PROMPT_BYTES).decode("utf-8-sig")
    except OSError as error:
        raise CommandError(f"--prompts {path}: {error.strerror}.", returncode=terminal.NOT_FOUND) from error
    except UnicodeDecodeError as error:
        raise CommandError(f"--prompts {path}: is not UTF-8 text.", returncode=terminal.INVALID_DATA) from error
    return tuple(line.strip() for line in text.splitlines() if line.strip())
