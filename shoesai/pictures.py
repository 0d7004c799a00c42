"""One uploaded picture, made safe: decoded whole, upright, RGB on white, sRGB, without metadata, as PNG."""

from __future__ import annotations

import struct
import warnings
from dataclasses import dataclass
from io import BytesIO

from django.utils.translation import gettext as _
from PIL import Image, ImageCms, ImageOps

from shoesai.numbers import grouped

FORMATS = ("PNG", "JPEG", "WEBP")
MAX_FILE_BYTES = 100 * 1024 * 1024
MAX_PIXELS = 40_000_000
MIN_SIDE = 16
# The engine scales the shorter side to its resolution; a 40,000,000 × 1 strip would grow beyond any memory.
MAX_ASPECT = 8
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


class NotAPicture(Exception):
    """Says in one sentence why these bytes cannot be used."""


@dataclass(frozen=True)
class Picture:
    png: bytes
    width: int
    height: int


def read_picture(data: bytes, longest: int | None = None) -> Picture:
    """Raises NotAPicture. The result depends on the bytes alone, so importing twice gives the same PNG.

    What is longer than `longest` pixels on one side is made smaller.
    """
    if not data:
        raise NotAPicture(_("is empty."))
    try:
        image = _decode(data)
    except NotAPicture:
        raise
    except Exception as error:  # Pillow's decoders raise whatever their parsers met, IndexError and all
        raise NotAPicture(_("is broken: it cannot be decoded to the end.")) from error
    if longest and max(image.size) > longest:
        image.thumbnail((longest, longest), Image.Resampling.LANCZOS)
    elif is_bare_png(data):  # then there was nothing to turn, flatten, convert or strip
        return Picture(data, image.width, image.height)
    out = BytesIO()
    # From the bare pixels: Pillow would write the source's profile and transparency along.
    Image.frombytes("RGB", image.size, image.tobytes()).save(out, "PNG")
    return Picture(out.getvalue(), image.width, image.height)


def _decode(data: bytes) -> Image.Image:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # our own limit is lower
            source = Image.open(BytesIO(data), formats=FORMATS)
    except Image.UnidentifiedImageError as error:
        raise NotAPicture(_("is not a PNG, JPEG or WebP picture.")) from error
    except Image.DecompressionBombError as error:
        raise NotAPicture(_("has more than %(most)s pixels.") % {"most": grouped(MAX_PIXELS)}) from error
    with source:
        _check_shape(source)
        source.load()
        upright = ImageOps.exif_transpose(source)
        return _to_srgb(_on_white(upright), source.info.get("icc_profile"))


def _check_shape(image: Image.Image) -> None:
    """Before decoding: the header tells, and a bomb must not be opened to learn that it is one."""
    width, height = image.size
    size = {"width": width, "height": height}
    if width * height > MAX_PIXELS:
        words = _("is %(width)d × %(height)d; at most %(most)s pixels are allowed.")
        raise NotAPicture(words % {**size, "most": grouped(MAX_PIXELS)})
    if min(width, height) < MIN_SIDE:
        words = _("is %(width)d × %(height)d; each side needs at least %(least)d pixels.")
        raise NotAPicture(words % {**size, "least": MIN_SIDE})
    if max(width, height) > MAX_ASPECT * min(width, height):
        words = _("is %(width)d × %(height)d; one side may be at most %(times)d times the other.")
        raise NotAPicture(words % {**size, "times": MAX_ASPECT})
    # MPO is what phones call a JPEG with a second, smaller picture inside: not an animation.
    if image.format != "MPO" and getattr(image, "n_frames", 1) > 1:
        raise NotAPicture(_("is animated; give a still picture."))


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16 bits of grey, which convert() would clip instead of scale
        return image.convert("I").point(lambda value: value * (1 / 256)).convert("L").convert("RGB")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        white = Image.new("RGBA", layer.size, "white")
        return Image.alpha_composite(white, layer).convert("RGB")
    return image if image.mode in ("RGB", "CMYK") else image.convert("RGB")


def _to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Phones photograph in Display P3, studios in Adobe RGB: dropping the profile would dull every colour."""
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(BytesIO(profile))
            if "srgb" not in ImageCms.getProfileDescription(source).lower():
                target = ImageCms.createProfile("sRGB")
                return ImageCms.profileToProfile(image, source, target, outputMode="RGB") or image
        except (ImageCms.PyCMSError, OSError):
            pass  # a profile for another kind of picture; the pixels are still good
    return image if image.mode == "RGB" else image.convert("RGB")


def is_bare_png(data: bytes) -> bool:
    """True for an 8-bit RGB PNG of picture data only: no text, no profile, nothing behind its end."""
    if not data.startswith(_PNG_SIGNATURE) or data[24:26] != b"\x08\x02":
        return False
    position = len(_PNG_SIGNATURE)
    while position + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, position)
        kind = data[position + 4 : position + 8]
        position += 12 + length
        if kind == b"IEND":
            return position == len(data)
        if kind not in (b"IHDR", b"IDAT"):
            return False
    return False
