"""What profiles ask about one picture: measures, and what its prompt and its file say."""

from __future__ import annotations

from typing import Any

from shoesai.photo_checks import Measures
from training.datasets import caption_words
from training.datasets.judging import NO_SUBJECT, contradiction


def facts_of(found: Measures, prompt: str, *, ai_marked: bool | None = None) -> dict[str, Any]:
    """What says nothing is None: where no shoe is, nothing is said of how it stands; a cut-off one has no middle."""
    words = caption_words.read(prompt)
    wrong = contradiction(words, found)
    cut = max(found.touches_left, found.touches_top, found.touches_right, found.touches_bottom)
    seen = found.shoes > 0 and found.subject >= NO_SUBJECT
    of_shoe = {
        "touching": cut,
        "off_centre": max(abs(found.offset_x), abs(found.offset_y)),
        "fill": found.fill,
        "facing": found.facing,
        "aslant": abs(found.tilt) if words.view in (None, "side") else None,
        "crushed": found.crushed,
        "burnt": found.burnt,
        "wrong_colour": f"{wrong['seen']} ≠ {wrong['said']}" if wrong else "",
    }
    return {
        "shoes": found.shoes if seen else 0,
        "longer_side": max(found.width, found.height),
        "shorter_side": min(found.width, found.height),
        "megapixels": found.width * found.height / 1e6,
        "roughness": found.border_roughness,
        "paper_white": found.paper_white,
        "paper_pure": found.paper_pure,
        "paper_deviation": found.paper_deviation,
        "paper_deviation_most": found.paper_deviation_most,
        "edge_width": found.edge_width,
        "brightest": found.brightest,
        "ai_marked": ai_marked,
        **{name: value if seen else None for name, value in of_shoe.items()},
    }
