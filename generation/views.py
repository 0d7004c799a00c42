"""The Generate page, its living fragments, and every byte of a generated picture."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.contrib.auth.decorators import login_required
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.cache import get_conditional_response
from django.views.decorators.http import require_http_methods, require_safe

from generation.forms import GenerateForm, settings_of
from generation.media import blob_bytes, picture_bytes, variant_bytes, visible_image
from generation.models import GeneratedImage, Generation
from generation.references import find_reference
from generation.services import InvalidRequest, request_generation
from generation.variants import UnknownVariant
from shoesai.auth import caller
from shoesai.jobs.queue import QuotaReached
from shoesai.models import Job, User
from shoesai.templatetags.portal import doing

GENERATIONS_SHOWN = 12


# --- the page ---------------------------------------------------------------------------------------------------
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def generate(request: HttpRequest) -> HttpResponse:
    if request.method == "POST":
        return _start(request)
    form = GenerateForm(user=caller(request), initial=_prefill(request))
    return _page(request, form)


def _start(request: HttpRequest) -> HttpResponse:
    """The same post serves a browser without JavaScript (redirect) and htmx (the new generation's fragment)."""
    form = GenerateForm(request.POST, user=caller(request))
    generation = _try(form, caller(request))
    htmx = getattr(request, "htmx", False)
    if generation is None:
        if not htmx:
            return _page(request, form, status=422)
        response = render(request, "generation/_form.html", {"form": form}, status=422)
        response["HX-Retarget"] = "#generate-form"
        response["HX-Reswap"] = "outerHTML"
        return response
    if not htmx:
        return redirect(f"{reverse('generate')}#generation-{generation.pk}")
    response = render(request, "generation/_generation.html", {"view": GenerationView(generation)})
    response["HX-Trigger"] = "generated, jobs-changed"
    return response


def _try(form: GenerateForm, user: User) -> Generation | None:
    if not form.is_valid():
        return None
    try:
        return request_generation(user=user, request=form.to_request())
    except InvalidRequest as problem:
        form.show_problems(problem.errors)
    except QuotaReached as problem:
        form.add_error(None, str(problem))
    return None


def _page(request: HttpRequest, form: GenerateForm, status: int = 200) -> HttpResponse:
    mine = generations_of(caller(request)).filter(owner=caller(request))
    views = [GenerationView(generation) for generation in mine.order_by("-created_at")[:GENERATIONS_SHOWN]]
    context = {"form": form, "views": views, "live": any(view.job.is_live for view in views)}
    return render(request, "generation/generate.html", context, status=status)


def _prefill(request: HttpRequest) -> dict[str, Any]:
    """`?from=<image>` takes all its settings, `?model=` and `?prompt=` only theirs."""
    initial: dict[str, Any] = {}
    if "from" in request.GET:
        initial = settings_of(visible_image(caller(request), request.GET["from"]))
    named = {"model_name": request.GET.get("model"), "prompt": request.GET.get("prompt")}
    return initial | {name: value for name, value in named.items() if value}


# --- one generation, alive until its job ends --------------------------------------------------------------------
def generations_of(user: User) -> QuerySet[Generation]:
    return (
        Generation.objects.visible_to(user)
        .select_related("job", "base_model", "owner")
        .prefetch_related("images", "loras__checkpoint__run")
    )


@dataclass
class GenerationView:
    """What the fragment shows of a generation."""

    generation: Generation

    @property
    def job(self) -> Job:
        return self.generation.job

    @cached_property
    def images(self) -> list[GeneratedImage]:
        return sorted(self.generation.images.all(), key=lambda image: image.seq)

    @cached_property
    def tiles(self) -> list[GeneratedImage | None]:
        """One place per asked picture while more may come; afterwards only what there is."""
        made = {image.seq: image for image in self.images}
        wanted = range(self.generation.num_images) if self.job.is_live else sorted(made)
        return [made.get(seq) for seq in wanted]

    @cached_property
    def in_the_making(self) -> int | None:
        """Index of the tile that the preview belongs to: the first without a picture, while the job runs."""
        if self.job.state != Job.State.RUNNING:
            return None
        return next((index for index, image in enumerate(self.tiles) if image is None), None)

    @cached_property
    def preview_version(self) -> str:
        preview = self.job.preview
        return hashlib.sha256(bytes(preview)).hexdigest()[:12] if preview else ""

    @cached_property
    def extra_loras(self) -> list[Any]:
        """Without the model's own checkpoint, which its name tells already."""
        loras = list(self.generation.loras.all())
        return [lora for lora in loras if lora.position or lora.checkpoint.name != self.generation.model_name]

    @cached_property
    def doing(self) -> str:
        return doing(self.job)

    @cached_property
    def etag(self) -> str:
        seen = f"{self.job.state} {self.job.progress_step} {self.doing} {len(self.images)} {self.preview_version}"
        return f'"{hashlib.sha256(seen.encode()).hexdigest()[:20]}"'


@login_required
@require_safe
def generation(request: HttpRequest, pk: str) -> HttpResponse:
    """The fragment. It asks for itself again only while its job lives, and 304 costs neither bytes nor a swap."""
    view = GenerationView(get_object_or_404(generations_of(caller(request)), pk=pk))
    if not getattr(request, "htmx", False):
        return redirect(f"{reverse('generate')}#generation-{pk}")
    response = get_conditional_response(request, etag=view.etag)
    if response is None:
        response = render(request, "generation/_generation.html", {"view": view})
    response["ETag"] = view.etag
    response["Cache-Control"] = "private, no-cache"
    if not view.job.is_live:
        response["HX-Trigger"] = "jobs-changed"
    return response


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
