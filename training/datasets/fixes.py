"""What is done about findings: photos taken out, mended, captions cut or corrected, or the finding accepted.

Every fix is one step of the draft's history. A mended photo is a new picture; its `parent` and `recipe` say what it was
made from, and taking the step back brings the old one back.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, Final
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from PIL import Image

from shoesai import files, photo_mending
from shoesai.models import User
from shoesai.photo_mending import CannotMend
from training.datasets.caption_vocabulary import COLOURS
from training.datasets.drafts import DraftProblem, edit
from training.datasets.findings import KINDS, Words
from training.datasets.models import AcceptedFinding, DatasetVersion, DraftEdit, Finding, Photo

MOST_AT_ONCE: Final = 48  # mended while somebody waits for the page; more is a job's work

Fields = dict[str, Any]
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Fix:
    """`mends` says that it makes a new picture, so that there is something to look at before."""

    label: Words
    change: Callable[[Finding], Fields | None]
    mends: Callable[[Image.Image], Image.Image] | None = None

    @property
    def makes_picture(self) -> bool:
        return self.mends is not None


@dataclass(frozen=True)
class Applied:
    """`step` is None where nothing changed; `refused` are photos that stay as they are, and why."""

    step: DraftEdit | None
    changed: int
    refused: list[tuple[Photo, str]] = field(default_factory=list)


def apply(
    draft: DatasetVersion, user: User, findings: Iterable[Finding], fix: str, progress: Progress | None = None
) -> Applied:
    """One undoable step for all of them. Raises DraftProblem for a frozen version, a fix that no finding here has,
    and for findings of another version.
    """
    chosen = _of_draft(draft, findings, fix)
    changes: dict[UUID, Fields] = {}
    refused: list[tuple[Photo, str]] = []
    for done, finding in enumerate(chosen):
        if progress:
            progress(done, len(chosen))
        photo = finding.photo
        if photo is None or photo.pk in changes:
            continue
        try:
            change = FIXES[fix].change(finding)
        except CannotMend as error:
            refused.append((photo, str(error)))
            continue
        if change:
            changes[photo.pk] = change
    step = edit(draft, user, fix, changes) if changes else None
    return Applied(step, len(changes) if step else 0, refused)


def _of_draft(draft: DatasetVersion, findings: Iterable[Finding], fix: str) -> list[Finding]:
    if fix not in FIXES:
        raise DraftProblem(gettext("There is no such fix."))
    if not draft.is_draft:
        raise DraftProblem(gettext("This version is frozen and cannot be changed; edit its dataset's draft instead."))
    found = list(findings)
    if any(finding.version_id != draft.pk for finding in found):
        raise DraftProblem(gettext("Some of these findings are not about this draft; check it again."))
    fitting = [finding for finding in found if fix in KINDS[finding.kind].fixes]
    if not fitting:
        raise DraftProblem(gettext("None of the chosen findings can be mended like this."))
    return fitting


@transaction.atomic
def accept(findings: Iterable[Finding], user: User) -> int:
    """For these pictures in every version of the dataset. How many were not accepted before."""
    open_ones = [finding for finding in findings if not finding.accepted]
    rows = [
        AcceptedFinding(
            dataset_id=finding.version.dataset_id,
            blob_id=finding.photo.blob_id if finding.photo else None,
            kind=finding.kind,
            user=user,
        )
        for finding in open_ones
    ]
    AcceptedFinding.objects.bulk_create(rows, ignore_conflicts=True)
    Finding.objects.filter(pk__in=[finding.pk for finding in open_ones]).update(accepted=True)
    return len(open_ones)


@transaction.atomic
def take_acceptance_back(findings: Iterable[Finding]) -> int:
    accepted = [finding for finding in findings if finding.accepted]
    for finding in accepted:
        AcceptedFinding.objects.filter(
            dataset_id=finding.version.dataset_id,
            blob_id=finding.photo.blob_id if finding.photo else None,
            kind=finding.kind,
        ).delete()
    Finding.objects.filter(pk__in=[finding.pk for finding in accepted]).update(accepted=False)
    return len(accepted)


# --- changes ------------------------------------------------------------------------------------------------
def _take_out(finding: Finding) -> Fields:
    return {"removed": True}


def _keep_best(finding: Finding) -> Fields | None:
    """All of a group but the best go; where the best has been taken out already, the first that is left stays."""
    group = finding.version.findings.current().filter(kind=finding.kind, group=finding.group)
    there = [str(pk) for pk in group.order_by("photo__position").values_list("photo_id", flat=True)]
    keep = finding.detail["best"] if finding.detail["best"] in there else there[0]
    return None if keep == str(finding.photo_id) else {"removed": True}


def mended(finding_or_photo: Finding | Photo, fix: str) -> Image.Image:
    """The picture as the fix would make it. Raises CannotMend."""
    photo = finding_or_photo.photo if isinstance(finding_or_photo, Finding) else finding_or_photo
    mend = FIXES[fix].mends
    assert photo and mend
    return mend(opened(photo))


def opened(photo: Photo) -> Image.Image:
    with Image.open(files.path_of(photo.blob_id), formats=("PNG",)) as picture:
        return picture.convert("RGB")


def _mend_with(fix: str) -> Callable[[Finding], Fields]:
    def change(finding: Finding) -> Fields:
        photo = finding.photo
        assert photo
        picture = mended(photo, fix)
        out = BytesIO()
        picture.save(out, "PNG")
        blob = files.publish(out.getvalue(), "image/png")
        earlier = photo.recipe.get("mended", [])
        return {
            "blob_id": blob.pk,
            "width": picture.width,
            "height": picture.height,
            "parent_id": photo.parent_id or photo.blob_id,
            "recipe": {**photo.recipe, "mended": [*earlier, {"fix": fix, "from": photo.blob_id}]},
        }

    return change


def _cut_caption(finding: Finding) -> Fields | None:
    """Without what the model drops anyway."""
    assert finding.photo
    caption, dropped = finding.photo.caption, finding.detail.get("dropped", "")
    place = caption.rfind(dropped[:40]) if dropped else -1
    return {"caption": caption[:place].rstrip(" ,;.-")} if place > 0 else None


def _name_colour(finding: Finding) -> Fields | None:
    """The first name of the wrong colour becomes the one that is seen."""
    assert finding.photo
    written = "|".join(re.escape(name) for name in sorted(COLOURS[finding.detail["said"]], key=len, reverse=True))
    caption = re.sub(rf"\b(?:{written})\b", finding.detail["seen"], finding.photo.caption, count=1, flags=re.I)
    return {"caption": caption} if caption != finding.photo.caption else None


FIXES: Final[dict[str, Fix]] = {
    "take_out": Fix(_("Take out"), _take_out),
    "keep_best": Fix(_("Keep the best, take the others out"), _keep_best),
    "white_background": Fix(_("Put white behind it"), _mend_with("white_background"), photo_mending.whitened),
    "reframe": Fix(_("Centre it on white"), _mend_with("reframe"), photo_mending.reframed),
    "level": Fix(_("Brighten"), _mend_with("level"), photo_mending.levelled),
    "cut_caption": Fix(_("Cut at 77 tokens"), _cut_caption),
    "name_colour": Fix(_("Name the colour that is seen"), _name_colour),
}
