"""The queue's side of an evaluation: pictures that are missing, then numbers for each subject, then what they mean.

Resumable: what was made and measured stays, and whoever takes the job over makes only the rest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from evaluation import gallery_pictures, on_the_way, scoring, sittings
from evaluation.picturing import PartOf, checks_of, make_pictures, missing_of
from evaluation.run_models import EvaluationRun, ImageScore, Subject, SuiteImage, Verdict
from evaluation.services import Settings, forget_orphans
from evaluation.suite import Sides, Suite, sides_of
from shoesai import files
from shoesai.engine.specs import EvaluateInputs, EvaluatePicture, EvaluateSpec
from shoesai.jobs.engine_child import Event
from shoesai.jobs.queue import Claim, JobFailed, QuotaReached
from shoesai.jobs.runner import Handlers, advance, drive_engine, may_go_on
from training.work import of_claim

PICTURE_ENDINGS: Final = frozenset((".png", ".jpg", ".jpeg", ".webp"))
CHECKED_PER_BEAT: Final = 50
TAKEN_FROM_PICTURE: Final = ("clip_score", "similarity")  # of what the engine tells


@dataclass(frozen=True)
class Looked:
    """A picture that is judged, and what is known of it already."""

    picture: EvaluatePicture
    blob: str | None = None
    image: UUID | None = None
    file_name: str = ""
    checks: list[str] = field(default_factory=list)
    is_checked: bool = False


@dataclass(frozen=True)
class Against:
    """What pictures are held against: photos never learned from, and photos that may have been copied."""

    reference: tuple[EvaluatePicture, ...] = ()
    learned: tuple[EvaluatePicture, ...] = ()

    @classmethod
    def of(cls, sides: Sides) -> Self:
        return cls(
            tuple(_picture(photo.blob_id, photo.blob_id) for photo in sides.unseen),
            tuple(_picture(photo.blob_id, photo.blob_id) for photo in sides.learned),
        )


def evaluate(claim: Claim) -> dict[str, Any]:
    evaluation = EvaluationRun.objects.select_related("run__dataset_version", "owner").filter(job=claim.job).first()
    if evaluation is None:
        raise JobFailed("no_evaluation", "The evaluation was deleted before it was done.")
    subjects = list(evaluation.subjects.select_related("checkpoint", "base_model"))
    with of_claim(claim) as folder:
        if evaluation.suite:
            _make_pictures(claim, subjects, Suite.from_dict(evaluation.suite), folder)
        against = _against(evaluation)
        for number, subject in enumerate(subjects):
            may_go_on(claim)
            advance(claim, number, len(subjects), message="Judging pictures")
            _score(claim, evaluation, subject, against)
    with claim.committing():
        EvaluationRun.objects.filter(pk=evaluation.pk).update(finished_at=timezone.now())
        verdict = sittings.conclude(evaluation)
        if verdict and evaluation.settings.get("on_the_way"):
            on_the_way.tell(evaluation, verdict)
        forget_orphans()
    if verdict:
        _go_on(claim, evaluation, verdict)
    return {"evaluation": str(evaluation.pk), "subjects": len(subjects)}


def _go_on(claim: Claim, evaluation: EvaluationRun, verdict: Verdict) -> None:
    """What a verdict leads to: while a run trains perhaps its end, afterwards a look that nobody has chosen on."""
    if verdict.run.is_live:
        on_the_way.settle(verdict)
    elif not verdict.second_look:
        with suppress(QuotaReached):  # then the report says that nobody has looked a second time
            sittings.request_second_look(claim.job.owner, verdict, _settings_of(evaluation))


def _settings_of(evaluation: EvaluationRun) -> Settings:
    suite = Suite.from_dict(evaluation.suite)
    return Settings(
        prompts=max(1, len(suite.prompts)),
        seeds=len(suite.seeds),
        num_inference_steps=suite.num_inference_steps,
        guidance_scale=suite.guidance_scale,
        targets=evaluation.targets,
    )


def _make_pictures(claim: Claim, subjects: Sequence[Subject], suite: Suite, folder: Path) -> None:
    missing = sum(len(units) for subject in subjects for units in missing_of(subject, suite).values())
    part_of = PartOf(missing)
    for subject in subjects:
        make_pictures(claim, subject, suite, folder, part_of)


# --- what is judged -----------------------------------------------------------------------------------------
def _pictures(evaluation: EvaluationRun, subject: Subject) -> list[Looked]:
    if subject.kind == Subject.Kind.FOLDER:
        return _of_folder(evaluation)
    if subject.kind == Subject.Kind.PICTURES:
        return _of_gallery(evaluation)
    rows = SuiteImage.objects.filter(made_by=subject.made_by).order_by("seq")
    return [
        Looked(_picture(str(row.seq), row.blob_id, row.prompt), row.blob_id, checks=row.checks, is_checked=True)
        for row in rows
    ]


def _of_folder(evaluation: EvaluationRun) -> list[Looked]:
    prompts = evaluation.settings["prompts"]
    names = files_in(Path(evaluation.settings["generated"]))
    return [
        Looked(EvaluatePicture(str(number), str(path), prompts[number] if number < len(prompts) else ""),
               file_name=path.name)
        for number, path in enumerate(names)
    ]  # fmt: skip


def _of_gallery(evaluation: EvaluationRun) -> list[Looked]:
    return [
        Looked(_picture(str(image.pk), image.blob_id, image.generation.prompt), image.blob_id, image.pk,
               image.file_name())
        for image in gallery_pictures.still_there(evaluation)
    ]  # fmt: skip


def files_in(folder: Path) -> list[Path]:
    """Pictures directly in it, by name."""
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURE_ENDINGS and path.is_file())


def _picture(key: str, blob: str, prompt: str = "") -> EvaluatePicture:
    return EvaluatePicture(key, str(files.path_of(blob)), prompt)


def _against(evaluation: EvaluationRun) -> Against:
    if evaluation.run is not None:
        return Against.of(sides_of(evaluation.run))
    if evaluation.dataset_version is not None:
        return Against.of(gallery_pictures.sides_for(evaluation))
    if real := evaluation.settings.get("real"):
        return Against(tuple(EvaluatePicture(path.name, str(path)) for path in files_in(Path(real))))
    return Against()


# --- measuring ----------------------------------------------------------------------------------------------
def _score(claim: Claim, evaluation: EvaluationRun, subject: Subject, against: Against) -> None:
    if subject.is_scored:
        return  # a worker before this one has done it
    looked = _pictures(evaluation, subject)
    if not looked:
        raise JobFailed("no_pictures", f"{subject.label}: there are no pictures to judge.")
    told: dict[str, Event] = {}
    handlers: Handlers = {"picture": lambda event: told.update({event["key"]: event})}
    done = drive_engine(claim, _spec(evaluation), _inputs(looked, against), handlers, operation="evaluate")
    images = list(_image_scores(claim, subject, looked, told))
    if subject.kind == Subject.Kind.PICTURES:
        _tell_of_photos(evaluation, done, len(looked))
    with claim.committing():
        if subject.kind == Subject.Kind.PICTURES:
            gallery_pictures.hold_on_to(images)
        scoring.keep(subject, done["metrics"], images)
        _keep_notes(evaluation, subject, done)
        Subject.objects.filter(pk=subject.pk).update(is_scored=True)


def _tell_of_photos(evaluation: EvaluationRun, done: Event, judged: int) -> None:
    sides = gallery_pictures.sides_for(evaluation)
    done["metrics"] += gallery_pictures.unmeasured(done["metrics"], judged, sides)
    done["problems"] += gallery_pictures.notes_on(evaluation, judged, sides)


def _spec(evaluation: EvaluationRun) -> EvaluateSpec:
    return EvaluateSpec(extractors=tuple(evaluation.settings.get("extractors", ("auto",))))


def _inputs(looked: Sequence[Looked], against: Against) -> EvaluateInputs:
    return EvaluateInputs(
        pictures=tuple(one.picture for one in looked),
        references=against.reference,
        training=against.learned,
        cache_dir=str(Path(settings.DATA_DIR) / "cache" / "features"),
        starter_clip=str(settings.CAPTION_CLIP),
        clip=settings.CLIP,
        clip_sha256=settings.CLIP_SHA256,
        inception=settings.INCEPTION,
        inception_sha256=settings.INCEPTION_SHA256,
    )


def _image_scores(
    claim: Claim, subject: Subject, looked: Sequence[Looked], told: dict[str, Event]
) -> Iterator[ImageScore]:
    """Checking thousands of pictures takes minutes, in which the job must not look lost."""
    for seq, one in enumerate(looked):
        if seq % CHECKED_PER_BEAT == CHECKED_PER_BEAT - 1:
            advance(claim, seq, len(looked), message="Judging pictures")
        yield _image_score(subject, seq, one, told.get(one.picture.key, {}))


def _image_score(subject: Subject, seq: int, one: Looked, told: Event) -> ImageScore:
    nearest = told.get("nearest", "")
    is_blob = len(nearest) == 64
    return ImageScore(
        subject=subject,
        seq=seq,
        blob_id=one.blob,
        image_id=one.image,
        file_name=one.file_name,
        prompt=one.picture.prompt,
        nearest_id=nearest if is_blob else None,
        nearest_name="" if is_blob else nearest,
        copied=told.get("copied", False),
        checks=one.checks if one.is_checked else _checks_of(one.picture),
        **{name: told.get(name) for name in TAKEN_FROM_PICTURE},
    )


def _checks_of(picture: EvaluatePicture) -> list[str]:
    """A file that cannot be read has been told by the engine."""
    try:
        return checks_of(Path(picture.path).read_bytes())
    except (OSError, ValueError, SyntaxError):
        return ["unreadable"]


def _keep_notes(evaluation: EvaluationRun, subject: Subject, done: Event) -> None:
    row = EvaluationRun.objects.select_for_update().get(pk=evaluation.pk)
    row.extractors = done["extractors"]
    several = row.subjects.count() > 1
    row.problems = [*row.problems, *(f"{subject.label}: {text}" if several else text for text in done["problems"])]
    row.save(update_fields=["extractors", "problems"])
