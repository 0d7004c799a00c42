"""A draft becomes a version: checked for what would spoil a training, hashed, and never changed again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from training.datasets.drafts import DraftProblem, locked
from training.datasets.models import DatasetVersion, Photo


class FreezeProblem(DraftProblem):
    """Everything that keeps a draft from being frozen, a sentence each."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__(" ".join(problems))


def content_hash(photos: Iterable[tuple[str, str, bool]], licence_note: str = "") -> str:
    """SHA-256 over (SHA-256 of the picture, caption, held out) in order, and the licence note.

    Nothing is learned from file names, so they do not count.
    """
    told = {"photos": [list(photo) for photo in photos], "licence_note": licence_note}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def synthetic_share(version: DatasetVersion) -> float:
    """How much of what can be learned from was generated, 0 to 1."""
    learned = version.photos.present().filter(held_out=False)
    total = learned.count()
    return learned.filter(depth__gt=0).count() / total if total else 0.0


def why_not_frozen(draft: DatasetVersion) -> list[str]:
    photos = draft.photos.present()
    if not photos.exists():
        return [_("There are no photos in this draft.")]
    problems = []
    if bare := photos.filter(caption="").count():
        words = ngettext(
            "%(count)d photo has no caption; write one, accept a proposal, or take the photo out.",
            "%(count)d photos have no caption; write them, accept proposals, or take the photos out.",
            bare,
        )
        problems.append(words % {"count": bare})
    if not photos.filter(held_out=False).exists():
        problems.append(_("Every photo is held out, so there is nothing to learn from."))
    if photos.filter(held_out=True, depth__gt=0).exists():
        problems.append(_("Generated pictures are held out; only photos can be measured on."))
    share, cap = synthetic_share(draft), draft.dataset.synthetic_cap
    if share > cap:
        words = _("%(share)d %% of this draft is generated; this dataset allows %(cap)d %%.")
        problems.append(words % {"share": round(100 * share), "cap": round(100 * cap)})
    return problems


@transaction.atomic
def freeze(draft: DatasetVersion) -> DatasetVersion:
    """Raises FreezeProblem with everything that is in the way, DraftProblem for what is no draft.

    A draft that says the same as the newest version is that version: it is dropped, and the newest comes back.
    """
    draft = locked(draft)
    if problems := why_not_frozen(draft):
        raise FreezeProblem(problems)
    digest = content_hash(_told(draft), draft.licence_note)
    newest = draft.dataset.latest()
    if newest and newest.content_hash == digest:
        draft.delete()
        return newest
    draft.photos.filter(removed=True).delete()
    draft.photos.exclude(proposal="").update(proposal="")
    draft.edits.all().delete()
    draft.content_hash, draft.frozen_at = digest, timezone.now()
    draft.photo_count = draft.photos.count()
    draft.save(update_fields=["content_hash", "frozen_at", "photo_count"])
    return draft


def _told(version: DatasetVersion) -> Iterable[tuple[str, str, bool]]:
    return (
        Photo.objects.filter(version=version, removed=False)
        .order_by("position")
        .values_list("blob_id", "caption", "held_out")
        .iterator(chunk_size=2000)
    )
