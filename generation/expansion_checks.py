"""Whether a generated picture is good enough to learn from: on white, whole, large enough, and no copy of a photo."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from PIL import Image

from shoesai import files
from shoesai.photo_checks import Measures, hamming, measure, phash, small_copy
from training.datasets.alike import HAMMING, groups_of_alike
from training.models import DatasetVersion, Photo

WHITE_BORDER = 0.95  # of the background's border
SMALLEST_SHOE = 0.02  # of the picture
SMALLEST_FILL = 0.35  # of the longer side
TOUCHING = 0.06  # of an edge in one stretch

REASONS: dict[str, Promise] = {
    "background": _("The background is not white"),
    "no_subject": _("No shoe to be seen"),
    "small_in_frame": _("The shoe is too small in the frame"),
    "cut_off": _("The shoe is cut off"),
    "copy": _("A copy of a photo that is there"),
}


def faults_of(measures: Measures) -> list[str]:
    """Keys of REASONS, without looking at other pictures."""
    if measures.subject < SMALLEST_SHOE:
        return ["no_subject"] if measures.border_white >= WHITE_BORDER else ["background", "no_subject"]
    touching = max(measures.touches_left, measures.touches_top, measures.touches_right, measures.touches_bottom)
    faults = {
        "background": measures.border_white < WHITE_BORDER,
        "small_in_frame": measures.fill < SMALLEST_FILL,
        "cut_off": touching > TOUCHING,
    }
    return [name for name, found in faults.items() if found]


@dataclass
class KnownPhotos:
    """How photos look that a generated picture must not be a copy of. Hashes are 64 bits, by blob."""

    hashes: dict[str, int]
    _copies: dict[str, bytes] = field(default_factory=dict)

    @classmethod
    def of(cls, versions: Iterable[DatasetVersion], on_progress: Callable[[int, int], None]) -> KnownPhotos:
        """Photographs alone; what the doctor has measured already is taken from there."""
        rows = Photo.objects.present().filter(version__in=versions, origin=Photo.Origin.IMPORTED, depth=0)
        known = dict(rows.values_list("blob_id", "blob__measure__phash"))
        hashes = {blob: int(told, 16) for blob, told in known.items() if told}
        unknown = [blob for blob in known if blob not in hashes]
        for number, blob in enumerate(unknown):
            if number % 20 == 0:
                on_progress(number, len(unknown))
            with Image.open(files.path_of(blob)) as photo:
                hashes[blob] = phash(photo)
        return cls(hashes)

    def faults_of(self, picture: Image.Image) -> list[str]:
        """Why the picture is not taken; keys of REASONS."""
        return faults_of(measure(picture)) + (["copy"] if self.has(picture) else [])

    def has(self, picture: Image.Image) -> bool:
        """Nearly the same picture as a photo, as the doctor means it for two photos."""
        own = phash(picture)
        near = [blob for blob, other in self.hashes.items() if hamming(own, other) <= HAMMING]
        if not near:
            return False
        small = small_copy(picture).tobytes()
        return any(groups_of_alike([own, self.hashes[blob]], [small, self._copy(blob)]) for blob in near)

    def _copy(self, blob: str) -> bytes:
        if blob not in self._copies:
            with Image.open(files.path_of(blob)) as photo:
                self._copies[blob] = small_copy(photo).tobytes()
        return self._copies[blob]
