"""The gallery in the administration: what people made of the pictures is looked at, links can be revoked."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from gallery.models import Collection, CollectionItem, Judgement, SavedSearch, ShareLink, Tag
from shoesai.admin import ReadOnly


class LinkInline(ReadOnly, admin.TabularInline):
    model = ShareLink
    fields = ["label", "created_by", "created_at", "expires_at", "revoked_at", "visits"]
    extra = 0


@admin.register(Collection)
class CollectionAdmin(ReadOnly, admin.ModelAdmin):
    list_display = ["name", "owner", "team", "pictures", "updated_at"]
    list_filter = ["team", "updated_at"]
    search_fields = ["name", "owner__username", "id"]
    list_select_related = ["owner", "team"]
    inlines = [LinkInline]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Collection]:
        return super().get_queryset(request).annotate(number=Count("items"))

    @admin.display(description=_("pictures"), ordering="number")
    def pictures(self, collection: Collection) -> int:
        return int(collection.number)  # type: ignore[attr-defined]  # annotated above


@admin.register(CollectionItem)
class CollectionItemAdmin(ReadOnly, admin.ModelAdmin):
    list_display = ["collection", "position", "image", "added_by", "added_at"]
    list_select_related = ["collection", "image__generation", "added_by"]
    search_fields = ["collection__name", "image__id"]


@admin.register(ShareLink)
class ShareLinkAdmin(ReadOnly, admin.ModelAdmin):
    """Addresses are signed and shown to their makers only; here a link can be closed."""

    list_display = ["label", "collection", "created_by", "created_at", "expires_at", "revoked_at", "visits"]
    list_filter = ["allows_download", "created_at", "expires_at", "revoked_at"]
    search_fields = ["label", "collection__name", "created_by__username"]
    list_select_related = ["collection", "created_by"]
    actions = ["revoke"]

    @admin.action(description=_("Revoke selected links"), permissions=["revoke"])
    def revoke(self, request: HttpRequest, links: QuerySet[ShareLink]) -> None:
        number = links.filter(revoked_at=None).update(revoked_at=timezone.now())
        words = ngettext("%(number)d link is revoked.", "%(number)d links are revoked.", number)
        self.message_user(request, words % {"number": number})

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("gallery.change_sharelink")


@admin.register(SavedSearch)
class SavedSearchAdmin(ReadOnly, admin.ModelAdmin):
    list_display = ["name", "owner", "team", "query", "created_at"]
    list_filter = ["team"]
    search_fields = ["name", "query", "owner__username"]
    list_select_related = ["owner", "team"]


@admin.register(Judgement)
class JudgementAdmin(ReadOnly, admin.ModelAdmin):
    list_display = ["image", "user", "favourite", "rating"]
    list_filter = ["favourite", "rating"]
    search_fields = ["user__username", "image__id"]
    list_select_related = ["user", "image__generation"]


@admin.register(Tag)
class TagAdmin(ReadOnly, admin.ModelAdmin):
    list_display = ["name", "pictures"]
    search_fields = ["name"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Tag]:
        return super().get_queryset(request).annotate(number=Count("taggings"))

    @admin.display(description=_("pictures"), ordering="number")
    def pictures(self, tag: Tag) -> int:
        return int(tag.number)  # type: ignore[attr-defined]  # annotated above
