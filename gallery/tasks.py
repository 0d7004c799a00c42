"""The queue's side of the gallery: what has been in the trash for too long goes for good."""

from __future__ import annotations

from typing import Any

from gallery import trash
from shoesai.jobs.queue import Claim


def purge_trash(claim: Claim) -> dict[str, Any]:
    """A thousand at a time, each only while the job is ours."""
    deleted = 0
    while number := _some(claim):
        deleted += number
    return {"pictures": deleted}


def _some(claim: Claim) -> int:
    keys = list(trash.over_their_days().values_list("pk", flat=True)[: trash.AT_ONCE])
    with claim.committing():
        return trash.delete_forever(trash.over_their_days().filter(pk__in=keys)) if keys else 0
