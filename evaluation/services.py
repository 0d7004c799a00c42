"""Asking for an evaluation. One door for page, API, command and court."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from django.db import transaction
from django.utils.translation import gettext as _

from evaluation.run_models import EvaluationRun, Subject, SuiteImage
from evaluation.suite import PROMPTS, SEEDS, Suite, sides_of, two_suites
from evaluation.targets import TARGETS
from shoesai import files
from shoesai.jobs import queue
from shoesai.models import User
from training.models import BaseModel, Checkpoint, TrainingRun

KIND: Final = "evaluate"
MOST_PICTURES: Final = 20_000
MOST_CHECKPOINTS: Final = 20


class EvaluationProblem(Exception):
    """`errors`: field → what is allowed."""

    def __init__(self, errors: dict[str, str]) -> None:
        super().__init__("; ".join(f"{name} {words}" for name, words in errors.items()))
        self.errors = errors


@dataclass(frozen=True)
class Settings:
    """How it is judged; the suite's numbers are 0 or None for the base model's own."""

    prompts: int = PROMPTS
    seeds: int = SEEDS
    num_inference_steps: int = 50
    guidance_scale: float | None = None
    targets: str = "prototype"
    second_suite: bool = False
    extractors: tuple[str, ...] = ("auto",)

    def problems(self) -> dict[str, str]:
        errors = {}
        if not 1 <= self.prompts <= 2000:
            errors["prompts"] = _("must be between 1 and 2000.")
        if not 1 <= self.seeds <= 100:
            errors["seeds"] = _("must be between 1 and 100.")
        if self.prompts * self.seeds > MOST_PICTURES:
            errors["seeds"] = _("makes more than %(most)d pictures of each model.") % {"most": MOST_PICTURES}
        if not 1 <= self.num_inference_steps <= 150:
            errors["num_inference_steps"] = _("must be between 1 and 150.")
        if self.targets not in TARGETS:
            errors["targets"] = _("must be one of: %(names)s.") % {"names": ", ".join(TARGETS)}
        return errors


@dataclass(frozen=True)
class Folders:
    """Pictures on this machine's disk, as the terminal names them."""

    generated: Path
    real: Path | None = None
    prompts: tuple[str, ...] = field(default_factory=tuple)


# --- of a run -----------------------------------------------------------------------------------------------
def evaluate_checkpoints(
    user: User, run: TrainingRun, checkpoints: Sequence[Checkpoint], settings: Settings | None = None,
    purpose: str = EvaluationRun.Purpose.COMPARISON, on_the_way: bool = False,
) -> EvaluationRun:  # fmt: skip
    """The bare base beside these checkpoints of one run, on a suite of its held-out captions.

    `on_the_way`: nobody has asked for it but the run's own settings (see `evaluation.on_the_way`).
    Raises EvaluationProblem and QuotaReached.
    """
    settings = settings or Settings()
    errors = settings.problems()
    if not checkpoints:
        errors["checkpoints"] = _("must name at least one checkpoint.")
    if len(checkpoints) > MOST_CHECKPOINTS:
        errors["checkpoints"] = _("must be at most %(most)d.") % {"most": MOST_CHECKPOINTS}
    if errors:
        raise EvaluationProblem(errors)
    suite = suite_of(run, settings)
    with transaction.atomic():
        evaluation = EvaluationRun.objects.create(
            owner=user,
            team=run.team,
            name=run.name,
            purpose=purpose,
            run=run,
            dataset_version=run.dataset_version,
            suite=suite.to_dict(),
            suite_sha256=suite.sha256,
            settings={
                "extractors": list(settings.extractors),
                "second_suite": settings.second_suite,
                "on_the_way": on_the_way,
            },
            targets=settings.targets,
        )
        _add_subjects(evaluation, run.base_model, checkpoints, suite)
        put_in_queue(user, evaluation)
    return evaluation


def suite_of(run: TrainingRun, settings: Settings) -> Suite:
    """Raises EvaluationProblem."""
    base = run.base_model
    guidance = base.guidance_scale if settings.guidance_scale is None else settings.guidance_scale
    try:
        first, second = two_suites(
            sides_of(run),
            base.resolution,
            guidance,
            prompts=settings.prompts,
            seeds=settings.seeds,
            num_inference_steps=settings.num_inference_steps,
        )
    except ValueError:
        words = _("%(run)s has no photos with captions here, so there is nothing to ask its checkpoints for.")
        raise EvaluationProblem({"run": words % {"run": run.name}}) from None
    return second if settings.second_suite else first


def _add_subjects(evaluation: EvaluationRun, base: BaseModel, checkpoints: Sequence[Checkpoint], suite: Suite) -> None:
    Subject.objects.create(
        evaluation=evaluation, position=0, kind=Subject.Kind.BASE, label=base.name, base_model=base,
        made_by=made_by(base, None, suite),
    )  # fmt: skip
    for position, checkpoint in enumerate(checkpoints, start=1):
        Subject.objects.create(
            evaluation=evaluation, position=position, kind=Subject.Kind.CHECKPOINT, label=checkpoint.name,
            checkpoint=checkpoint, base_model=base, made_by=made_by(base, checkpoint, suite),
        )  # fmt: skip


def made_by(base: BaseModel, checkpoint: Checkpoint | None, suite: Suite) -> str:
    """The same model on the same suite makes the same pictures: what was made once is not made again."""
    parts = (base.sha256 or str(base.pk), checkpoint.blob_id if checkpoint else "", suite.sha256)
    return hashlib.sha256("/".join(parts).encode()).hexdigest()


# --- of pictures that are there ---------------------------------------------------------------------------------
def evaluate_folder(user: User, folders: Folders, name: str, settings: Settings | None = None) -> EvaluationRun:
    """Raises EvaluationProblem and QuotaReached."""
    settings = settings or Settings()
    told = {
        "extractors": list(settings.extractors),
        "generated": str(folders.generated),
        "real": str(folders.real) if folders.real else "",
        "prompts": list(folders.prompts),
    }
    with transaction.atomic():
        evaluation = EvaluationRun.objects.create(
            owner=user, name=name[:160], purpose=EvaluationRun.Purpose.PICTURES, settings=told,
            targets=settings.targets,
        )  # fmt: skip
        Subject.objects.create(evaluation=evaluation, position=0, kind=Subject.Kind.FOLDER, label=name[:200])
        put_in_queue(user, evaluation)
    return evaluation


# --- its end --------------------------------------------------------------------------------------------------
@transaction.atomic
def forget(evaluation: EvaluationRun) -> None:
    """With its suite's pictures, where no other evaluation is about them."""
    evaluation.delete()
    forget_orphans()


def forget_orphans() -> None:
    """Pictures of suites that nobody compares any more: the run was deleted, or its evaluation."""
    orphans = SuiteImage.objects.exclude(made_by__in=Subject.objects.exclude(made_by="").values("made_by"))
    blobs = set(orphans.values_list("blob_id", flat=True))
    orphans.delete()
    for sha256 in blobs:
        files.discard(sha256)


def put_in_queue(user: User, evaluation: EvaluationRun) -> None:
    """Raises QuotaReached. Call it in the transaction that makes the evaluation."""
    evaluation.job = queue.enqueue(
        owner=user, team=evaluation.team, kind=KIND, spec={"evaluation": str(evaluation.pk), "name": evaluation.name}
    )
    evaluation.save(update_fields=["job"])
