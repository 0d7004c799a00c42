"""The Generate page, its living results, and every byte of a generated picture."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from generation.batches import request_prompts
from generation.forms import GenerateForm
from generation.live import generations_of, views_of
from generation.media import blob_bytes, picture_bytes, variant_bytes, visible_image
from generation.models import Generation
from generation.prefill import prefill
from generation.references import find_reference
from generation.services import InvalidRequest
from generation.studio import form_of, form_or_page, is_htmx, live_context, page
from generation.uploads import bounded_uploads, posted_with_upload
from generation.variants import UnknownVariant
from shoesai.auth import caller
from shoesai.jobs import queue
from shoesai.jobs.queue import QuotaReached
from shoesai.models import Job, User

SEEN_AT_MOST = 100


# --- the page ---------------------------------------------------------------------------------------------------
@bounded_uploads
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def generate(request: HttpRequest) -> HttpResponse:
    if request.method == "POST":
        return _start(request)
    return page(request, GenerateForm(user=caller(request), initial=prefill(caller(request), request.GET)))


def _start(request: HttpRequest) -> HttpResponse:
    """The same post serves a browser without JavaScript (redirect) and htmx (the new generations' cards)."""
    form = _posted(request)
    generations = _try(form, caller(request))
    if not generations:
        return form_or_page(request, form, status=422)
    if not is_htmx(request):
        return redirect(f"{reverse('generate')}#generation-{generations[-1].pk}")
    fresh = generations_of(caller(request)).filter(pk__in=[generation.pk for generation in generations])
    views = views_of(list(fresh.order_by("-created_at", "-id")))
    response = render(request, "generation/_started.html", {"views": views, "live": live_context(views)})
    response["HX-Trigger-After-Settle"] = "generated, jobs-changed"  # when the page knows the new cards
    return response


def _posted(request: HttpRequest) -> GenerateForm:
    """With the picture that came along, or what is wrong with it."""
    posted, problem = posted_with_upload(request)
    form = GenerateForm(posted, user=caller(request))
    if problem:
        form.add_error("reference_file", _("The picture %(problem)s") % {"problem": problem})
    return form


def _try(form: GenerateForm, user: User) -> list[Generation]:
    if not form.is_valid():
        return []
    try:
        return request_prompts(user=user, request=form.to_request(), prompts=form.prompts)
    except InvalidRequest as problem:
        form.show_problems(problem.errors)
    except QuotaReached as problem:
        form.add_error(None, str(problem))
    return []


@bounded_uploads
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def form(request: HttpRequest) -> HttpResponse:
    """GET: the form as an address of the page would fill it. POST: what is in it now, with `change` laid over it."""
    user = caller(request)
    if request.method != "POST":
        return form_or_page(request, GenerateForm(user=user, initial=prefill(user, request.GET)))
    posted, _problem = posted_with_upload(request)
    change = prefill(user, QueryDict(posted.get("change", "")))
    return form_or_page(request, form_of(user, posted, **change))


@bounded_uploads
@login_required
@require_POST
def reference(request: HttpRequest) -> HttpResponse:
    """A picture that was dropped, pasted or picked: kept, and shown in the form's own piece."""
    posted = _posted(request)
    status = 422 if posted.reference_errors() else 200
    return render(request, "generation/_reference.html", {"form": posted}, status=status)


# --- the results ------------------------------------------------------------------------------------------------
@login_required
@require_safe
def live(request: HttpRequest) -> HttpResponse:
    """What has changed among the cards that the page shows (`seen=<id>:<version>`) or is newer than they (`since`)."""
    seen = dict(_seen(text) for text in request.GET.getlist("seen")[:SEEN_AT_MOST])
    since = _moment(request.GET.get("since", ""))
    mine = generations_of(caller(request)).filter(owner=caller(request)).order_by("-created_at", "-id")
    views = views_of(list(mine.filter(Q(pk__in=seen) | Q(created_at__gt=since))[:SEEN_AT_MOST]))
    fresh = [view for view in views if view.generation.pk not in seen]
    changed = [view for view in views if view not in fresh and view.version != seen[view.generation.pk]]
    if not fresh and not changed:
        return HttpResponse(status=204)
    context = {"fresh": fresh, "changed": changed, "live": live_context(views, since)}
    response = render(request, "generation/_live.html", context)
    if any(not view.job.is_live for view in views):
        response["HX-Trigger-After-Settle"] = "jobs-changed"  # the tray need not wait for its turn
    return response


def _seen(text: str) -> tuple[UUID, str]:
    pk, _colon, version = text.partition(":")
    try:
        return UUID(pk), version
    except ValueError as error:
        raise Http404 from error


def _moment(text: str) -> datetime:
    moment = parse_datetime(text)
    if moment is None or moment.tzinfo is None:
        raise Http404
    return moment


@login_required
@require_safe
def generation(request: HttpRequest, pk: UUID) -> HttpResponse:
    """One card, or the page at that card."""
    found = get_object_or_404(generations_of(caller(request)), pk=pk)
    if not is_htmx(request):
        return redirect(f"{reverse('generate')}#generation-{pk}")
    return render(request, "generation/_generation.html", {"view": views_of([found])[0]})


@login_required
@require_POST
def cancel_all(request: HttpRequest) -> HttpResponse:
    """Everything of this user that waits or is being made here; what is ready stays."""
    jobs = Job.objects.filter(owner=caller(request), kind="generate", state__in=Job.LIVE).order_by("-created_at")
    stopped = sum(queue.request_cancel(job) for job in jobs)
    if is_htmx(request):
        return HttpResponse(status=204, headers={"HX-Trigger": "jobs-changed"})
    words = ngettext("%(count)d generation is cancelled.", "%(count)d generations are cancelled.", stopped)
    messages.info(request, words % {"count": stopped})
    return redirect("generate")


# --- bytes ------------------------------------------------------------------------------------------------------
@login_required
@require_safe
def image_file(request: HttpRequest, pk: str) -> HttpResponseBase:
    """Also as WebP or JPEG (`?format=`), and without its recipe (`?metadata=0`)."""
    image = visible_image(caller(request), pk)
    try:
        return variant_bytes(request, image)
    except UnknownVariant as refusal:
        return render(request, "refused.html", {"words": str(refusal)}, status=400)


@login_required
@require_safe
def image_thumbnail(request: HttpRequest, pk: str) -> HttpResponseBase:
    return picture_bytes(request, visible_image(caller(request), pk), "thumbnail")


@login_required
@require_safe
def reference_file(request: HttpRequest, sha256: str) -> HttpResponseBase:
    """A reference that this user may start from."""
    blob = find_reference(caller(request), sha256)
    if blob is None:
        raise Http404
    return blob_bytes(request, blob, f"reference_{sha256[:12]}.png")
