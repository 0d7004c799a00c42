"""One report on a version: what is wrong with its photos, with their captions, and with the whole."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.db import transaction
from django.utils import timezone

from training import tokens
from training.datasets import caption_words, coverage
from training.datasets.alike import groups_of_alike
from training.datasets.judging import caption_faults, photo_faults
from training.datasets.measuring import Looked, Progress, looked_at, measure_missing
from training.datasets.models import AcceptedFinding, DatasetVersion, Finding, Photo
from training.models import BaseModel

CAPTION_KINDS: Final = frozenset(("caption_missing", "caption_too_long", "caption_contradicts"))
FIELDS: Final = ("pk", "file_name", "blob_id", "parent_id", "origin", "caption", "width", "height", "position")
TooLong = Callable[[str], str | None]


@dataclass(frozen=True)
class Seen:
    """A photo with what is known of its picture."""

    photo: Photo
    looked: Looked


def check(version: DatasetVersion, progress: Progress) -> list[Finding]:
    """Measures what is not measured yet, and replaces the version's findings. Frozen versions can be checked, too.

    What somebody has accepted for a picture is found again and stays accepted.
    """
    measure_missing(version, progress)
    _read_again(version)
    seen = _seen(version)
    findings = [*_of_photos(seen), *_duplicates(seen), *_near_duplicates(seen), *_of_the_whole(seen)]
    return _keep(version, findings)


def _read_again(version: DatasetVersion) -> None:
    """What photos keep of their captions, where the vocabulary has learned words since they were written."""
    photos = version.photos.present().only("caption", *caption_words.SAID)
    stale = []
    for photo in photos:
        said = caption_words.said(photo.caption)
        if any(getattr(photo, name) != value for name, value in said.items()):
            for name, value in said.items():
                setattr(photo, name, value)
            stale.append(photo)
    Photo.objects.bulk_update(stale, caption_words.SAID, batch_size=500)


def _seen(version: DatasetVersion) -> list[Seen]:
    """Photos that came while others were measured wait for the next check."""
    known = dict(looked_at(version))
    photos = version.photos.present().only(*FIELDS).order_by("position")
    return [Seen(photo, known[photo.blob_id]) for photo in photos if photo.blob_id in known]


# --- single photos ------------------------------------------------------------------------------------------
def _of_photos(seen: Sequence[Seen]) -> Iterator[Finding]:
    usual = round(statistics.median(min(each.photo.width, each.photo.height) for each in seen)) if seen else 0
    too_long = reader()
    for each in seen:
        words = caption_words.read(each.photo.caption)
        faults = photo_faults(each.looked.measures, usual)
        faults += caption_faults(each.photo.caption, words, each.looked.measures, too_long)
        for kind, detail in faults:
            yield finding(each.photo, kind, detail)


def finding(photo: Photo, kind: str, detail: dict[str, Any], group: int | None = None) -> Finding:
    """About the photo's picture; or about its caption, which the colour of the picture contradicts."""
    of_caption = kind in CAPTION_KINDS
    return Finding(
        photo=photo,
        kind=kind,
        detail=detail,
        group=group,
        blob_id=None if of_caption and kind != "caption_contradicts" else photo.blob_id,
        caption=photo.caption if of_caption else None,
    )


def reader() -> TooLong:
    """What a base model of this installation drops of a caption; SD 1.5 and the starter count alike."""
    bases = sorted(BaseModel.objects.all(), key=lambda base: base.name != "starter")
    base = next((base for base in bases if tokens.count_tokens(base, "shoe")), None)

    def too_long(caption: str) -> str | None:
        if base is None or len(caption) < tokens.LIMIT - 2:  # a token is at least one character
            return None
        counted = tokens.count_tokens(base, caption)
        return counted.dropped if counted and counted.is_too_long else None

    return too_long


# --- photos beside each other -------------------------------------------------------------------------------
def _duplicates(seen: Iterable[Seen]) -> Iterator[Finding]:
    same: dict[str, list[Seen]] = defaultdict(list)
    for each in seen:
        same[each.photo.blob_id].append(each)
    groups = [group for group in same.values() if len(group) > 1]
    yield from _grouped("duplicate", groups)


def _near_duplicates(seen: Sequence[Seen]) -> Iterator[Finding]:
    """Of different bytes. Variants resemble their parent because they were made to."""
    first: dict[str, Seen] = {}
    for each in seen:
        if each.photo.origin != Photo.Origin.AUGMENTED:
            first.setdefault(each.photo.blob_id, each)
    ones = list(first.values())
    groups = groups_of_alike([one.looked.phash for one in ones], [one.looked.small_copy for one in ones])
    yield from _grouped("near_duplicate", [[ones[place] for place in group] for group in groups])


def _grouped(kind: str, groups: Sequence[Sequence[Seen]]) -> Iterator[Finding]:
    for number, group in enumerate(groups, start=1):
        best = max(group, key=_worth)
        for each in group:
            yield finding(each.photo, kind, {"best": str(best.photo.pk), "size": len(group)}, number)


def _worth(each: Seen) -> tuple[bool, int, float, int, int]:
    """Which of a group to keep: described, large, sharp, described at length, first."""
    photo, measures = each.photo, each.looked.measures
    sharp = -round(measures.edge_width, 1)
    return bool(photo.caption), photo.width * photo.height, sharp, len(photo.caption), -photo.position


# --- the whole ----------------------------------------------------------------------------------------------
def _of_the_whole(seen: Sequence[Seen]) -> Iterator[Finding]:
    words = [caption_words.read(each.photo.caption) for each in seen]
    for detail in coverage.imbalances(words):
        yield Finding(kind="imbalance", detail=detail)
    if gaps := coverage.gaps(words):
        yield Finding(kind="coverage", detail=gaps)


# --- keeping ------------------------------------------------------------------------------------------------
@transaction.atomic
def _keep(version: DatasetVersion, findings: list[Finding]) -> list[Finding]:
    DatasetVersion.objects.select_for_update().get(pk=version.pk)  # two checks at once: the later one stands
    there = set(version.photos.present().values_list("pk", flat=True))
    accepted = set(AcceptedFinding.objects.filter(dataset=version.dataset_id).values_list("kind", "blob_id"))
    findings = [each for each in findings if each.photo_id is None or each.photo_id in there]
    for each in findings:
        each.version = version
        each.accepted = (each.kind, each.photo.blob_id if each.photo else None) in accepted
    version.findings.all().delete()
    Finding.objects.bulk_create(findings, batch_size=500)
    version.checked_at = timezone.now()
    version.save(update_fields=["checked_at"])
    return findings
