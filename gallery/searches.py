"""Searches under a name: the gallery's query string, for oneself or for a team."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.http import QueryDict
from django.utils.translation import gettext as _
from django_filters import BooleanFilter

from gallery.filters import ImageFilter
from gallery.models import SavedSearch
from shoesai.models import Team, User

MOST_LETTERS = 4000


def saved_searches_of(user: User) -> QuerySet[SavedSearch]:
    """Their own and their teams', by name."""
    return SavedSearch.objects.visible_to(user).select_related("owner", "team").order_by("name", "pk")


def meant_by(query: str) -> str:
    """The part of an address's query that narrows or orders; places on a page do not. Raises ValidationError."""
    given = QueryDict(query.lstrip("?")) if len(query) <= MOST_LETTERS else QueryDict()
    kept = QueryDict(mutable=True)
    for name in ImageFilter.base_filters:
        kept.setlist(name, [value for value in given.getlist(name) if value])
    if not kept.urlencode():
        raise ValidationError(_("There is no search to save: search for something first."))
    return kept.urlencode()


def save_search(user: User, name: str, query: str) -> SavedSearch:
    """Saving again under the same name changes what is searched for."""
    search = SavedSearch(owner=user, name=" ".join(name.split()), query=meant_by(query))
    search.clean_fields(exclude=["owner", "team"])
    saved, _new = SavedSearch.objects.update_or_create(
        owner=user, name=search.name, defaults={"query": search.query}
    )
    return saved


def change_search(search: SavedSearch, name: str, team: Team | None) -> None:
    search.name, search.team = " ".join(name.split()), team
    search.clean_fields(exclude=["owner", "team"])
    try:
        with transaction.atomic():
            search.save()
    except IntegrityError as error:
        taken = _("You have a search called “%(name)s” already; choose another name.") % {"name": search.name}
        raise ValidationError({"name": taken}) from error


def words_of(query: str) -> list[str]:
    """What a query asks for, in words: what stood in the search box, then each choice."""
    given = QueryDict(query)
    said = [text for text in given.getlist("q") if text]
    for name, one in ImageFilter.base_filters.items():
        values = [value for value in given.getlist(name) if value]
        if values and isinstance(one, BooleanFilter):
            said.append(str(one.label))
        elif values and name != "q":
            said.append(_("%(facet)s: %(values)s") % {"facet": one.label, "values": ", ".join(values)})
    return said
