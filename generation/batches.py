"""A template's prompts as generations of their own: all of them are asked for, or none."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import replace

from django.conf import settings
from django.utils.translation import gettext as _

from generation.models import Generation
from generation.services import GenerationRequest, request_generation
from shoesai.jobs import queue
from shoesai.jobs.queue import QueueFull
from shoesai.models import User


def request_prompts(*, user: User, request: GenerationRequest, prompts: Sequence[str]) -> list[Generation]:
    """`prompts` are what the request's prompt stands for. Without a seed they share a new one: only the words differ.

    Raises what `request_generation` raises; then nothing was started.
    """
    varied = list(prompts) != [request.prompt]
    if varied:
        request = replace(request, template=request.prompt)
    if len(prompts) > 1 and request.seed is None:
        request = replace(request, seed=secrets.randbelow(2**32))
    try:
        with queue.accepting(user):
            return [request_generation(user=user, request=replace(request, prompt=prompt)) for prompt in prompts]
    except QueueFull as full:
        if len(prompts) == 1:
            raise
        words = _("There is no room for %(count)d more jobs: at most %(most)d of yours may wait or run at a time.")
        raise QueueFull(words % {"count": len(prompts), "most": settings.JOB_MAX_QUEUED_PER_USER}) from full
