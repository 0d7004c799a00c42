"""What is told of a picture when it is taken out: one row, as JSON and as CSV, written one after the other."""

from __future__ import annotations

import csv
import json
from io import TextIOWrapper
from typing import IO, Any

from django.db.models import Prefetch, QuerySet

from gallery.models import Judgement, Tagging
from gallery.passing import checks_of
from generation.metadata import LORAS, recipe_of_image
from generation.models import GeneratedImage, Generation
from shoesai.models import User

COLUMNS = (
    "file", "id", "prompt", "negative_prompt", "model", "base_model", "loras", "seed", "steps", "guidance_scale",
    "scheduler", "width", "height", "strength", "reference", "seconds", "owner", "created_at", "sku", "view",
    "favourite", "rating", "tags", "passes", "fails", "mended_from", "sha256",
)  # fmt: skip
AT_ONCE = 2000


def with_rows(images: QuerySet[GeneratedImage], user: User) -> QuerySet[GeneratedImage]:
    """Everything that `row_of` looks at. What many pictures have in common is fetched once for all of them."""
    mine = Prefetch("judgements", Judgement.objects.filter(user=user), to_attr="judged")
    asked = Prefetch("generation", Generation.objects.defer("engine", "template"))
    tagged = Prefetch("taggings", Tagging.objects.select_related("tag"), to_attr="tagged")
    together = (asked, "generation__base_model", f"generation__{LORAS}", "owner", "photo_check", mine, tagged)
    return images.select_related(None).prefetch_related(None).prefetch_related(*together)


def row_of(image: Any, file: str) -> dict[str, Any]:
    """Of a picture from `with_rows`. `file` is its name where it goes, and empty where its bytes are missing."""
    judged = next(iter(image.judged), None)
    return {
        "file": file,
        "id": str(image.id),
        **recipe_of_image(image),
        "width": image.width,
        "height": image.height,
        "seconds": image.seconds,
        "owner": image.owner.get_username(),
        "created_at": image.created_at.isoformat(),
        "sku": image.sku,
        "view": image.view,
        "favourite": bool(judged and judged.favourite),
        "rating": judged.rating if judged else None,
        "tags": sorted(tagging.tag.name for tagging in image.tagged),
        "checks": [verdict.as_json() for verdict in checks_of(image)],
        "sha256": image.blob_id,
    }


def json_bytes(content: Any) -> bytes:
    return json.dumps(content, ensure_ascii=False, indent=2).encode()


class JsonRows:
    """A list of rows, one a line."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.between = file, b"[\n"

    def write(self, row: dict[str, Any]) -> None:
        self.file.write(self.between + json.dumps(row, ensure_ascii=False).encode())
        self.between = b",\n"

    def end(self) -> None:
        self.file.write(b"[]\n" if self.between == b"[\n" else b"\n]\n")


class CsvRows:
    """For spreadsheets: text that they would take for a formula gets an apostrophe in front."""

    def __init__(self, file: IO[bytes]) -> None:
        self.text = TextIOWrapper(file, "utf-8-sig", newline="", write_through=True)
        self.table = csv.DictWriter(self.text, COLUMNS, extrasaction="ignore")
        self.table.writeheader()

    def write(self, row: dict[str, Any]) -> None:
        loras = " ".join(f"{lora['name']}:{lora['weight']:g}" for lora in row["loras"])
        flat = {**row, "loras": loras, "tags": ", ".join(row["tags"]), **_told_by_checks(row)}
        self.table.writerow({name: _harmless(value) for name, value in flat.items()})

    def end(self) -> None:
        self.text.detach()


def _told_by_checks(row: dict[str, Any]) -> dict[str, str]:
    return {
        "passes": ", ".join(check["profile"] for check in row["checks"] if check["passed"]),
        "fails": ", ".join(check["profile"] for check in row["checks"] if not check["passed"]),
        "mended_from": row.get("mending", {}).get("parent", ""),
    }


def _harmless(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value


FORMATS: dict[str, tuple[type[JsonRows] | type[CsvRows], str]] = {
    "json": (JsonRows, "application/json"),
    "csv": (CsvRows, "text/csv; charset=utf-8"),
}
