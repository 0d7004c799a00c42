"""The queue's side of the doctor."""

from __future__ import annotations

from functools import partial
from typing import Any

from shoesai.jobs.queue import Claim, JobFailed
from shoesai.jobs.runner import advance
from training.datasets import doctor, fixes
from training.datasets.checking import open_counts
from training.datasets.drafts import DraftProblem
from training.models import DatasetVersion, Finding


def check_dataset(claim: Claim) -> dict[str, Any]:
    """Pictures that were measured stay measured, so a worker that takes over goes on where it was."""
    version = _version_of(claim)
    doctor.check(version, partial(advance, claim, message="Looking at photos"))
    return {"photos": version.photo_count, "open": open_counts(version.findings.waiting())}


def mend_photos(claim: Claim) -> dict[str, Any]:
    """One fix for many findings, as one step of the draft."""
    version = _version_of(claim)
    chosen = Finding.objects.filter(pk__in=claim.job.spec["findings"]).current()
    findings = list(chosen.select_related("photo", "version").order_by("pk"))
    if not findings:  # a worker before this one has done it, and could not say so
        return {"changed": 0, "refused": []}
    try:
        applied = fixes.apply(
            version, claim.job.owner, findings, claim.job.spec["fix"], partial(advance, claim, message="Mending photos")
        )
    except DraftProblem as problem:
        raise JobFailed("no_draft", "The draft was frozen or discarded before its photos could be mended.") from problem
    refused = [{"file": photo.file_name, "problem": reason} for photo, reason in applied.refused]
    return {"changed": applied.changed, "refused": refused[:200]}


def _version_of(claim: Claim) -> DatasetVersion:
    version = DatasetVersion.objects.select_related("dataset").filter(pk=claim.job.spec["version"]).first()
    if version is None:
        raise JobFailed("no_dataset", "The dataset was deleted before it could be checked.")
    return version
