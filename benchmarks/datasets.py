"""Speed of the dataset workshop beside plain single-process loops that do the same, both in the same run.

    SHOESAI_DATA_DIR=/tmp/trial python manage.py migrate
    SHOESAI_DATA_DIR=/tmp/trial python benchmarks/datasets.py --photos 100

A section is a function that returns rows of photos (or variants) a second; `ratio` is how many times faster ours is.

Augmentation: the job as a worker does it (engine child, stored files, rows, recipes), beside the seed's loop with
torchvision and Pillow, which only writes PNG files. The engine's start is not counted, as it stays warm.
Import: from a folder into a draft (decoding in children, hashes, fsync, rows), beside a loop that opens each file with
Pillow, turns it upright, makes it RGB and writes a PNG with its caption. A PNG of nothing but RGB stays as it is here.
Doctor: the whole check of a draft that was never measured (16 checks, rows), beside a loop with an average hash,
Laplacian variance and whiteness of the border, and all pairs of hashes compared in Python.

`--scale 20000` makes that many photos of 160 px, imports and checks them, and tells seconds and the most memory that
this process and its children held beyond what it held before.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shoesai.settings")

import django

django.setup()

import numpy as np
from PIL import Image, ImageOps
from rich.console import Console
from rich.table import Table

from shoesai import files
from shoesai.accounts import acting_user
from shoesai.engine.specs import AugmentSpec
from shoesai.jobs.tasks import run_here
from shoesai.models import Job, User
from shoesai.starter import draw
from training.datasets import doctor as our_doctor
from training.datasets.augmenting import request_augmentation, request_preview
from training.datasets.captions_json import CAPTIONS, IMAGES
from training.datasets.drafts import Source, add_photos, open_draft
from training.datasets.importing import import_into_draft
from training.importers import read_photos, source_of
from training.models import Dataset, DatasetVersion, PhotoMeasure
from training.tests.read_bad_inputs import Peak

DRAWN = 25  # different photos; drawing one takes longer than varying it
SCALE_DRAWN, SCALE_SIZE = 500, 160
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
    if options.scale:
        print(json.dumps(scale(user, options.scale), indent=2))
        return
    pictures = drawn_photos(options.photos, options.size)
    rows = [row for name in options.only or SECTIONS for row in SECTIONS[name](user, pictures, options)]
    told = [{**asdict(row), "ratio": round(row.ratio, 2)} for row in rows]
    print(json.dumps({"photos": options.photos, "size": options.size, "rows": told}, indent=2))
    _show(rows)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=100)
    parser.add_argument("--size", type=int, default=512, help="Pixels on a side. Default: 512, the seed's.")
    parser.add_argument("--variants", type=int, default=5, help="Of each photo. Default: 5, the seed's.")
    parser.add_argument("--only", action="append", choices=list(SECTIONS), metavar="SECTION", help="May be repeated.")
    parser.add_argument("--scale", type=int, metavar="PHOTOS", help="Import and check so many, and tell the memory.")
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
        photos.append(_saved(picture, "PNG"))
    return photos


# --- augmentation -----------------------------------------------------------------------------------------------
def augmentation(user: User, pictures: list[bytes], options: argparse.Namespace) -> list[Row]:
    draft = draft_of(user, pictures, options.size)
    return [_varied(user, draft, pictures, recipe, options) for recipe in ("product", "rotations")]


def _varied(user: User, draft: DatasetVersion, pictures: list[bytes], recipe: str, options: argparse.Namespace) -> Row:
    spec = AugmentSpec(recipe=recipe, variants=min(options.variants, 6))
    made = len(pictures) * spec.variants
    run(request_preview(user=user, version=draft, spec=spec))  # the engine is warm now
    ours = timed(lambda: run(request_augmentation(user=user, dataset=draft.dataset, spec=spec)))
    peer = timed(lambda: seeds_loop(pictures, recipe, spec.variants, options.size))
    return Row("augmentation", f"{recipe} × {spec.variants}", made / ours, made / peer, "the seed's loop")


def new_dataset(user: User) -> Dataset:
    return Dataset.objects.create(owner=user, name=f"benchmark {uuid.uuid4().hex[:8]}")


def draft_of(user: User, pictures: list[bytes], size: int) -> DatasetVersion:
    draft = open_draft(new_dataset(user))
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


# --- import ---------------------------------------------------------------------------------------------------------
def importing(user: User, pictures: list[bytes], options: argparse.Namespace) -> list[Row]:
    as_jpeg = [_saved(Image.open(BytesIO(data)), "JPEG") for data in pictures]
    return [_imported(user, "PNG", pictures), _imported(user, "JPEG", as_jpeg)]


def _imported(user: User, kind: str, pictures: list[bytes]) -> Row:
    with tempfile.TemporaryDirectory() as folder:
        source = written(Path(folder) / "given", kind, pictures)
        ours = timed(lambda: import_into_draft(new_dataset(user), read_photos(source_of(source))))
        peer = timed(lambda: plain_import(source, Path(folder) / "taken"))
    return Row("import", kind, len(pictures) / ours, len(pictures) / peer, "a loop of Pillow")


def written(folder: Path, kind: str, pictures: Iterable[bytes]) -> Path:
    """The seed's layout."""
    (folder / IMAGES).mkdir(parents=True)
    captions = {}
    for number, data in enumerate(pictures, 100_001):
        name = f"{number}.{kind.lower()}"
        (folder / IMAGES / name).write_bytes(data)
        captions[name] = f"shoe {number}"
    (folder / CAPTIONS).write_text(json.dumps(captions))
    return folder


def plain_import(source: Path, target: Path) -> None:
    target.mkdir()
    for name, caption in json.loads((source / CAPTIONS).read_text()).items():
        picture = ImageOps.exif_transpose(Image.open(source / IMAGES / name)).convert("RGB")
        picture.save(target / f"{Path(name).stem}.png")
        (target / f"{Path(name).stem}.txt").write_text(caption)


# --- doctor ---------------------------------------------------------------------------------------------------------
def checking(user: User, pictures: list[bytes], options: argparse.Namespace) -> list[Row]:
    draft = draft_of(user, pictures, options.size)
    PhotoMeasure.objects.filter(blob__in=draft.photos.values("blob_id")).delete()  # of a run before this one
    ours = timed(lambda: our_doctor.check(draft, _quiet))
    with tempfile.TemporaryDirectory() as folder:
        source = written(Path(folder) / "given", "PNG", pictures)
        peer = timed(lambda: plain_check(source / IMAGES))
    return [Row("doctor", "all checks", len(pictures) / ours, len(pictures) / peer, "a loop of NumPy, 4 checks")]


def plain_check(folder: Path) -> tuple[list[str], list[tuple[str, str]]]:
    """Names of photos that are blurred or not on white, and of pairs that are alike."""
    faults, hashes = [], {}
    for path in sorted(folder.iterdir()):
        picture = Image.open(path).convert("RGB")
        grey = np.asarray(picture.convert("L"), dtype=np.float64)
        laplacian = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * grey[1:-1, 1:-1]
        rgb = np.asarray(picture)
        rim = np.concatenate([rgb[:8].reshape(-1, 3), rgb[-8:].reshape(-1, 3), rgb[:, :8].reshape(-1, 3),
                              rgb[:, -8:].reshape(-1, 3)])  # fmt: skip
        if laplacian.var() < 100 or (rim.min(-1) >= 240).mean() < 0.95:
            faults.append(path.name)
        small = np.asarray(picture.convert("L").resize((8, 8), Image.Resampling.LANCZOS))
        hashes[path.name] = sum(1 << place for place, bit in enumerate((small > small.mean()).flat) if bit)
    names = list(hashes)
    alike = [
        (one, other)
        for place, one in enumerate(names)
        for other in names[place + 1 :]
        if (hashes[one] ^ hashes[other]).bit_count() <= 5
    ]
    return faults, alike


# --- scale ----------------------------------------------------------------------------------------------------------
def scale(user: User, count: int) -> dict[str, Any]:
    told: dict[str, Any] = {"photos": count, "size": SCALE_SIZE}
    with tempfile.TemporaryDirectory() as folder:
        source = written(Path(folder) / "given", "JPEG", many_photos(count))
        dataset = new_dataset(user)
        told["import"] = watched(lambda: import_into_draft(dataset, read_photos(source_of(source))))
    draft = dataset.draft()
    assert draft and draft.photo_count == count
    told["doctor"] = watched(lambda: our_doctor.check(draft, _quiet))
    return told


def many_photos(count: int) -> Iterator[bytes]:
    """All different: a few hundred shoes, each put elsewhere every time."""
    rng = np.random.default_rng(2)
    shoes = [draw.draw_catalogue(draw.random_shoe(rng, background="white"), number, SCALE_SIZE).convert("RGB")
             for number in range(min(count, SCALE_DRAWN))]  # fmt: skip
    for number in range(count):
        side = int(rng.integers(SCALE_SIZE // 2, SCALE_SIZE))
        paper = Image.new("RGB", (SCALE_SIZE, SCALE_SIZE), (250, 250, 250))
        place = rng.integers(0, SCALE_SIZE - side, 2)
        paper.paste(shoes[number % len(shoes)].resize((side, side)), (int(place[0]), int(place[1])))
        yield _saved(paper, "JPEG")


def watched(work: Callable[[], Any]) -> dict[str, float]:
    peak = Peak()
    seconds = timed(work)
    return {"seconds": round(seconds, 1), "peak_mb": round(peak.end())}


# --- measuring --------------------------------------------------------------------------------------------------
def run(job: Job) -> None:
    """In this process, as its lane's worker."""
    if not run_here(job):
        raise SystemExit("A worker runs on this data folder; take one of its own (SHOESAI_DATA_DIR).")
    job.refresh_from_db()
    if job.state != Job.State.SUCCEEDED:
        raise SystemExit(f"{job.kind} {job.state}: {job.error_text}")


def _saved(picture: Image.Image, kind: str) -> bytes:
    out = BytesIO()
    picture.save(out, kind, quality=92)
    return out.getvalue()


def _quiet(done: int, total: int) -> None:
    pass


def timed(work: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def _show(rows: list[Row]) -> None:
    table = Table("section", "what", "ours /s", "peer /s", "ratio", "peer")
    for row in rows:
        table.add_row(row.section, row.what, f"{row.ours:.1f}", f"{row.peer:.1f}", f"{row.ratio:.2f}", row.peer_name)
    Console(stderr=True).print(table)


SECTIONS: dict[str, Callable[[User, list[bytes], argparse.Namespace], list[Row]]] = {
    "import": importing,
    "doctor": checking,
    "augmentation": augmentation,
}

if __name__ == "__main__":
    main()
