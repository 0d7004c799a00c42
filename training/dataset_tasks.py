"""The queue's side of the workshop."""

from __future__ import annotations

from functools import partial
from typing import Any

from shoesai.jobs.queue import Claim, Drained, JobFailed, Lost
from shoesai.jobs.runner import advance
from training.datasets import uploads
from training.datasets.importing import import_into_draft
from training.datasets.sources import SourceProblem
from training.importers import Report, read_photos
from training.models import DatasetImport


def import_dataset(claim: Claim) -> dict[str, Any]:
    """What a browser sent, into the dataset's draft; what cannot be used stands in the report."""
    upload = DatasetImport.objects.select_related("dataset").filter(pk=claim.job.spec["import"]).first()
    if upload is None:
        raise JobFailed("no_dataset", "The dataset was deleted before its photos could be read.")
    if upload.report:  # a worker before this one has done it, and could not say so
        return _summary(upload)
    try:
        return _import(claim, upload)
    except (Drained, Lost):
        raise  # goes on later, with the same files
    except BaseException:
        uploads.forget(upload)
        raise


def _import(claim: Claim, upload: DatasetImport) -> dict[str, Any]:
    report = Report()
    try:
        files = uploads.source_of(upload)
    except SourceProblem as problem:
        raise JobFailed("bad_upload", str(problem)) from problem

    def keep_report() -> None:
        upload.report = report.as_dict()
        upload.save(update_fields=["report"])

    photos = read_photos(files, report=report, progress=partial(advance, claim, message="Importing photos"))
    import_into_draft(upload.dataset, photos, committing=claim.committing, and_then=keep_report)
    uploads.forget(upload)
    return _summary(upload)


def _summary(upload: DatasetImport) -> dict[str, Any]:
    told = upload.report
    return {"images": told["images"], "captions": told["captions"], "problems": len(told["problems"])}


def tidy_uploads(claim: Claim) -> dict[str, Any]:
    return {"folders": uploads.tidy()}
