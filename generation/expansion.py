"""Expanding a dataset with generated pictures: asking for it, what fits, and what has come of it."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from math import floor
from typing import Any

from django.db.models import Max
from django.utils.translation import gettext as _

from generation.limits import Limit
from generation.models import Expansion, ExpansionTry
from generation.services import GenerationRequest, InvalidRequest, check_numbers, resolve_models
from shoesai.engine.specs import MAX_SEED, AugmentSpec
from shoesai.jobs import queue
from shoesai.models import Job, User
from shoesai.numbers import grouped
from training.datasets.augmenting import variant_key
from training.datasets.drafts import open_draft
from training.models import Checkpoint, Dataset, DatasetVersion, Photo

KIND = "expand_dataset"
MOST_TRIES = 3  # of one picture, each with another seed
IMAGES_PER_PROMPT = Limit(1, 100)
AUGMENTATIONS_PER_IMAGE = Limit(0, 20)
MOST_IMAGES = 20_000


@dataclass(frozen=True)
class ExpansionRequest:
    """`pictures` says how each is made; its prompt and number of images are not looked at."""

    dataset: Dataset
    prompts: Sequence[str]
    images_per_prompt: int = 4
    augmentations_per_image: int = 5
    pictures: GenerationRequest = GenerationRequest(prompt="")  # noqa: RUF009 -- frozen

    @property
    def generated(self) -> int:
        return len(self.prompts) * self.images_per_prompt

    @property
    def total(self) -> int:
        return self.generated * (1 + self.augmentations_per_image)

    def digest(self) -> str:
        told = {
            "dataset": str(self.dataset.pk), "prompts": list(self.prompts), "images": self.images_per_prompt,
            "augmentations": self.augmentations_per_image, "pictures": asdict(self.pictures),
        }  # fmt: skip
        return hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()


# --- what fits --------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Room:
    """How much of what a version's training learns from is generated, and how many more such pictures it bears."""

    learned: int
    synthetic: int
    cap: float

    @classmethod
    def in_version(cls, version: DatasetVersion | None, dataset: Dataset) -> Room:
        if version is None:
            return cls(0, 0, dataset.synthetic_cap)
        learned = version.photos.present().filter(held_out=False)
        return cls(learned.count(), learned.filter(depth__gt=0).count(), dataset.synthetic_cap)

    def share_with(self, more: int) -> float:
        total = self.learned + more
        return (self.synthetic + more) / total if total else 0.0

    @property
    def most(self) -> int:
        """Generated pictures and their variants that still fit."""
        if self.cap >= 1:
            return MOST_IMAGES
        return min(MOST_IMAGES, max(0, floor((self.cap * self.learned - self.synthetic) / (1 - self.cap) + 1e-9)))

    def refusal(self, request: ExpansionRequest) -> str:
        """Empty where it fits; else with the number that would."""
        if request.total <= self.most:
            return ""
        each = 1 + request.augmentations_per_image
        words = _(
            "%(total)s new pictures would make %(share)d %% of this dataset generated; it allows %(cap)d %%. At most"
            " %(fit)s generated pictures with %(each)d variants each fit; ask for fewer, or bring more photos."
        )
        return words % {
            "total": grouped(request.total), "share": round(100 * self.share_with(request.total)),
            "cap": round(100 * self.cap), "fit": grouped(self.most // each), "each": each - 1,
        }  # fmt: skip


# --- asking -----------------------------------------------------------------------------------------------------
def request_expansion(
    *, user: User, request: ExpansionRequest, idempotency_key: str | None = None
) -> Expansion:
    """Checks all of it, then queues one job that writes into the dataset's draft; the draft is begun if need be.

    Raises InvalidRequest (names each field), queue.QuotaReached and queue.KeyReused; nothing has changed then.
    """
    digest = request.digest()
    with queue.accepting(user):
        earlier = queue.job_for_key(user, idempotency_key, digest)
        if earlier:
            return earlier.expansion
        errors = check_expansion(request)
        model, loras = resolve_models(user, request.pictures, errors)
        draft = open_draft(request.dataset)
        if not errors and (refusal := Room.in_version(draft, request.dataset).refusal(request)):
            errors["images_per_prompt"] = refusal
        if live_expansions(request.dataset).exists():
            errors["dataset"] = _("is being expanded already; wait for that, or cancel it.")
        if errors or model is None:
            raise InvalidRequest(errors)
        pictures = request.pictures
        seed = secrets.randbelow(2**32) if pictures.seed is None else pictures.seed
        base = model.base
        return Expansion.objects.create(
            owner=user,
            team=request.dataset.team,
            dataset=request.dataset,
            draft=draft,
            job=queue.enqueue(
                owner=user,
                team=request.dataset.team,
                kind=KIND,
                spec={"dataset": str(request.dataset.pk), "draft": str(draft.pk)},
                idempotency_key=idempotency_key,
                request_digest=digest,
            ),
            base_model=base,
            model_name=model.name,
            loras=[_told(checkpoint, weight) for checkpoint, weight in loras],
            depth=1 + depth_of([checkpoint for checkpoint, _weight in loras]),
            prompts=list(request.prompts),
            images_per_prompt=request.images_per_prompt,
            augmentations_per_image=request.augmentations_per_image,
            settings={
                "negative_prompt": pictures.negative_prompt.strip(),
                "num_inference_steps": pictures.num_inference_steps,
                "guidance_scale": base.guidance_scale if pictures.guidance_scale is None else pictures.guidance_scale,
                "width": pictures.width or base.resolution,
                "height": pictures.height or base.resolution,
                "scheduler": pictures.scheduler,
            },
            augment=AugmentSpec(variants=max(1, request.augmentations_per_image), seed=seed).to_dict(),
            seed=seed,
        )


def check_expansion(request: ExpansionRequest) -> dict[str, str]:
    """Everything that can be said without the database; field → what is allowed."""
    errors: dict[str, str] = {}
    if not request.prompts:
        errors["prompts"] = _("must hold at least one prompt.")
    for number, prompt in enumerate(request.prompts, start=1):
        wrong = check_numbers(replace(request.pictures, prompt=prompt, num_images=1))
        if problem := wrong.pop("prompt", ""):
            errors.setdefault("prompts", _("number %(number)d %(problem)s") % {"number": number, "problem": problem})
        errors = {**wrong, **errors}
    for name, limit in (
        ("images_per_prompt", IMAGES_PER_PROMPT), ("augmentations_per_image", AUGMENTATIONS_PER_IMAGE),
    ):  # fmt: skip
        if getattr(request, name) not in limit:
            errors[name] = limit.refusal()
    if not errors and request.total > MOST_IMAGES:
        words = _("would make %(total)s pictures; at most %(most)s at once.")
        errors["images_per_prompt"] = words % {"total": grouped(request.total), "most": grouped(MOST_IMAGES)}
    return errors


def live_expansions(dataset: Dataset) -> Any:
    return Expansion.objects.filter(dataset=dataset, job__state__in=Job.LIVE)


def _told(checkpoint: Checkpoint, weight: float) -> dict[str, Any]:
    return {"checkpoint": str(checkpoint.pk), "name": checkpoint.name, "sha256": checkpoint.blob_id, "weight": weight}


def depth_of(checkpoints: Sequence[Checkpoint]) -> int:
    """How far the models stand from a camera: the greatest depth of a picture that one of them learned from."""
    versions = [checkpoint.run.dataset_version_id for checkpoint in checkpoints if checkpoint.run.dataset_version_id]
    learned = Photo.objects.present().filter(version__in=versions, held_out=False)
    return learned.aggregate(depth=Max("depth"))["depth"] or 0


# --- units ------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class PictureUnit:
    """One picture to be made: its place among all of the expansion, and which try it is (from 0)."""

    seq: int
    attempt: int
    seed: int


def missing_units(expansion: Expansion, prompt: int) -> list[PictureUnit]:
    """Of the prompt with this number: pictures that no try has brought yet and that may be tried again."""
    first = prompt * expansion.images_per_prompt
    last = first + expansion.images_per_prompt
    tries: dict[int, list[bool]] = {seq: [] for seq in range(first, last)}
    rows = expansion.tries.filter(seq__gte=first, seq__lt=last)
    for seq, accepted in rows.values_list("seq", "accepted"):
        tries[seq].append(accepted)
    return [
        PictureUnit(seq, len(results), seed_of(expansion, seq, len(results)))
        for seq, results in tries.items()
        if not any(results) and len(results) < MOST_TRIES
    ]


def seed_of(expansion: Expansion, seq: int, attempt: int) -> int:
    """Another for each picture and try, and the same when it is made again."""
    return (int(expansion.seed) + attempt * expansion.units + seq) % (MAX_SEED + 1)


# --- what has come of it ----------------------------------------------------------------------------------------
def pictures_of(expansion: Expansion) -> Any:
    """The generated photos of its draft, or of the version that was made of it."""
    rows = Photo.objects.filter(version=expansion.draft_id, origin=Photo.Origin.GENERATED)
    return rows.filter(recipe__expansion=str(expansion.pk)).order_by("position")


def augment_spec(expansion: Expansion) -> AugmentSpec | None:
    """None where no variants were asked for."""
    return AugmentSpec.from_dict(expansion.augment) if expansion.augmentations_per_image else None


def variants_of(expansion: Expansion, parents: Sequence[str]) -> Any:
    spec = augment_spec(expansion)
    keys = [variant_key(spec, number) for number in range(1, spec.variants + 1)] if spec else []
    rows = Photo.objects.filter(version=expansion.draft_id, origin=Photo.Origin.AUGMENTED, parent__in=parents)
    return rows.filter(recipe__key__in=keys)


def statistics(expansion: Expansion) -> dict[str, Any]:
    """In the seed's words, and what was refused: by reason (a picture may have several), and never made up for."""
    tries = list(expansion.tries.values_list("seq", "accepted", "reasons", "sha256"))
    taken = [sha256 for _seq, accepted, _reasons, sha256 in tries if accepted]
    done = {seq for seq, accepted, *_rest in tries if accepted}
    counted = Counter(seq for seq, *_rest in tries)
    augmented = variants_of(expansion, taken).count() if taken else 0
    return {
        "total_prompts": len(expansion.prompts),
        "images_generated": len(taken),
        "images_augmented": augmented,
        "total_images": len(taken) + augmented,
        "images_rejected": sum(not accepted for _seq, accepted, *_rest in tries),
        "rejected": dict(Counter(reason for *_rest, reasons, _sha in tries for reason in reasons)),
        "images_missing": sum(count >= MOST_TRIES and seq not in done for seq, count in counted.items()),
        "depth": expansion.depth,
    }


def rejected_of(expansion: Expansion) -> Any:
    return ExpansionTry.objects.filter(expansion=expansion, accepted=False)
