"""Which pictures a form means: those ticked, all results of a search, or a collection's. Whatever their number."""

from __future__ import annotations

from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpRequest, QueryDict
from django.utils.translation import gettext as _
from rest_framework.exceptions import ValidationError

from gallery.filters import ImageFilter, visible_images
from gallery.paging import sorted_by
from generation.models import GeneratedImage
from shoesai.auth import caller
from shoesai.models import User


def selection_of(request: HttpRequest) -> QuerySet[GeneratedImage]:
    """From the POST: `image` (repeated), or `all=1` with `query` (the gallery's query string), or `collection`.

    Only what the user may see, newest first or as the collection has it where they are chosen in one; ids that are
    none, or are somebody else's, are left out.
    """
    user = caller(request)
    given = request.POST
    query = f"collection={given['collection']}" if given.get("collection") else given.get("query", "").lstrip("?")
    narrowed = ImageFilter(QueryDict(query), user=user)
    if given.get("all") == "1" or given.get("collection"):
        chosen = visible_images(user).filter(pk__in=narrowed.images().values("pk"))
    else:
        chosen = visible_images(user).filter(pk__in=[pk for text in given.getlist("image") if (pk := _uuid(text))])
    return sorted_by("collection", user, chosen, narrowed.of_collection) if narrowed.order == "collection" else chosen


def pictures_named(user: User, query: str) -> QuerySet[GeneratedImage]:
    """All results of a search, for a program: what cannot be understood is refused, not left out.

    Raises rest_framework's ValidationError about the field `query`.
    """
    asked = QueryDict(query.lstrip("?"))
    narrowed = ImageFilter(asked, user=user)
    unknown = sorted(set(asked) - set(narrowed.filters))
    if unknown:
        words = _("%(name)s is no parameter of a search; there are: %(names)s.")
        raise ValidationError({"query": words % {"name": unknown[0][:40], "names": ", ".join(narrowed.filters)}})
    wrong = [f"{name}: {' '.join(problems)}" for name, problems in narrowed.form.errors.items()]
    if "favourite" in asked and not wrong and narrowed.values["favourite"] is None:
        wrong.append("favourite: " + _("must be true or false."))
    if wrong := wrong or narrowed.problems:
        raise ValidationError({"query": wrong})
    return visible_images(user).filter(pk__in=narrowed.images().values("pk"))


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
