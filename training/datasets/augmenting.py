"""Variants of a draft's photos: what would be made, what is there already, and asking for it.

A variant is known by its parent and by what was asked for (`variant_key`), so a second request with the same settings
makes only what is missing, and a job that was killed goes on where it was.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import PurePath
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from shoesai import files
from shoesai.engine.specs import AugmentSpec, AugmentUnit
from shoesai.jobs import queue
from shoesai.models import Job, User
from shoesai.numbers import grouped
from training.datasets import caption_words
from training.datasets.drafts import DraftProblem, Source, add_photos, open_draft
from training.datasets.models import Dataset, DatasetVersion, Photo

KIND, PREVIEW = "augment_dataset", "preview_augmentation"
MOST_AT_ONCE = 50_000
PREVIEW_PHOTOS = 3
PREVIEW_VARIANTS = 6


class AugmentProblem(DraftProblem):
    """Why these photos cannot be varied like that, and what to do instead."""


# --- what would be made -----------------------------------------------------------------------------------------
@dataclass(frozen=True)
class AugmentPlan:
    """`photos` are varied; of `held_out` ones nobody learns, so they have no variants either.

    `sided` are photos whose captions name a side or a facing, by blob and word: mirrored, the caption would be untrue.
    """

    version: DatasetVersion
    spec: AugmentSpec
    photos: list[Photo]
    held_out: int
    sided: dict[str, str]
    missing: list[tuple[Photo, int]] = field(default_factory=list)

    @property
    def wanted(self) -> int:
        return len(self.photos) * self.spec.variants

    @property
    def there(self) -> int:
        return self.wanted - len(self.missing)

    def units(self) -> Iterator[AugmentUnit]:
        for photo, variant in self.missing:
            may_flip = photo.blob_id not in self.sided
            yield AugmentUnit(str(files.path_of(photo.blob_id)), photo.blob_id, variant, may_flip)

    @cached_property
    def share_after(self) -> float:
        """How much of what is learned from would be generated, 0 to 1: variants of a generated picture are too."""
        learned = self.version.photos.present().filter(held_out=False)
        generated = learned.filter(depth__gt=0).count() + sum(photo.depth > 0 for photo, _variant in self.missing)
        total = learned.count() + len(self.missing)
        return generated / total if total else 0.0

    @property
    def flip_note(self) -> str:
        """Why some photos are not mirrored; empty where all may be, or none was to be."""
        if not self.sided or not self.spec.flip or self.spec.recipe != "product":
            return ""
        words = ngettext(
            "%(count)d photo is not mirrored, because its caption names a side (%(words)s), which would be untrue of"
            " the mirrored one.",
            "%(count)d photos are not mirrored, because their captions name a side (%(words)s), which would be untrue"
            " of the mirrored ones.",
            len(self.sided),
        )
        return words % {"count": len(self.sided), "words": ", ".join(sorted(set(self.sided.values())))}

    def problems(self) -> list[str]:
        if not self.photos:
            return [_("There is no photo to vary: variants and held-out photos are not varied.")]
        if not self.missing:
            return [_("All of these variants are there already; take another seed or other settings for more.")]
        if len(self.missing) > MOST_AT_ONCE:
            words = _("variants: %(count)s would be made; at most %(most)s at once. Ask for fewer of each photo.")
            return [words % {"count": grouped(len(self.missing)), "most": grouped(MOST_AT_ONCE)}]
        cap = self.version.dataset.synthetic_cap
        if self.share_after > cap and any(photo.depth for photo, _variant in self.missing):
            words = _(
                "%(share)d %% would be generated or made from generated pictures; this dataset allows %(cap)d %%."
                " Take generated pictures out first, or raise its limit."
            )
            return [words % {"share": round(100 * self.share_after), "cap": round(100 * cap)}]
        return []


def plan_of(version: DatasetVersion, spec: AugmentSpec) -> AugmentPlan:
    """Of everything that is learned from, but for variants."""
    present = version.photos.present().order_by("position")
    photos = present.filter(held_out=False).exclude(origin=Photo.Origin.AUGMENTED)
    return plan_for(version, spec, photos, held_out=present.filter(held_out=True).count())


def plan_for(version: DatasetVersion, spec: AugmentSpec, photos: Iterable[Photo], held_out: int = 0) -> AugmentPlan:
    """Of these photos of the version."""
    parents = _one_of_each(photos)
    keys = {variant: variant_key(spec, variant) for variant in range(1, spec.variants + 1)}
    made = _variants_of(version)
    missing = [
        (photo, variant) for photo in parents for variant, key in keys.items() if (photo.blob_id, key) not in made
    ]
    return AugmentPlan(version, spec, parents, held_out, sides_of(parents), missing)


def _one_of_each(photos: Iterable[Photo]) -> list[Photo]:
    """Copies of one picture would have the same variants."""
    return list({photo.blob_id: photo for photo in photos}.values())


def sides_of(photos: Iterable[Photo]) -> dict[str, str]:
    """Blob → the word of its caption that tells a side."""
    read = ((photo.blob_id, caption_words.read(photo.caption).side) for photo in photos)
    return {blob: side for blob, side in read if side}


def _variants_of(version: DatasetVersion) -> set[tuple[str, str]]:
    """Also those that somebody took out: they are not wanted, so they are not made again."""
    rows = version.photos.filter(origin=Photo.Origin.AUGMENTED).values_list("parent_id", "recipe__key")
    return {(parent, key) for parent, key in rows if key}


def variant_key(spec: AugmentSpec, variant: int) -> str:
    """The same for everything that makes the same picture, whatever else was asked for with it."""
    if spec.recipe == "rotations":
        told: dict[str, Any] = {"angle": spec.angles[variant - 1], "output_size": spec.output_size}
    else:
        told = {key: value for key, value in spec.to_dict().items() if key not in ("variants", "angles")}
        told["variant"] = variant
    told |= {"recipe": spec.recipe, "version": spec.version}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:32]


# --- asking for it ----------------------------------------------------------------------------------------------
def request_augmentation(
    *, user: User, dataset: Dataset, spec: AugmentSpec, idempotency_key: str | None = None
) -> Job:
    """Queues the job that writes the variants into the dataset's draft, which is begun where there is none.

    Raises AugmentProblem, queue.QuotaReached and queue.KeyReused; nothing has changed then.
    """
    digest = hashlib.sha256(f"{dataset.pk}/{spec.to_json()}".encode()).hexdigest()
    with queue.accepting(user):
        earlier = queue.job_for_key(user, idempotency_key, digest)
        if earlier:
            return earlier
        draft = open_draft(dataset)
        if live_jobs(draft).exists():
            raise AugmentProblem(_("This draft's photos are being varied already; wait for that, or cancel it."))
        if problems := plan_of(draft, spec).problems():
            raise AugmentProblem(" ".join(problems))
        return queue.enqueue(
            owner=user,
            team=dataset.team,
            kind=KIND,
            spec={"dataset": str(dataset.pk), "draft": str(draft.pk), "augment": spec.to_dict()},
            idempotency_key=idempotency_key,
            request_digest=digest,
        )


def live_jobs(draft: DatasetVersion) -> Any:
    return Job.objects.filter(kind=KIND, state__in=Job.LIVE, spec__draft=str(draft.pk))


def request_preview(
    *, user: User, version: DatasetVersion, spec: AugmentSpec, photos: Sequence[Photo] = ()
) -> Job:
    """Queues a look at a few variants of a few photos; nothing is written to the dataset, and no draft is begun.

    Without `photos` some from all over the version. Raises AugmentProblem and queue.QuotaReached.
    """
    chosen = list(photos)[:PREVIEW_PHOTOS] or _spread(plan_of(version, spec).photos)
    if not chosen:
        raise AugmentProblem(_("There is no photo to vary: variants and held-out photos are not varied."))
    told = {"photos": [str(photo.pk) for photo in chosen], "augment": spec.to_dict()}
    return queue.enqueue(owner=user, team=version.dataset.team, kind=PREVIEW,
                         spec={"dataset": str(version.dataset_id), **told})  # fmt: skip


def _spread(photos: Sequence[Photo]) -> list[Photo]:
    count = min(PREVIEW_PHOTOS, len(photos))
    return [photos[len(photos) * number // count] for number in range(count)]


# --- keeping what came out --------------------------------------------------------------------------------------
@dataclass(frozen=True)
class MadeVariant:
    """One variant with its bytes stored."""

    parent: str
    variant: int
    blob_id: str
    width: int
    height: int
    drawn: Mapping[str, Any]


def keep_variants(draft: DatasetVersion, spec: AugmentSpec, made: Sequence[MadeVariant]) -> list[Photo]:
    """Into the draft, with their parents' captions as they are now. What was taken out or held out meanwhile has none.

    Call it inside `claim.committing()`. Raises DraftProblem for a draft that is none any more.
    """
    learned = draft.photos.present().filter(held_out=False, blob__in={one.parent for one in made})
    parents = {photo.blob_id: photo for photo in learned.exclude(origin=Photo.Origin.AUGMENTED).order_by("-position")}
    return add_photos(draft, [_source(parents[one.parent], spec, one) for one in made if one.parent in parents])


def _source(parent: Photo, spec: AugmentSpec, made: MadeVariant) -> Source:
    return Source(
        file_name=variant_name(parent.file_name, spec, made.variant),
        blob_id=made.blob_id,
        width=made.width,
        height=made.height,
        caption=parent.caption,
        origin=Photo.Origin.AUGMENTED,
        depth=parent.depth,
        parent_id=parent.blob_id,
        recipe={
            "recipe": spec.recipe,
            "seed": spec.seed,
            "variant": made.variant,
            "key": variant_key(spec, made.variant),
            "settings": spec.to_dict(),
            "drawn": dict(made.drawn),
        },
    )


def variant_name(parent: str, spec: AugmentSpec, variant: int) -> str:
    """As the seed calls them: `shoe_var1.png`, `shoe_rot+5.png`."""
    stem = PurePath(parent).stem[:200]
    if spec.recipe == "rotations":
        return f"{stem}_rot{spec.angles[variant - 1]:+g}.png"
    return f"{stem}_var{variant}.png"
