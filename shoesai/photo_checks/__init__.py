"""Pure functions on one picture of a shoe: used on photos by the dataset's doctor, and on what was generated.

Pictures are PIL images or uint8 arrays [height, width, 3]; colours are compared in CIELAB (D65, CIEDE2000).
"""

from shoesai.photo_checks.colour import RGB, ciede2000, nearest_colour_name, rgb_to_lab
from shoesai.photo_checks.hashing import SMALL, hamming, phash, small_copy
from shoesai.photo_checks.measures import EDITION, Measures, box_of, closed, measure
from shoesai.photo_checks.shoe import (
    background_colour,
    background_colour_name,
    border_band,
    fill_between,
    fitted_backdrop,
    is_white_background,
    pixels,
    segment_shoe,
    shoe_colour,
    upper_part,
    white_border_share,
)

__all__ = [
    "EDITION", "RGB", "SMALL", "Measures", "background_colour", "background_colour_name", "border_band", "box_of",
    "ciede2000", "closed",
    "fill_between", "fitted_backdrop", "hamming", "is_white_background", "measure", "nearest_colour_name", "phash",
    "pixels", "rgb_to_lab", "segment_shoe", "shoe_colour", "small_copy", "upper_part", "white_border_share",
]  # fmt: skip
