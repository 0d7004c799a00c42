"""Asking for the doctor, and for mending more photos than one waits for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from django.db.models import Count, QuerySet

from shoesai.jobs import queue
from shoesai.models import Job, User
from training.datasets.findings import KINDS
from training.datasets.models import DatasetVersion, Finding

CHECK: Final = "check_dataset"
MEND: Final = "mend_photos"


def request_check(user: User, version: DatasetVersion) -> Job:
    """The version's live check, if there is one. Raises QuotaReached or QueueFull."""
    job = live_job(version, CHECK)
    return job or queue.enqueue(
        owner=user, team=version.dataset.team, kind=CHECK, spec={"version": str(version.pk)}
    )


def request_mending(user: User, draft: DatasetVersion, findings: Sequence[Finding], fix: str) -> Job:
    """Raises QuotaReached or QueueFull."""
    spec = {"version": str(draft.pk), "fix": fix, "findings": [finding.pk for finding in findings]}
    return queue.enqueue(owner=user, team=draft.dataset.team, kind=MEND, spec=spec)


def live_job(version: DatasetVersion, *kinds: str) -> Job | None:
    live = Job.objects.filter(kind__in=kinds or (CHECK, MEND), state__in=Job.LIVE, spec__version=str(version.pk))
    return live.first()


def open_counts(findings: QuerySet[Finding]) -> dict[str, int]:
    """Kind → how many, in the order in which kinds are told."""
    counted = dict(findings.order_by().values_list("kind").annotate(number=Count("pk")))
    return {kind: counted[kind] for kind in KINDS if kind in counted}


def told(version: DatasetVersion) -> dict[str, Any]:
    """The report as programs read it: kind → what it is and each finding, accepted ones marked."""
    rows = version.findings.current().select_related("photo").order_by("kind", "group", "photo__position", "pk")
    by_kind: dict[str, list[dict[str, Any]]] = {}
    for finding in rows:
        row = {"file": finding.photo.file_name if finding.photo else None, "accepted": finding.accepted}
        if finding.group is not None:
            row["group"] = finding.group
        by_kind.setdefault(finding.kind, []).append(row | finding.detail)
    return {
        "dataset": version.dataset.name,
        "version": version.number,
        "photos": version.photo_count,
        "checked_at": version.checked_at.isoformat() if version.checked_at else None,
        "open": sum(not row["accepted"] for rows in by_kind.values() for row in rows),
        "findings": {kind: by_kind[kind] for kind in KINDS if kind in by_kind},
    }
