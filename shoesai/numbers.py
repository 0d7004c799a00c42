"""Numbers as people read them: 1,991 and 7.5 in English, 1.991 and 7,5 in Portuguese.

Only for words. What a program reads (attributes, JSON, coordinates of a drawing) keeps its point and has no commas.
"""

from __future__ import annotations

from django.utils.formats import get_format
from django.utils.functional import lazy


def in_language(number: str) -> str:
    """A number that Python has written, `1,500.25` or `7.5 GB`, with the signs of the reader's language."""
    signs = {",": get_format("THOUSAND_SEPARATOR"), ".": get_format("DECIMAL_SEPARATOR")}
    return number.translate(str.maketrans(signs))


def grouped(number: int) -> str:
    return in_language(f"{number:,}")


grouped_lazily = lazy(grouped, str)
