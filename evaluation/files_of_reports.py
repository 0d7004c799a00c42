"""A report as a file: JSON, text as the seed prints it, one self-contained HTML page, and a grid of pictures."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Final

from django.template.loader import render_to_string
from django.utils.translation import get_language
from PIL import Image, ImageOps

from evaluation import showing
from evaluation.reports import report_of
from evaluation.run_models import EvaluationRun, ImageScore, Subject
from evaluation.text_report import LANGUAGES, text_report
from generation.contact_sheet import Frame, sheet
from shoesai import files

COLOURS: Final = {showing.GOOD: "#2e7d32", showing.FAIR: "#f9a825", showing.POOR: "#c62828"}
BORDER: Final = 8
SMALL: Final = 192
IN_GRID: Final = 240


@dataclass(frozen=True)
class Format:
    ending: str
    mime: str
    write: Callable[[EvaluationRun, str], bytes]


def as_json(evaluation: EvaluationRun, _language: str = "") -> bytes:
    return (json.dumps(report_of(evaluation), ensure_ascii=False, indent=2, allow_nan=False) + "\n").encode()


def as_text(evaluation: EvaluationRun, language: str = "") -> bytes:
    """`language` is a key of LANGUAGES; else the reader's."""
    if language not in LANGUAGES:
        language = "pt" if (get_language() or "").startswith("pt") else "en"
    return text_report(report_of(evaluation), language).encode()


def as_html(evaluation: EvaluationRun, _language: str = "") -> bytes:
    """Everything inside: no file, no script, nothing that is fetched."""
    context = showing.context_of(evaluation)
    context["pictures"] = [
        (subject, {part: [(framed, _uri(framed.image)) for framed in rows] for part, rows in parts.items()})
        for subject, parts in context["pictures"]
    ]
    return render_to_string("evaluation/alone.html", context).encode()


def as_png(evaluation: EvaluationRun, _language: str = "") -> bytes:
    """Every picture with its score and a frame by it; the worst and the best where there are many."""
    frames: list[tuple[Subject, showing.Framed]] = []
    for subject, parts in showing.context_of(evaluation)["pictures"]:
        frames += [(subject, framed) for rows in parts.values() for framed in rows]
    frames = frames[:IN_GRID]
    return sheet(_frames(frames), len(frames), title=evaluation.name)


def _frames(rows: list[tuple[Subject, showing.Framed]]) -> Iterator[Frame]:
    for subject, framed in rows:
        image = framed.image
        picture = _opened(image) or Image.new("RGB", (SMALL, SMALL), "#dddddd")
        picture.thumbnail((512, 512))
        told = "–" if image.clip_score is None else f"{image.clip_score:.2f}"
        yield Frame(
            ImageOps.expand(picture.convert("RGB"), BORDER, COLOURS[framed.frame]),
            (f"{subject.label}", f"CLIP: {told}", image.prompt or image.file_name),
        )


def _opened(image: ImageScore) -> Image.Image | None:
    if image.blob_id is None:
        return None
    with Image.open(files.path_of(image.blob_id)) as picture:
        return picture.convert("RGB")


def _uri(image: ImageScore) -> str:
    picture = _opened(image)
    if picture is None:
        return ""
    picture.thumbnail((SMALL, SMALL))
    out = BytesIO()
    picture.save(out, "WEBP", quality=80)
    return f"data:image/webp;base64,{base64.b64encode(out.getvalue()).decode()}"


FORMATS: Final[dict[str, Format]] = {
    "html": Format("html", "text/html; charset=utf-8", as_html),
    "text": Format("txt", "text/plain; charset=utf-8", as_text),
    "json": Format("json", "application/json", as_json),
    "grid": Format("png", "image/png", as_png),
}

