"""Pictures of the gallery, judged as they are: which, and what they are held against.

Their ids are frozen when somebody asks. Whoever judges them, and whoever opens the report later, looks again at what
that person may see by then: a picture that was deleted or is shared no more is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from evaluation.run_models import EvaluationRun, ImageScore, Subject
from evaluation.services import MOST_PICTURES, EvaluationProblem, Settings, put_in_queue
from evaluation.suite import Sides, sides_in, sides_of
from generation.models import GeneratedImage, Generation, GenerationLora
from shoesai.models import Blob, User
from training.models import Dataset, DatasetVersion, TrainingRun

AT_ONCE: Final = 1_000  # ids in one query; SQLite takes no more than 32,766
NEED_PHOTOS: Final = ("fidelity", "copy_risk", "kid", "fid")
NO_PHOTOS: Final = "needs photos to hold the pictures against"


# --- asking -----------------------------------------------------------------------------------------------------
def evaluate_pictures(
    user: User, images: QuerySet[GeneratedImage], settings: Settings | None = None, *, name: str = "",
    version: DatasetVersion | None = None,
) -> EvaluationRun:  # fmt: skip
    """`images`: of what the user may see. Without a `version` they are held against the photos of `run_behind`.

    Raises EvaluationProblem and QuotaReached.
    """
    settings = settings or Settings()
    errors = settings.problems()
    keys = list(images.values_list("pk", flat=True)[: MOST_PICTURES + 1])
    if not keys:
        errors["images"] = _("must name at least one picture that you may see.")
    if len(keys) > MOST_PICTURES:
        errors["images"] = _("must be at most %(most)d; select fewer of them.") % {"most": MOST_PICTURES}
    if version is not None and not versions_for(user).filter(pk=version.pk).exists():
        errors["dataset"] = _("must be a frozen version of a dataset that you may see.")
    if errors:
        raise EvaluationProblem(errors)
    run = run_behind(user, images)
    if run is not None and version not in (None, run.dataset_version):
        run = None  # its split says nothing of other photos
    words = ngettext("%(number)d picture", "%(number)d pictures", len(keys)) % {"number": len(keys)}
    told = {
        "extractors": list(settings.extractors),
        "images": [str(key) for key in keys],
        "learned_by": str(run.pk) if run else "",
    }
    with transaction.atomic():
        evaluation = EvaluationRun.objects.create(
            owner=user, name=name.strip()[:160] or words, purpose=EvaluationRun.Purpose.PICTURES, settings=told,
            dataset_version=run.dataset_version if run else version, targets=settings.targets,
        )  # fmt: skip
        Subject.objects.create(evaluation=evaluation, position=0, kind=Subject.Kind.PICTURES, label=evaluation.name)
        put_in_queue(user, evaluation)
    return evaluation


def run_behind(user: User, images: QuerySet[GeneratedImage]) -> TrainingRun | None:
    """The one run whose checkpoints have made all of them, where the user may see the photos it learned from."""
    made_by = Generation.objects.filter(pk__in=images.order_by().values("generation"))
    used = GenerationLora.objects.filter(generation__in=made_by).order_by()
    runs = set(used.values_list("checkpoint__run", flat=True).distinct()[:2])
    if len(runs) != 1 or made_by.filter(loras__isnull=True).exists():
        return None
    run = TrainingRun.objects.select_related("dataset_version__dataset").get(pk=runs.pop())
    return run if run.dataset_version and _may_see(user, run.dataset_version) else None


def versions_for(user: User) -> QuerySet[DatasetVersion]:
    """Those to choose from, the newest first. A draft may change while it is looked at, so it is none."""
    seen = DatasetVersion.objects.frozen().filter(dataset__in=Dataset.objects.visible_to(user))
    return seen.select_related("dataset").order_by("-created_at", "pk")


def _may_see(user: User, version: DatasetVersion) -> bool:
    return Dataset.objects.visible_to(user).filter(pk=version.dataset_id).exists()


# --- judging ----------------------------------------------------------------------------------------------------
def still_there(evaluation: EvaluationRun) -> list[GeneratedImage]:
    """Of the frozen list, in its order, what its owner may see now; each with its generation."""
    frozen = [UUID(text) for text in evaluation.settings["images"]]
    seen = GeneratedImage.objects.visible_to(evaluation.owner).select_related("generation")
    found = {image.pk: image for keys in _portions(frozen) for image in seen.filter(pk__in=keys)}
    return [found[key] for key in frozen if key in found]


def sides_for(evaluation: EvaluationRun) -> Sides:
    """As its run has split them, else as the version says; all on both sides where it says nothing."""
    version = evaluation.dataset_version
    if version is None or not _may_see(evaluation.owner, version):
        return Sides([], [])
    learned_by = evaluation.settings.get("learned_by")
    if learned_by and (run := TrainingRun.objects.filter(pk=learned_by, dataset_version=version).first()):
        return sides_of(run)
    sides = sides_in(version)
    return sides if sides.unseen else Sides(sides.learned, sides.learned)


def notes_on(evaluation: EvaluationRun, judged: int, sides: Sides) -> list[str]:
    """What a reader must know, in English; `said` translates it."""
    notes = []
    if gone := len(evaluation.settings["images"]) - judged:
        notes.append(f"{gone} of the chosen pictures were left out: deleted meanwhile, or not shared any more")
    if not sides.learned and not sides.unseen:
        notes.append("there are no photos to hold the pictures against, so what needs photos is not measured")
    elif sides.unseen == sides.learned:
        notes.append("no photo of this dataset version is held out, so pictures may be near to photos learned from")
    return notes


def unmeasured(metrics: Sequence[dict[str, object]], judged: int, sides: Sides) -> list[dict[str, object]]:
    """A row with its reason for each metric that would have needed photos."""
    if sides.learned or sides.unseen:
        return []
    there = {row["name"] for row in metrics}
    return [{"name": name, "n": judged, "reason": NO_PHOTOS} for name in NEED_PHOTOS if name not in there]


def hold_on_to(rows: Sequence[ImageScore]) -> None:
    """Forgets what was deleted while it was judged, and keeps the rest from being deleted until the commit.

    Pictures before their files, as whoever deletes them does. Call it inside `claim.committing()`.
    """
    images = _locked(GeneratedImage.objects.all(), {row.image_id for row in rows if row.image_id})
    blobs = _locked(Blob.objects.all(), {key for row in rows for key in (row.blob_id, row.nearest_id) if key})
    for row in rows:
        row.image_id = row.image_id if row.image_id in images else None
        row.blob_id = row.blob_id if row.blob_id in blobs else None
        row.nearest_id = row.nearest_id if row.nearest_id in blobs else None


def _locked(rows: QuerySet[Any], keys: set[Any]) -> set[Any]:
    found = (rows.select_for_update().filter(pk__in=some).order_by("pk") for some in _portions(sorted(keys)))
    return {key for some in found for key in some.values_list("pk", flat=True)}


def _portions(keys: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for begin in range(0, len(keys), AT_ONCE):
        yield keys[begin : begin + AT_ONCE]


# --- looking at it later ------------------------------------------------------------------------------------------
def veil_pictures(evaluation: EvaluationRun, rows: Sequence[ImageScore]) -> None:
    """As `veil`, of those rows whose subject is pictures of the gallery."""
    if of_gallery := [row for row in rows if row.subject.kind == Subject.Kind.PICTURES]:
        veil(evaluation, of_gallery)


def veil(evaluation: EvaluationRun, rows: Iterable[ImageScore]) -> None:
    """A picture that its owner may not see any more keeps its numbers and shows nothing. Nothing is written."""
    of_gallery = ImageScore.objects.filter(subject__evaluation=evaluation, subject__kind=Subject.Kind.PICTURES)
    seen = set(
        GeneratedImage.objects.visible_to(evaluation.owner)
        .filter(pk__in=of_gallery.values("image"))
        .values_list("pk", flat=True)
    )
    for row in rows:
        if row.image_id not in seen:
            row.image_id, row.blob_id, row.prompt, row.file_name = None, None, "", ""
