"""The gallery's filters: page, API, ZIP, exports and saved searches all go through ImageFilter."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any
from uuid import UUID

import django_filters
from django import forms
from django.db.models import Prefetch, Q, QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from gallery.models import Collection, CollectionItem, Judgement, Tagging
from gallery.paging import SORTS, sorted_by
from gallery.passing import passing
from gallery.searching import (
    DATES,
    KEYS,
    Search,
    Unclear,
    checkpoint_named,
    made_in,
    rating_values,
    size_named,
    understand,
)  # fmt: skip
from generation.metadata import LORAS
from generation.models import GeneratedImage, Shelf
from generation.schedulers import SCHEDULERS
from shoesai.models import User

MAX_VALUES = 50
FEW = 20_000  # pictures that are sorted rather than walked to


class ManyField(forms.Field):
    """A parameter that may repeat; any of its values will do. What is empty or too much is left out."""

    widget = forms.MultipleHiddenInput

    def to_python(self, value: Any) -> list[str]:
        return [str(text) for text in value or [] if text and "\x00" not in str(text)][:MAX_VALUES]


class AnyOf(django_filters.Filter):
    """`?model=starter&model=autumn`."""

    field_class = ManyField


class ImageFilter(django_filters.FilterSet):
    """`qs` is what this user may see of what the parameters ask for, in the order they ask for.

    `search` holds the same as conditions by name, for the facets, and `problems` what could not be understood.
    """

    q = django_filters.CharFilter(
        label=gettext_lazy("Search"),
        widget=forms.TextInput(
            attrs={
                "type": "search",
                "placeholder": gettext_lazy("red sneaker  steps:>30  is:favourite"),
                "autocomplete": "off",
            }
        ),
    )
    model = AnyOf(label=gettext_lazy("Model"))
    checkpoint = AnyOf(label=gettext_lazy("Checkpoint"))
    dataset = AnyOf(label=gettext_lazy("Photos"))
    owner = AnyOf(label=gettext_lazy("Made by"))
    size = AnyOf(label=gettext_lazy("Size"))
    scheduler = AnyOf(label=gettext_lazy("Scheduler"))
    rating = AnyOf(label=gettext_lazy("Your rating"))
    tag = AnyOf(label=gettext_lazy("Tag"))
    passes = AnyOf(label=gettext_lazy("Passes the checks of"))
    date = django_filters.CharFilter(label=gettext_lazy("Date"), widget=forms.HiddenInput)
    favourite = django_filters.BooleanFilter(label=gettext_lazy("Favourites"), widget=forms.HiddenInput)
    collection = django_filters.CharFilter(label=gettext_lazy("Collection"), widget=forms.HiddenInput)
    sort = django_filters.ChoiceFilter(
        label=gettext_lazy("Order"), choices=list(SORTS.items()), empty_label=None, widget=forms.Select
    )

    class Meta:
        model = GeneratedImage
        fields: list[str] = []

    def __init__(self, data: Any, *, user: User) -> None:
        super().__init__(data, queryset=GeneratedImage.objects.all())
        self.user = user

    @cached_property
    def values(self) -> dict[str, Any]:
        """What was asked, as far as it can be meant."""
        self.form.is_valid()
        return self.form.cleaned_data

    def chosen(self, name: str) -> list[str]:
        """The values of a facet's parameter."""
        value = self.values.get(name)
        if isinstance(value, list):
            return value
        return [] if value in (None, "") else [str(value)]

    @cached_property
    def of_collection(self) -> UUID | None:
        """The one whose pictures are asked for, as far as that is an id."""
        try:
            return UUID(self.values.get("collection") or "")
        except ValueError:
            return None

    @property
    def usual_order(self) -> str:
        return "collection" if self.of_collection else "newest"

    @property
    def order(self) -> str:
        asked = self.values.get("sort") or self.usual_order
        return "newest" if asked == "collection" and not self.of_collection else asked

    @property
    def orders(self) -> list[tuple[str, Any]]:
        """Those to choose from."""
        return [(name, words) for name, words in SORTS.items() if name != "collection" or self.of_collection]

    @property
    def is_narrowed(self) -> bool:
        return bool(self.search.shelf or self.search.image or self.search.words)

    @property
    def problems(self) -> list[str]:
        return self.search.problems

    @cached_property
    def search(self) -> Search:
        """The search box and the facets together. A facet's condition is named like its parameter."""
        search = understand(self.user, self.values.get("q") or "")
        for name, (condition, of_shelf) in CONDITIONS.items():
            if chosen := self.chosen(name):
                try:
                    search.add(_name_of(name, chosen), condition(self.user, chosen), of_shelf=of_shelf)
                except Unclear as unclear:
                    search.problems.append(str(unclear))
        if self.order == "rating":  # what is not rated has no place in this order, and is not counted either
            search.add("order", KEYS["is"].build(self.user, "rated"), of_shelf=False)
        return search

    @cached_property
    def shelves(self) -> QuerySet[Shelf]:
        """On which what is asked may stand."""
        shelves = Shelf.objects.visible_to(self.user)
        return shelves.filter(*self.search.shelf.values()) if self.search.shelf else shelves

    def about_pictures(self, *, without: str = "", walked: bool = False) -> list[Q]:
        """The conditions that shelves know nothing of, perhaps without that of one facet."""
        own = [condition for name, condition in self.search.image.items() if name != f"facet:{without}"]
        return own + [words.of_pictures(walked=walked) for words in self.search.words]

    @cached_property
    def standing(self) -> QuerySet[GeneratedImage]:
        """All pictures on those shelves: fetched by their shelves when there are few, else walked in order of time."""
        if self.search.shelf:
            rows = list(self.shelves.values_list("pk", "images"))
            if sum(images for _pk, images in rows) <= FEW:
                return GeneratedImage.objects.filter(shelf__in=[pk for pk, _images in rows])
        return GeneratedImage.objects.on(self.shelves)

    def images(self, *, without: str = "", walked: bool = False) -> QuerySet[GeneratedImage]:
        """What is asked, in no order."""
        return self.standing.filter(*self.about_pictures(without=without, walked=walked)).order_by()

    @property
    def bare(self) -> QuerySet[GeneratedImage]:
        """What is asked, in order, and nothing beside it."""
        return sorted_by(self.order, self.user, self.images(walked=True), self.of_collection)

    def filter_queryset(self, queryset: QuerySet[GeneratedImage]) -> QuerySet[GeneratedImage]:
        return with_what_is_shown(self.bare, self.user)

    def shown(self, ids: Sequence[UUID], related: Sequence[str] = ()) -> list[GeneratedImage]:
        """Those pictures with what a tile shows, and `related`, in that order."""
        rows = with_what_is_shown(GeneratedImage.objects.filter(pk__in=ids).order_by(), self.user)
        found = {image.pk: image for image in rows.prefetch_related(*related)}
        return [found[pk] for pk in ids if pk in found]

    @property
    def qs(self) -> QuerySet[GeneratedImage]:
        return self.filter_queryset(self.queryset)


def _name_of(parameter: str, chosen: list[str]) -> str:
    """A day or a month is no choice of the date facet, so its counts heed it."""
    return parameter if parameter == "date" and chosen[0] not in DATES else f"facet:{parameter}"


# --- what the facets' parameters mean -------------------------------------------------------------------------------
def _any(conditions: list[Q]) -> Q:
    either = Q(pk__in=[]) if not conditions else Q()
    for condition in conditions:
        either |= condition
    return either


def _collection(user: User, chosen: list[str]) -> Q:
    """An unknown collection, or one that is somebody else's, holds nothing."""
    try:
        wanted = Collection.objects.visible_to(user).filter(pk=UUID(chosen[0]))
    except ValueError:
        raise Unclear(_("“%(value)s” is no collection's id.") % {"value": chosen[0]}) from None
    return Q(pk__in=CollectionItem.objects.filter(collection__in=wanted).values("image"))


def _favourite(user: User, chosen: list[str]) -> Q:
    starred = Q(pk__in=Judgement.objects.filter(user=user, favourite=True).values("image"))
    return starred if chosen == ["True"] else ~starred


def _rating(user: User, chosen: list[str]) -> Q:
    return Q(pk__in=Judgement.objects.filter(user=user, rating__in=rating_values(chosen)).values("image"))


def _dataset(user: User, chosen: list[str]) -> Q:
    return _any([Q(dataset__name=name) for name in chosen])


# name of the parameter → (condition of (user, values), whether it is about the shelf)
CONDITIONS: dict[str, Any] = {
    "model": (lambda user, chosen: Q(base_model__name__in=chosen), True),
    "checkpoint": (lambda user, chosen: _any([checkpoint_named(name) for name in chosen]), True),
    "dataset": (_dataset, True),
    "owner": (lambda user, chosen: Q(owner__username__in=chosen), True),
    "size": (lambda user, chosen: _any([size_named(size) for size in chosen]), True),
    "scheduler": (lambda user, chosen: Q(scheduler__in=[name for name in chosen if name in SCHEDULERS]), True),
    "rating": (_rating, False),
    "tag": (
        lambda user, chosen: Q(pk__in=Tagging.objects.filter(tag__name__in=chosen).values("image")), False
    ),
    "passes": (lambda user, chosen: passing(chosen), False),
    "date": (lambda user, chosen: made_in(chosen[0]), False),
    "favourite": (_favourite, False),
    "collection": (_collection, False),
}  # fmt: skip


def with_what_is_shown(images: QuerySet[GeneratedImage], user: User) -> QuerySet[GeneratedImage]:
    """What a tile shows: the prompt, whose it is, what this user thinks of it (`image.judged`), what it passes."""
    mine = Prefetch("judgements", Judgement.objects.filter(user=user), to_attr="judged")
    return images.select_related("generation", "owner", "photo_check").prefetch_related(mine)


def visible_images(user: User) -> QuerySet[GeneratedImage]:
    """This user's gallery, newest first, with everything that pages and exports tell of a picture."""
    return (
        GeneratedImage.objects.visible_to(user)
        .select_related("generation__base_model", "generation__job", "owner", "blob", "photo_check")
        .prefetch_related(f"generation__{LORAS}")
        .order_by("-created_at", "-id")
    )
