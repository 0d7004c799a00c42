"""Which pictures a form means: those ticked, all results of a search, or a collection's. Whatever their number."""

from __future__ import annotations

from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpRequest, QueryDict

from gallery.filters import ImageFilter, visible_images
from generation.models import GeneratedImage
from shoesai.auth import caller


def selection_of(request: HttpRequest) -> QuerySet[GeneratedImage]:
    """From the POST: `image` (repeated), or `all=1` with `query` (the gallery's query string), or `collection`.

    Only what the user may see, newest first; ids that are none, or are somebody else's, are left out.
    """
    user = caller(request)
    given = request.POST
    if given.get("all") == "1":
        narrowed = ImageFilter(QueryDict(given.get("query", "").lstrip("?")), user=user)
        return visible_images(user).filter(pk__in=narrowed.images().values("pk"))
    if given.get("collection"):
        narrowed = ImageFilter(QueryDict(f"collection={given['collection']}"), user=user)
        return visible_images(user).filter(pk__in=narrowed.images().values("pk"))
    return visible_images(user).filter(pk__in=[pk for text in given.getlist("image") if (pk := _uuid(text))])


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
