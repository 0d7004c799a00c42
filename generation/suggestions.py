"""What to write next: the user's own prompts, captions of datasets that they may see, and phrases of the trade."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Literal
from uuid import UUID

from django.db.models import OuterRef, Subquery
from django.utils import timezone

from generation.models import Generation
from generation.phrases import NEGATIVE_PHRASES, PROMPT_PHRASES
from generation.variations import escape
from shoesai.models import User
from training.models import Dataset, DatasetVersion, Photo

PROMPTS_SHOWN = 5
PHRASES_SHOWN = 7
HISTORY = 1000  # the newest generations, so that an answer takes the same few milliseconds for everybody
HALF_LIFE_DAYS = 14
DATASETS = 20
CAPTIONS = 5000
LONGEST_PHRASE = 120
_BORDER = re.compile(r"[,;\n{|}]")  # phrases stand between these, in captions and in templates

Source = Literal["history", "captions", "phrases"]
Field = Literal["prompt", "negative_prompt"]


@dataclass(frozen=True)
class Suggestion:
    """`text` takes the place of everything from character `start` to the caret; `whole`: of all that is there."""

    text: str
    source: Source
    start: int = 0
    whole: bool = False
    uses: int = 0


def suggest(user: User, field: Field, text: str) -> list[Suggestion]:
    """`text` is what stands before the caret. Whole prompts first, then what may come next."""
    prompts = list(_own_prompts(user, field, text))
    known = {prompt.text for prompt in prompts}
    return prompts + [phrase for phrase in _next_phrases(user, field, text) if phrase.text not in known]


# --- own prompts ------------------------------------------------------------------------------------------------
def _own_prompts(user: User, field: Field, text: str) -> Iterator[Suggestion]:
    """Those in which each typed word begins a word; what is used often and lately comes first."""
    wanted = [re.compile(r"(?<!\w)" + re.escape(word), re.IGNORECASE) for word in text.split()]
    weights: defaultdict[str, float] = defaultdict(float)
    uses: Counter[str] = Counter()
    now = timezone.now()
    for prompt, moment in _history(user, field):
        uses[prompt] += 1
        weights[prompt] += 0.5 ** ((now - moment).total_seconds() / 86400 / HALF_LIFE_DAYS)
    fitting = (
        prompt
        for prompt in sorted(weights, key=lambda prompt: weights[prompt], reverse=True)
        if prompt != text.strip() and all(word.search(prompt) for word in wanted)
    )
    for prompt, _place in zip(fitting, range(PROMPTS_SHOWN), strict=False):
        yield Suggestion(prompt, "history", whole=True, uses=uses[prompt])


def _history(user: User, field: Field) -> Iterator[tuple[str, datetime]]:
    """A template counts once for each time it was used, however many prompts it stood for."""
    seen = set()
    newest = Generation.objects.filter(owner=user).order_by("-created_at")
    for row in newest.values("prompt", "negative_prompt", "template", "created_at")[:HISTORY]:
        time_of_use = (row["template"], int(row["created_at"].timestamp()))
        text = row["negative_prompt"] if field == "negative_prompt" else row["template"] or escape(row["prompt"])
        if text and (not row["template"] or time_of_use not in seen):
            yield text, row["created_at"]
        seen.add(time_of_use)


# --- phrases ----------------------------------------------------------------------------------------------------
def _next_phrases(user: User, field: Field, text: str) -> list[Suggestion]:
    """Phrases that begin like what was typed since the last comma, or else like its last word."""
    beginning, word = _last_phrase(text), _last_word(text)
    taken = {part.strip().casefold() for part in _BORDER.split(text)}
    known = _known_phrases(user, field)
    found: dict[str, Suggestion] = {}
    for fragment in dict.fromkeys((beginning, word)):
        for phrase, source, uses in known:
            if len(found) >= PHRASES_SHOWN:
                return list(found.values())
            if phrase not in taken and phrase.startswith(fragment.casefold()):
                found.setdefault(phrase, Suggestion(phrase, source, len(text) - len(fragment), uses=uses))
    return list(found.values())


def _last_phrase(text: str) -> str:
    return _BORDER.split(text)[-1].lstrip()


def _last_word(text: str) -> str:
    """Empty fits everything, so a finished word is only looked at with its phrase."""
    words = _last_phrase(text).split(" ")
    return words[-1] if len(words[-1]) > 1 else _last_phrase(text)


def _known_phrases(user: User, field: Field) -> list[tuple[str, Source, int]]:
    if field == "negative_prompt":
        return [(phrase, "phrases", 0) for phrase in NEGATIVE_PHRASES]
    captions: Counter[str] = Counter()
    for version in _newest_versions(user):
        captions.update(phrases_of(version))
    said: list[tuple[str, Source, int]] = [(phrase, "captions", uses) for phrase, uses in captions.most_common()]
    return said + [(phrase, "phrases", 0) for phrase in PROMPT_PHRASES if phrase not in captions]


def _newest_versions(user: User) -> list[UUID]:
    newest = DatasetVersion.objects.frozen().filter(dataset=OuterRef("pk")).order_by("-number").values("pk")[:1]
    datasets = Dataset.objects.visible_to(user).annotate(newest=Subquery(newest)).filter(newest__isnull=False)
    return list(datasets.order_by("-created_at").values_list("newest", flat=True)[:DATASETS])


@lru_cache(maxsize=128)  # a version never changes
def phrases_of(version: UUID) -> Counter[str]:
    """What the captions of a dataset version say between commas, and in how many photos."""
    counted: Counter[str] = Counter()
    for caption in Photo.objects.filter(version=version).values_list("caption", flat=True)[:CAPTIONS]:
        counted.update({part.strip(" .").casefold() for part in _BORDER.split(caption)})
    return Counter({phrase: uses for phrase, uses in counted.items() if 0 < len(phrase) <= LONGEST_PHRASE})
