"""Speed of the dataset workshop beside plain single-process loops that do the same, both in the same run.

    SHOESAI_DATA_DIR=/tmp/trial python manage.py migrate
    SHOESAI_DATA_DIR=/tmp/trial python benchmarks/datasets.py --photos 100

A section is a function that returns rows of (what, ours, peer, unit); `ratio` is how many times faster ours is.
Augmentation: the job as a worker does it (engine child, stored files, rows, recipes), beside the seed's loop with
torchvision and Pillow, which only writes PNG files. The engine's start is not counted, as it stays warm.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shoesai.settings")

import django

django.setup()

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

from shoesai import files
from shoesai.accounts import acting_user
from shoesai.engine.specs import AugmentSpec
from shoesai.jobs.tasks import run_here
from shoesai.models import Job, User
from shoesai.starter import draw
from training.datasets.augmenting import request_augmentation, request_preview
from training.datasets.drafts import Source, add_photos, open_draft
from training.models import Dataset, DatasetVersion

DRAWN = 25  # different photos; drawing one takes longer than varying it
TORN = 3  # pixels of a corner that make each copy another photo


@dataclass(frozen=True)
class Row:
    """Photos or variants a second."""

    section: str
    what: str
    ours: float
    peer: float
    peer_name: str

    @property
    def ratio(self) -> float:
        return self.ours / self.peer


def main() -> None:
    options = _options()
    user = acting_user(options.user)
    pictures = drawn_photos(options.photos, options.size)
    rows = [row for section in SECTIONS.values() for row in section(user, pictures, options)]
    told = [{**row.__dict__, "ratio": round(row.ratio, 2)} for row in rows]
    print(json.dumps({"photos": options.photos, "size": options.size, "rows": told}, indent=2))
    _show(rows)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=100)
    parser.add_argument("--size", type=int, default=512, help="Pixels on a side. Default: 512, the seed's.")
    parser.add_argument("--variants", type=int, default=5, help="Of each photo. Default: 5, the seed's.")
    parser.add_argument("--user")
    return parser.parse_args()


def drawn_photos(count: int, size: int) -> list[bytes]:
    """PNG files, all of them different."""
    rng = np.random.default_rng(1)
    shoes = [draw.draw_catalogue(draw.random_shoe(rng, background="white"), number, size) for number in
             range(min(count, DRAWN))]  # fmt: skip
    photos = []
    for number in range(count):
        picture = shoes[number % len(shoes)].convert("RGB")
        picture.paste((250, 250, 250 - number % 40), (0, 0, TORN, TORN + number // 40))
        out = BytesIO()
        picture.save(out, "PNG")
        photos.append(out.getvalue())
    return photos


# --- augmentation -----------------------------------------------------------------------------------------------
def augmentation(user: User, pictures: list[bytes], options: argparse.Namespace) -> list[Row]:
    draft = draft_of(user, pictures, options.size)
    return [_varied(user, draft, pictures, recipe, options) for recipe in ("product", "rotations")]


def _varied(
    user: User, draft: DatasetVersion, pictures: list[bytes], recipe: str, options: argparse.Namespace
) -> Row:
    spec = AugmentSpec(recipe=recipe, variants=min(options.variants, 6))
    made = len(pictures) * spec.variants
    run(request_preview(user=user, version=draft, spec=spec))  # the engine is warm now
    ours = timed(lambda: run(request_augmentation(user=user, dataset=draft.dataset, spec=spec)))
    peer = timed(lambda: seeds_loop(pictures, recipe, spec.variants, options.size))
    return Row("augmentation", f"{recipe} × {spec.variants}", made / ours, made / peer, "the seed's loop")


def draft_of(user: User, pictures: list[bytes], size: int) -> DatasetVersion:
    draft = open_draft(Dataset.objects.create(owner=user, name=f"benchmark {uuid.uuid4().hex[:8]}"))
    blobs = [files.publish(data, "image/png").pk for data in pictures]
    add_photos(draft, [Source(f"{n}.png", blob, size, size, f"shoe {n}") for n, blob in enumerate(blobs)])
    return draft


def seeds_loop(pictures: list[bytes], recipe: str, variants: int, size: int) -> None:
    """As the seed has it: one process, one picture after another, Pillow's own PNG settings."""
    import torchvision.transforms as T

    pipeline = T.Compose([
        T.RandomRotation(degrees=15, fill=(255, 255, 255)),
        T.ColorJitter(brightness=0.1, contrast=0.1, saturation=0.1, hue=0.02),
        T.RandomHorizontalFlip(p=0.5),
        T.Resize((size, size)),
    ])  # fmt: skip
    angles = [-15, -10, -5, 5, 10, 15]
    with tempfile.TemporaryDirectory() as folder:
        for number, data in enumerate(pictures):
            for variant in range(variants):
                picture = Image.open(BytesIO(data))
                if recipe == "rotations":
                    varied = picture.rotate(angles[variant], expand=False, fillcolor=(255, 255, 255))
                else:
                    varied = pipeline(picture)
                varied.save(Path(folder) / f"{number}_var{variant + 1}.png")


# --- measuring --------------------------------------------------------------------------------------------------
def run(job: Job) -> None:
    """In this process, as its lane's worker."""
    if not run_here(job):
        raise SystemExit("A worker runs on this data folder; take one of its own (SHOESAI_DATA_DIR).")
    job.refresh_from_db()
    if job.state != Job.State.SUCCEEDED:
        raise SystemExit(f"{job.kind} {job.state}: {job.error_text}")


def timed(work: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def _show(rows: list[Row]) -> None:
    table = Table("section", "what", "ours /s", "peer /s", "ratio", "peer")
    for row in rows:
        table.add_row(row.section, row.what, f"{row.ours:.1f}", f"{row.peer:.1f}", f"{row.ratio:.2f}", row.peer_name)
    Console(stderr=True).print(table)


SECTIONS: dict[str, Callable[[User, list[bytes], argparse.Namespace], list[Row]]] = {"augmentation": augmentation}

if __name__ == "__main__":
    main()
