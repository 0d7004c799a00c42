"""Pictures side by side on one sheet: a photographer's contact sheet, as PNG."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from io import BytesIO

from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from generation.metadata import xmp_of

PAPER = "#faf9f6"
INK = "#383632"
FAINT = "#8d8a84"
HAIRLINE = "#e4e2dd"
MARGIN, GAP = 24, 10
MOST = 200  # pictures on one sheet: more are neither looked at nor printed
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(frozen=True)
class Frame:
    """One picture of a sheet and what stands below it, a line each; the last may take two."""

    picture: Image.Image
    lines: tuple[str, ...]


def sheet(frames: Iterable[Frame], number: int, *, title: str, side: int = 220) -> bytes:
    """`number` frames in rows, as a PNG that carries the mark of AI origin. Frames are taken one at a time."""
    columns = min(6, max(1, number), max(3, round(number**0.5)))
    head, below = 64, 70
    rows = -(-number // columns)
    width = 2 * MARGIN + columns * (side + GAP) - GAP
    paper = Image.new("RGB", (max(width, 480), head + rows * (side + below + GAP) + MARGIN), PAPER)
    ink = ImageDraw.Draw(paper)
    ink.text((MARGIN, 22), _fitted(title, paper.width - 2 * MARGIN, _font(19)), INK, font=_font(19))
    for index, frame in enumerate(frames):
        row, column = divmod(index, columns)
        _draw_frame(paper, ink, frame, (MARGIN + column * (side + GAP), head + row * (side + below + GAP)), side)
    return _png(paper)


def _draw_frame(
    paper: Image.Image, ink: ImageDraw.ImageDraw, frame: Frame, corner: tuple[int, int], side: int
) -> None:
    x, y = corner
    picture = frame.picture.convert("RGB")
    picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    paper.paste(Image.new("RGB", (side, side), "white"), corner)
    paper.paste(picture, (x + (side - picture.width) // 2, y + (side - picture.height) // 2))
    ink.rectangle((x - 1, y - 1, x + side, y + side), outline=HAIRLINE)
    *short, long = frame.lines
    font, at = _font(12), y + side + 6
    for line in short:
        ink.text((x, at), _fitted(line, side, font), INK, font=font)
        at += 16
    ink.multiline_text((x, at), _wrapped(long, side, font), FAINT, font=font, spacing=2)


def _fitted(line: str, width: int, font: Font) -> str:
    """Cut with an ellipsis where it is longer than the width."""
    if font.getlength(line) <= width:
        return line
    while line and font.getlength(f"{line}…") > width:
        line = line[:-1]
    return f"{line.rstrip()}…"


def _font(size: int) -> Font:
    return ImageFont.load_default(size)


def _png(paper: Image.Image) -> bytes:
    mark = PngInfo()
    mark.add_itxt("XML:com.adobe.xmp", xmp_of())
    out = BytesIO()
    paper.save(out, "PNG", pnginfo=mark)
    return out.getvalue()


def webp_within(paper: Image.Image, most: int) -> bytes:
    """As good as fits into so many bytes, with the mark of AI origin. Raises ValueError where nothing does."""
    for quality in range(92, 30, -6):
        out = BytesIO()
        paper.save(out, "WEBP", quality=quality, method=6, xmp=xmp_of().encode())
        if out.tell() <= most:
            return out.getvalue()
    raise ValueError(f"{paper.width} × {paper.height} pixels do not fit into {most:,} bytes")


def grid_sheet(
    rows: Sequence[tuple[str, Sequence[Image.Image]]],
    captions: Sequence[str],
    *,
    title: str,
    columns: int = 6,
    side: int = 160,
) -> Image.Image:
    """Each row has a label and one picture for each caption; what is wider than `columns` goes on below."""
    label_width, caption_height, head = _label_width(rows), 34, 58
    block_height = len(rows) * (side + GAP) + caption_height + GAP
    blocks = range(0, len(captions), columns)
    width = 2 * MARGIN + label_width + min(columns, len(captions)) * (side + GAP) - GAP
    paper = Image.new("RGB", (width, head + len(blocks) * block_height + MARGIN), PAPER)
    ink = ImageDraw.Draw(paper)
    ink.text((MARGIN, 20), _fitted(title, width - 2 * MARGIN, _font(19)), INK, font=_font(19))
    for block, first in enumerate(blocks):
        y = head + block * block_height
        for label, pictures in rows:
            ink.text((MARGIN, y + side // 2 - 8), label, INK, font=_font(12))
            for column, picture in enumerate(pictures[first : first + columns]):
                _paste_square(paper, ink, picture, (MARGIN + label_width + column * (side + GAP), y), side)
            y += side + GAP
        for column, caption in enumerate(captions[first : first + columns]):
            at = (MARGIN + label_width + column * (side + GAP), y - GAP + 5)
            ink.multiline_text(at, _wrapped(caption, side, _font(12)), FAINT, font=_font(12), spacing=2)
    return paper


def _label_width(rows: Sequence[tuple[str, Sequence[Image.Image]]]) -> int:
    return max(92, *(round(_font(12).getlength(label)) + 16 for label, _ in rows))


def _paste_square(
    paper: Image.Image, ink: ImageDraw.ImageDraw, picture: Image.Image, corner: tuple[int, int], side: int
) -> None:
    x, y = corner
    paper.paste(picture.resize((side, side), Image.Resampling.LANCZOS), corner)
    ink.rectangle((x - 1, y - 1, x + side, y + side), outline=HAIRLINE)


def _wrapped(text: str, width: int, font: Font) -> str:
    """At most two lines that fit the width."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    shown = [line for line in lines if line][:2]
    return "\n".join(_fitted(line, width, font) for line in shown)
