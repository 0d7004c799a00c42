"""Captions from a pattern: `{colour} {material} {type}, {view}, white background`.

Fields are filled from what a photo's caption, or else its proposal, says, and from columns that came with it. What is
not known leaves nothing behind: no double space, no comma without a word.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from training.datasets.caption_words import CaptionWords, read
from training.datasets.captions import CaptionProblem
from training.datasets.models import Dataset, Photo

FIELDS: dict[str, Any] = {
    "trigger": gettext_lazy("the dataset's trigger word"),
    "colour": gettext_lazy("colour, as the caption or the proposal says"),
    "material": gettext_lazy("material"),
    "type": gettext_lazy("kind of shoe"),
    "view": gettext_lazy("view"),
    "side": gettext_lazy("side or facing"),
    "background": gettext_lazy("background"),
    "caption": gettext_lazy("the caption as it is"),
    "file": gettext_lazy("the file's name without its ending"),
    "sku": gettext_lazy("article number, where a column says it"),
}
USUAL = "{trigger} {colour} {material} {type}, {view}, white background"
_FIELD = re.compile(r"\{([^{}]*)\}")


def filling(template: str, dataset: Dataset) -> Callable[[Photo], str]:
    """Raises CaptionProblem for a field that is not known and for a brace without its partner."""
    _check(template)

    def fill(photo: Photo) -> str:
        values = _values(photo, dataset)
        return _tidy(_FIELD.sub(lambda found: values[found[1].strip()], template))

    return fill


def _check(template: str) -> None:
    if not template.strip():
        raise CaptionProblem(_("The template is empty."))
    known = ", ".join(f"{{{name}}}" for name in FIELDS)
    for name in _FIELD.findall(template):
        if name.strip() not in FIELDS:
            words = _("There is no field {%(name)s}; known are %(known)s.")
            raise CaptionProblem(words % {"name": name, "known": known})
    if set("{}") & set(_FIELD.sub("", template)):
        raise CaptionProblem(_("A brace stands alone; a field is written {colour}."))


def _values(photo: Photo, dataset: Dataset) -> dict[str, str]:
    words: CaptionWords = read(photo.caption or photo.proposal)
    said = {name: getattr(words, name) or "" for name in ("colour", "material", "type", "view", "side", "background")}
    sku = photo.extra.get("sku", "")
    return said | {
        "trigger": dataset.trigger_words,
        "caption": photo.caption,
        "file": photo.file_name.rpartition(".")[0] or photo.file_name,
        "sku": str(sku) if isinstance(sku, str | int) else "",
    }


def _tidy(text: str) -> str:
    """Clauses without words go, with their commas."""
    clauses = (" ".join(clause.split()) for clause in text.split(","))
    return ", ".join(clause for clause in clauses if clause)
