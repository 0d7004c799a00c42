"""The administration: people may be edited, what the queue and the services write may only be looked at."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.exceptions import NotRegistered
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from django_q.models import Failure, OrmQ, Schedule, Success

from shoesai.jobs import queue
from shoesai.models import ApiToken, Blob, Job, Membership, Team, User

admin.site.site_header = _("Shoes AI administration")
admin.site.site_title = _("Shoes AI")
admin.site.index_title = _("Everything in the studio")

# django-q2's rows are pickles that its admin would load, and they say nothing that Job does not say better.
for _model in (Failure, OrmQ, Schedule, Success):
    with suppress(NotRegistered):
        admin.site.unregister(_model)


class ReadOnly:
    """Rows that only the queue and the services write: the admin shows them."""

    def has_add_permission(self, request: HttpRequest, *args: Any) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class MembershipInline(admin.TabularInline):
    model = Membership
    extra = 0
    autocomplete_fields = ["user", "team"]


@admin.register(User)
class UserAdmin(DjangoUserAdmin):
    list_display = ["username", "email", "is_active", "is_staff", "last_login", "date_joined"]
    inlines = [MembershipInline]


@admin.register(Team)
class TeamAdmin(admin.ModelAdmin):
    list_display = ["name", "created_at"]
    search_fields = ["name", "memberships__user__username"]
    readonly_fields = ["created_at"]
    inlines = [MembershipInline]


@admin.register(Membership)
class MembershipAdmin(admin.ModelAdmin):
    list_display = ["user", "team", "role", "joined_at"]
    list_filter = ["role", "team"]
    search_fields = ["user__username", "team__name"]
    list_select_related = ["user", "team"]
    autocomplete_fields = ["user", "team"]
    readonly_fields = ["joined_at"]


with suppress(NotRegistered):
    admin.site.unregister(ApiToken)  # django-rest-knox registers it with a form that makes unusable tokens


@admin.register(ApiToken)
class ApiTokenAdmin(admin.ModelAdmin):
    """To see and to revoke. Tokens are made by their owner, who alone sees the secret."""

    list_display = ["name", "user", "token_key", "scopes", "created", "expiry", "last_used_at"]
    list_display_links = None
    list_filter = ["expiry", "last_used_at"]
    search_fields = ["name", "user__username", "token_key"]
    list_select_related = ["user"]
    fields = ["name", "user", "token_key", "scopes", "created", "expiry", "last_used_at"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Blob)
class BlobAdmin(ReadOnly, admin.ModelAdmin):
    list_display = ["sha256", "size", "mime", "storage", "created_at"]
    list_filter = ["mime", "storage", "created_at"]
    search_fields = ["sha256"]


@admin.register(Job)
class JobAdmin(ReadOnly, admin.ModelAdmin):
    """The queue is the table's only writer; cancelling goes through it."""

    list_display = [
        "short_id",
        "kind",
        "owner",
        "state",
        "progress",
        "attempts",
        "created_at",
        "finished_at",
        "error_code",
    ]
    list_filter = ["state", "kind", "lane", "error_code", "created_at"]
    search_fields = ["id", "owner__username", "kind", "error_text", "idempotency_key"]
    list_select_related = ["owner"]
    date_hierarchy = "created_at"
    ordering = ["-created_at"]
    exclude = ["preview"]
    actions = ["cancel_jobs"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Job]:
        return super().get_queryset(request).defer("preview")

    @admin.display(description=_("job"), ordering="id")
    def short_id(self, job: Job) -> str:
        return str(job.id)[:8]

    @admin.display(description=_("progress"))
    def progress(self, job: Job) -> str:
        return f"{job.progress_step}/{job.progress_total}" if job.progress_total else "–"

    @admin.action(description=_("Cancel the selected jobs"))
    def cancel_jobs(self, request: HttpRequest, jobs: QuerySet[Job]) -> None:
        asked = sum(queue.request_cancel(job) for job in jobs)
        words = ngettext("%d job was asked to stop.", "%d jobs were asked to stop.", asked) % asked
        self.message_user(request, words, messages.SUCCESS if asked else messages.WARNING)
