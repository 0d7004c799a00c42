"""Taking pictures out: a ZIP of exact length, and what is known of them as JSON and CSV."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from io import StringIO
from typing import Any

from zipstream import ZIP_STORED, ZipStream

from generation.metadata import recipe_of
from generation.models import GeneratedImage, Generation
from shoesai import files

CSV_COLUMNS = (
    "file", "id", "prompt", "negative_prompt", "model", "base_model", "loras", "seed", "steps", "guidance_scale",
    "scheduler", "width", "height", "seconds", "owner", "created_at", "sha256",
)  # fmt: skip


def metadata_of(images: Iterable[GeneratedImage]) -> list[dict[str, Any]]:
    """One row per picture: its file in the ZIP, its recipe, and whose it is."""
    recipes: dict[Any, dict[str, Any]] = {}
    taken: set[str] = set()
    rows = []
    for image in images:
        if image.generation_id not in recipes:
            recipes[image.generation_id] = recipe_of(image.generation, 0)
        rows.append(
            {
                "file": _free_name(image.file_name(), taken),
                "id": str(image.id),
                **recipes[image.generation_id],
                "seed": image.seed_number,
                "width": image.width,
                "height": image.height,
                "seconds": image.seconds,
                "owner": image.owner.get_username(),
                "created_at": image.created_at.isoformat(),
                "sha256": image.blob_id,
            }
        )
    return rows


def _free_name(name: str, taken: set[str]) -> str:
    """The same prompt and seed with other settings gets a number."""
    stem, _dot, suffix = name.rpartition(".")
    free, number = name, 2
    while free in taken:
        free, number = f"{stem}_{number}.{suffix}", number + 1
    taken.add(free)
    return free


def zip_of(images: Sequence[GeneratedImage]) -> ZipStream:
    """A stored ZIP whose length is known before the first byte: `len()` of it is exact.

    Raises FileNotFoundError before anything is sent when a picture's bytes are gone.
    """
    rows = metadata_of(images)
    archive = ZipStream(compress_type=ZIP_STORED, sized=True)
    for image, row in zip(images, rows, strict=True):
        archive.add_path(files.path_of(image.blob_id), row["file"])
    archive.add(json_bytes(rows), "metadata.json")
    archive.add(csv_bytes(rows), "metadata.csv")
    return archive


def json_bytes(rows: Any) -> bytes:
    return json.dumps(rows, ensure_ascii=False, indent=2).encode()


def csv_bytes(rows: Iterable[dict[str, Any]]) -> bytes:
    """For spreadsheets: text that they would take for a formula gets an apostrophe in front."""
    out = StringIO()
    writer = csv.DictWriter(out, CSV_COLUMNS, extrasaction="ignore")
    writer.writeheader()
    for row in rows:
        loras = " ".join(f"{lora['name']}:{lora['weight']:g}" for lora in row["loras"])
        writer.writerow({key: _harmless(value) for key, value in {**row, "loras": loras}.items()})
    return out.getvalue().encode("utf-8-sig")


def _harmless(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value


def provenance_of(generation: Generation) -> list[dict[str, Any]]:
    """For each LoRA in use: checkpoint, run, and the dataset version that it learned from."""
    loras = generation.loras.select_related("checkpoint__run__dataset_version__dataset", "checkpoint__run__base_model")
    return [
        {
            "checkpoint": lora.checkpoint,
            "run": lora.checkpoint.run,
            "dataset_version": lora.checkpoint.run.dataset_version,
            "weight": lora.weight,
        }
        for lora in loras
    ]
