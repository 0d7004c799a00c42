"""Which photos a run never learns from, so that its validation loss says something."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from training.models import Photo


def held_out(photos: Sequence[Photo], fraction: float, seed: int) -> set[str]:
    """The blob hashes of the photos that are measured on and never learned from.

    A version that was split says so itself, whatever the fraction. Else about `fraction` of the photos, at least one
    where that leaves four to learn from: the lowest by hash, so that neither order nor names count, every run on these
    photos with this seed has the same ones, few change sides when photos are added, and copies of one picture never
    lie on both.
    """
    if said := {photo.blob_id for photo in photos if photo.held_out}:
        return said
    pictures = sorted({photo.blob_id for photo in photos}, key=lambda blob: _rank(blob, seed))
    if not fraction or len(pictures) < 5:
        return set()
    return set(pictures[: max(1, round(len(pictures) * fraction))])


def _rank(blob: str, seed: int) -> str:
    return hashlib.sha256(f"{seed}/{blob}".encode()).hexdigest()
