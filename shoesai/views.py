"""Jobs: the list, one of them, and the tray that is on every page."""

from __future__ import annotations

import hashlib

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.cache import get_conditional_response, patch_cache_control
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from shoesai.announcements import announce
from shoesai.auth import caller
from shoesai.jobs import queue
from shoesai.jobs.kinds import HOUSEKEEPING
from shoesai.models import Job, User
from shoesai.templatetags.portal import tray_of

JOBS_SHOWN = 50
HTMX_STOP_POLLING = 286


def is_htmx(request: HttpRequest) -> bool:
    return bool(getattr(request, "htmx", False))


# --- jobs -------------------------------------------------------------------------------------------------------
def jobs_of(user: User) -> QuerySet[Job]:
    visible = Job.objects.visible_to(user).exclude(kind__in=HOUSEKEEPING)
    visible = visible.select_related("generation", "recreation__image__generation", "owner").defer("preview")
    return queue.with_positions(visible.prefetch_related("training_runs"))


@login_required
@require_safe
def jobs(request: HttpRequest) -> HttpResponse:
    mine = jobs_of(caller(request)).filter(owner=caller(request))
    shown = list(mine.order_by("-created_at")[:JOBS_SHOWN])
    context = {
        "jobs": shown,
        "live": any(job.is_live for job in shown),
        "limit": JOBS_SHOWN,
        "truncated": len(shown) == JOBS_SHOWN,
    }
    return render(request, "jobs/_list.html" if is_htmx(request) else "jobs/list.html", context)


@login_required
@never_cache
@require_safe
def tray(request: HttpRequest) -> HttpResponse:
    """Also brings, once, the news of what has ended; other parts of the page may listen for that."""
    told = announce(caller(request))
    response = render(request, "jobs/_tray.html", {**tray_of(request.user), "announcements": told})
    if told:
        response["HX-Trigger"] = "jobs-ended"
    return response


@login_required
@require_safe
def job_status(request: HttpRequest, pk: str) -> HttpResponse:
    job = get_object_or_404(jobs_of(caller(request)), pk=pk)
    if not is_htmx(request):
        return render(request, "jobs/detail.html", {"job": job})
    return render(request, "jobs/_status.html", {"job": job}, status=200 if job.is_live else HTMX_STOP_POLLING)


@login_required
@require_POST
def job_cancel(request: HttpRequest, pk: str) -> HttpResponse:
    """Only the owner cancels here; staff do it in the admin."""
    job = get_object_or_404(jobs_of(caller(request)), pk=pk, owner=caller(request))
    asked = queue.request_cancel(job)
    if is_htmx(request):
        return HttpResponse(status=204, headers={"HX-Trigger": "jobs-changed"})
    if not asked:
        messages.info(request, _("This job had already ended."))
    return redirect(next_page(request, reverse("jobs")))


@login_required
@require_safe
def job_preview(request: HttpRequest, pk: str) -> HttpResponse:
    """The picture in the making. It changes at every look, so it is kept only with its ETag."""
    job = get_object_or_404(Job.objects.visible_to(caller(request)), pk=pk)
    if not job.preview:
        raise Http404
    body = bytes(job.preview)
    etag = f'"{hashlib.sha256(body).hexdigest()}"'
    response = get_conditional_response(request, etag=etag) or HttpResponse(body, content_type="image/webp")
    response["ETag"] = etag
    response["Content-Disposition"] = "inline"
    patch_cache_control(response, private=True, no_cache=True)
    return response


def next_page(request: HttpRequest, default: str) -> str:
    """Where a plain form post goes on to; never off this site."""
    wanted = request.POST.get("next", "")
    safe = url_has_allowed_host_and_scheme(wanted, {request.get_host()}, require_https=request.is_secure())
    return wanted if safe else default
