"""What each sales channel asks of a product photo: profiles as data, one row a rule.

The channels' values are those that their own pages, or guides to them, gave on the day named in `source`; the house's
are the thresholds that the dataset's doctor was measured with (`training.datasets.judging`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Any, Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from training.datasets.judging import AWAY, BLURRED, BURNT, CRUSHED, DARK, ROUGH, TOUCH

Facts = Mapping[str, Any]
"""What `evaluation.photo_facts` knows of one picture; None where it could not be told."""


class Severity(StrEnum):
    MUST = "must"
    SHOULD = "should"


@dataclass(frozen=True)
class Rule:
    """`words` may use %(value)s and %(limit)s. A fact that is None breaks no rule.

    `percent`: value and limit are shares, and shown as such.
    """

    fact: str
    words: Promise
    at_least: float | None = None
    at_most: float | None = None
    one_of: tuple[Any, ...] = ()
    severity: Severity = Severity.MUST
    percent: bool = False

    def is_kept(self, facts: Facts) -> bool:
        value = facts.get(self.fact)
        if value is None:
            return True
        if self.one_of:
            return value in self.one_of
        low = self.at_least is None or value >= self.at_least
        return low and (self.at_most is None or value <= self.at_most)

    def in_words(self, value: Any) -> str:
        limit = self.at_least if self.at_least is not None else self.at_most
        return str(self.words) % {"value": self._shown(value), "limit": self._shown(limit)}

    def _shown(self, value: Any) -> str:
        if isinstance(value, (int, float)) and self.percent:
            return f"{100 * value:.0f} %"
        return f"{value:.3g}" if isinstance(value, float) else str(value)


@dataclass(frozen=True)
class Profile:
    """`white` is the least level of its background, `fill` the share that mending re-frames to, `side` the least
    number of pixels of the longer side, 0 for any."""

    name: str
    label: Promise | str
    white: int
    fill: float
    side: int
    source: str
    rules: tuple[Rule, ...]
    note: Promise | str = ""


# --- rules that several channels share ------------------------------------------------------------------------------
NO_SHOE: Final = Rule("shoes", _("No shoe was found."), at_least=1)
ONE_SHOE: Final = Rule("shoes", _("%(value)s shoes stand apart in it; one is wanted."), at_most=1)
WHOLE: Final = Rule("touching", _("The shoe is cut off at the edge."), at_most=TOUCH)
PLAIN: Final = Rule("roughness", _("The background is patterned."), at_most=ROUGH)
COLOUR: Final = Rule(
    "wrong_colour", _("The shoe has another colour than the prompt asks for: %(value)s."), one_of=("",)
)
SHARP: Final = Rule("edge_width", _("Blurred: edges take %(value)s pixels, at most %(limit)s."), at_most=BLURRED)
ADVISED_SHARP: Final = Rule(
    "edge_width", _("Blurred: edges take %(value)s pixels, at most %(limit)s."), at_most=BLURRED,
    severity=Severity.SHOULD,
)  # fmt: skip
MARKED: Final = Rule("ai_marked", _("The file does not say that a model made it (IPTC)."), one_of=(True,))

HOUSE_PAPER: Final = 0.9  # a camera's noise takes a few hundredths of good paper below 245

HOUSE: Final = Profile(
    "house", _("House style"), white=245, fill=0.82, side=0,
    source="the thresholds of the dataset's doctor, training/datasets/judging.py",
    rules=(
        NO_SHOE,
        ONE_SHOE,
        PLAIN,
        WHOLE,
        Rule("paper_white", _("Only %(value)s of the background is white (245 and more); at least %(limit)s."),
             at_least=HOUSE_PAPER, percent=True),
        Rule("fill", _("The shoe fills %(value)s of the picture; at least %(limit)s."), at_least=0.48, percent=True),
        Rule("off_centre", _("The shoe stands %(value)s of the side from the middle; at most %(limit)s."),
             at_most=AWAY, percent=True),
        SHARP,
        Rule("brightest", _("Too dark: the brightest part reaches %(value)s of white, at least %(limit)s."),
             at_least=DARK, percent=True),
        Rule("crushed", _("%(value)s of the shoe is black without form; at most %(limit)s."), at_most=CRUSHED,
             percent=True),
        Rule("burnt", _("%(value)s of the shoe is burnt out; at most %(limit)s."), at_most=BURNT, percent=True),
        COLOUR,
        Rule("aslant", _("The shoe stands %(value)s° aslant; at most %(limit)s°, unless it is seen from an angle."),
             at_most=14.0, severity=Severity.SHOULD),
    ),
)  # fmt: skip

AMAZON_MAIN: Final = Profile(
    "amazon-main", _("Amazon main image"), white=255, fill=0.88, side=1000,
    source="ssopdot.com/blog/14990 and /12575, retouchable.ai, read in August 2026",
    note=_("Guides read Amazon's rules of 2026 so that a wholly synthetic picture belongs into a secondary slot."),
    rules=(
        NO_SHOE,
        ONE_SHOE,
        WHOLE,
        Rule("paper_pure", _("Only %(value)s of the background is pure white (255); at least %(limit)s."),
             at_least=0.99, percent=True),
        Rule("fill", _("The shoe fills %(value)s of the picture; at least %(limit)s."), at_least=0.85, percent=True),
        Rule("longer_side", _("%(value)s pixels on the longer side; zoom needs %(limit)s."), at_least=1000),
        Rule("facing", _("The toe points to the right; Amazon wants a single shoe that faces left."),
             one_of=("left", "unsure")),
        COLOUR,
        ADVISED_SHARP,
    ),
)  # fmt: skip

GOOGLE_MERCHANT: Final = Profile(
    "google-merchant", _("Google Merchant"), white=245, fill=0.82, side=1500,
    source="support.google.com/merchants/answer/6324350 (500 × 500 from 2027-01-31, 1500 × 1500 advised); "
    "seroundtable.com 36922 (mark of AI origin), read in August 2026",
    rules=(
        NO_SHOE,
        WHOLE,
        Rule("shorter_side", _("%(value)s pixels on the shorter side; from 31 January 2027 at least %(limit)s."),
             at_least=500),
        MARKED,
        Rule("shorter_side", _("%(value)s pixels on the shorter side; %(limit)s are advised."), at_least=1500,
             severity=Severity.SHOULD),
        COLOUR,
        ADVISED_SHARP,
    ),
)  # fmt: skip

SHOPIFY: Final = Profile(
    "shopify", "Shopify", white=245, fill=0.82, side=0,
    source="at most 4472 pixels a side and 20 megapixels, as collected in August 2026",
    rules=(
        NO_SHOE,
        WHOLE,
        Rule("longer_side", _("%(value)s pixels on the longer side; at most %(limit)s."), at_most=4472),
        Rule("megapixels", _("%(value)s megapixels; at most %(limit)s."), at_most=20.0),
        COLOUR,
        ADVISED_SHARP,
    ),
)  # fmt: skip

PROFILES: Final[dict[str, Profile]] = {
    profile.name: profile for profile in (HOUSE, AMAZON_MAIN, GOOGLE_MERCHANT, SHOPIFY)
}


def choices() -> list[tuple[str, Any]]:
    """For the field of a model, so that a new profile needs no migration."""
    return [(profile.name, profile.label) for profile in PROFILES.values()]


@cache
def edition() -> str:
    """Another one whenever a rule changes, so that pictures are judged again."""
    rows = [
        (name, rule.fact, rule.at_least, rule.at_most, rule.one_of, rule.severity)
        for name, profile in PROFILES.items()
        for rule in profile.rules
    ]
    return hashlib.sha256(repr(rows).encode()).hexdigest()[:16]
