"""The reference that comes with the Generate form: never larger than it may be, and kept before anything else."""

from __future__ import annotations

from django.http import HttpRequest, QueryDict
from django.utils.translation import gettext as _

from generation import limits
from generation.references import keep_reference
from shoesai.auth import caller
from shoesai.pictures import NotAPicture
from shoesai.uploads import bounded

FIELD = "reference_file"


bounded_uploads = bounded(lambda: limits.REFERENCE_BYTES)


def posted_with_upload(request: HttpRequest) -> tuple[QueryDict, str]:
    """The fields, and what is wrong with the picture that came along, if anything. For views with `bounded_uploads`.

    A good picture is kept at once and stands in the fields, so that nothing that goes wrong later loses it.
    """
    posted = request.POST.copy()
    if FIELD in request.too_large:  # type: ignore[attr-defined]
        return posted, _("is larger than %(most)d MB.") % {"most": limits.REFERENCE_BYTES // 1024 // 1024}
    if FIELD not in request.FILES:
        return posted, ""
    try:
        blob = keep_reference(caller(request), request.FILES[FIELD])
    except NotAPicture as problem:
        return posted, str(problem)
    posted["reference"], posted["reference_image"] = blob.sha256, ""
    posted.setdefault("strength", str(limits.DEFAULT_STRENGTH))
    return posted, ""
