"""Whether the studio works, from what the tables say; `shoesai.api` decides who hears how much."""

from __future__ import annotations

import shutil
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.db.models import Count, Min
from django.utils import timezone

from shoesai.jobs.kinds import HOUSEKEEPING
from shoesai.models import Job

VERSION = str(settings.SPECTACULAR_SETTINGS["VERSION"])
# Named one by one, so that nothing of the machine's disk or environment gets out when the engine says more.
ENGINE_FIELDS = ("device", "name", "dtype", "torch", "memory_mib", "threads", "pid")


def database_answers() -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return False
    return True


def is_degraded() -> bool:
    """Somebody waits in a lane that shows no sign of life."""
    waiting = _work().filter(state=Job.State.QUEUED).values_list("lane", flat=True).distinct()
    return any(not lane_is_alive(lane) for lane in waiting)


def lane_is_alive(lane: str) -> bool:
    """Its canary came back lately, or a job in it keeps beating: a long training lets no canary pass."""
    age = canary_age(lane)
    if age is not None and age <= settings.CANARY_STALE_SECONDS:
        return True
    fresh = timezone.now() - timedelta(seconds=settings.JOB_LOST_AFTER_SECONDS)
    return Job.objects.filter(lane=lane, state=Job.State.RUNNING, heartbeat_at__gte=fresh).exists()


def canary_age(lane: str) -> float | None:
    newest = _newest_canary(lane)
    return _age(newest.finished_at) if newest else None


def details() -> dict[str, Any]:
    """For staff. No path, no host, no secret."""
    return {
        "database": {"vendor": connection.vendor, "pending_migrations": pending_migrations()},
        "queue": queue_figures(),
        "lanes": {lane: lane_figures(lane) for lane in settings.JOB_LANES},
        "storage": {"free_bytes": shutil.disk_usage(settings.DATA_DIR).free},
    }


def pending_migrations() -> int:
    executor = MigrationExecutor(connection)
    return len(executor.migration_plan(executor.loader.graph.leaf_nodes()))


def queue_figures() -> dict[str, Any]:
    states = dict(_work().filter(state__in=Job.LIVE).values_list("state").annotate(Count("pk")))
    oldest = _work().filter(state=Job.State.QUEUED).aggregate(at=Min("created_at"))["at"]
    return {
        "queued": states.get(Job.State.QUEUED, 0),
        "running": states.get(Job.State.RUNNING, 0),
        "oldest_queued_seconds": _age(oldest),
    }


def lane_figures(lane: str) -> dict[str, Any]:
    newest = _newest_canary(lane)
    said = (newest.result or {}).get("engine") or {} if newest else {}
    return {
        "alive": lane_is_alive(lane),
        "canary_age_seconds": canary_age(lane),
        "engine": {name: said[name] for name in ENGINE_FIELDS if name in said} or None,
    }


def _work() -> Any:
    return Job.objects.exclude(kind__in=HOUSEKEEPING)


def _newest_canary(lane: str) -> Job | None:
    sung = Job.objects.filter(kind=f"canary.{lane}", state=Job.State.SUCCEEDED, finished_at__isnull=False)
    return sung.order_by("-finished_at").first()


def _age(moment: datetime | None) -> float | None:
    return round(max(0.0, (timezone.now() - moment).total_seconds()), 1) if moment else None
