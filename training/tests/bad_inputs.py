"""What strangers send: each case writes files or a ZIP and says which problem its report must have.

Nothing here is a file in the repository; everything is made when it is needed. `CASES` is name → Case.
"""

from __future__ import annotations

import io
import json
import os
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, PngImagePlugin

from training.tests.pictures_for_tests import encoded
from training.tests.read_bad_inputs import UNPACKED

PNG = encoded()
JPEG = encoded(kind="JPEG")


@dataclass(frozen=True)
class Case:
    """`write(folder)` returns what is imported. The report must have a problem whose file and words hold `file` and
    `words`; `good` photos come in nevertheless."""

    write: Callable[[Path], Path]
    file: str
    words: str
    good: int = 0


CASES: dict[str, Case] = {}


def case(name: str, file: str, words: str, good: int = 0) -> Callable[[Callable[[Path], Path]], None]:
    def add(write: Callable[[Path], Path]) -> None:
        assert name not in CASES, name
        CASES[name] = Case(write, file, words, good)

    return add


def files(folder: Path, content: dict[str, bytes]) -> Path:
    for name, data in content.items():
        path = folder / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder / "photos"


def of_files(name: str, content: dict[str, bytes], file: str, words: str, good: int = 0) -> None:
    case(name, file, words, good)(lambda folder: files(folder, content))


# --- pictures that are none, or too much ------------------------------------------------------------------------------
def _png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_of_size(width: int, height: int, depth: int = 8, colour: int = 2, body: bytes = b"") -> bytes:
    """A PNG whose header says so, whatever its body."""
    header = struct.pack(">2I5B", width, height, depth, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + _png_chunk(b"IHDR", header)
        + _png_chunk(b"IDAT", zlib.compress(body))
        + _png_chunk(b"IEND", b"")
    )


def with_chunk(kind: bytes, data: bytes) -> bytes:
    """A good PNG with one chunk more behind its header."""
    return PNG[:33] + _png_chunk(kind, data) + PNG[33:]


def animated(kind: str) -> bytes:
    out = io.BytesIO()
    frames = [Image.new("RGB", (40, 32), colour) for colour in ("red", "blue", "white")]
    frames[0].save(out, kind, save_all=True, append_images=frames[1:], duration=40)
    return out.getvalue()


def _broken(data: bytes, place: float) -> bytes:
    at = int(len(data) * place)
    return data[:at] + bytes(byte ^ 0xFF for byte in data[at : at + 40]) + data[at + 40 :]


def _noisy(kind: str) -> bytes:
    out = io.BytesIO()
    Image.effect_noise((200, 160), 90).convert("RGB").save(out, kind)
    return out.getvalue()


NOT_ONE = "is not a PNG, JPEG or WebP picture"
BOMB = zlib.compress(b"\x00" * 60_000_000, 9)
PICTURES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "is empty"),
    "one byte": (b"\x89", NOT_ONE),
    "only a signature": (PNG[:8], NOT_ONE),
    "only a header": (PNG[:33], NOT_ONE),
    "text": (b"a red shoe", NOT_ONE),
    "zeros": (b"\x00" * 5000, NOT_ONE),
    "SVG": (b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>', NOT_ONE),
    "HTML": (b"<!doctype html><script>alert(1)</script>", NOT_ONE),
    "JavaScript": (b"alert(1)//" + b"x" * 100, NOT_ONE),
    "PDF": (b"%PDF-1.7\n1 0 obj <<>> endobj", NOT_ONE),
    "PostScript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99999 99999\n", NOT_ONE),
    "executable": (b"\x7fELF" + b"\x00" * 100, NOT_ONE),
    "pickle": (b"\x80\x04cos\nsystem\n(S'id'\ntR.", NOT_ONE),
    "XML with an entity": (b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaa">]><x>&a;</x>', NOT_ONE),
    "GIF": (encoded("L", kind="GIF"), NOT_ONE),
    "animated GIF": (animated("GIF"), NOT_ONE),
    "BMP": (encoded(kind="BMP"), NOT_ONE),
    "TIFF": (encoded(kind="TIFF"), NOT_ONE),
    "icon": (encoded(kind="ICO"), NOT_ONE),
    "PPM": (encoded(kind="PPM"), NOT_ONE),
    "TGA": (encoded(kind="TGA"), NOT_ONE),
    "animated WebP": (animated("WEBP"), "animated"),
    "animated PNG": (animated("PNG"), "animated"),
    "PNG cut in half": (_noisy("PNG")[:9000], "is broken"),
    "PNG without its end": (PNG[:-30], "is broken"),
    "PNG with a wrong sum": (_broken(_noisy("PNG"), 0.5), "is broken"),
    "JPEG cut in half": (_noisy("JPEG")[:4000], "is broken"),
    "JPEG of two bytes": (b"\xff\xd8", NOT_ONE),
    "JPEG without tables": (JPEG[:20] + JPEG[-200:], NOT_ONE),
    "WebP cut in half": (_noisy("WEBP")[:3000], "is broken"),
    "WebP without a body": (b"RIFF\x20\x00\x00\x00WEBPVP8 ", "is broken"),
    "PNG of no width": (png_of_size(0, 32), NOT_ONE),
    "60,000 × 60,000": (png_of_size(60_000, 60_000), "40,000,000 pixels"),
    "30,000 × 15,000 of one bit": (encoded("1", size=(30_000, 15_000), colour=1), "40,000,000 pixels"),
    "two milliards each way": (png_of_size(2_000_000_000, 2_000_000_000), "pixels"),
    "a strip": (encoded(size=(4000, 20)), "8 times the other"),
    "a pole": (encoded(size=(20, 4000)), "8 times the other"),
    "60,000 × 1": (png_of_size(60_000, 1), "at least 16 pixels"),
    "one pixel": (encoded(size=(1, 1)), "at least 16 pixels"),
    "15 × 15": (encoded(size=(15, 15)), "at least 16 pixels"),
    "text that unpacks to 60 MB": (with_chunk(b"zTXt", b"Comment\x00\x00" + BOMB), "is broken"),
    "a profile that unpacks to 60 MB": (with_chunk(b"iCCP", b"ICC\x00\x00" + BOMB), "is broken"),
    "international text that unpacks to 60 MB": (with_chunk(b"iTXt", b"C\x00\x01\x00\x00\x00" + BOMB), "is broken"),
    "a ZIP called a picture": (b"PK\x03\x04" + b"\x00" * 60, NOT_ONE),
    "an archive of rar": (b"Rar!\x1a\x07\x00" + b"\x00" * 60, NOT_ONE),
}  # fmt: skip
for _name, (_data, _words) in PICTURES.items():
    of_files(f"picture: {_name}", {"a.png": _data, "good.png": PNG}, "a.png", _words, good=1)


@case("file: a link out of the folder", "link.png", "leads out of the dataset's folder", 1)
def _link(folder: Path) -> Path:
    (folder / "secret.png").write_bytes(PNG)
    root = files(folder, {"good.png": PNG})
    (root / "link.png").symlink_to(folder / "secret.png")
    return root


@case("file: a linked folder", "more", "has no caption", 1)
def _linked_folder(folder: Path) -> Path:
    """What lies behind it is not even looked at."""
    (folder / "elsewhere").mkdir()
    (folder / "elsewhere" / "b.png").write_bytes(PNG)
    root = files(folder, {"captions.json": b'{"good.png": "a"}', "images/good.png": PNG})
    (root / "images" / "more").symlink_to(folder / "elsewhere")
    return root


@case("file: a link to itself", "loop.png", "cannot be read", 1)
def _loop(folder: Path) -> Path:
    root = files(folder, {"good.png": PNG})
    (root / "loop.png").symlink_to("loop.png")
    return root


@case("file: a pipe", "pipe.png", "is not a plain file", 1)
def _pipe(folder: Path) -> Path:
    root = files(folder, {"good.png": PNG})
    os.mkfifo(root / "pipe.png")
    return root


@case("file: a device", "device.png", "leads out of the dataset's folder", 1)
def _device(folder: Path) -> Path:
    root = files(folder, {"good.png": PNG})
    (root / "device.png").symlink_to("/dev/zero")
    return root


@case("file: larger than any picture", "giant.png", "is larger than 64 MB", 1)
def _giant(folder: Path) -> Path:
    root = files(folder, {"good.png": PNG})
    with (root / "giant.png").open("wb") as file:
        file.truncate(65 * 1024 * 1024)
    return root


@case("file: a name that speaks to the terminal", "evil\\x1b[2J.png", NOT_ONE, 1)
def _speaking(folder: Path) -> Path:
    return files(folder, {"good.png": PNG, "evil\x1b[2J.png": b"x"})


@case("file: a name in an old encoding", "cal\\udce7ado.png", "not text", 1)
def _old_name(folder: Path) -> Path:
    root = files(folder, {"good.png": PNG})
    (root / os.fsdecode("calçado.png".encode("latin-1"))).write_bytes(PNG)
    return root


of_files("folder: nothing in it but notes", {"notes.md": b"x"}, "notes.md", NOT_ONE)


@case("folder: nothing at all", ".", "There are no pictures here")
def _nothing(folder: Path) -> Path:
    (folder / "photos").mkdir()
    return folder / "photos"


# --- captions.json ----------------------------------------------------------------------------------------------------
def of_captions(name: str, captions: Any, words: str, file: str = "captions.json", good: int = 0) -> None:
    data = captions if isinstance(captions, bytes) else json.dumps(captions).encode()
    of_files(f"captions.json: {name}", {"images/a.png": PNG, "captions.json": data}, file, words, good)


of_captions("empty", b"", "is not JSON")
of_captions("null", b"null", "must be a list")
of_captions("a number", b"7", "must be a list")
of_captions("a word", b'"a.png"', "must be a list")
of_captions("true", b"true", "must be a list")
of_captions("an empty list", b"[]", "names no photos")
of_captions("an empty map", b"{}", "names no photos")
of_captions("a list of lists", [["a.png", "x"]], "must be {")
of_captions("a list of words", ["a.png"], "must be {")
of_captions("nested maps", {"a.png": {"caption": "x"}}, "must be text, not an object", "a.png", 1)
of_captions("a list as caption", {"a.png": ["x"]}, "must be text, not a list", "a.png", 1)
of_captions("a number as caption", {"a.png": 7}, "must be text, not a number", "a.png", 1)
of_captions("true as caption", {"a.png": True}, "must be text, not true or false", "a.png", 1)
of_captions("null as caption", {"a.png": None}, "has no caption", "a.png", 1)
of_captions("an empty caption", {"a.png": ""}, "its caption is empty", "a.png", 1)
of_captions("a caption of spaces", {"a.png": " \t "}, "its caption is empty", "a.png", 1)
of_captions("a caption without end", {"a.png": "x" * 2001}, "2,001 characters", "a.png", 1)
of_captions("a caption with NUL", {"a.png": "a\x00b"}, "not text", "a.png", 1)
of_captions("half a character", b'{"a.png": "half \\ud800"}', "not text", "a.png", 1)
of_captions("HTML in a caption", {"a.png": "a <b onclick=x>red</b> shoe"}, "contains HTML", "a.png", 1)
of_captions("a script in a caption", {"a.png": "<script>alert(1)</script>"}, "contains HTML", "a.png", 1)
of_captions("an HTML page", b"<!doctype html><p>captions</p>", "is not JSON")
of_captions("NaN", b'{"a.png": NaN}', "NaN is not a JSON value")
of_captions("infinity", b'[{"image_file": "a.png", "caption": -Infinity}]', "Infinity is not a JSON value")
of_captions("100,000 lists deep", b"[" * 100_000 + b"]" * 100_000, "nested too deeply")
of_captions("100,000 maps deep", b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "nested too deeply")
of_captions("UTF-16", '{"a.png": "x"}'.encode("utf-16"), "is not UTF-8 text")
of_captions("UTF-16 without a mark", '{"a.png": "x"}'.encode("utf-16-be"), "is not JSON")
of_captions("Latin-1", '{"a.png": "ação"}'.encode("latin-1"), "is not UTF-8 text")
of_captions("the same key twice", b'{"a.png": "x", "a.png": "y"}', "more than one caption", "a.png", 1)
of_captions(
    "the same photo twice", [{"image_file": "a.png", "caption": c} for c in "xy"], "more than one caption", "a.png", 1
)
of_captions(
    "a key twice in an entry", b'[{"image_file": "b.png", "image_file": "a.png", "caption": "x"}]', "same key twice"
)
of_captions("a trailing comma", b'{"a.png": "x",}', "is not JSON")
of_captions("single quotes", b"{'a.png': 'x'}", "is not JSON")
of_captions("a comment", b'// ours\n{"a.png": "x"}', "is not JSON")
of_captions("cut off", b'{"a.png": "x', "is not JSON")
of_captions("two documents", b'{"a.png": "x"}{"b.png": "y"}', "is not JSON")
of_captions("a line break in a string", b'{"a.png": "x\n"}', "is not JSON")
of_captions("a number of 10,000 digits", b"9" * 10_000, "is not JSON")
of_captions("random bytes", bytes(range(256)) * 20, "is not UTF-8 text")
of_captions("no image_file", [{"caption": "x"}], "it has no image_file")
of_captions("a photo that is not there", {"a.png": "x", "b.png": "y"}, "is not in images/", "b.png", 1)
of_captions("a photo without caption", {"b.png": "y"}, "has no caption", "a.png")
for _trick in ("../a.png", "/etc/passwd", "..", "", "a\\b.png", "x" * 300, "C:\\a.png", "\x00.png"):
    _wrong = "not text" if "\x00" in _trick else "plain name of a file"
    of_captions(f"called {_trick[:12]!r}", {_trick: "x", "a.png": "y"}, _wrong, good=1)
of_captions("a number as name", [{"image_file": 7, "caption": "x"}], "must be text, not a number")


of_captions("8 MB of empty maps", b"[" + b"{}," * 2_700_000 + b"{}]", "more than 50,000 photos")


@case("captions.json: larger than 8 MB", "captions.json", "is larger than 8 MB")
def _large_captions(folder: Path) -> Path:
    root = files(folder, {"images/a.png": PNG, "captions.json": b"["})
    with (root / "captions.json").open("r+b") as file:
        file.truncate(9 * 1024 * 1024)
    return root


@case("captions.json: a link out of the folder", "captions.json", "leads out of the dataset's folder")
def _linked_captions(folder: Path) -> Path:
    (folder / "secret.json").write_text('{"a.png": "x"}')
    root = files(folder, {"images/a.png": PNG})
    (root / "captions.json").symlink_to(folder / "secret.json")
    return root


_captions = b'{"a.png": "x"}'
of_files("captions.json: no images folder", {"captions.json": _captions}, "images/", "is missing")
of_files(
    "captions.json: a folder in images", {"images/a.png": PNG, "images/b/c.png": PNG, "captions.json": _captions},
    "b/", "is a folder", 1,
)  # fmt: skip


# --- metadata.jsonl and metadata.csv ----------------------------------------------------------------------------------
def of_lines(name: str, data: bytes, words: str, file: str = "metadata.jsonl", good: int = 0) -> None:
    of_files(f"metadata.jsonl: {name}", {"a.png": PNG, "metadata.jsonl": data}, file, words, good)


GOOD_LINE = b'{"file_name": "a.png", "text": "x"}\n'
of_lines("empty", b"", "names no photos")
of_lines("UTF-16", '{"file_name": "a.png"}'.encode("utf-16"), "is not UTF-8 text")
of_lines("8 MB of empty maps", b"{}\n" * 2_700_000, "more than 50,000 lines")
of_lines("8 MB of nothing that is JSON", b"x\n" * 4_000_000, "more than 50,000 lines")
of_lines("no JSON", b"a.png: a shoe\n" + GOOD_LINE, "line 1: is not JSON", good=1)
of_lines("a list", b"[1]\n" + GOOD_LINE, "line 1: must be one JSON object", good=1)
of_lines("NaN", b'{"file_name": NaN}\n' + GOOD_LINE, "NaN is not a JSON value", good=1)
of_lines("deep", b"[" * 50_000 + b"\n" + GOOD_LINE, "nested too deeply", good=1)
of_lines("a line without end", b'{"file_name": "' + b"x" * 200_000 + b'"}\n' + GOOD_LINE, "reasonable length", good=1)
of_lines("the same key twice", b'{"file_name": "a.png", "file_name": "b.png"}\n' + GOOD_LINE, "same key twice", good=1)
of_lines("the same photo twice", GOOD_LINE * 2, "named more than once", "a.png", 1)
of_lines("no file_name", b'{"text": "x"}\n' + GOOD_LINE, "file_name must be", good=1)
of_lines("a number as file_name", b'{"file_name": 7}\n' + GOOD_LINE, "file_name must be", good=1)
of_lines("a way out", b'{"file_name": "../secret.png"}\n' + GOOD_LINE, "there is no file", good=1)
of_lines("an absolute path", b'{"file_name": "/etc/passwd"}\n' + GOOD_LINE, "there is no file", good=1)
of_lines("a photo that is not there", b'{"file_name": "b.png"}\n' + GOOD_LINE, "there is no file", good=1)
of_lines("a number as caption", b'{"file_name": "a.png", "text": 7}', "must be text, not a number", "a.png")
of_lines("null as caption", b'{"file_name": "a.png", "text": null}', "has no caption", "a.png")
of_lines("HTML as caption", b'{"file_name": "a.png", "text": "<img src=x onerror=y>"}', "contains HTML", "a.png")
of_lines("NUL in a column", b'{"file_name": "a.png", "text": "x", "sku": "a\\u0000"}', "a column contains")
of_lines(
    "half a character in a nested column", b'{"file_name": "a.png", "text": "x", "o": {"k": ["\\ud800"]}}', "a column"
)
of_files("metadata.jsonl: a photo without a line", {"a.png": PNG, "b.png": PNG, "metadata.jsonl": GOOD_LINE},
         "b.png", "has no line", 1)  # fmt: skip


def of_table(name: str, data: bytes, words: str, file: str = "metadata.csv", good: int = 0) -> None:
    of_files(f"metadata.csv: {name}", {"a.png": PNG, "metadata.csv": data}, file, words, good)


of_table("empty", b"", "has no column file_name")
of_table("other columns", b"image,text\na.png,x\n", "has no column file_name")
of_table("the same column twice", b"file_name,text,text\na.png,x,y\n", "same column twice")
of_table("NUL", b"file_name,text\na.png,\x00\n", "NUL")
of_table("UTF-16", "file_name,text\na.png,x\n".encode("utf-16"), "is not UTF-8 text")
of_table("a quote without its end", b'file_name,text\na.png,"x\n', "no CSV that can be read")
of_table("a giant field", b"file_name,text\na.png," + b"x" * 200_000 + b"\n", "no CSV that can be read")
of_table("a photo that is not there", b"file_name,text\nb.png,x\na.png,y\n", "there is no file", good=1)
of_table("a way out", b"file_name,text\n../../a.png,x\na.png,y\n", "there is no file", good=1)
of_table("HTML as caption", b"file_name,text\na.png,<b>x</b>\n", "contains HTML", "a.png")
of_table("only its first line", b"file_name,text\n", "names no photos")


# --- kohya's sidecars -------------------------------------------------------------------------------------------------
def of_sidecar(name: str, data: bytes, words: str, good: int = 1) -> None:
    content = {"a.png": PNG, "a.txt": data, "good.png": PNG, "good.txt": b"a red shoe"}
    of_files(f"sidecar: {name}", content, "a.txt", words, good)


of_sidecar("Latin-1", "ação".encode("latin-1"), "is not UTF-8 text")
of_sidecar("UTF-16", "a shoe".encode("utf-16"), "is not UTF-8 text")
of_sidecar("without end", b"x" * 3000, "3,000 characters")
of_sidecar("100 kB", b"x" * 100_000, "is larger than")
of_sidecar("NUL", b"a\x00b", "not text")
of_sidecar("HTML", b"<p>a shoe</p>", "contains HTML")
of_files("sidecar: of nobody", {"a.png": PNG, "a.txt": b"x", "b.txt": b"y"}, "b.txt", "belongs to no photo", 1)


@case("sidecar: a link out of the folder", "a.txt", "leads out of the dataset's folder", 1)
def _linked_sidecar(folder: Path) -> Path:
    (folder / "secret.txt").write_text("secret")
    root = files(folder, {"a.png": PNG, "b.png": PNG, "b.txt": b"a shoe"})
    (root / "a.txt").symlink_to(folder / "secret.txt")
    return root


of_files(
    "our own papers: no JSON", {"a.png": PNG, "shoesai.json": b"{"}, "shoesai.json", "is not what an export writes", 1
)
of_files("our own papers: a list", {"a.png": PNG, "shoesai.json": b"[]"}, "shoesai.json", "is not what an export", 1)


# --- ZIPs -------------------------------------------------------------------------------------------------------------
ZIP = "trap.zip"
NO_ZIP = "is no ZIP archive that can be read"
MANY = "has more than 50,000 entries"
OVERLAP = "lie on top of each other"
Entries = Iterable[tuple[str | zipfile.ZipInfo, bytes]]


def packed(entries: Entries, compression: int = zipfile.ZIP_STORED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        for name, data in entries:
            archive.writestr(name, data)
    return out.getvalue()


def of_zip(name: str, make: Callable[[], bytes], file: str, words: str, good: int = 0) -> None:
    def write(folder: Path) -> Path:
        path = folder / ZIP
        path.write_bytes(make())
        return path

    case(f"ZIP: {name}", file, words, good)(write)


def of_entry(
    name: str,
    entry: str | zipfile.ZipInfo,
    words: str,
    file: str = "",
    data: bytes = PNG,
    method: int = zipfile.ZIP_STORED,
) -> None:
    """A good picture, and one entry that is not taken."""
    shown = file or (entry if isinstance(entry, str) else entry.filename)
    of_zip(name, lambda: packed([(_info("good.png"), PNG), (entry, data)], method), shown, words, good=1)


def changed_entry(change: Callable[[bytes], bytes]) -> Callable[[], bytes]:
    return lambda: change(packed([("a.png", PNG)]))


def _info(name: str, mode: int = 0, **fields: Any) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr, info.create_system = mode << 16, 3
    for key, value in fields.items():
        setattr(info, key, value)
    return info


of_zip("empty file", lambda: b"", ZIP, NO_ZIP)
of_zip("no ZIP at all", lambda: b"a red shoe" * 100, ZIP, NO_ZIP)
of_zip("cut in half", lambda: packed([("a.png", _noisy("PNG"))])[:5000], ZIP, NO_ZIP)
of_zip("only an end", lambda: b"PK\x05\x06" + b"\x00" * 18, ".", "There are no pictures here")
of_zip("a directory that lies beyond the file",
       changed_entry(lambda data: data[:-6] + struct.pack("<L", 0x7FFFFFFF) + data[-2:]), ZIP, OVERLAP)  # fmt: skip
of_zip(
    "a directory of random bytes",
    lambda: os.urandom(2000) + b"PK\x05\x06" + struct.pack("<4H2LH", 0, 0, 9, 9, 900, 100, 0),
    ZIP,
    NO_ZIP,
)
of_zip(
    "nothing but folders",
    lambda: packed([("a/", b"")]),
    ".",
    "There are no pictures here",
)
WAYS_OUT = (
    "../a.png", "../../../../tmp/a.png", "/etc/a.png", "a/../../b.png", "./a.png", "a//b.png", "C:/a.png", "C:a.png",
    "..\\a.png", "\\\\server\\a.png", "a\\b.png", "a/./b.png", "~/../a.png",
)  # fmt: skip
for _way in WAYS_OUT:
    of_entry(f"the name {_way!r}", _way, "leads out of the archive")
of_entry("a name without end", "x" * 2000 + ".png", "more than 1,000 characters", file="xxxx")
of_zip(
    "NUL in a name",
    lambda: packed([("good.png", PNG), ("aXb.png", PNG)]).replace(b"aXb.png", b"a\x00b.png"),
    "b.png",
    "not text",
    1,
)
of_entry("a link", _info("link.png", 0o120777), "is a link or a device", data=b"/etc/passwd")
of_entry("a link to a folder", _info("more", 0o120777), "is a link or a device", data=b"../..")
of_entry("a device", _info("device.png", 0o060666), "is a link or a device")
of_entry("a pipe", _info("pipe.png", 0o010666), "is a link or a device")
of_entry("a socket", _info("socket.png", 0o140666), "is a link or a device")
of_entry("packed with bzip2", "b.png", "packed in a way that is not read here", method=zipfile.ZIP_BZIP2)
of_entry("packed with LZMA", "b.png", "packed in a way that is not read here", method=zipfile.ZIP_LZMA)
of_entry(
    "a bomb: 60 MB of nothing",
    "b.png",
    "100 times larger",
    data=b"\x00" * 60_000_000,
    method=zipfile.ZIP_DEFLATED,
)
of_entry(
    "a picture of 150 MB of nothing",
    "b.png",
    "is larger than 64 MB",
    data=b"\x00" * 150_000_000,
    method=zipfile.ZIP_DEFLATED,
)
of_entry("a ZIP inside", "inner.zip", NOT_ONE, data=packed([("a.png", PNG)]))
of_entry("a ZIP inside, called a picture", "inner.png", NOT_ONE, data=packed([("a.png", PNG)]))


def _nested(levels: int) -> bytes:
    data = b"\x00" * 1_000_000
    for level in range(levels):
        data = packed([(f"{level}-{number}.zip", data) for number in range(4)], zipfile.ZIP_DEFLATED)
    return data


of_zip("a bomb in six levels", lambda: _nested(6), "5-0.zip", NOT_ONE)


def _flat_bomb() -> bytes:
    data = b"\x00" * 5_000_000
    return packed([(f"{number}.png", data) for number in range(40)], zipfile.ZIP_DEFLATED)


def _sparse_bomb() -> bytes:
    data = b"\x00" * 1_000_000
    return packed([(f"{number}.png", data) for number in range(UNPACKED // len(data) + 1)], zipfile.ZIP_DEFLATED)


of_zip("a bomb of entries below every other limit", _sparse_bomb, ZIP, "unpacks to more than 0.02 GB")
of_zip("a flat bomb of 40 entries", _flat_bomb, "39.png", "100 times larger")
of_zip("the same name twice", lambda: _twice("a.png", "a.png"), "a.png", "is there more than once", 1)
of_zip(
    "the same name in two ways of Unicode",
    lambda: _twice("caf\u00e9.png", "cafe\u0301.png"),
    "caf",
    "is there more than once",
    1,
)


def _twice(first: str, second: str) -> bytes:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return packed([(first, PNG), (second, PNG)])


def _flagged(bit: int) -> Callable[[bytes], bytes]:
    def change(data: bytes) -> bytes:
        central = data.rfind(b"PK\x01\x02")
        flagged = bytearray(data)
        for place in (6, central + 8):
            flagged[place] |= bit
        return bytes(flagged)

    return change


of_zip("encrypted", changed_entry(_flagged(0x1)), "a.png", "is encrypted")
of_zip("strongly encrypted", changed_entry(_flagged(0x41)), "a.png", "is encrypted")


def _central(offset: int, form: str, value: int) -> Callable[[bytes], bytes]:
    """Changes one field of the only central record."""

    def change(data: bytes) -> bytes:
        place = data.rfind(b"PK\x01\x02") + offset
        packed_value = struct.pack(form, value)
        return data[:place] + packed_value + data[place + len(packed_value) :]

    return change


of_zip("a wrong sum", changed_entry(_central(16, "<L", 1)), "a.png", "is damaged inside the archive")
of_zip("a size that is too small", changed_entry(_central(24, "<L", 10)), "a.png", "damaged inside the archive")
of_zip("a size that is too large", changed_entry(_central(24, "<L", 90_000)), "a.png", "damaged inside the archive")
of_zip("a size of 4 GB", changed_entry(_central(24, "<L", 0xFFFFFFF0)), "a.png", "is larger than 64 MB")
of_zip("an unknown method", changed_entry(_central(10, "<H", 99)), "a.png", "packed in a way")
of_zip("an entry that begins beyond the file", changed_entry(_central(42, "<L", 0x7FFFFFF0)), ZIP, NO_ZIP)
of_zip("an entry that ends beyond the file", changed_entry(_central(20, "<L", 0x7FFFFFF0)), ZIP, NO_ZIP)
of_zip(
    "another name inside",
    changed_entry(lambda data: data[:30] + b"b.png" + data[35:]),
    "a.png",
    "damaged inside the archive",
)
of_zip(
    "broken packed bytes",
    lambda: _broken(packed([("a.png", _noisy("PNG"))], zipfile.ZIP_DEFLATED), 0.4),
    "a.png",
    "damaged inside the archive",
)


def _with_directory(records: list[tuple[bytes, int]], body: bytes, said: int | None = None) -> bytes:
    """An archive whose directory lists (name, offset) of the same stored picture."""
    directory = b"".join(
        struct.pack(
            "<4s6H3L5H2L",
            b"PK\x01\x02",
            20,
            20,
            0,
            0,
            0,
            0,
            zlib.crc32(PNG),
            len(PNG),
            len(PNG),
            len(name),
            0,
            0,
            0,
            0,
            0,
            offset,
        )
        + name
        for name, offset in records
    )
    count = min(0xFFFE, len(records)) if said is None else said
    return body + directory + struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, count, count, len(directory), len(body), 0)


def _local(name: bytes) -> bytes:
    head = struct.pack("<4s5H3L2H", b"PK\x03\x04", 20, 0, 0, 0, 0, zlib.crc32(PNG), len(PNG), len(PNG), len(name), 0)
    return head + name + PNG


of_zip(
    "entries that share their bytes",
    lambda: _with_directory([(b"a.png", 0), (b"b.png", 0)], _local(b"a.png")),
    ZIP,
    OVERLAP,
)
of_zip(
    "an entry that begins inside another",
    lambda: _with_directory([(b"a.png", 0), (b"b.png", 40)], _local(b"a.png") * 2),
    ZIP,
    OVERLAP,
)
of_zip(
    "20,000 entries of the same bytes",
    lambda: _with_directory([(b"%d.png" % n, 0) for n in range(20_000)], _local(b"a.png")),
    ZIP,
    OVERLAP,
)
of_zip(
    "100,000 entries",
    lambda: _with_directory([(b"%d.png" % n, 0) for n in range(100_000)], _local(b"a.png")),
    ZIP,
    MANY,
)
of_zip(
    "100,000 entries, and it says one",
    lambda: _with_directory([(b"%d.png" % n, 0) for n in range(100_000)], _local(b"a.png"), 1),
    ZIP,
    MANY,
)
of_zip(
    "more entries than there are numbers",
    lambda: (
        b"PK\x06\x06"
        + struct.pack("<Q2H2L4Q", 44, 45, 45, 0, 0, 1 << 40, 1 << 40, 1 << 46, 0)
        + b"PK\x06\x07"
        + struct.pack("<LQL", 0, 0, 1)
        + b"PK\x05\x06"
        + struct.pack("<4H2LH", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    ),
    ZIP,
    MANY,
)
of_zip(
    "the far end is missing",
    lambda: b"PK\x05\x06" + struct.pack("<4H2LH", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0),
    ZIP,
    MANY,
)
of_zip(
    "rubbish before a broken picture",
    lambda: b"x" * 1000 + packed([("a.png", b"x")]),
    "a.png",
    NOT_ONE,
)
of_zip(
    "captions in it that lead out",
    lambda: packed([("images/a.png", PNG), ("captions.json", b'{"../../a.png": "x", "a.png": "y"}')]),
    "captions.json",
    "plain name of a file",
    1,
)
of_zip(
    "an SVG called a picture",
    lambda: packed([("a.png", PICTURES["SVG"][0])]),
    "a.png",
    NOT_ONE,
)
of_zip(
    "a picture of 60,000 × 60,000",
    lambda: packed([("a.png", png_of_size(60_000, 60_000))]),
    "a.png",
    "pixels",
)


def with_text_of(megabytes: int) -> bytes:
    """A PNG with that much text behind it, uncompressed."""
    out = io.BytesIO()
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", "x" * megabytes * 1_000_000)
    Image.new("RGB", (40, 32)).save(out, "PNG", pnginfo=text)
    return out.getvalue()


of_files(
    "picture: 80 MB of text beside it",
    {"a.png": with_text_of(80), "good.png": PNG},
    "a.png",
    "is larger than 64 MB",
    good=1,
)
