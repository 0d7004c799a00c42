"""A checkpoint as files for other tools: one row a format.

Every format is made of the same weights, only renamed (`shoesai.engine.lora_formats`), and carries what its readers
look for. Nothing in a file names a place on this machine.
"""

from __future__ import annotations

import hashlib
import io
import shutil
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from shoesai import files
from shoesai.engine.lora_formats import WEIGHTS, Lora, lora_files, parse_lora
from training.export_metadata import kohya_metadata
from training.model_card import model_card
from training.models import Checkpoint, TrainingRun
from training.results import SAFETENSORS

ZIP = "application/zip"
MAX_CARD_IMAGES = 12
_BEGINNING = (1980, 1, 1, 0, 0, 0)  # of ZIP's time, so that equal files give an equal archive

Files = dict[str, bytes]
"""Relative name, with `/` → content."""


@dataclass(frozen=True)
class Download:
    file_name: str
    mime: str
    data: bytes


@dataclass(frozen=True)
class Format:
    """What people read in a menu, and how the files come about."""

    label: str | Promise
    write: Callable[[Checkpoint], Files]


def files_of(checkpoint: Checkpoint, format: str) -> Files:
    """`format` is a key of FORMATS. Raises LoraProblem for bytes that are no LoRA any more."""
    return _WRITERS[format].write(checkpoint)


def download(checkpoint: Checkpoint, format: str) -> Download:
    """One file as it is, several as a ZIP with one folder in it."""
    made = files_of(checkpoint, format)
    stem = f"{checkpoint.run.name}_checkpoint-{checkpoint.step}"
    if len(made) == 1:
        (data,) = made.values()
        return Download(f"{stem}_{format}.safetensors", SAFETENSORS, data)
    return Download(f"{stem}_{format}.zip", ZIP, zipped({f"{stem}/{name}": data for name, data in made.items()}))


def zipped(made: Files) -> bytes:
    out = io.BytesIO()
    write_zip(out, made)
    return out.getvalue()


def write_zip(out: IO[bytes], made: Mapping[str, bytes | Path]) -> None:
    """Not compressed, because neither weights nor pictures become smaller; equal files give equal bytes.

    A path's file goes through in pieces, so that many of them do not fill the memory.
    """
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, content in sorted(made.items()):
            entry = zipfile.ZipInfo(name, _BEGINNING)
            entry.external_attr = 0o644 << 16
            source = content.open("rb") if isinstance(content, Path) else io.BytesIO(content)
            with source, archive.open(entry, "w") as target:
                shutil.copyfileobj(source, target)


def lora_of(checkpoint: Checkpoint) -> Lora:
    return parse_lora(files.read(checkpoint.blob))


# --- the formats ----------------------------------------------------------------------------------------------
def _diffusers(checkpoint: Checkpoint) -> Files:
    """Ours are in this form already; an imported one is renamed, and says its alpha even where it had not."""
    if checkpoint.run.state == TrainingRun.State.IMPORTED:
        return lora_files(lora_of(checkpoint), "diffusers")
    return {WEIGHTS: files.read(checkpoint.blob)}


def _kohya(checkpoint: Checkpoint) -> Files:
    """One that was imported in this form keeps its bytes; ours gets what LoRA browsers show."""
    lora = lora_of(checkpoint)
    if lora.form == "kohya":
        return {_kohya_name(checkpoint): files.read(checkpoint.blob)}
    (bare,) = lora_files(lora, "kohya").values()
    metadata = kohya_metadata(checkpoint, lora, tensor_hash(bare))
    (data,) = lora_files(lora, "kohya", metadata).values()
    return {_kohya_name(checkpoint): data}


def _kohya_name(checkpoint: Checkpoint) -> str:
    return f"{checkpoint.run.name}-step{checkpoint.step:08d}.safetensors"


def _peft(checkpoint: Checkpoint) -> Files:
    return lora_files(lora_of(checkpoint), "peft")


def _hub(checkpoint: Checkpoint) -> Files:
    """Weights, the pictures of this step, and the card that shows them."""
    drawn = checkpoint.run.validation_images.filter(step=checkpoint.step).select_related("blob")
    shown = {f"images/{image.seq:02d}_seed{image.seed}.png": image for image in drawn[:MAX_CARD_IMAGES]}
    card = model_card(checkpoint, lora_of(checkpoint), {name: image.prompt for name, image in shown.items()})
    pictures = {name: files.read(image.blob) for name, image in shown.items()}
    return {**_diffusers(checkpoint), "README.md": card.encode(), **pictures}


def tensor_hash(data: bytes) -> str:
    """SHA-256 of all that is not the header: what ModelSpec and A1111 know a LoRA by."""
    return hashlib.sha256(memoryview(data)[8 + int.from_bytes(data[:8], "little") :]).hexdigest()


_WRITERS: dict[str, Format] = {
    "diffusers": Format(_("diffusers"), _diffusers),
    "kohya": Format(_("A1111, ComfyUI, InvokeAI (kohya)"), _kohya),
    "peft": Format(_("PEFT folder"), _peft),
    "hub": Format(_("Folder for a model hub, with card and pictures"), _hub),
}
FORMATS: dict[str, str | Promise] = {key: row.label for key, row in _WRITERS.items()}
