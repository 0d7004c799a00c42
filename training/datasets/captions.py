"""Captions of a draft: one after the other, or many at once with a look at them before anything is written."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext as _

from shoesai.models import User
from training.datasets.captions_json import MAX_CAPTION
from training.datasets.drafts import DraftProblem, edit, locked
from training.datasets.models import Dataset, DatasetVersion, DraftEdit, Photo
from training.datasets.sources import is_not_text
from training.models import BaseModel
from training.tokens import Tokens, count_tokens


class CaptionProblem(ValueError):
    """Why a text is no caption."""


class Stale(Exception):
    """Somebody has changed the caption since it was read; `now` is what it is."""

    def __init__(self, now: str) -> None:
        self.now = now
        super().__init__(now)


@dataclass(frozen=True)
class Change:
    photo: Photo
    after: str

    @property
    def before(self) -> str:
        return self.photo.caption


def clean_caption(text: str) -> str:
    """In one line, without spaces around. Raises CaptionProblem."""
    if is_not_text(text):
        raise CaptionProblem(_("A caption has no NUL characters and no half characters."))
    text = " ".join(text.split())
    if len(text) > MAX_CAPTION:
        words = _("A caption has at most %(most)d characters; this one has %(number)d.")
        raise CaptionProblem(words % {"most": MAX_CAPTION, "number": len(text)})
    return text


@transaction.atomic
def set_caption(draft: DatasetVersion, user: User, pk: UUID, text: str, *, was: str) -> Photo:
    """Raises CaptionProblem, DraftProblem, and Stale where the caption is not `was` any more."""
    text = clean_caption(text)
    photo = locked(draft).photos.filter(pk=pk).first()
    if photo is None:
        raise DraftProblem(_("This photo is not in the draft any more; load the page again."))
    if photo.caption not in (was, text):
        raise Stale(photo.caption)
    edit(draft, user, "captions", {pk: {"caption": text, "proposal": ""}})
    photo.refresh_from_db()
    return photo


# --- many at once -------------------------------------------------------------------------------------------------
def changed(photos: Iterable[Photo], change: Callable[[Photo], str]) -> list[Change]:
    """What `change` makes of each caption, where that is something else. Raises CaptionProblem."""
    changes = [Change(photo, clean_caption(change(photo))) for photo in photos]
    return [each for each in changes if each.after != each.before]


def replacing(find: str, put: str, *, whole_words: bool, match_case: bool) -> Callable[[Photo], str]:
    """Raises CaptionProblem when there is nothing to find."""
    if not find:
        raise CaptionProblem(_("Say what is to be found."))
    pattern = rf"(?<!\w){re.escape(find)}(?!\w)" if whole_words else re.escape(find)
    wanted = re.compile(pattern, 0 if match_case else re.IGNORECASE)
    return lambda photo: wanted.sub(lambda _found: put, photo.caption)


def with_trigger(words: str) -> Callable[[Photo], str]:
    """In front of every caption that does not begin with it."""
    words = clean_caption(words)
    if not words:
        raise CaptionProblem(_("This dataset has no trigger word; give it one in its settings."))

    def put(photo: Photo) -> str:
        if re.match(rf"{re.escape(words)}(?!\w)", photo.caption, re.IGNORECASE):
            return photo.caption
        return f"{words}, {photo.caption}" if photo.caption else words

    return put


def without_trigger(words: str) -> Callable[[Photo], str]:
    pattern = re.compile(rf"{re.escape(clean_caption(words))}(?!\w)[\s,]*", re.IGNORECASE)

    def take(photo: Photo) -> str:
        found = pattern.match(photo.caption) if words else None
        return photo.caption[found.end() :] if found else photo.caption

    return take


def apply(draft: DatasetVersion, user: User, verb: str, changes: Iterable[Change]) -> DraftEdit | None:
    """One step, so that one undo takes it back. Raises DraftProblem when captions have changed since."""
    changes = list(changes)
    with transaction.atomic():
        now = dict(locked(draft).photos.values_list("pk", "caption"))
        if any(now.get(change.photo.pk) != change.before for change in changes):
            raise DraftProblem(_("Some captions have changed meanwhile; look at the preview again."))
        return edit(draft, user, verb, {change.photo.pk: {"caption": change.after} for change in changes})


# --- proposals ----------------------------------------------------------------------------------------------------
def accept(draft: DatasetVersion, user: User, photos: Iterable[Photo]) -> DraftEdit | None:
    """The proposals become captions."""
    fields = {photo.pk: {"caption": photo.proposal, "proposal": ""} for photo in photos if photo.proposal}
    return edit(draft, user, "accept", fields)


def dismiss(draft: DatasetVersion, user: User, photos: Iterable[Photo]) -> DraftEdit | None:
    return edit(draft, user, "dismiss", {photo.pk: {"proposal": ""} for photo in photos if photo.proposal})


# --- tokens -------------------------------------------------------------------------------------------------------
def tokens_of(dataset: Dataset, caption: str) -> Tokens | None:
    """As the base model counts them that a run on this dataset most likely takes; None where none is at hand."""
    return _counted(caption)


@lru_cache(maxsize=16_384)
def _counted(caption: str) -> Tokens | None:
    for base in BaseModel.objects.order_by("-created_at"):
        if tokens := count_tokens(base, caption):
            return tokens
    return None
