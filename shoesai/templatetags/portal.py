"""What templates need beyond Django's own: icons, times, and the job tray."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django import template
from django.template.context import RequestContext
from django.templatetags.static import static
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timesince import timesince
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from shoesai import announcements
from shoesai.jobs import queue
from shoesai.jobs.kinds import HOUSEKEEPING
from shoesai.jobs.words import label_of
from shoesai.models import Job, User
from shoesai.numbers import grouped, in_language
from shoesai.sentences import said

register = template.Library()

TRAY_ROWS = 6


register.filter("said", said)


@register.simple_tag
def icon(name: str, label: str = "") -> SafeString:
    """One symbol of the sprite. Without a label it is decoration beside words."""
    href = f"{static('icons/icons.svg')}#{name}"
    if label:
        return format_html('<svg class="icon" role="img" aria-label="{}"><use href="{}"/></svg>', label, href)
    return format_html('<svg class="icon" aria-hidden="true"><use href="{}"/></svg>', href)


@register.simple_tag
def ago(moment: datetime | None) -> SafeString | str:
    """A relative time with the exact one on hover; a module keeps it fresh."""
    if moment is None:
        return "–"
    seconds = (timezone.now() - moment).total_seconds()
    words = _("just now") if seconds < 60 else _("%(time)s ago") % {"time": timesince(moment, depth=1)}
    exact = date_format(timezone.localtime(moment), "DATETIME_FORMAT")
    return format_html('<time datetime="{}" title="{}">{}</time>', moment.isoformat(), exact, words)


# For what people read, never for an attribute, an address or JSON: a program would not understand "7,5" and "1.991".
@register.filter
def number(value: int) -> str:
    """1,991 or 1.991, as the reader's language groups it."""
    return grouped(value)


@register.filter
def compact(value: float) -> str:
    """7.5 and 8, never 7.50 or 8.0."""
    return in_language(f"{value:g}")


@register.filter
def seconds(value: float | None) -> str:
    if not value:
        return "–"
    if value < 10:
        return _("%(number)s s") % {"number": in_language(f"{value:.1f}")}
    if value < 120:
        return _("%(number)s s") % {"number": f"{value:.0f}"}
    return _("%(number)s min") % {"number": f"{value / 60:.0f}"}


@register.filter
def share(value: float) -> str:
    """A part of a whole, 0 to 1, as 45 %."""
    return _("%(number)s %%") % {"number": f"{100 * value:.0f}"}


@register.filter
def kind_label(job: Job) -> str:
    return label_of(job.kind)


@register.filter
def doing(job: Job) -> str:
    """What a live job does now, in a few words: its place in the queue, or its step."""
    if job.state == Job.State.QUEUED:
        return _waiting_words(queue.position(job))
    if job.state != Job.State.RUNNING:
        return str(job.get_state_display())
    if job.cancel_requested:
        return _("Stopping")
    if not job.progress_total:
        return said(job.progress_message) or _("Starting")
    step = _("step %(step)d/%(total)d") % {"step": job.progress_step, "total": job.progress_total}
    return f"{said(job.progress_message)} · {step}" if job.progress_message else step[0].upper() + step[1:]


def _waiting_words(before: int) -> str:
    if not before:
        return _("Next in the queue")
    return ngettext("%(number)d ahead in the queue", "%(number)d ahead in the queue", before) % {"number": before}


@register.simple_tag(takes_context=True)
def query_with(context: RequestContext, **changes: Any) -> str:
    """The page's own query string with some values set, or left out where the new value is empty."""
    query = context["request"].GET.copy()
    for name, value in changes.items():
        query.pop(name, None)
        if value not in ("", None):
            query[name] = str(value)
    return f"?{query.urlencode()}" if query else ""


@register.inclusion_tag("jobs/_tray.html", takes_context=True)
def job_tray(context: RequestContext) -> dict[str, Any]:
    request = context["request"]
    return {"request": request, **tray_of(request.user)}


# The first part of an address, and the rail's entry that it belongs to.
SECTIONS = {"evaluation": "training", "collections": "gallery", "trash": "gallery", "searches": "gallery", "": "home"}


@register.simple_tag(takes_context=True)
def section(context: RequestContext) -> str:
    request = context.get("request")
    first = request.path.split("/")[1] if request else ""
    return SECTIONS.get(first, first)


@register.filter
def next_theme(theme: str) -> str:
    """What the switch in the rail changes to."""
    themes = list(User.Theme.values)
    return str(themes[(themes.index(theme) + 1) % len(themes)])


def tray_of(user: Any) -> dict[str, Any]:
    """The user's running and queued work, running first; canaries are the machine's own business."""
    live = (
        Job.objects.visible_to(user)
        .filter(owner=user, state__in=Job.LIVE)
        .exclude(kind__in=HOUSEKEEPING)
        .defer("preview")
        .order_by("-state", "priority", "created_at")
    )
    rows = list(queue.with_positions(live)[: TRAY_ROWS + 1])
    count = len(rows) if len(rows) <= TRAY_ROWS else live.count()
    return {
        "jobs": rows[:TRAY_ROWS],
        "count": count,
        "more": max(0, count - TRAY_ROWS),
        "news": announcements.untold(user).exists(),
    }
