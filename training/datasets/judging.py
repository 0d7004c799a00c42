"""What is wrong with one photo or its caption: thresholds, each with its reason, and nothing of the database.

The thresholds lie between what good photos measure and the least fault that a person sees; `test_doctor_measured.py`
plants faults and counts both mistakes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np

from shoesai.photo_checks import RGB, Measures, ciede2000, rgb_to_lab
from training.datasets.caption_vocabulary import SHADES
from training.datasets.caption_words import CaptionWords

Detail = dict[str, Any]
Fault = tuple[str, Detail]

LEAST_SIDE: Final = 128  # what the smallest base model (the starter) learns at
USUAL_SIDE: Final = 256  # among photos made for 512, a smaller one would be enlarged more than twice
BLURRED: Final = 4.5  # pixels an edge takes; sharp photos need 2 to 3.5, a blur of 2 px makes it 5.5
DARK: Final = 0.55  # the brightest part of a shot on any paper or with any highlight lies above 0.75
CRUSHED: Final = 0.6  # black shoes keep their form: less than half of them is really black
BURNT: Final = 0.43  # white shoes and sandals on white measure up to 0.4
BURNT_ON_WHITE: Final = 0.34  # enough where the paper has nothing but 255, unless the shoe itself is nearly white
NEARLY_WHITE: Final = 93.0  # L* of the shoe's colour
HOLLOW: Final = 0.3  # of a white shoe burnt out on white, less than this of its box remains visible
BURNT_AROUND: Final = 0.25  # enough where the paper around is burnt out, too, and less than HALF of the box is left
HALF: Final = 0.41
WHITE: Final = 0.95  # of the border; the share that `photo_checks.is_white_background` asks for
ROUGH: Final = 0.06  # a patterned background, on which where the shoe stands cannot be trusted
NO_SUBJECT: Final = 0.002  # of the picture
NO_FILL: Final = 0.05
FILL: Final = 0.48  # catalogues fill 0.7 to 0.85
AWAY: Final = 0.115  # of the side, in either direction; an upright boot's middle is up to 0.08 above or below
TOUCH: Final = 0.018  # of the edge in one stretch: 3 of 160 pixels, more than a speck of noise
COLOUR_AWAY: Final = 21.0  # CIEDE2000 from every shade that the caption's colours may have: another colour to anybody
COLOUR_NEARER: Final = 9.0  # and so much nearer to a shade of another colour
PALE: Final = frozenset(("white", "cream", "silver", "grey", "beige"))  # shading makes one of the other
COLOUR_SUBJECT: Final = 0.02  # of the picture must be shoe before its colour counts


def photo_faults(found: Measures, usual_side: int = 0) -> list[Fault]:
    """`usual_side`: the median shorter side of the photos around it; 0 when that is not known."""
    faults = list(_size(found, usual_side))
    if found.border_roughness > ROUGH:  # then shoe and background cannot be told apart
        return [*faults, ("background", {"rough": _rounded(found.border_roughness)}), *_sharpness(found), *_dark(found)]
    if found.subject < NO_SUBJECT or found.fill < NO_FILL:
        return [*faults, ("no_subject", {})]
    for look in (_sharpness, _dark, _bright, _background, _place):
        faults += look(found)
    return faults


def _size(found: Measures, usual_side: int) -> list[Fault]:
    side = min(found.width, found.height)
    least = USUAL_SIDE if usual_side >= USUAL_SIDE else LEAST_SIDE
    return [("too_small", {"side": side, "least": least})] if side < least else []


def _sharpness(found: Measures) -> list[Fault]:
    return [("blurred", {"pixels": _rounded(found.edge_width)})] if found.edge_width > BLURRED else []


def _dark(found: Measures) -> list[Fault]:
    dark = found.brightest < DARK or found.crushed > CRUSHED
    return [("underexposed", {"brightest": _rounded(found.brightest)})] if dark else []


def _bright(found: Measures) -> list[Fault]:
    paper = min(found.background)
    hollow = found.solid < HOLLOW and found.burnt > BURNT / 4 and paper >= 250
    around = found.solid < HALF and found.burnt > BURNT_AROUND and paper >= 254
    lost = found.burnt > BURNT_ON_WHITE and paper >= 254 and _lightness(found.colour) < NEARLY_WHITE
    burnt = found.burnt > BURNT or hollow or around or lost
    return [("overexposed", {"burnt": _rounded(found.burnt)})] if burnt else []


def _lightness(colour: RGB) -> float:
    return float(rgb_to_lab(np.array(colour, dtype=np.float64))[0])


def _background(found: Measures) -> list[Fault]:
    """A photo that is dark altogether has no white anywhere: that is one fault and not two."""
    if found.border_white >= WHITE or found.brightest < DARK:
        return []
    return [("background", {"white": _rounded(found.border_white), "colour": list(found.background)})]


def _place(found: Measures) -> list[Fault]:
    """What is cut off cannot be centred, and its box says nothing of its middle."""
    sides = [each for each in ("left", "top", "right", "bottom") if getattr(found, f"touches_{each}") > TOUCH]
    if sides:
        return [("cut_off", {"edges": sides})]
    faults: list[Fault] = []
    if found.fill < FILL:
        faults.append(("small_in_frame", {"fill": _rounded(found.fill)}))
    if max(abs(found.offset_x), abs(found.offset_y)) > AWAY:
        faults.append(("off_centre", {"x": _rounded(found.offset_x), "y": _rounded(found.offset_y)}))
    return faults


def _rounded(value: float) -> float:
    return round(value, 3)


# --- captions -----------------------------------------------------------------------------------------------
def caption_faults(
    caption: str, words: CaptionWords, found: Measures, too_long: Callable[[str], str | None]
) -> list[Fault]:
    """`too_long(caption)` is what its model drops, None where it reads all."""
    if not caption.strip():
        return [("caption_missing", {})]
    faults: list[Fault] = []
    if (dropped := too_long(caption)) is not None:
        faults.append(("caption_too_long", {"dropped": dropped[:300]}))
    if wrong := contradiction(words, found):
        faults.append(("caption_contradicts", wrong))
    return faults


def contradiction(words: CaptionWords, found: Measures) -> Detail | None:
    """What the caption says and what is seen; None where they agree, or nothing certain can be said.

    Any of the caption's colours will do, in any of the shades that people call so: leather under a lamp is no paint.
    """
    named = [colour for colour in words.colours if colour in SHADES]
    trusted = found.subject >= COLOUR_SUBJECT and found.border_roughness <= ROUGH and found.brightest >= DARK
    if len(named) < len(words.colours) or not named or not trusted:
        return None
    away = distances(found.colour)
    seen = min(away, key=away.__getitem__)
    said = min(away[colour] for colour in named)
    if seen in PALE and PALE.intersection(named):
        return None
    if said <= COLOUR_AWAY or said - away[seen] <= COLOUR_NEARER:
        return None
    return {"said": named[0], "seen": seen, "colour": list(found.colour)}


def distances(colour: RGB) -> Mapping[str, float]:
    """CIEDE2000 from a colour to the nearest shade of each named one."""
    own = rgb_to_lab(np.array(colour, dtype=np.float64))[None]
    return {name: float(ciede2000(own, lab).min()) for name, lab in _SHADES.items()}


_SHADES: Final = {name: rgb_to_lab(np.array(shades, dtype=np.float64)) for name, shades in SHADES.items()}
