"""The proof of a picture on a page: `{% load recreation %}{% recreation_of image %}`, with css/recreation.css."""

from __future__ import annotations

from typing import Any

from django import template
from django.template.context import RequestContext

from gallery.recreating import RecreationState
from generation.models import GeneratedImage
from generation.recreating import newest_recreation

register = template.Library()


@register.inclusion_tag("gallery/_recreation.html", takes_context=True)
def recreation_of(context: RequestContext, image: GeneratedImage) -> dict[str, Any]:
    """What the newest one has shown, and a button that asks for another; it looks after itself from then on."""
    state = RecreationState(image, newest_recreation(image))
    return {"state": state, "request": context["request"], "csrf_token": context.get("csrf_token")}
