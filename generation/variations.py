"""Prompt templates: `{red|blue} leather {sneakers|boots}` stands for four prompts.

Groups may hold groups, an alternative may be empty, and a backslash makes `{`, `|`, `}` or itself an ordinary
character. Outside of groups a `|` is an ordinary character anyway.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from django.utils.translation import gettext as _

MAX_PROMPTS = 24
MAX_DEPTH = 8

_TOKEN = re.compile(r"\\(?P<escaped>[\\{}|])|(?P<sign>[{}|])|(?P<text>[^\\{}|]+|\\)")
_TO_ESCAPE = re.compile(r"[\\{}]")
_SPACES = re.compile(r" {2,}")


class BadTemplate(Exception):
    """Says in one sentence what is wrong with a template, and what to write instead."""


@dataclass
class Group:
    """What stands between two braces: alternatives, each a sequence of texts and groups."""

    start: int
    alternatives: list[list[str | Group]] = field(default_factory=lambda: [[]])

    def count(self) -> int:
        return sum(_count(parts) for parts in self.alternatives)

    def texts(self) -> list[str]:
        return [text for parts in self.alternatives for text in _texts(parts)]


def expand(template: str) -> list[str]:
    """The prompts in the order of the template, its last group changing fastest. Raises BadTemplate."""
    parts = _parse(template)
    count = _count(parts)
    if count > MAX_PROMPTS:
        words = _("This template stands for %(count)s prompts; at most %(limit)d are allowed. Take out some choices.")
        raise BadTemplate(words % {"count": count if count < 1000 else "1,000+", "limit": MAX_PROMPTS})
    if not any(isinstance(part, Group) for part in parts):
        return _texts(parts)
    # An empty alternative leaves two spaces behind; two ways to the same words are one prompt.
    return list(dict.fromkeys(_SPACES.sub(" ", text).strip() for text in _texts(parts)))


def escape(prompt: str) -> str:
    """A template that stands for exactly this prompt."""
    return _TO_ESCAPE.sub(r"\\\g<0>", prompt)


def _count(parts: Sequence[str | Group]) -> int:
    return math.prod(part.count() for part in parts if isinstance(part, Group))


def _texts(parts: Sequence[str | Group]) -> list[str]:
    choices = [[part] if isinstance(part, str) else part.texts() for part in parts]
    return ["".join(chosen) for chosen in itertools.product(*choices)]


def _parse(template: str) -> list[str | Group]:
    top = Group(0)
    inside = [top]
    for token in _TOKEN.finditer(template):
        group = inside[-1]
        match token["sign"]:
            case "{":
                _open(template, inside, token.start())
            case "}":
                _close(template, inside, token.start())
            case "|" if group is not top:
                group.alternatives.append([])
            case _:
                group.alternatives[-1].append(token["escaped"] or token[0])
    if len(inside) > 1:
        words = _("The choice “%(near)s” is never closed; end it with }, or write \\{ for a brace.")
        raise BadTemplate(words % {"near": _near(template, inside[-1].start)})
    return top.alternatives[0]


def _open(template: str, inside: list[Group], start: int) -> None:
    if len(inside) > MAX_DEPTH:
        words = _("At “%(near)s” choices lie more than %(limit)d deep; make it plainer.")
        raise BadTemplate(words % {"near": _near(template, start), "limit": MAX_DEPTH})
    group = Group(start)
    inside[-1].alternatives[-1].append(group)
    inside.append(group)


def _close(template: str, inside: list[Group], end: int) -> None:
    if len(inside) == 1:
        words = _("The } behind “%(near)s” closes nothing; take it out, or write \\} for a brace.")
        raise BadTemplate(words % {"near": template[max(0, end - 20) : end]})
    group = inside.pop()
    if len(group.alternatives) == 1:
        words = _("“%(near)s” offers no choice; put | between two or more, or write \\{ and \\} for braces.")
        raise BadTemplate(words % {"near": _near(template, group.start, end + 1)})


def _near(template: str, start: int, end: int | None = None) -> str:
    """Enough of the template to find the place."""
    part = template[start:end]
    return part if len(part) <= 24 else part[:23] + "…"
