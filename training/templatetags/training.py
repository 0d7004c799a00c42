"""Figures of a training in words."""

from __future__ import annotations

from typing import Any

from django import template
from django.utils.translation import gettext as _

from shoesai.numbers import grouped, in_language
from training import recipe

register = template.Library()


@register.filter
def duration(seconds: float | None) -> str:
    """The two largest units: 3.2 s, 95 s, 34 min, 10 h 5 min, 3 d 4 h."""
    if seconds is None:
        return "–"
    if seconds < 10:
        return _("%(number)s s") % {"number": in_language(f"{seconds:.1f}")}
    if seconds < 120:
        return _("%(number)s s") % {"number": f"{seconds:.0f}"}
    minutes = round(seconds / 60)
    if minutes < 120:
        return _("%(number)s min") % {"number": minutes}
    hours = minutes // 60
    if hours < 48:
        return _("%(hours)s h %(minutes)s min") % {"hours": hours, "minutes": minutes % 60}
    return _("%(days)s d %(hours)s h") % {"days": hours // 24, "hours": hours % 24}


@register.filter
def memory(size: int | None) -> str:
    """1.4 GB, 3.1 MB, 12 KB."""
    if not size:
        return "–"
    for unit, one in (("GB", 1e9), ("MB", 1e6)):
        if size >= one:
            return in_language(f"{size / one:.1f} {unit}")
    return f"{size / 1e3:.0f} KB"


@register.filter
def setting_label(name: str) -> Any:
    return recipe.words_for(name).label


@register.filter
def rate(value: float) -> str:
    """A learning rate to three digits, never as 0.0000."""
    return in_language(f"{value:.3g}")


@register.filter
def thousands(number: int) -> str:
    return grouped(number)
