"""The end of a job is told to its owner once, by whichever page asks first."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from django.db.models import QuerySet
from django.urls import reverse
from django.utils import timezone
from django.utils.text import Truncator
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from shoesai.jobs.kinds import HOUSEKEEPING
from shoesai.jobs.words import label_of
from shoesai.models import Job, User
from shoesai.sentences import said

NEWS_FOR = timedelta(days=1)
MOST_AT_ONCE = 3
QUIET = [*HOUSEKEEPING, "measure_training", "recreate"]  # the page that asked for one shows what came of it
FINISHED = {
    "generate": gettext_lazy("Generation finished: %(what)s"),
    "train": gettext_lazy("Training finished: %(what)s"),
    "make_demo": gettext_lazy("The demo photos are imported, and the training on them is queued."),
}
FAILED = {
    "generate": gettext_lazy("Generation failed: %(what)s"),
    "train": gettext_lazy("Training failed: %(what)s"),
    "make_demo": gettext_lazy("The demo data could not be made."),
}


@dataclass(frozen=True)
class Announcement:
    words: str
    href: str
    failed: bool = False
    reason: str = ""


def untold(user: User) -> QuerySet[Job]:
    """What a user cancelled needs no telling."""
    ended = Job.objects.filter(owner=user, state__in=(Job.State.SUCCEEDED, Job.State.FAILED), announced_at=None)
    return ended.filter(finished_at__gt=timezone.now() - NEWS_FOR).exclude(kind__in=QUIET)


def announce(user: User) -> list[Announcement]:
    """Takes all that is untold, so that no other tab tells it again; shows the newest and counts the rest."""
    jobs = untold(user).select_related("generation").prefetch_related("training_runs").defer("preview")
    mine = [job for job in jobs.order_by("-finished_at") if _take(job)]
    told = [_announcement(job) for job in mine if job.state == Job.State.FAILED]
    told += [_announcement(job) for job in mine if job.state == Job.State.SUCCEEDED]
    rest = len(told) - MOST_AT_ONCE
    return told if rest <= 0 else [*told[:MOST_AT_ONCE], _summary(rest)]


def _take(job: Job) -> bool:
    """Of two pages that ask at once, one gets it."""
    return bool(Job.objects.filter(pk=job.pk, announced_at=None).update(announced_at=timezone.now()))


def _announcement(job: Job) -> Announcement:
    failed = job.state == Job.State.FAILED
    general = _("A job failed: %(what)s") if failed else _("A job finished: %(what)s")
    words = (FAILED if failed else FINISHED).get(job.kind, general)
    return Announcement(
        words=str(words) % {"what": _what(job)},
        href=_page_of(job),
        failed=failed,
        reason=Truncator(said(job.error_text)).chars(200) if failed else "",
    )


def _summary(count: int) -> Announcement:
    words = ngettext("%(count)d more job has ended", "%(count)d more jobs have ended", count) % {"count": count}
    return Announcement(words=words, href=reverse("jobs"))


def _what(job: Job) -> str:
    generation, run = getattr(job, "generation", None), next(iter(job.training_runs.all()), None)
    if generation:
        return Truncator(generation.prompt).chars(60)
    return run.name if run else label_of(job.kind)


def _page_of(job: Job) -> str:
    """Where the result is; of a failure, where its reason is."""
    generation, run = getattr(job, "generation", None), next(iter(job.training_runs.all()), None)
    if generation and job.state == Job.State.SUCCEEDED:
        return reverse("generation", args=[generation.pk])
    return reverse("training-run", args=[run.pk]) if run else reverse("job-status", args=[job.pk])
