"""How photos and captions lie beside each other: one function for each layout that people bring.

A layout looks at names and captions only; no picture is opened here. Everything that is wrong is told by file.
"""

from __future__ import annotations

import csv
import io
import json
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import PurePosixPath
from typing import Any

from shoesai.pictures import NotAPicture
from training.datasets.captions_json import (
    CAPTIONS,
    IMAGES,
    MAX_CAPTIONS_BYTES,
    MAX_FILE_NAME,
    Pairs,
    Unreadable,
    captions_of,
    kind_of,
    parse_json,
    wrong_caption,
)
from training.datasets.sources import MAX_FILES, Files, Problem, is_not_text, shown

PAPERS = "shoesai.json"  # what our own exports tell beside any layout: order, held out, licence
METADATA = ("metadata.jsonl", "metadata.csv")
CAPTION_COLUMNS = ("text", "caption", "prompt")
PICTURES = {".png", ".jpg", ".jpeg", ".webp"}
MAX_SIDECAR_BYTES = 64 * 1024
MAX_LINE = 100_000


@dataclass(frozen=True)
class Entry:
    """A photo that is to be read: its name in the source, and what is known of it."""

    name: str
    caption: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)
    held_out: bool = False

    @property
    def file_name(self) -> str:
        return PurePosixPath(self.name).name


@dataclass(frozen=True)
class Listing:
    entries: list[Entry]
    problems: list[Problem]
    licence_note: str = ""


# --- images/ and captions.json ------------------------------------------------------------------------------------
def list_captions_json(files: Files) -> Listing:
    problems = list(files.problems)
    present = _in_images(files, problems)
    captions = captions_of(files, problems)
    # Only where both sides could be read: a missing captions.json is one problem, not one for each photo.
    if captions:
        problems += [Problem(shown(name), f"has no caption in {CAPTIONS}.") for name in present if name not in captions]
    missing = [name for name in captions if name not in present]
    problems += [Problem(shown(name), f"is named in {CAPTIONS} but is not in {IMAGES}/.") for name in missing]
    entries = [Entry(f"{IMAGES}/{name}", caption) for name, caption in captions.items() if name in present]
    return _with_papers(files, Listing(entries, problems))


def _in_images(files: Files, problems: list[Problem]) -> list[str]:
    inside = [name.partition("/")[2] for name in files.names if name.startswith(f"{IMAGES}/")]
    if not inside:
        problems.append(Problem(f"{IMAGES}/", "is missing; the photos belong in this folder."))
    for folder in sorted({name.partition("/")[0] for name in inside if "/" in name}):
        problems.append(Problem(shown(f"{folder}/"), f"is a folder; photos lie in {IMAGES}/ itself."))
    return [name for name in inside if name and "/" not in name]


# --- Hugging Face's imagefolder -----------------------------------------------------------------------------------
def list_imagefolder(files: Files) -> Listing:
    """`metadata.jsonl` or `metadata.csv` with a column file_name; its other columns are kept."""
    problems = list(files.problems)
    paper = next(name for name in (*METADATA, "") if name in files.names or not name)
    if not paper:
        return Listing([], [*problems, Problem(METADATA[0], "is missing; it says what each photo shows.")])
    try:
        rows = list(islice(_rows_of(paper, files.read(paper, MAX_CAPTIONS_BYTES), problems), MAX_FILES + 1))
        if len(rows) > MAX_FILES or len(problems) > MAX_FILES:
            raise Unreadable(f"has more than {MAX_FILES:,} lines.")
    except (Unreadable, NotAPicture) as error:
        return Listing([], [*problems, Problem(paper, str(error))])
    entries: dict[str, Entry] = {}
    present = set(files.names)
    for number, row in rows:
        entry = _entry_of(paper, number, row, present, problems)
        if entry and entry.name in entries:
            problems.append(Problem(shown(entry.name), f"is named more than once (again in line {number})."))
        elif entry:
            entries[entry.name] = entry
    others = [name for name in _pictures(files.names) if name not in entries]
    problems += [Problem(shown(name), f"has no line in {paper}.") for name in others if entries]
    if not rows and not problems:
        problems.append(Problem(paper, "names no photos."))
    return _with_papers(files, Listing(list(entries.values()), problems))


def _rows_of(paper: str, data: bytes, problems: list[Problem]) -> Iterator[tuple[int, dict[str, Any]]]:
    if data.count(b"\n") > 2 * MAX_FILES:
        raise Unreadable(f"has more than {MAX_FILES:,} lines.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unreadable(f"is not UTF-8 text (byte {error.start}).") from error
    if paper.endswith(".csv"):
        yield from _csv_rows(text)
        return
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = parse_json(line.encode("utf-8", "surrogatepass")) if len(line) <= MAX_LINE else None
            if not isinstance(row, Pairs):
                raise Unreadable("must be one JSON object of a reasonable length.")
            if len({key for key, _value in row}) < len(row):
                raise Unreadable("has the same key twice.")
        except Unreadable as error:
            problems.append(Problem(paper, f"line {number}: {error}"))
            continue
        yield number, {key: _plain(value) for key, value in row}


def _plain(value: Any) -> Any:
    """Objects as dicts again."""
    if isinstance(value, Pairs):
        return {key: _plain(inner) for key, inner in value}
    return [_plain(inner) for inner in value] if isinstance(value, list) else value


def _csv_rows(text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    if "\x00" in text:
        raise Unreadable("contains NUL characters.")
    table = csv.DictReader(io.StringIO(text), strict=True)
    try:
        if "file_name" not in (table.fieldnames or []):
            raise Unreadable("has no column file_name in its first line.")
        if len(set(table.fieldnames or [])) < len(table.fieldnames or []):
            raise Unreadable("has the same column twice.")
        for row in table:
            yield table.line_num, {key: value for key, value in row.items() if key is not None and value is not None}
    except csv.Error as error:
        raise Unreadable(f"is no CSV that can be read (line {table.line_num}: {error}).") from error


def _entry_of(
    paper: str, number: int, row: dict[str, Any], present: set[str], problems: list[Problem]
) -> Entry | None:
    name = row.get("file_name")
    if not isinstance(name, str) or not name or is_not_text(name):
        problems.append(Problem(paper, f"line {number}: file_name must be the name of a photo beside {paper}."))
        return None
    name = unicodedata.normalize("NFC", name)
    if name not in present:  # names that lead out of the folder are in no list of what is in it
        problems.append(Problem(paper, f"line {number}: there is no file {shown(name[:300])!r}."))
        return None
    column = next((column for column in CAPTION_COLUMNS if column in row), "")
    caption = row.get(column, "")
    wrong = wrong_caption(caption) if caption != "" else ""
    if caption is None or wrong:
        problems.append(Problem(shown(name), wrong or f"its caption must be text, not {kind_of(caption)}."))
        return None
    extra = {key: value for key, value in row.items() if key not in ("file_name", column)}
    if any(is_not_text(text) for text in (*extra, *_texts(extra.values()))):
        problems.append(Problem(paper, f"line {number}: a column contains characters that are not text."))
        return None
    return Entry(name, caption.strip(), extra)


def _texts(values: Iterable[Any]) -> Iterator[str]:
    for value in values:
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            yield from _texts([*value, *value.values()])
        elif isinstance(value, list):
            yield from _texts(value)


# --- kohya's .txt beside each photo -----------------------------------------------------------------------------------
def list_kohya(files: Files) -> Listing:
    problems = list(files.problems)
    texts = {name.removesuffix(".txt"): name for name in files.names if name.endswith(".txt")}
    entries = []
    for name in _photos(files, problems, and_also=(".txt", ".caption")):
        sidecar = texts.pop(str(PurePosixPath(name).with_suffix("")), "")
        if not sidecar:
            entries.append(Entry(name))
            continue
        try:
            caption = files.read(sidecar, MAX_SIDECAR_BYTES).decode("utf-8-sig").strip()
        except (UnicodeDecodeError, NotAPicture) as error:
            words = str(error) if isinstance(error, NotAPicture) else f"is not UTF-8 text (byte {error.start})."
            problems.append(Problem(shown(sidecar), words))
            continue
        wrong = wrong_caption(caption) if caption else ""
        if wrong:
            problems.append(Problem(shown(sidecar), wrong))
            continue
        entries.append(Entry(name, caption))
    problems += [Problem(shown(name), "belongs to no photo.") for name in texts.values()]
    return _with_papers(files, Listing(entries, problems))


# --- nothing but pictures ---------------------------------------------------------------------------------------------
def list_images(files: Files) -> Listing:
    problems = list(files.problems)
    return _with_papers(files, Listing([Entry(name) for name in _photos(files, problems)], problems))


def _photos(files: Files, problems: list[Problem], and_also: tuple[str, ...] = ()) -> list[str]:
    """What is called like a picture; everything else is told, because somebody may miss it."""
    photos = _pictures(files.names)
    known = set(photos) | {PAPERS}
    strange = [name for name in files.names if name not in known and not name.endswith(("/", *and_also))]
    problems += [Problem(shown(name), "is not a PNG, JPEG or WebP picture.") for name in strange]
    if not photos and not problems:
        problems.append(Problem(".", "There are no pictures here (PNG, JPEG or WebP)."))
    return photos


def _pictures(names: Iterable[str]) -> list[str]:
    return [name for name in names if PurePosixPath(name).suffix.lower() in PICTURES]


# --- what our own exports add -----------------------------------------------------------------------------------------
def _with_papers(files: Files, listing: Listing) -> Listing:
    """The order, the held-out part and the licence note that `exporting` writes beside any layout."""
    if PAPERS not in files.names:
        return listing
    try:
        told = json.loads(files.read(PAPERS, MAX_CAPTIONS_BYTES))
        order = {str(name): place for place, name in enumerate(told["order"])}
        held_out, note = set(map(str, told["held_out"])), str(told["licence_note"])
    except (NotAPicture, ValueError, KeyError, TypeError, RecursionError):
        return replace(listing, problems=[*listing.problems, Problem(PAPERS, "is not what an export writes.")])
    entries = sorted(listing.entries, key=lambda entry: order.get(entry.file_name, len(order)))
    marked = [replace(entry, held_out=entry.file_name in held_out) for entry in entries]
    return replace(listing, entries=marked, licence_note=note[:MAX_FILE_NAME * 100].replace("\x00", ""))
