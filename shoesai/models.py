"""What all the apps share: people, tokens, stored bytes, jobs."""

from __future__ import annotations

import uuid
from typing import Any, Self

from django.contrib.auth.models import AbstractUser
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _
from knox.models import AbstractAuthToken

from shoesai.engine.specs import MAX_SEED


class SeedField(models.BigIntegerField):
    """An unsigned 64-bit number in the signed column that databases have: two's complement.

    Not a DecimalField: SQLite keeps 15 digits of one, and a picture would tell a seed that does not make it.
    """

    @cached_property
    def validators(self) -> list[Any]:
        return [MinValueValidator(0), MaxValueValidator(MAX_SEED)]

    def get_prep_value(self, value: Any) -> Any:
        number = super().get_prep_value(value)
        return number - 2**64 if isinstance(number, int) and number >= 2**63 else number

    def from_db_value(self, value: int | None, *_: Any) -> int | None:
        return value + 2**64 if value is not None and value < 0 else value


class User(AbstractUser):  # type: ignore[django-manager-missing]  # knox has no types
    class Theme(models.TextChoices):
        SYSTEM = "system", _("System")
        LIGHT = "light", _("Light")
        DARK = "dark", _("Dark")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    language = models.CharField(max_length=10, blank=True, help_text=_("Empty follows the browser."))
    theme = models.CharField(max_length=8, choices=Theme.choices, default=Theme.SYSTEM)
    single_key_shortcuts = models.BooleanField(default=True, help_text=_("Keys such as F and X act without Ctrl."))
    shares_new_pictures = models.BooleanField(default=True, help_text=_("New pictures belong to the team at once."))
    checklist_closed = models.BooleanField(default=False, help_text=_("The first steps on the home page are hidden."))

    def home_team(self) -> Team | None:
        """The team that what this user makes belongs to: the first one they joined."""
        membership = self.memberships.select_related("team").order_by("joined_at").first()
        return membership.team if membership else None


class Team(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=120, unique=True)
    members: models.ManyToManyField = models.ManyToManyField(User, through="Membership", related_name="teams")
    created_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    class Role(models.TextChoices):
        MEMBER = "member", _("Member")
        MANAGER = "manager", _("Manager")

    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=16, choices=Role.choices, default=Role.MEMBER)
    joined_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["team", "user"], name="one_membership_per_team")]

    def __str__(self) -> str:
        return f"{self.user} in {self.team}"


class ApiToken(AbstractAuthToken):
    """Several per user; the secret is shown once and only its SHA-512 digest is kept (django-rest-knox)."""

    class Scope(models.TextChoices):
        READ = "read", _("Read")
        GENERATE = "generate", _("Generate")
        TRAIN = "train", _("Train")
        ADMIN = "admin", _("Administer")

    public_id: models.UUIDField = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    name: models.CharField = models.CharField(max_length=120, blank=True)
    scopes = models.JSONField(default=list, help_text=_("An empty list allows everything the user may do."))
    last_used_at: models.DateTimeField = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        name = self.name or _("token")
        return f"{name} ({self.token_key}…)"

    @property
    def has_expired(self) -> bool:
        return bool(self.expiry and self.expiry <= timezone.now())

    @property
    def scope_labels(self) -> list[str]:
        return [str(self.Scope(scope).label) for scope in self.scopes if scope in self.Scope.values]

    def allows(self, scope: str) -> bool:
        return not self.scopes or scope in self.scopes or self.Scope.ADMIN in self.scopes


class Blob(models.Model):
    """Immutable bytes, named by their SHA-256. The file is written before the row and deleted after it."""

    sha256 = models.CharField(max_length=64, primary_key=True)
    size = models.BigIntegerField()
    mime = models.CharField(max_length=80)
    storage = models.CharField(max_length=32, default="local")
    created_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return self.sha256[:12]


class OwnedQuerySet(models.QuerySet):
    def visible_to(self, user: Any) -> Self:
        """The user's own things and those of their teams; every query that serves a person starts here."""
        if not user.is_authenticated:
            return self.none()
        return self.filter(Q(owner=user) | Q(team__in=user.teams.all()))


class Owned(models.Model):
    """Somebody's thing, seen by their team."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    team = models.ForeignKey(Team, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)

    objects = OwnedQuerySet.as_manager()

    class Meta:
        abstract = True


class Job(Owned):
    """A unit of queued work; this table is the truth and django-q2 only rings the doorbell.

    queued → running → succeeded | failed | cancelled; running → queued when drained or lost. Every transition is one
    conditional UPDATE on (id, fence, state) in `shoesai.jobs.queue`; terminal states are final.
    """

    class State(models.TextChoices):
        QUEUED = "queued", _("Queued")
        RUNNING = "running", _("Running")
        SUCCEEDED = "succeeded", _("Succeeded")
        FAILED = "failed", _("Failed")
        CANCELLED = "cancelled", _("Cancelled")

    LIVE = (State.QUEUED, State.RUNNING)
    FINAL = (State.SUCCEEDED, State.FAILED, State.CANCELLED)

    kind = models.CharField(max_length=40)
    lane = models.CharField(max_length=16)
    priority = models.IntegerField(default=10, help_text=_("Smaller goes first."))
    state = models.CharField(max_length=16, choices=State.choices, default=State.QUEUED)
    spec = models.JSONField(default=dict)
    result = models.JSONField(default=dict, blank=True)
    idempotency_key = models.CharField(max_length=200, null=True, blank=True)
    request_digest = models.CharField(max_length=64, blank=True)

    fence = models.PositiveIntegerField(default=0)
    lease_owner = models.CharField(max_length=200, blank=True)
    heartbeat_seq = models.PositiveBigIntegerField(default=0)
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveIntegerField(default=0)
    lost_attempts = models.PositiveIntegerField(default=0)
    cancel_requested = models.BooleanField(default=False)

    progress_step = models.PositiveIntegerField(default=0)
    progress_total = models.PositiveIntegerField(default=0)
    progress_message = models.CharField(max_length=200, blank=True)
    preview = models.BinaryField(null=True, blank=True, help_text=_("A small WebP of the picture in the making."))
    error_code = models.CharField(max_length=40, blank=True)
    error_text = models.TextField(blank=True)

    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    announced_at = models.DateTimeField(null=True, blank=True, help_text=_("When a page told its owner of the end."))

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["owner", "idempotency_key"],
                condition=Q(idempotency_key__isnull=False),
                name="one_job_per_idempotency_key",
            ),
            models.CheckConstraint(
                condition=Q(state__in=["queued", "running", "succeeded", "failed", "cancelled"]),
                name="job_state_is_known",
            ),
        ]
        indexes = [
            models.Index(fields=["lane", "state", "priority", "created_at"], name="job_claim"),
            models.Index(fields=["owner", "-created_at"], name="job_of_owner"),
            models.Index(
                fields=["owner", "state"], condition=Q(state__in=["queued", "running"]), name="job_live_of_owner"
            ),
            models.Index(
                fields=["owner", "finished_at"], condition=Q(announced_at__isnull=True), name="job_to_announce"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {str(self.id)[:8]} ({self.state})"

    @property
    def is_live(self) -> bool:
        return self.state in self.LIVE

    @property
    def percent(self) -> int:
        return round(100 * self.progress_step / self.progress_total) if self.progress_total else 0
