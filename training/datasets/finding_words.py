"""What a finding has found, as a sentence for people: the numbers behind it, in their language."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

Detail = Mapping[str, Any]

EDGES: Final = {
    "left": gettext_lazy("left"),
    "top": gettext_lazy("top"),
    "right": gettext_lazy("right"),
    "bottom": gettext_lazy("bottom"),
}
FIELDS: Final = {
    "type": gettext_lazy("type"),
    "colour": gettext_lazy("colour"),
    "material": gettext_lazy("material"),
    "view": gettext_lazy("view"),
    "side": gettext_lazy("facing"),
}


def words_of(kind: str, detail: Detail) -> str:
    """Empty where the kind says everything."""
    return _WORDS[kind](detail) if kind in _WORDS and detail else ""


def _percent(value: float) -> str:
    return f"{number_format(100 * value, 0)} %"


def _too_small(detail: Detail) -> str:
    return _("%(side)d pixels; %(least)d are needed") % {"side": detail["side"], "least": detail["least"]}


def _blurred(detail: Detail) -> str:
    return _("edges are %(pixels)s pixels wide") % {"pixels": number_format(detail["pixels"], 1)}


def _dark(detail: Detail) -> str:
    return _("its brightest parts reach %(share)s of white") % {"share": _percent(detail["brightest"])}


def _bright(detail: Detail) -> str:
    return _("%(share)s of the shoe is burnt out") % {"share": _percent(detail["burnt"])}


def _background(detail: Detail) -> str:
    if "white" not in detail:
        return _("it has a pattern")
    red, green, blue = detail["colour"]
    share = _percent(detail["white"])
    return _("%(share)s of the border is white; it is RGB %(rgb)s") % {"share": share, "rgb": f"{red} {green} {blue}"}


def _small(detail: Detail) -> str:
    return _("it fills %(share)s of the picture") % {"share": _percent(detail["fill"])}


def _off_centre(detail: Detail) -> str:
    across, down = detail["x"], detail["y"]
    if abs(across) >= abs(down):
        words = _("%(share)s too far to the right") if across > 0 else _("%(share)s too far to the left")
    else:
        words = _("%(share)s too low") if down > 0 else _("%(share)s too high")
    return words % {"share": _percent(max(abs(across), abs(down)))}


def _cut_off(detail: Detail) -> str:
    return _("at: %(edges)s") % {"edges": ", ".join(str(EDGES[edge]) for edge in detail["edges"])}


def _too_long(detail: Detail) -> str:
    return _("dropped: “%(words)s”") % {"words": detail["dropped"].strip()}


def _contradicts(detail: Detail) -> str:
    return _("says %(said)s, looks %(seen)s") % {"said": detail["said"], "seen": detail["seen"]}


def _copies(detail: Detail) -> str:
    return ngettext("%(size)d picture", "%(size)d pictures", detail["size"]) % {"size": detail["size"]}


def _imbalance(detail: Detail) -> str:
    told = {"share": _percent(detail["share"]), "field": FIELDS[detail["field"]], "value": detail["value"]}
    return _("%(share)s of the captions that name the %(field)s say “%(value)s”.") % told


def _gaps(detail: Detail) -> str:
    told = {**detail, "examples": ", ".join(detail["examples"])}
    if not detail["missing"]:
        return _("Of %(cells)d combinations of type and colour, %(rare)d have a single photo.") % told
    words = _(
        "Of %(cells)d combinations of type and colour, %(missing)d have no photo and %(rare)d a single one."
        " Missing, for example: %(examples)s."
    )
    return words % told


_WORDS: Final[dict[str, Callable[[Detail], str]]] = {
    "duplicate": _copies,
    "near_duplicate": _copies,
    "too_small": _too_small,
    "blurred": _blurred,
    "underexposed": _dark,
    "overexposed": _bright,
    "background": _background,
    "small_in_frame": _small,
    "off_centre": _off_centre,
    "cut_off": _cut_off,
    "caption_too_long": _too_long,
    "caption_contradicts": _contradicts,
    "imbalance": _imbalance,
    "coverage": _gaps,
}
