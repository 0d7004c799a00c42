"""What a caption says about its shoe: colour, material, type, view, background, side.

A caption is read as words in clauses. A colour or a material beside "background", "sole" or another part belongs to
that part: "red sneakers, white sole, white background" are red. English has the adjective before such a noun,
Portuguese behind it ("fundo branco").
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import Final

from training.datasets import caption_vocabulary as known
from training.datasets.caption_vocabulary import Names

Words = tuple[str, ...]


@dataclass(frozen=True)
class CaptionWords:
    """Canonical names, None for what the caption does not say. `colours` are all of the shoe's, the first one first."""

    colour: str | None = None
    material: str | None = None
    type: str | None = None
    view: str | None = None
    background: str | None = None
    side: str | None = None
    colours: tuple[str, ...] = ()


SAID: Final = ("said_type", "said_colour", "said_view")  # a photo's fields that `said` fills


def said(caption: str) -> dict[str, str]:
    """What a photo keeps of its caption's words, so that thousands can be counted without reading them again."""
    words = read(caption)
    return dict(zip(SAID, (words.type or "", words.colour or "", words.view or ""), strict=True))


@lru_cache(maxsize=8192)
def read(caption: str) -> CaptionWords:
    clauses = clauses_of(caption)
    background, rest = _without_background(clauses)
    rest = [_without_parts(clause) for clause in rest]
    colours = tuple(dict.fromkeys(chain.from_iterable(_COLOURS.all_in(clause) for clause in rest)))
    return CaptionWords(
        colour=colours[0] if colours else None,
        material=_first(_MATERIALS, rest),
        type=_first(_TYPES, clauses),
        view=_first(_VIEWS, clauses),
        background=background,
        side=_side(clauses),
        colours=colours,
    )


def clauses_of(caption: str) -> list[Words]:
    """Small letters without accents or hyphens; "3/4" is "three quarter"; commas and the like end a clause."""
    apart = unicodedata.normalize("NFKD", caption.casefold())
    plain = "".join(letter for letter in apart if not unicodedata.combining(letter))
    plain = re.sub(r"\b3\s*[/⁄]\s*4\b", "three quarter", plain)
    clauses = (tuple(re.findall(r"[^\W_]+", clause)) for clause in re.split(r"[,.;:|/()\[\]\n\"]+", plain))
    return [clause for clause in clauses if clause]


class _Lexicon:
    """Finds names of several words, the longest first."""

    def __init__(self, names: Names) -> None:
        self._of: dict[str, list[tuple[Words, str]]] = {}
        for canonical, written in names.items():
            for words in (tuple(each.split()) for each in written):
                self._of.setdefault(words[0], []).append((words, canonical))
        for rows in self._of.values():
            rows.sort(key=lambda row: -len(row[0]))

    def at(self, words: Words, place: int) -> tuple[str, int] | None:
        """What is named from `place` on, and by how many words."""
        for name, canonical in self._of.get(words[place], ()):
            if words[place : place + len(name)] == name:
                return canonical, len(name)
        return None

    def ending(self, words: Words, end: int) -> tuple[str, int] | None:
        """What is named by the words just before `end`."""
        for begin in range(max(0, end - 4), end):
            found = self.at(words, begin)
            if found and begin + found[1] == end:
                return found
        return None

    def all_in(self, words: Words) -> Iterable[str]:
        place = 0
        while place < len(words):
            found = self.at(words, place)
            if found:
                yield found[0]
            place += found[1] if found else 1


_COLOURS = _Lexicon(known.COLOURS)
_MATERIALS = _Lexicon(known.MATERIALS)
_TYPES = _Lexicon(known.TYPES)
_VIEWS = _Lexicon(known.VIEWS)
_BACKDROPS = _Lexicon(known.BACKDROPS)
_DESCRIBING = (_BACKDROPS, _COLOURS, _MATERIALS)
_GAP = ("",)  # nothing is named across what was taken out


def _first(lexicon: _Lexicon, clauses: Iterable[Words]) -> str | None:
    return next(iter(chain.from_iterable(lexicon.all_in(clause) for clause in clauses)), None)


# --- what belongs to the background or to a part -----------------------------------------------------------
def _run_before(words: Words, end: int) -> int:
    """Where the adjectives that end at `end` begin."""
    while end > 0:
        found = next(filter(None, (lexicon.ending(words, end) for lexicon in _DESCRIBING)), None)
        if found:
            end -= found[1]
        elif words[end - 1] in known.MODIFIERS:
            end -= 1
        else:
            break
    return end


def _run_after(words: Words, begin: int) -> int:
    """Where the adjectives that begin at `begin` end."""
    while begin < len(words):
        found = next(filter(None, (lexicon.at(words, begin) for lexicon in _DESCRIBING)), None)
        if found:
            begin += found[1]
        elif words[begin] in known.MODIFIERS:
            begin += 1
        else:
            break
    return begin


def _span(words: Words, place: int, before: Iterable[str], after: Iterable[str]) -> tuple[int, int] | None:
    """The noun at `place` with its adjectives; None where there is none of these nouns.

    Where an English noun has none before it, what is said behind it counts: "background in white", "sole: gum".
    """
    if words[place] in after:
        return place, _run_after(words, place + 1)
    if words[place] not in before:
        return None
    begin = _own(words, _run_before(words, place), place)
    if begin == place and words[place + 1 : place + 2] in (("is",), ("in",), ("of",)):
        return place, _run_after(words, place + 2)
    return begin, place + 1


def _own(words: Words, begin: int, place: int) -> int:
    """`red with white soles`: what stands before the last "with" is the shoe's."""
    for link in ("with", "com"):
        run = words[begin:place]
        if link in run:
            begin = place - run[::-1].index(link)
    return begin


def _without_background(clauses: Iterable[Words]) -> tuple[str | None, list[Words]]:
    named: list[str] = []
    rest: list[Words] = []
    for clause in clauses:
        left = clause
        for place in range(len(clause)):
            span = _span(clause, place, known.BACKGROUND_BEFORE, known.BACKGROUND_AFTER) or _on_colour(clause, place)
            if span:
                named += _backdrops(clause[slice(*span)])
                left = _cut(left, span)
        rest.append(left)
    return (named[0] if named else None), rest


def _on_colour(words: Words, place: int) -> tuple[int, int] | None:
    """`isolated on white` at the end of a clause."""
    if words[place] not in ("on", "against", "over", "sobre"):
        return None
    end = _run_after(words, place + 1)
    whole = end == len(words) and end > place + 1
    return (place, end) if whole else None


def _backdrops(words: Words) -> Iterable[str]:
    place = 0
    while place < len(words):
        found = _BACKDROPS.at(words, place) or _COLOURS.at(words, place)
        if found:
            yield found[0]
        place += found[1] if found else 1


def _without_parts(words: Words) -> Words:
    left = words
    for place in range(len(words)):
        span = _span(words, place, known.PARTS_BEFORE, known.PARTS_AFTER)
        if span:
            left = _cut(left, span)
    return left


def _cut(words: Words, span: tuple[int, int]) -> Words:
    """As long as before, so that places stay what they are."""
    begin, end = span
    return words[:begin] + _GAP * (end - begin) + words[end:]


# --- side ---------------------------------------------------------------------------------------------------
_SIDES = {
    "left": "left", "leftward": "left", "leftwards": "left", "esquerda": "left", "esquerdo": "left",
    "right": "right", "rightward": "right", "rightwards": "right", "direita": "right", "direito": "right",
}  # fmt: skip
_SIDE_FOLLOWS = frozenset(
    ("facing", "pointing", "points", "faces", "turned", "looking", "toe", "toes", "to", "towards", "toward", "lado",
     "pe", "para", "apontando", "virado", "virada", "voltado", "voltada", "ao", "do")
)  # fmt: skip
_SIDE_PRECEDES = frozenset(
    ("facing", "side", "shoe", "foot", "view", "profile", "pointing", "boot", "sneaker", "hand", "lateral", "medial")
)
_ARTICLES = ("the", "a", "o", "its")


def _side(clauses: Iterable[Words]) -> str | None:
    """Only beside a word that makes it a side: "the right shoe for rain" names one too, "just right" does not."""
    for words in clauses:
        for place, word in enumerate(words):
            if word not in _SIDES:
                continue
            before = [each for each in words[max(0, place - 2) : place] if each not in _ARTICLES]
            if words[place + 1 : place + 2] and words[place + 1] in _SIDE_PRECEDES:
                return _SIDES[word]
            if before and before[-1] in _SIDE_FOLLOWS:
                return _SIDES[word]
    return None
