"""What people make of the pictures: judgements, tags, collections, links for others, searches to keep."""

from __future__ import annotations

import uuid

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from generation.models import GeneratedImage
from shoesai.models import Owned, User

RATINGS = range(1, 6)


class Judgement(models.Model):
    """One person's star and rating of one picture."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="judgements")
    image = models.ForeignKey(GeneratedImage, on_delete=models.CASCADE, related_name="judgements")
    favourite = models.BooleanField(default=False)
    rating = models.PositiveSmallIntegerField(
        null=True, blank=True, validators=[MinValueValidator(RATINGS[0]), MaxValueValidator(RATINGS[-1])]
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "image"], name="one_judgement_per_user"),
            models.CheckConstraint(
                condition=Q(rating__isnull=True) | Q(rating__gte=RATINGS[0], rating__lte=RATINGS[-1]),
                name="rating_is_one_to_five",
            ),
        ]
        indexes = [
            models.Index(fields=["user", "-rating"], name="judgement_rating", condition=Q(rating__isnull=False)),
            models.Index(fields=["user", "image"], name="judgement_favourite", condition=Q(favourite=True)),
        ]

    def __str__(self) -> str:
        return f"{self.user}: {'★' if self.favourite else ''}{self.rating or ''}"


class Tag(models.Model):
    """A word for pictures. Nobody is offered a tag that no picture they may see has."""

    name = models.CharField(max_length=60, unique=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Tagging(models.Model):
    tag = models.ForeignKey(Tag, on_delete=models.CASCADE, related_name="taggings")
    image = models.ForeignKey(GeneratedImage, on_delete=models.CASCADE, related_name="taggings")
    added_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tag", "image"], name="one_tagging")]


class Collection(Owned):
    """Pictures in an order of their own; private, or seen by the team. What is in it is seen by whoever may see it."""

    name = models.CharField(max_length=120)
    description = models.TextField(blank=True)
    updated_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-updated_at"]
        constraints = [models.UniqueConstraint(fields=["owner", "name"], name="collection_name_per_owner")]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("collection", args=[self.pk])


class CollectionItem(models.Model):
    collection = models.ForeignKey(Collection, on_delete=models.CASCADE, related_name="items")
    image = models.ForeignKey(GeneratedImage, on_delete=models.CASCADE, related_name="collection_items")
    position = models.PositiveIntegerField()
    added_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    added_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["position", "id"]
        constraints = [models.UniqueConstraint(fields=["collection", "image"], name="once_in_a_collection")]
        indexes = [models.Index(fields=["collection", "position", "id"], name="collection_order")]


class ShareLink(models.Model):
    """Lets whoever has it see one collection, without an account, until it expires or is revoked.

    The address holds this id signed with the site's key, so the table alone opens nothing.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    collection = models.ForeignKey(Collection, on_delete=models.CASCADE, related_name="links")
    created_by = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    label = models.CharField(max_length=120, blank=True, help_text=_("For whom it is."))
    allows_download = models.BooleanField(default=True)
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    visits = models.PositiveIntegerField(default=0)
    last_visit_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return self.label or str(self.collection)

    @property
    def is_open(self) -> bool:
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > timezone.now())


class SavedSearch(Owned):
    """The gallery's query string under a name; `team` is set where it is shared."""

    name = models.CharField(max_length=120)
    query = models.TextField(blank=True)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["owner", "name"], name="saved_search_name_per_owner")]

    def __str__(self) -> str:
        return self.name
