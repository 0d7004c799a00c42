"""The queue's side of varying photos: units from the draft, the engine's cpu child, variants into the draft."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from shoesai import files
from shoesai.engine.specs import AugmentInputs, AugmentSpec, AugmentUnit
from shoesai.jobs.engine_child import Event
from shoesai.jobs.queue import Cancelled, Claim, Drained, JobFailed, Lost
from shoesai.jobs.runner import Handlers, Part, drive_engine
from training.datasets.augmenting import PREVIEW_VARIANTS, AugmentPlan, MadeVariant, keep_variants, plan_of, sides_of
from training.datasets.drafts import DraftProblem
from training.datasets.models import DatasetVersion, Photo
from training.work import of_claim, writing

OPERATION = "augment"
DRAFT_IS_GONE = "The draft was frozen or discarded meanwhile; what was made before is kept."
KEPT_AT_ONCE = 200
KEPT_EVERY_SECONDS = 3.0
SKIPPED_TOLD = 200


class Keeper:
    """Collects what the engine makes and writes it into the draft some hundred at a time."""

    def __init__(self, claim: Claim, draft: DatasetVersion, spec: AugmentSpec) -> None:
        self._claim, self._draft, self._spec = claim, draft, spec
        self._waiting: list[MadeVariant] = []
        self._since = time.monotonic()
        self.kept = 0
        self.skipped: list[Event] = []

    def on_variant(self, event: Event) -> None:
        path = Path(event["path"])
        blob = files.publish(path.read_bytes(), "image/png")
        path.unlink()
        self._waiting.append(
            MadeVariant(
                event["sha256"], event["variant"], blob.pk, event["width"], event["height"], event["drawn"]
            )
        )
        if len(self._waiting) >= KEPT_AT_ONCE or time.monotonic() - self._since > KEPT_EVERY_SECONDS:
            self.flush()

    def on_skipped(self, event: Event) -> None:
        self.skipped.append(event)

    def flush(self) -> None:
        """Raises JobFailed where the draft is none any more."""
        waiting, self._waiting, self._since = self._waiting, [], time.monotonic()
        if not waiting:
            return
        try:
            with self._claim.committing():
                kept = keep_variants(self._draft, self._spec, waiting)
        except DraftProblem as error:
            raise JobFailed("no_draft", DRAFT_IS_GONE) from error
        self.kept += len(kept)


def make_variants(
    claim: Claim, draft: DatasetVersion, plan: AugmentPlan, output: Path, part: Part | None = None
) -> Keeper:
    """Has the plan's missing variants made and kept; what was made is kept however it ends."""
    keeper = Keeper(claim, draft, plan.spec)
    handlers: Handlers = {"variant": keeper.on_variant, "skipped": keeper.on_skipped}
    inputs = AugmentInputs(tuple(plan.units()), str(output))
    try:
        drive_engine(claim, plan.spec, inputs, handlers, operation=OPERATION, part=part)
    except (Cancelled, Drained, Lost):
        keeper.flush()
        raise
    keeper.flush()
    return keeper


def draft_of(claim: Claim) -> DatasetVersion:
    draft = DatasetVersion.objects.drafts().select_related("dataset").filter(pk=claim.job.spec["draft"]).first()
    if draft is None:
        raise JobFailed("no_draft", "The draft was frozen or discarded before its photos could be varied.")
    return draft


def augment_dataset(claim: Claim) -> dict[str, Any]:
    """Makes the variants that are still missing; a restart never makes one twice."""
    draft = draft_of(claim)
    plan = plan_of(draft, AugmentSpec.from_dict(claim.job.spec["augment"]))
    skipped: list[dict[str, Any]] = []
    if plan.missing:
        with of_claim(claim) as folder:
            part = Part(plan.there, len(plan.missing), plan.wanted)
            keeper = make_variants(claim, draft, plan, folder, part)
        skipped = _by_photo(plan, keeper.skipped)
    draft.refresh_from_db()
    return {
        "photos": len(plan.photos),
        "variants": plan_of(draft, plan.spec).there,
        "skipped": skipped,
        "not_flipped": len(plan.sided) if plan.flip_note else 0,
        "held_out": plan.held_out,
        "total": draft.photo_count,
    }


def _by_photo(plan: AugmentPlan, skipped: list[Event]) -> list[dict[str, Any]]:
    names = {photo.blob_id: photo.file_name for photo in plan.photos}
    reasons = {event["sha256"]: event["reason"] for event in skipped}
    told = [{"file": names[sha256], "problem": reason} for sha256, reason in reasons.items()]
    return told[:SKIPPED_TOLD]


def preview_augmentation(claim: Claim) -> dict[str, Any]:
    """A few variants as PNG files in the job's folder; whoever asked looks at them or takes them away."""
    spec = AugmentSpec.from_dict(claim.job.spec["augment"])
    photos = list(Photo.objects.filter(pk__in=claim.job.spec["photos"]).order_by("position"))
    if not photos:
        raise JobFailed("no_photo", "The photos were deleted before they could be varied.")
    sided = sides_of(photos)
    units = tuple(
        AugmentUnit(str(files.path_of(photo.blob_id)), photo.blob_id, variant, photo.blob_id not in sided)
        for photo in photos
        for variant in range(1, min(spec.variants, PREVIEW_VARIANTS) + 1)
    )
    told: list[dict[str, Any]] = []
    skipped: dict[str, str] = {}
    pk_of = {photo.blob_id: str(photo.pk) for photo in photos}

    def on_variant(event: Event) -> None:
        told.append({"photo": pk_of[event["sha256"]], "variant": event["variant"], "drawn": event["drawn"],
                     "file": Path(event["path"]).name})  # fmt: skip

    def on_skipped(event: Event) -> None:
        skipped[pk_of[event["sha256"]]] = event["reason"]

    with writing(claim.job) as folder:
        handlers: Handlers = {"variant": on_variant, "skipped": on_skipped}
        drive_engine(claim, spec, AugmentInputs(units, str(folder)), handlers, operation=OPERATION)
    return {"photos": [str(photo.pk) for photo in photos], "variants": told, "skipped": skipped}
