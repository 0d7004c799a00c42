"""Two versions of a dataset beside each other: what came, what went, what is called otherwise, what changed sides."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from training.datasets.models import DatasetVersion, Photo


@dataclass(frozen=True)
class Change:
    before: Photo
    after: Photo


@dataclass(frozen=True)
class VersionComparison:
    """Photos are the same when their working copies are; of several copies the first goes with the first."""

    before: DatasetVersion
    after: DatasetVersion
    added: list[Photo]
    removed: list[Photo]
    recaptioned: list[Change]
    moved: list[Change]
    unchanged: int

    @property
    def is_same(self) -> bool:
        return not (self.added or self.removed or self.recaptioned or self.moved or self.licence_changed)

    @property
    def licence_changed(self) -> bool:
        return self.before.licence_note != self.after.licence_note


def compare_versions(before: DatasetVersion, after: DatasetVersion) -> VersionComparison:
    waiting: dict[str, list[Photo]] = defaultdict(list)
    for photo in before.photos.present().order_by("-position"):
        waiting[photo.blob_id].append(photo)
    added: list[Photo] = []
    pairs: list[Change] = []
    for photo in after.photos.present().order_by("position"):
        same = waiting[photo.blob_id]
        if same:
            pairs.append(Change(same.pop(), photo))
        else:
            added.append(photo)
    removed = sorted((photo for rest in waiting.values() for photo in rest), key=lambda photo: photo.position)
    recaptioned = [pair for pair in pairs if pair.before.caption != pair.after.caption]
    moved = [pair for pair in pairs if pair.before.held_out != pair.after.held_out]
    touched = {pair.after.pk for pair in (*recaptioned, *moved)}
    return VersionComparison(before, after, added, removed, recaptioned, moved, len(pairs) - len(touched))
