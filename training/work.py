"""Folders that a job's engine writes below WORK_DIR, and that whoever asked for the job takes away."""

from __future__ import annotations

import errno
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings

from shoesai.jobs.queue import Claim
from shoesai.models import Job

KEPT_SECONDS = 24 * 3600
_OF_A_JOB = re.compile(r"(?P<id>[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})(-[0-9]+)?")  # and the fence of a claim
MERGED_FROM = "merged_from.json"  # what a merged pipeline consists of


def folder_of(job: Job) -> Path:
    return Path(settings.WORK_DIR) / str(job.pk)


@contextmanager
def writing(job: Job) -> Iterator[Path]:
    """The job's folder, empty at first; it stays for `take` when all went well, and goes when anything did not."""
    forget_abandoned()
    folder = folder_of(job)
    shutil.rmtree(folder, ignore_errors=True)  # of an attempt that was killed
    folder.mkdir(parents=True)
    try:
        yield folder
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


@contextmanager
def of_claim(claim: Claim) -> Iterator[Path]:
    """A folder that only this claim knows: a worker that learns late of its job's new owner takes nothing from it.

    It goes at the end, and what earlier claims of the job have left (their worker was killed) goes at the beginning.
    """
    forget_abandoned()
    for earlier in Path(settings.WORK_DIR).glob(f"{claim.job.pk}-*"):
        shutil.rmtree(earlier, ignore_errors=True)
    folder = Path(settings.WORK_DIR) / f"{claim.job.pk}-{claim.fence}"
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def take(job: Job, destination: Path) -> Path:
    """Moves the job's folder to `destination`, which is there whole or not at all; an older folder there goes.

    Raises OSError.
    """
    source, parent = folder_of(job), destination.parent
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=parent, prefix=".tmp-") as beside:
        whole, older = Path(beside) / "new", Path(beside) / "old"
        _move(source, whole)
        if destination.exists():
            destination.rename(older)
        try:
            whole.rename(destination)
        except BaseException:
            if older.exists():
                older.rename(destination)
            raise
    return destination


def forget(job: Job) -> None:
    shutil.rmtree(folder_of(job), ignore_errors=True)


def forget_abandoned() -> None:
    """What nobody took away within a day, of jobs that are not at work."""
    long_ago = time.time() - KEPT_SECONDS
    for folder in Path(settings.WORK_DIR).iterdir():
        job = _OF_A_JOB.fullmatch(folder.name)
        if job is None or not folder.is_dir() or folder.stat().st_mtime > long_ago:
            continue
        if not Job.objects.filter(pk=job["id"], state__in=Job.LIVE).exists():
            shutil.rmtree(folder, ignore_errors=True)


def _move(source: Path, target: Path) -> None:
    """Within a disk by renaming; to another one by copying, and only then is the source removed."""
    try:
        os.rename(source, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        shutil.copytree(source, target)
        shutil.rmtree(source)
