"""The seed's layout: images/100001.png … and captions.json.

That is a list of {"image_file", "caption"} or a map from file name to caption.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator
from typing import Any

from shoesai.pictures import NotAPicture
from training.datasets.sources import MAX_FILES, Files, Problem, is_not_text, shown

CAPTIONS = "captions.json"
IMAGES = "images"
MAX_CAPTION = 2000
MAX_FILE_NAME = 255
MAX_CAPTIONS_BYTES = 8 * 1024 * 1024  # 50,000 captions; as objects of Python it is many times that
_MARKUP = re.compile(r"<[a-zA-Z/!][^<>]*>")  # a size "< 42" is none


class Unreadable(Exception):
    """A file of captions as a whole cannot be understood."""


def captions_of(files: Files, problems: list[Problem]) -> dict[str, str]:
    """File name → caption, in order; empty where it cannot be used, so that the photo is reported once."""
    if CAPTIONS not in files.names:
        problems.append(Problem(CAPTIONS, "is missing; it says what each photo shows."))
        return {}
    try:
        entries = _entries(parse_json(files.read(CAPTIONS, MAX_CAPTIONS_BYTES)))
    except (Unreadable, NotAPicture) as error:
        problems.append(Problem(CAPTIONS, str(error)))
        return {}
    captions: dict[str, str] = {}
    for number, (name, caption) in enumerate(entries, start=1):
        wrong = _wrong_name(name)
        if wrong:
            problems.append(Problem(CAPTIONS, f"entry {number}: {wrong}"))
            continue
        key = unicodedata.normalize("NFC", name)
        if key in captions:
            problems.append(Problem(shown(key), f"has more than one caption (again in entry {number})."))
            continue
        wrong = wrong_caption(caption)
        if wrong:
            problems.append(Problem(shown(key), wrong))
        captions[key] = "" if wrong else caption.strip()
    return captions


def parse_json(data: bytes) -> Any:
    """Raises Unreadable. Objects come back as `Pairs`."""
    # Millions of empty lists fit into a small file and not into memory.
    if data.count(b"[") + data.count(b"{") > 4 * MAX_FILES:
        raise Unreadable(f"names more than {MAX_FILES:,} photos.")
    try:
        return json.loads(data.decode("utf-8-sig"), parse_constant=_refuse_constant, object_pairs_hook=Pairs)
    except UnicodeDecodeError as error:
        raise Unreadable(f"is not UTF-8 text (byte {error.start}).") from error
    except RecursionError as error:
        raise Unreadable("is nested too deeply.") from error
    except ValueError as error:
        raise Unreadable(f"is not JSON: {error}.") from error


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON value")


class Pairs(list):
    """A JSON object with its keys as they came: a dict would silently keep the last of two equal ones."""

    __slots__ = ()


def _entries(data: Any) -> list[tuple[Any, Any]]:
    if isinstance(data, Pairs):
        entries = list(data)
    elif isinstance(data, list):
        entries = list(_pairs_of(data))
    else:
        raise Unreadable('must be a list of {"image_file", "caption"}, or a map from file name to caption.')
    if not entries:
        raise Unreadable("names no photos.")
    if len(entries) > MAX_FILES:
        raise Unreadable(f"names more than {MAX_FILES:,} photos.")
    return entries


def _pairs_of(items: list[Any]) -> Iterator[tuple[Any, Any]]:
    """Missing keys come out as None and are told apart by their entry's number later."""
    for item in items:
        fields = dict(item) if isinstance(item, Pairs) else {}
        if isinstance(item, Pairs) and len(fields) < len(item):
            raise Unreadable("has an entry with the same key twice.")
        yield fields.get("image_file"), fields.get("caption")


def _wrong_name(name: Any) -> str:
    if name is None:
        return 'must be {"image_file": …, "caption": …}; it has no image_file.'
    if not isinstance(name, str):
        return f"image_file must be text, not {kind_of(name)}."
    if is_not_text(name):
        return f"image_file {shown(name)} contains characters that are not text."
    if name in ("", ".", "..") or "/" in name or "\\" in name or len(name.encode()) > MAX_FILE_NAME:
        return f"image_file {shown(name[:300])!r} must be the plain name of a file in {IMAGES}/."
    return ""


def kind_of(value: Any) -> str:
    """In JSON's words, not in Python's."""
    if value is None:
        return "null"
    if isinstance(value, list):
        return "an object" if isinstance(value, Pairs) else "a list"
    return "true or false" if isinstance(value, bool) else "a number"


def wrong_caption(caption: Any) -> str:
    if caption is None:
        return "has no caption in its entry."
    if not isinstance(caption, str):
        return f"its caption must be text, not {kind_of(caption)}."
    if not caption.strip():
        return "its caption is empty."
    if is_not_text(caption):
        return "its caption contains characters that are not text (NUL or half a surrogate pair)."
    if markup := _MARKUP.search(caption):
        return f"its caption contains HTML ({shown(markup[0][:40])}); write plain words."
    if len(caption) > MAX_CAPTION:
        return f"its caption has {len(caption):,} characters; at most {MAX_CAPTION:,} are allowed."
    return ""
