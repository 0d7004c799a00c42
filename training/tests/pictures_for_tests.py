"""Dataset folders as people bring them."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image


def encoded(
    mode: str = "RGB", kind: str = "PNG", size: tuple[int, int] = (40, 32), colour: Any = None, **save: Any
) -> bytes:
    out = BytesIO()
    image = Image.new(mode, size, colour if colour is not None else 90)
    image.save(out, kind, **save)
    return out.getvalue()


def write_dataset(folder: Path, captions: Any, images: dict[str, bytes]) -> Path:
    """`captions` is written as it is when it is bytes, as JSON otherwise; None writes no captions.json."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    for name, data in images.items():
        (folder / "images" / name).write_bytes(data)
    if captions is not None:
        data = captions if isinstance(captions, bytes) else json.dumps(captions).encode()
        (folder / "captions.json").write_bytes(data)
    return folder


def entries(captions: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"image_file": name, "caption": caption} for name, caption in captions.items()]


def good_dataset(folder: Path, photos: int = 3) -> Path:
    names = [f"{100001 + number}.png" for number in range(photos)]
    images = {name: encoded(colour=(40 * number, 90, 120)) for number, name in enumerate(names)}
    return write_dataset(folder, entries({name: f"a photo of shoe {name}" for name in names}), images)


def png_of(picture: Image.Image) -> bytes:
    out = BytesIO()
    picture.convert("RGB").save(out, "PNG")
    return out.getvalue()
