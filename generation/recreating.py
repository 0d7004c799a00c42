"""Making a picture again from its recipe, as proof: asking for it, comparing, and saying what is not as it was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from django.utils.translation import gettext as _
from PIL import Image

from generation.metadata import png_with_recipe, recipe_of
from generation.models import GeneratedImage, Recreation
from shoesai import files
from shoesai.jobs import queue
from shoesai.models import Job, User

# "Within tolerance", in steps of the 255 that a channel of a pixel has: what another device or batch may round apart.
CLOSE_MAX = 2
CLOSE_MEAN = 0.1


# --- asking -----------------------------------------------------------------------------------------------------
def request_recreation(user: User, image: GeneratedImage) -> Recreation:
    """Queues it; a second wish while the first one lives is the same one.

    Raises GeneratedImage.DoesNotExist for a picture that the user cannot see, and queue.QuotaReached.
    """
    GeneratedImage.objects.visible_to(user).get(pk=image.pk)
    return queue_recreation(user, image)


def queue_recreation(owner: User, image: GeneratedImage) -> Recreation:
    """For whoever runs the site, who may check every picture."""
    with queue.accepting(owner):
        living = image.recreations.filter(owner=owner, job__state__in=Job.LIVE).select_related("job").first()
        if living:
            return living
        job = queue.enqueue(owner=owner, kind="recreate")
        return Recreation.objects.create(owner=owner, team=image.team, image=image, job=job)


def newest_recreation(image: GeneratedImage) -> Recreation | None:
    """Of whoever asked for it: a proof is one for all who see the picture."""
    return image.recreations.select_related("job", "image", "blob").first()


# --- comparing --------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Difference:
    """Over all channels of all pixels; None where the sizes differ."""

    most: int | None
    mean: float | None

    @property
    def verdict(self) -> Recreation.Verdict:
        if self.most is None or self.mean is None:
            return Recreation.Verdict.DIFFERENT
        if self.most == 0:
            return Recreation.Verdict.IDENTICAL
        is_close = self.most <= CLOSE_MAX and self.mean <= CLOSE_MEAN
        return Recreation.Verdict.CLOSE if is_close else Recreation.Verdict.DIFFERENT


def difference_of(stored: Image.Image, again: Image.Image) -> Difference:
    """Of what is seen: decoded pixels, whatever the files around them hold."""
    if stored.size != again.size:
        return Difference(None, None)
    first, second = (np.asarray(picture.convert("RGB"), dtype=np.int16) for picture in (stored, again))
    apart = np.abs(first - second)
    return Difference(int(apart.max()), round(float(apart.mean()), 4))


# --- what is not as it was --------------------------------------------------------------------------------------
Reason = dict[str, Any]
"""`what` it is, and where it is something recorded: what it was `then` and is `now`."""

UNRECORDED: Reason = {"what": "unrecorded"}
FILE_CHANGED: Reason = {"what": "file"}
BASE_CHANGED: Reason = {"what": "base"}


def engine_changes(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[Reason]:
    """Between two records of the engine (`shoesai.engine.device.record`)."""
    if not then:
        return [UNRECORDED]
    return [
        {"what": what, "then": then[what], "now": now[what]}
        for what in then
        if what in now and then[what] != now[what]
    ]


def size_change(stored: Image.Image, again: Image.Image) -> list[Reason]:
    then, now = ("{} × {}".format(*picture.size) for picture in (stored, again))
    return [] if then == now else [{"what": "size", "then": then, "now": now}]


def words_of(recreation: Recreation) -> list[str]:
    """Why it is not identical, one sentence each."""
    words = [_in_words(reason) for reason in recreation.reasons]
    if not words and recreation.verdict == Recreation.Verdict.CLOSE:
        return [_("Nothing recorded has changed; rounding does this where a picture was made beside other ones then.")]
    if not words and recreation.verdict == Recreation.Verdict.DIFFERENT:
        return [_("Nothing recorded has changed, so something else has: a driver, or the stored picture.")]
    return words


def _in_words(reason: Reason) -> str:
    what = reason["what"]
    if what == "unrecorded":
        return _("What made the picture was not recorded then, so it cannot be compared with today.")
    if what == "file":
        return _("The stored file is damaged: its bytes are not those that were written.")
    if what == "size":
        return _("The stored picture has %(then)s pixels and the new one %(now)s.") % reason
    if what == "base":
        return _("The files of the base model are not those that were added.")
    words = {
        "device": _("The device was %(then)s and is %(now)s now."),
        "name": _("The processor was %(then)s and is %(now)s now."),
        "precision": _("The precision was %(then)s and is %(now)s now."),
        "at_once": _("Pictures were made %(then)s at once and are made %(now)s at once now."),
        "threads": _("The engine worked in %(then)s threads and works in %(now)s now."),
    }
    return words.get(what, _("%(what)s was %(then)s and is %(now)s now.")) % reason


# --- keeping ----------------------------------------------------------------------------------------------------
def keep_verdict(recreation: Recreation, again: Image.Image, difference: Difference, reasons: list[Reason]) -> None:
    """Call it inside `claim.committing()`. The stored picture stays; the second one too where it is another one."""
    recreation.verdict = difference.verdict
    recreation.max_difference, recreation.mean_difference = difference.most, difference.mean
    recreation.reasons = reasons
    if difference.verdict == Recreation.Verdict.DIFFERENT:
        image = recreation.image
        recipe = recipe_of(image.generation, image.seed_number)
        recreation.blob = files.publish(png_with_recipe(again.convert("RGB"), recipe), "image/png")
    recreation.save()
    _forget_older(recreation)


def _forget_older(recreation: Recreation) -> None:
    """Their pictures: a page shows the newest one."""
    older = recreation.image.recreations.exclude(pk=recreation.pk).filter(blob__isnull=False)
    for one in older:
        sha256, one.blob = one.blob_id, None
        one.save(update_fields=["blob"])
        files.discard(sha256)
