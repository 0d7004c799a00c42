"""Which photos a run never learns from, so that its validation loss says something."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from training.models import Photo


def held_out(photos: Sequence[Photo], fraction: float, seed: int) -> set[str]:
    """The blob hashes of the photos that are measured on and never learned from.

    A version that was split says so itself, whatever the fraction. Else about `fraction` of the photos that a camera
    took, at least one where that leaves four to learn from: the lowest by hash, so that neither order nor names count,
    every run on these photos with this seed has the same ones, few change sides when photos are added, and copies of
    one picture never lie on both.
    """
    if said := {photo.blob_id for photo in photos if photo.held_out}:
        return said
    taken = {photo.blob_id for photo in photos if not photo.depth and photo.origin != Photo.Origin.AUGMENTED}
    pictures = sorted(taken, key=lambda blob: _rank(blob, seed))
    if not fraction or len(pictures) < 5:
        return set()
    return set(pictures[: max(1, round(len(pictures) * fraction))])


def kin_of(photos: Sequence[Photo], unseen: set[str]) -> set[str]:
    """The blob hashes of what is neither learned from nor measured on: variants of what is held out, and its parents.

    A family is known by the picture that it began with, which need not be in the version any more.
    """
    parent = {photo.blob_id: photo.parent_id for photo in photos if photo.parent_id}

    def beginning(blob: str) -> str:
        seen = {blob}
        while (before := parent.get(blob)) and before not in seen:
            seen.add(before)
            blob = before
        return blob

    begun = {beginning(blob) for blob in unseen}
    return {photo.blob_id for photo in photos if beginning(photo.blob_id) in begun} - unseen


def _rank(blob: str, seed: int) -> str:
    return hashlib.sha256(f"{seed}/{blob}".encode()).hexdigest()
