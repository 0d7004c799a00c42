"""How long the queued and running pictures will take, from how long such pictures took lately."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator
from datetime import timedelta
from functools import cached_property
from uuid import UUID

from django.utils import timezone
from django.utils.translation import gettext as _

from generation.models import GeneratedImage, Generation
from shoesai.jobs.kinds import HOUSEKEEPING, KINDS
from shoesai.models import Job

LANE = KINDS["generate"].lane
LOOKED_AT = 400  # the newest pictures of anybody: one machine makes them all
SAME_ENOUGH = 40
PATIENCE = timedelta(seconds=20)
LIVE_JOBS = 500


class Timetable:
    """When each live generation will be done, as far as anything is known. One look at the queue serves a page."""

    def seconds_left(self, job: Job) -> float | None:
        """None: nothing like it was made lately, unknown work is before it, or no worker seems to be there."""
        return self._left.get(job.pk)

    @cached_property
    def _left(self) -> dict[UUID, float]:
        queue = Job.objects.filter(lane=LANE, state__in=Job.LIVE).exclude(kind__in=HOUSEKEEPING)
        jobs = list(queue.defer("preview").order_by("priority", "created_at")[:LIVE_JOBS])
        jobs.sort(key=lambda job: job.state != Job.State.RUNNING)
        if jobs and jobs[0].state != Job.State.RUNNING and timezone.now() - jobs[0].created_at > PATIENCE:
            return {}
        return dict(self._ends(jobs))

    def _ends(self, jobs: list[Job]) -> Iterator[tuple[UUID, float]]:
        made = Generation.objects.select_related(None).in_bulk(
            [job.pk for job in jobs if job.kind == "generate"], field_name="job_id"
        )
        end = 0.0
        for job in jobs:
            if KINDS[job.kind].yields:
                continue  # a training steps aside for pictures
            seconds = self._seconds(job, made[job.pk]) if job.pk in made else None
            if seconds is None:
                return
            end += seconds
            yield job.pk, end

    def _seconds(self, job: Job, generation: Generation) -> float | None:
        steps = generation.num_images * generation.num_inference_steps * (generation.strength or 1)
        if job.state == Job.State.RUNNING:
            if not job.progress_total:
                return None  # an engine that loads its model may need longer than all the pictures
            steps = job.progress_total - job.progress_step
        per_step = self.seconds_per_step(generation)
        return None if per_step is None else steps * per_step

    def seconds_per_step(self, generation: Generation) -> float | None:
        """Of one picture; of the same size where there were such, else in proportion to the pixels."""
        own = [row for row in self._lately if row[0] == generation.base_model_id]
        pixels = generation.width * generation.height
        same = [seconds for _base, area, seconds in own if area == pixels][:SAME_ENOUGH]
        other = [seconds / area * pixels for _base, area, seconds in own[:SAME_ENOUGH]]
        return statistics.median(same or other) if own else None

    @cached_property
    def _lately(self) -> list[tuple[UUID, int, float]]:
        """Base model, pixels, and seconds a step of the newest pictures."""
        rows = GeneratedImage.objects.order_by("-created_at", "-id").values_list(
            "generation__base_model", "width", "height", "seconds", "generation__num_inference_steps",
            "generation__strength",
        )[:LOOKED_AT]  # fmt: skip
        return [
            (base, width * height, seconds / (steps * (strength or 1)))
            for base, width, height, seconds, steps, strength in rows
            if seconds > 0
        ]


def about(seconds: float) -> str:
    """Said no finer than it is known."""
    if seconds < 5:
        return _("a few seconds left")
    if seconds < 100:
        step = 5 if seconds < 30 else 10
        return _("about %(seconds)d s left") % {"seconds": max(step, round(seconds / step) * step)}
    if seconds < 90 * 60:
        return _("about %(minutes)d min left") % {"minutes": math.ceil(seconds / 60)}
    return _("about %(hours)d h left") % {"hours": math.ceil(seconds / 3600)}
