"""Pictures side by side on one sheet: a photographer's contact sheet, as PNG."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

PAPER = "#faf9f6"
INK = "#383632"
FAINT = "#8d8a84"
HAIRLINE = "#e4e2dd"
MARGIN, GAP = 24, 10


def paired_sheet(
    pairs: Sequence[tuple[Image.Image, Image.Image]],
    captions: Sequence[str],
    *,
    title: str,
    labels: tuple[str, str],
    columns: int = 6,
    side: int = 160,
) -> Image.Image:
    """Each column has the first picture of a pair above the second, with its caption below; pairs run in rows."""
    label_width, caption_height, head = 92, 34, 58
    rows = -(-len(pairs) // columns)
    row_height = 2 * side + GAP + caption_height + 2 * GAP
    width = 2 * MARGIN + label_width + columns * (side + GAP) - GAP
    sheet = Image.new("RGB", (width, head + rows * row_height + MARGIN), PAPER)
    ink = ImageDraw.Draw(sheet)
    big, small = ImageFont.load_default(19), ImageFont.load_default(12)
    ink.text((MARGIN, 20), title, INK, font=big)
    for index, ((above, below), caption) in enumerate(zip(pairs, captions, strict=True)):
        row, column = divmod(index, columns)
        x, y = MARGIN + label_width + column * (side + GAP), head + row * row_height
        for offset, picture, label in ((0, above, labels[0]), (side + GAP, below, labels[1])):
            sheet.paste(picture.resize((side, side), Image.Resampling.LANCZOS), (x, y + offset))
            ink.rectangle((x - 1, y + offset - 1, x + side, y + offset + side), outline=HAIRLINE)
            if column == 0:
                ink.multiline_text((MARGIN, y + offset + side // 2 - 8), label, INK, font=small)
        ink.multiline_text((x, y + 2 * side + GAP + 5), _wrapped(caption, side, small), FAINT, font=small, spacing=2)
    return sheet


def _wrapped(text: str, width: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """At most two lines that fit the width."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return "\n".join(lines[:2])
