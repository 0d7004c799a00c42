"""The gallery's filter form and its queryset: page, ZIP and JSON all go through it."""

from __future__ import annotations

from typing import Any

import django_filters
from django import forms
from django.db.models import Q, QuerySet
from django.utils.translation import gettext_lazy as _

from generation.metadata import LORAS
from generation.models import GeneratedImage, Generation
from shoesai.models import User

MAX_WORDS = 30  # SQLite refuses an expression of a thousand parts


class ImageFilter(django_filters.FilterSet):
    q = django_filters.CharFilter(
        label=_("Search prompts"),
        method="by_words",
        widget=forms.TextInput(attrs={"type": "search", "placeholder": _("Search prompts"), "autocomplete": "off"}),
    )
    model = django_filters.CharFilter(label=_("Model"), field_name="generation__model_name", widget=forms.Select)

    class Meta:
        model = GeneratedImage
        fields: list[str] = []

    def __init__(self, data: Any, *, user: User) -> None:
        super().__init__(data, queryset=visible_images(user))
        used = Generation.objects.visible_to(user).values_list("model_name", flat=True).order_by("model_name")
        self.form.fields["model"].widget.choices = [("", _("All models")), *((name, name) for name in used.distinct())]

    def by_words(self, queryset: QuerySet[GeneratedImage], name: str, value: str) -> QuerySet[GeneratedImage]:
        """Every word must be in the prompt, in any order."""
        for word in value.split()[:MAX_WORDS]:
            queryset = queryset.filter(generation__prompt__icontains=word)
        return queryset


def visible_images(user: User) -> QuerySet[GeneratedImage]:
    """What this user's gallery holds, newest first, with everything that page and exports tell of a picture."""
    return (
        GeneratedImage.objects.visible_to(user)
        .select_related("generation__base_model", "generation__job", "owner", "blob")
        .prefetch_related(f"generation__{LORAS}")
        .order_by("-created_at", "-id")
    )


def older_than(queryset: QuerySet[GeneratedImage], image: GeneratedImage) -> QuerySet[GeneratedImage]:
    return queryset.filter(Q(created_at__lt=image.created_at) | Q(created_at=image.created_at, id__lt=image.id))


def newer_than(queryset: QuerySet[GeneratedImage], image: GeneratedImage) -> QuerySet[GeneratedImage]:
    """Nearest first."""
    return queryset.filter(
        Q(created_at__gt=image.created_at) | Q(created_at=image.created_at, id__gt=image.id)
    ).order_by("created_at", "id")
