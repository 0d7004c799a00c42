"""Which photos of a version are held out: some of each kind of shoe, and never a relative of one that is learned from.

Relatives are copies, near-duplicates (the same photo saved twice would make the validation loss a memory test), and
variants with their parent. What a model made is never held out.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from django.utils.translation import gettext as _

from shoesai.models import User
from training.datasets.alike import groups_of_alike
from training.datasets.drafts import DraftProblem, edit
from training.datasets.measuring import looked_at, measure_missing, unmeasured
from training.datasets.models import DatasetVersion, DraftEdit, Photo

MOST: Final = 0.5
FEWEST: Final = 5  # photos: with fewer, none can be spared
MEASURED_AT_ONCE: Final = 60  # while somebody waits: two seconds
Stratum = tuple[str, str]
"""Type and colour as the caption says them."""


@dataclass(frozen=True)
class Share:
    """One stratum of a split."""

    stratum: Stratum
    learned: int
    held_out: int

    @property
    def total(self) -> int:
        return self.learned + self.held_out


def propose(version: DatasetVersion, fraction: float, seed: int) -> set[UUID]:
    """The photos to hold out: about `fraction` of each stratum's families; the same for the same photos and seed.

    Variants of what is held out are not in the result, because nothing is measured on them; `holdout.kin_of` keeps
    them from being learned from. Raises DraftProblem for a fraction that is none, and where many photos have not been
    looked at, so that nobody knows which are nearly the same.
    """
    if not 0 <= fraction <= MOST:
        raise DraftProblem(_("A part to hold out is between 0 and 50 %."))
    _look_at_the_rest(version)
    photos = list(version.photos.present().order_by("position"))
    families = families_of(version, photos)
    sparing = [family for family in families if not any(photo.depth for photo in family)]
    if not fraction or len(sparing) < FEWEST:
        return set()
    strata: dict[Stratum, list[list[Photo]]] = defaultdict(list)
    for family in sparing:
        strata[stratum_of(family[0])].append(family)
    chosen = _chosen(strata, fraction, seed)
    return {photo.pk for family in chosen for photo in family if photo.origin == Photo.Origin.IMPORTED}


def _look_at_the_rest(version: DatasetVersion) -> None:
    missing = unmeasured(version).count()
    if missing > MEASURED_AT_ONCE:
        words = _("%(count)d photos have not been looked at, so look-alikes are not known: check the photos first.")
        raise DraftProblem(words % {"count": missing})
    if missing:
        measure_missing(version, lambda done, total: None)


def _chosen(strata: dict[Stratum, list[list[Photo]]], fraction: float, seed: int) -> Iterator[list[Photo]]:
    """Rounding down everywhere would hold nothing out of small strata: what is over goes to those that lost most."""
    wanted = {key: fraction * len(families) for key, families in strata.items()}
    quota = {key: int(share) for key, share in wanted.items()}
    total = max(1, round(sum(wanted.values())))
    losses = sorted(strata, key=lambda key: (quota[key] - wanted[key], _rank(" ".join(key), seed)))
    for key in losses[: max(0, total - sum(quota.values()))]:
        quota[key] += 1
    for key, families in strata.items():
        families.sort(key=lambda family: _rank(min(photo.blob_id for photo in family), seed))
        yield from families[: quota[key]]


def _rank(text: str, seed: int) -> str:
    return hashlib.sha256(f"{seed}/{text}".encode()).hexdigest()


def stratum_of(photo: Photo) -> Stratum:
    return photo.said_type, photo.said_colour


# --- families -----------------------------------------------------------------------------------------------
def families_of(version: DatasetVersion, photos: Sequence[Photo]) -> list[list[Photo]]:
    """Photos that must be on one side, the first of each family first. What was never measured has no look-alikes."""
    root: dict[str, str] = {}

    def find(blob: str) -> str:
        while root.setdefault(blob, blob) != blob:
            root[blob] = root[root[blob]]
            blob = root[blob]
        return blob

    for photo in photos:
        if photo.parent_id:
            root[find(photo.blob_id)] = find(photo.parent_id)
    for group in _look_alikes(version, photos):
        for blob in group[1:]:
            root[find(blob)] = find(group[0])
    families: dict[str, list[Photo]] = defaultdict(list)
    for photo in photos:
        families[find(photo.blob_id)].append(photo)
    return list(families.values())


def _look_alikes(version: DatasetVersion, photos: Iterable[Photo]) -> Iterator[list[str]]:
    own = {photo.blob_id for photo in photos if photo.origin != Photo.Origin.AUGMENTED}
    known = [(blob, looked) for blob, looked in looked_at(version) if blob in own]
    groups = groups_of_alike([looked.phash for _blob, looked in known], [looked.small_copy for _blob, looked in known])
    for group in groups:
        yield [known[place][0] for place in group]


# --- applying -----------------------------------------------------------------------------------------------
def apply(draft: DatasetVersion, user: User, held_out: set[UUID]) -> DraftEdit | None:
    """One step that sets the whole split: these are held out, everything else is learned from.

    Raises DraftProblem where that leaves nothing to learn from, or holds out what a model made.
    """
    photos = list(draft.photos.present().only("pk", "held_out", "depth"))
    if held_out and len(held_out.intersection(photo.pk for photo in photos)) == len(photos):
        raise DraftProblem(_("Every photo is held out, so there is nothing to learn from."))
    if any(photo.depth for photo in photos if photo.pk in held_out):
        raise DraftProblem(_("Generated pictures are held out; only photos can be measured on."))
    return edit(draft, user, "split", {photo.pk: {"held_out": photo.pk in held_out} for photo in photos})


def shares(photos: Iterable[Photo], held_out: set[UUID]) -> list[Share]:
    """The strata, the largest first."""
    counts: dict[Stratum, list[int]] = defaultdict(lambda: [0, 0])
    for photo in photos:
        counts[stratum_of(photo)][photo.pk in held_out] += 1
    rows = [Share(stratum, learned, held) for stratum, (learned, held) in counts.items()]
    return sorted(rows, key=lambda row: (-row.total, row.stratum))

