"""A generated picture made fit for a channel: true white behind it, re-framed, and as large as the channel asks.

What is done is written down step by step, in the picture's row, its recipe and its file; nothing is invented, so an
enlarged picture has no more detail than before and says that it was enlarged.
"""

from __future__ import annotations

import time
from typing import Any, Final

import numpy as np
from django.utils.translation import gettext as _
from PIL import Image

from evaluation.profiles import PROFILES, Profile
from evaluation.verdicts import judge
from generation import storage
from generation.models import GeneratedImage
from generation.services import keep_mended
from shoesai import files
from shoesai.models import User
from shoesai.photo_checks import box_of, pixels, segment_shoe
from shoesai.photo_mending import LOOK, CannotMend, whitened

EDGE: Final = 0.02  # a fill that a channel asks for leaves at least this much beside the shoe


def mended(picture: Image.Image, profile: Profile) -> tuple[Image.Image, list[str]]:
    """The picture for that channel, and what was done. Raises CannotMend."""
    white = whitened(picture)
    left, top, right, bottom = _box(white)
    if right <= left or bottom <= top:
        raise CannotMend(_("No shoe was found that could be put into the middle."))
    if min(left, top, 1 - right, 1 - bottom) <= 0:
        raise CannotMend(_("The shoe leaves the picture; what lies outside cannot be brought back."))
    steps = ["white background with its shadow", f"re-framed to {profile.fill:.0%}"]
    size = _size(white.size, profile.side)
    if size != white.size:
        steps.append(f"resized {white.width}x{white.height} to {size[0]}x{size[1]} (Lanczos)")
    framed = _framed(white, (left, top, right, bottom), profile.fill, size)
    return framed, steps


def _box(white: Image.Image) -> tuple[float, float, float, float]:
    small = white.copy()
    small.thumbnail((LOOK, LOOK), Image.Resampling.BOX)
    return box_of(segment_shoe(pixels(small)))


def _size(size: tuple[int, int], least: int) -> tuple[int, int]:
    """As it is, or enlarged until its longer side has what the channel asks for."""
    factor = max(1.0, least / max(size))
    return round(size[0] * factor), round(size[1] * factor)


def _framed(
    white: Image.Image, box: tuple[float, float, float, float], fill: float, size: tuple[int, int]
) -> Image.Image:
    """The shoe in the middle of white paper, resized once from the pixels that are there."""
    left, top, right, bottom = box
    scale = min(fill, 1 - EDGE) / max(right - left, bottom - top)
    moved = white.resize(
        (max(1, round(size[0] * scale)), max(1, round(size[1] * scale))), Image.Resampling.LANCZOS
    )
    paper = Image.new("RGB", size, "white")
    middle = ((left + right) / 2 * moved.width, (top + bottom) / 2 * moved.height)
    paper.paste(moved, (round(size[0] / 2 - middle[0]), round(size[1] / 2 - middle[1])))
    return _true_white(paper)


def _true_white(picture: Image.Image) -> Image.Image:
    """Resampling rings beside edges: what is nearly white is paper."""
    values = np.asarray(picture)
    return Image.fromarray(np.where(values.min(-1, keepdims=True) >= 250, np.uint8(255), values))


def mend_image(user: User, image: GeneratedImage, profile_name: str) -> GeneratedImage:
    """Keeps the mended picture beside its parent, and judges it at once. Raises CannotMend and storage.StorageFull.

    `image` is one of the user's own. It takes about a second, so whoever asked waits for it.
    """
    profile = PROFILES[profile_name]
    storage.require_room(user)
    begun = time.monotonic()
    try:
        with Image.open(files.path_of(image.blob_id), formats=["PNG"]) as stored:
            picture, steps = mended(stored.convert("RGB"), profile)
    except (OSError, SyntaxError) as error:
        raise CannotMend(_("The file of the picture is missing or cannot be decoded.")) from error
    mending: dict[str, Any] = {
        "profile": profile.name,
        "steps": steps,
        "parent": str(image.pk),
        "parent_sha256": image.blob_id,
        "size": list(picture.size),
    }
    made = keep_mended(image, picture, mending, time.monotonic() - begun)
    judge(made)
    return made
