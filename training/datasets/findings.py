"""What the doctor can find: in plain words, and what can be done about each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

Words = str | Promise


@dataclass(frozen=True)
class FindingKind:
    """`fixes` are rows of `fixes.FIXES`, the suggested one first; accepting is always possible.

    `grouped` findings are about photos that belong together, `whole` ones about the version and no photo.
    """

    label: Words
    explanation: Words
    fixes: tuple[str, ...] = ()
    grouped: bool = False
    whole: bool = False


KINDS: Final[dict[str, FindingKind]] = {
    "duplicate": FindingKind(
        _("Duplicates"),
        _("The very same picture more than once; what is learned from it counts as often."),
        ("keep_best",),
        grouped=True,
    ),
    "near_duplicate": FindingKind(
        _("Near-duplicates"),
        _("Almost the same picture: saved again, made smaller, cropped or lit a little otherwise. Keep the best one."),
        ("keep_best",),
        grouped=True,
    ),
    "too_small": FindingKind(
        _("Too small"),
        _("Fewer pixels than a model learns from. Enlarging blurs it, so a larger original is the only cure."),
        ("take_out",),
    ),
    "blurred": FindingKind(
        _("Blurred"),
        _("Out of focus, moved, or enlarged: no edge in it is sharp. A model that learns from it draws softly, too."),
        ("take_out",),
    ),
    "underexposed": FindingKind(
        _("Too dark"),
        _("Nothing in the picture comes near to white, or the shoe has drowned in black."),
        ("level", "take_out"),
    ),
    "overexposed": FindingKind(
        _("Too bright"),
        _("Large parts of the shoe are burnt out. What is lost there cannot be brought back."),
        ("take_out",),
    ),
    "background": FindingKind(
        _("Background not white"),
        _("The border is grey, tinted or patterned. A catalogue has white behind every shoe."),
        ("white_background", "take_out"),
    ),
    "small_in_frame": FindingKind(
        _("Small in the picture"),
        _("The shoe fills less than half of the picture, so most of what is learned is paper."),
        ("reframe", "take_out"),
    ),
    "off_centre": FindingKind(
        _("Off centre"),
        _("The shoe stands clearly beside the middle."),
        ("reframe", "take_out"),
    ),
    "cut_off": FindingKind(
        _("Cut off"),
        _("The shoe leaves the picture, and half shoes are what a model learns from that."),
        ("take_out",),
    ),
    "no_subject": FindingKind(
        _("No shoe found"),
        _("Nothing stands out from the background."),
        ("take_out",),
    ),
    "caption_missing": FindingKind(
        _("No caption"),
        _("Without a caption nothing can be learned from a photo; the Captions page helps to write it."),
        ("take_out",),
    ),
    "caption_too_long": FindingKind(
        _("Caption too long"),
        _("The model reads 77 tokens and drops the rest, so the end of this caption teaches nothing."),
        ("cut_caption",),
    ),
    "caption_contradicts": FindingKind(
        _("Caption and colour differ"),
        _("The caption names a colour that the shoe does not have."),
        ("name_colour", "take_out"),
    ),
    "imbalance": FindingKind(
        _("Imbalance"),
        _("Most photos are of one kind, so that is what every generated shoe will tend to."),
        whole=True,
    ),
    "coverage": FindingKind(
        _("Gaps in coverage"),
        _("Combinations of type, colour and view without a photo, or with a single one."),
        whole=True,
    ),
}
