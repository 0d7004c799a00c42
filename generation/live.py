"""A generation as the results column shows it, from its place in the queue to its last picture."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.db.models import F, FilteredRelation, Prefetch, Q, QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from generation.estimates import Timetable, about
from generation.models import GeneratedImage, Generation
from shoesai.jobs import queue
from shoesai.models import Job, User
from shoesai.templatetags.portal import doing


def generations_of(user: User) -> QuerySet[Generation]:
    """What this user may see, with all that their cards tell; pictures in the trash are not among it."""
    mine = FilteredRelation("judgements", condition=Q(judgements__user=user))
    images = GeneratedImage.objects.filter(shelf__isnull=False).annotate(mine=mine)
    images = images.annotate(is_favourite=F("mine__favourite")).order_by("seq")
    return (
        Generation.objects.visible_to(user)
        .select_related("job", "base_model", "owner")
        .prefetch_related(Prefetch("images", queryset=images), "loras__checkpoint__run")
    )


def views_of(generations: Sequence[Generation]) -> list[GenerationView]:
    timetable = Timetable()
    waiting = [generation.job_id for generation in generations if generation.job.state == Job.State.QUEUED]
    if waiting:  # one question for all places in the queue
        placed = queue.with_positions(Job.objects.filter(pk__in=waiting)).in_bulk()
        for generation in generations:
            generation.job = placed.get(generation.job_id, generation.job)
    return [GenerationView(generation, timetable) for generation in generations]


@dataclass
class GenerationView:
    """What a card shows of a generation."""

    generation: Generation
    timetable: Timetable

    @property
    def job(self) -> Job:
        return self.generation.job

    @cached_property
    def images(self) -> list[GeneratedImage]:
        return [image for image in self.generation.images.all() if not image.mending]

    @cached_property
    def tiles(self) -> list[GeneratedImage | None]:
        """One place per asked picture while more may come; afterwards only what there is."""
        made = {image.seq: image for image in self.images}
        wanted = range(self.generation.num_images) if self.job.is_live else sorted(made)
        return [made.get(seq) for seq in wanted]

    @cached_property
    def in_the_making(self) -> int | None:
        """Index of the tile that the preview belongs to: the first without a picture, while the job runs."""
        if self.job.state != Job.State.RUNNING:
            return None
        return next((index for index, image in enumerate(self.tiles) if image is None), None)

    @cached_property
    def preview_version(self) -> str:
        preview = self.job.preview
        return hashlib.sha256(bytes(preview)).hexdigest()[:12] if preview else ""

    @cached_property
    def doing(self) -> str:
        return doing(self.job)

    @cached_property
    def time_left(self) -> str:
        if not self.job.is_live or self.job.cancel_requested:
            return ""
        seconds = self.timetable.seconds_left(self.job)
        return "" if seconds is None else about(seconds)

    @cached_property
    def news(self) -> str:
        """For a screen reader: changes when something has happened, not with each step."""
        made, total, prompt = len(self.images), self.generation.num_images, self.generation.prompt[:60]
        words: dict[str, Any] = {"made": made, "total": total, "prompt": prompt}
        match self.job.state:
            case Job.State.QUEUED:
                return _("Waiting in the queue: %(prompt)s") % words
            case Job.State.RUNNING if not made:
                return _("The pictures are being made: %(prompt)s") % words
            case Job.State.RUNNING:
                return _("%(made)d of %(total)d pictures are ready: %(prompt)s") % words
            case Job.State.FAILED:
                return _("This generation failed: %(prompt)s") % words
            case Job.State.CANCELLED:
                return _("Cancelled: %(prompt)s") % words
        done = ngettext("%(made)d picture is ready: %(prompt)s", "All %(made)d pictures are ready: %(prompt)s", made)
        return done % words

    @cached_property
    def version(self) -> str:
        """Changes with whatever the card shows of a live job."""
        shown = (self.job.state, self.job.cancel_requested, self.job.progress_step, self.doing, self.time_left,
                 [image.pk for image in self.images], self.preview_version)  # fmt: skip
        return hashlib.sha256(repr(shown).encode()).hexdigest()[:12]
