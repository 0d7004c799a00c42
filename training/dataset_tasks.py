"""The queue's side of the workshop."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import Any

from shoesai.jobs.engine_child import Event
from shoesai.jobs.queue import Cancelled, Claim, JobFailed, QuotaReached
from shoesai.jobs.runner import advance, drive_engine
from training.datasets import checking, proposals, uploads
from training.datasets.importing import import_into_draft
from training.datasets.sources import SourceProblem
from training.importers import Report, read_photos
from training.models import DatasetImport, DatasetVersion


def import_dataset(claim: Claim) -> dict[str, Any]:
    """What a browser sent, into the dataset's draft; what cannot be used stands in the report."""
    upload = DatasetImport.objects.select_related("dataset").filter(pk=claim.job.spec["import"]).first()
    if upload is None:
        raise JobFailed("no_dataset", "The dataset was deleted before its photos could be read.")
    if upload.report:  # a worker before this one has done it, and could not say so
        return _summary(upload)
    try:
        return _import(claim, upload)
    except (Cancelled, JobFailed):
        uploads.forget(upload)  # however else it ends, this or another worker goes on with the same files
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
    added = import_into_draft(upload.dataset, photos, committing=claim.committing, and_then=keep_report)
    uploads.forget(upload)
    if added:
        _let_be_checked(claim, added[0].version)
    return _summary(upload)


def _let_be_checked(claim: Claim, draft: DatasetVersion) -> None:
    """So that whoever comes back finds what is to mend. Somebody whose queue is full presses the button later."""
    with suppress(QuotaReached):
        checking.request_check(claim.job.owner, draft)


def _summary(upload: DatasetImport) -> dict[str, Any]:
    told = upload.report
    return {"images": told["images"], "captions": told["captions"], "problems": len(told["problems"])}


def propose_captions(claim: Claim) -> dict[str, Any]:
    """A caption for each photo that has none proposed yet, kept some at a time: a restart makes only the missing."""
    draft = DatasetVersion.objects.select_related("dataset").filter(pk=claim.job.spec["draft"]).first()
    if draft is None or not draft.is_draft:
        raise JobFailed("no_draft", "The draft was frozen or discarded before its captions could be proposed.")
    photos = proposals.without_proposal(draft, everything=claim.job.spec["everything"])
    waiting: dict[str, str] = {}
    kept = 0

    def keep() -> None:
        nonlocal kept
        with claim.committing():
            kept += proposals.keep(draft, waiting)
        waiting.clear()

    def on_caption(event: Event) -> None:
        if words := proposals.words_of(event, draft.dataset):
            waiting[event["key"]] = words
        if len(waiting) >= proposals.AT_ONCE:
            keep()

    inputs = proposals.inputs_of(photos)
    done = drive_engine(claim, proposals.spec_of(), inputs, {"caption": on_caption}, operation="caption")
    keep()
    return {"photos": len(photos), "proposals": kept, "model": done["model"]}


def tidy_uploads(claim: Claim) -> dict[str, Any]:
    return {"folders": uploads.tidy()}
