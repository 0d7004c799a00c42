"""A picture as it leaves: the stored PNG, or its pixels encoded anew, with its recipe inside or without.

With it, all three formats carry the same: `parameters` as AUTOMATIC1111 writes them (PNG text, elsewhere EXIF
UserComment), our recipe as JSON (PNG text, elsewhere XMP), and the mark of AI origin in XMP. Without it the mark
stays, because article 50 of the EU AI Act asks for it, and nothing else does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from django.utils.translation import gettext as _
from PIL import ExifTags, Image

from generation.bare_png import bare_chunks
from generation.metadata import xmp_of

QUALITY = 95
SUFFIXES = {"png": "png", "webp": "webp", "jpeg": "jpg"}
BEST: dict[str, dict[str, Any]] = {"webp": {"method": 4}, "jpeg": {"subsampling": "4:4:4", "optimize": True}}
CHOICES_OF = {"format": tuple(SUFFIXES), "metadata": ("1", "0")}


class UnknownVariant(Exception):
    """What a caller asked for that there is not: for each parameter what is allowed."""

    def __init__(self, errors: dict[str, str]) -> None:
        super().__init__(" ".join(f"{name} {text}" for name, text in errors.items()))
        self.errors = errors


@dataclass(frozen=True)
class Variant:
    format: str = "png"
    metadata: bool = True

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Variant:
        """`?format=webp&metadata=0`; either may be left out. Raises UnknownVariant."""
        given = {name: query.get(name, allowed[0]) for name, allowed in CHOICES_OF.items()}
        errors = {
            name: _("must be one of %(names)s.") % {"names": ", ".join(CHOICES_OF[name])}
            for name, value in given.items()
            if value not in CHOICES_OF[name]
        }
        if errors:
            raise UnknownVariant(errors)
        return cls(given["format"], given["metadata"] == "1")

    @property
    def is_stored(self) -> bool:
        """It lies on the disk as it is."""
        return self == Variant()

    @property
    def mime(self) -> str:
        return f"image/{self.format}"

    @property
    def suffix(self) -> str:
        return SUFFIXES[self.format]

    def etag(self, sha256: str) -> str:
        what = "" if self.is_stored else f"-{self.format}{'' if self.metadata else '-bare'}"
        return f'"{sha256}{what}"'

    def encode(self, path: Path) -> bytes:
        """What is inside comes from the stored file itself, so a variant says what the picture says."""
        if self.format == "png":
            return path.read_bytes() if self.metadata else b"".join(bare_chunks(path))
        with Image.open(path) as stored:
            said = stored.info if self.metadata else {}
            picture = stored.convert("RGB")
        picture.info = {}
        out = BytesIO()
        picture.save(
            out,
            self.format.upper(),
            quality=QUALITY,
            xmp=xmp_of(said.get("shoesai", "")).encode(),
            exif=_user_comment(said.get("parameters", "")),
            **BEST[self.format],
        )
        return out.getvalue()


def _user_comment(text: str) -> bytes:
    if not text:
        return b""
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment] = b"UNICODE\0" + text.encode("utf-16-be")
    return exif.tobytes()
