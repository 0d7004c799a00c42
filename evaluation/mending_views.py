"""One click: a picture made fit for a channel."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from evaluation.mending import mend_image
from evaluation.profiles import PROFILES
from generation.models import GeneratedImage
from shoesai.auth import caller
from shoesai.jobs.queue import QuotaReached
from shoesai.photo_mending import CannotMend


@login_required
@require_POST
def mend(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Its owner's; leads to the new picture, or back with the reason."""
    user = caller(request)
    images = GeneratedImage.objects.visible_to(user).filter(owner=user).select_related("generation__base_model")
    image = get_object_or_404(images, pk=pk)
    profile = request.POST.get("profile", "")
    if profile not in PROFILES:
        raise Http404
    try:
        made = mend_image(user, image, profile)
    except (CannotMend, QuotaReached) as refusal:
        messages.error(request, str(refusal))
        return redirect("image", pk=image.pk)
    messages.success(request, _("Mended. The picture that it was made from is still there."))
    return redirect("image", pk=made.pk)
