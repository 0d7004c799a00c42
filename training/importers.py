"""Where photos come from: each importer is a function that yields photos, and a row in IMPORTERS.

An importer never touches the database. It looks at everything before it yields anything, so a folder with one
bad file imports nothing, and its owner reads one list of everything that is to be mended.
"""

from __future__ import annotations

import json
import os
import stat
import tempfile
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings

from shoesai.pictures import MAX_FILE_BYTES, NotAPicture, Picture, read_picture

CAPTIONS = "captions.json"
IMAGES = "images"
MAX_CAPTION = 2000
MAX_FILE_NAME = 255
MAX_CAPTIONS_BYTES = 64 * 1024 * 1024
_DESKTOP_LITTER = {"thumbs.db", "desktop.ini"}

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class PhotoFile:
    """One photo as it will be stored: a clean PNG."""

    file_name: str
    caption: str
    picture: Picture


@dataclass(frozen=True)
class Problem:
    file: str
    problem: str


class DatasetProblems(Exception):
    """Everything that is wrong with a dataset, by file."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = sorted(problems, key=lambda each: (each.file != CAPTIONS, each.file))
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        lines = [f"  {each.file}: {each.problem}" for each in self.problems]
        super().__init__("\n".join([f"{count} in this dataset; nothing was imported.", *lines]))


def _no_progress(done: int, total: int) -> None:
    pass


# --- images/ and captions.json ------------------------------------------------------------------------------
def read_captions_json(source: Path, progress: Progress = _no_progress) -> Iterator[PhotoFile]:
    """`images/100001.png …` and captions.json.

    That is a list of {"image_file", "caption"}, or a map from file name to caption. Raises DatasetProblems
    before it yields the first photo.
    """
    problems: list[Problem] = []
    root = Path(os.path.realpath(source))
    present = _list_images(root, problems)
    captions = _read_captions(root, problems)
    _compare(captions, present, problems)
    # What was checked is what is stored: clean copies wait in a folder of ours, because theirs may change.
    with tempfile.TemporaryDirectory(dir=settings.WORK_DIR, prefix="import-") as spool:
        named = [(name, caption, present[name]) for name, caption in captions.items() if name in present]
        sizes: list[tuple[int, int]] = []
        for done, (name, _caption, path) in enumerate(named):
            progress(done, len(named))
            try:
                picture = read_picture(_read_inside(root, path))
            except NotAPicture as error:
                problems.append(Problem(shown(name), str(error)))
                continue
            Path(spool, str(len(sizes))).write_bytes(picture.png)
            sizes.append((picture.width, picture.height))
        progress(len(named), len(named))
        if problems:
            raise DatasetProblems(problems)
        for index, (name, caption, _path) in enumerate(named):
            yield PhotoFile(name, caption, Picture(Path(spool, str(index)).read_bytes(), *sizes[index]))


def _list_images(root: Path, problems: list[Problem]) -> dict[str, Path]:
    """Name → path. Names are compared in NFC: macOS stores é as two characters, captions have one."""
    folder = root / IMAGES
    if not folder.is_dir():
        problems.append(Problem(f"{IMAGES}/", "is missing; the photos belong in this folder."))
        return {}
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name.lower() in _DESKTOP_LITTER:
            continue
        if path.is_dir():
            problems.append(Problem(shown(f"{path.name}/"), f"is a folder; photos lie in {IMAGES}/ itself."))
        else:
            found[unicodedata.normalize("NFC", path.name)] = path
    return found


def _read_captions(root: Path, problems: list[Problem]) -> dict[str, str]:
    """File name → caption, in order; a name with an unusable caption too, so that it is reported once."""
    path = root / CAPTIONS
    if not os.path.lexists(path):
        problems.append(Problem(CAPTIONS, "is missing; it says what each photo shows."))
        return {}
    try:
        entries = _entries(_parse_json(_read_inside(root, path, MAX_CAPTIONS_BYTES)))
    except (_Unreadable, NotAPicture) as error:
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
        wrong = _wrong_caption(caption)
        if wrong:
            problems.append(Problem(shown(key), wrong))
        captions[key] = caption.strip() if isinstance(caption, str) else ""
    return captions


class _Unreadable(Exception):
    """captions.json as a whole cannot be understood."""


def _parse_json(data: bytes) -> Any:
    try:
        return json.loads(data.decode("utf-8-sig"), parse_constant=_refuse_constant, object_pairs_hook=_Pairs)
    except UnicodeDecodeError as error:
        raise _Unreadable(f"is not UTF-8 text (byte {error.start}).") from error
    except RecursionError as error:
        raise _Unreadable("is nested too deeply.") from error
    except ValueError as error:
        raise _Unreadable(f"is not JSON: {error}.") from error


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON value")


class _Pairs(list):
    """A JSON object with its keys as they came: a dict would silently keep the last of two equal ones."""


def _entries(data: Any) -> list[tuple[Any, Any]]:
    if isinstance(data, _Pairs):
        entries = list(data)
    elif isinstance(data, list):
        entries = [_entry(item) for item in data]
    else:
        raise _Unreadable('must be a list of {"image_file", "caption"}, or a map from file name to caption.')
    if not entries:
        raise _Unreadable("names no photos.")
    return entries


def _entry(item: Any) -> tuple[Any, Any]:
    """Missing keys come out as None and are told apart by their entry's number later."""
    fields = dict(item) if isinstance(item, _Pairs) else {}
    return fields.get("image_file"), fields.get("caption")


def _wrong_name(name: Any) -> str:
    if name is None:
        return 'must be {"image_file": …, "caption": …}; it has no image_file.'
    if not isinstance(name, str):
        return f"image_file must be text, not {_kind(name)}."
    if _is_not_text(name):
        return f"image_file {shown(name)} contains characters that are not text."
    if name in ("", ".", "..") or "/" in name or "\\" in name or len(name.encode()) > MAX_FILE_NAME:
        return f"image_file {shown(name[:300])!r} must be the plain name of a file in {IMAGES}/."
    return ""


def _kind(value: Any) -> str:
    """In JSON's words, not in Python's."""
    if isinstance(value, list):
        return "an object" if isinstance(value, _Pairs) else "a list"
    return "true or false" if isinstance(value, bool) else "a number"


def _wrong_caption(caption: Any) -> str:
    if caption is None:
        return "has no caption in its entry."
    if not isinstance(caption, str):
        return f"its caption must be text, not {_kind(caption)}."
    if not caption.strip():
        return "its caption is empty."
    if _is_not_text(caption):
        return "its caption contains characters that are not text (NUL or half a surrogate pair)."
    if len(caption) > MAX_CAPTION:
        return f"its caption has {len(caption):,} characters; at most {MAX_CAPTION:,} are allowed."
    return ""


def _compare(captions: dict[str, str], present: dict[str, Path], problems: list[Problem]) -> None:
    """Only where both sides could be read: a missing captions.json is one problem, not one for each photo."""
    if captions:
        for name in present.keys() - captions.keys():
            problems.append(Problem(shown(name), f"has no caption in {CAPTIONS}."))
    for name in captions.keys() - present.keys():
        problems.append(Problem(shown(name), f"is named in {CAPTIONS} but is not in {IMAGES}/."))


def _read_inside(root: Path, path: Path, limit: int = MAX_FILE_BYTES) -> bytes:
    """Raises NotAPicture for what is no plain file in this folder: a link out of it, a pipe, a giant."""
    real = Path(os.path.realpath(path))
    if not real.is_relative_to(root):
        raise NotAPicture("is a link that leads out of the dataset's folder.")
    try:
        # Opened without waiting: a pipe in the folder would otherwise hold the import for ever.
        with open(os.open(real, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise NotAPicture("is not a plain file.")
            data = file.read(limit + 1)
    except OSError as error:
        raise NotAPicture(f"cannot be read: {error.strerror}.") from error
    if len(data) > limit:
        raise NotAPicture(f"is larger than {limit // 1024 // 1024} MB.")
    return data


def _is_not_text(text: str) -> bool:
    return "\x00" in text or any("\ud800" <= character <= "\udfff" for character in text)


def shown(name: str) -> str:
    """A file name as it may stand in a report: no line breaks, no terminal codes, no half characters."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in name)


@dataclass(frozen=True)
class Importer:
    label: str
    read: Callable[[Path, Progress], Iterator[PhotoFile]]


IMPORTERS: dict[str, Importer] = {
    "captions_json": Importer("A folder with images/ and captions.json", read_captions_json),
}
