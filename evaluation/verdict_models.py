"""What was measured on a generated picture, and which channels it passes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from evaluation.profiles import PROFILES, Rule, Severity, choices
from generation.models import GeneratedImage


@dataclass(frozen=True)
class Told:
    """One channel's verdict in the reader's language. `broken`: places in the profile's rules, and the values."""

    profile: str
    passed: bool
    broken: list[dict[str, Any]]

    @property
    def label(self) -> str:
        return str(PROFILES[self.profile].label) if self.profile in PROFILES else self.profile

    @property
    def note(self) -> str:
        """What no check can tell, and whoever publishes there should know."""
        return str(PROFILES[self.profile].note) if self.profile in PROFILES else ""

    @property
    def why(self) -> list[str]:
        """Why it fails."""
        return self._reasons(Severity.MUST)

    @property
    def advice(self) -> list[str]:
        """What could be better and is not asked for."""
        return self._reasons(Severity.SHOULD)

    def _reasons(self, severity: Severity) -> list[str]:
        return [
            rule.in_words(row["value"])
            for row in self.broken
            for rule in self._rules[row["rule"] : row["rule"] + 1]
            if rule.severity == severity
        ]

    @property
    def _rules(self) -> tuple[Rule, ...]:
        """None of a profile that is not there any more."""
        return PROFILES[self.profile].rules if self.profile in PROFILES else ()

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {"profile": self.profile, "passed": self.passed, "reasons": self.why, "advice": self.advice}


class PictureCheck(models.Model):
    """All that is known of one picture, in one row, so that a page of sixty costs no query more.

    `rules` is the edition of the profiles that its verdicts go by.
    """

    image = models.OneToOneField(
        GeneratedImage, on_delete=models.CASCADE, primary_key=True, related_name="photo_check"
    )
    edition = models.PositiveSmallIntegerField()
    rules = models.CharField(max_length=16)
    facts = models.JSONField(help_text=_("Fact → value; see evaluation/photo_facts.py."))
    verdicts = models.JSONField(default=list, help_text=_("One for each channel: profile, passed, broken."))
    judged_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return str(self.image_id)

    @property
    def told(self) -> list[Told]:
        return [Told(**verdict) for verdict in self.verdicts]


class ChannelVerdict(models.Model):
    """Whether one picture passes one channel's checks, for searches; why, its PictureCheck knows."""

    image = models.ForeignKey(GeneratedImage, on_delete=models.CASCADE, related_name="channel_verdicts")
    profile = models.CharField(max_length=40, choices=choices)
    passed = models.BooleanField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["image", "profile"], name="one_verdict_per_channel")]
        indexes = [models.Index(fields=["profile", "image"], name="verdict_passed", condition=Q(passed=True))]

    def __str__(self) -> str:
        return f"{self.profile}: {'✓' if self.passed else '✗'}"
