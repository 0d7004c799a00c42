"""`manage.py build_starter`: draws shoes, then has the engine train the starter model on them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
from django.core.management.base import BaseCommand, CommandError, CommandParser

from shoesai.starter import draw

WEIGHTS = Path(draw.__file__).parent / "weights"
SIZE = 128
CAPTIONS_EACH = 3  # of either sort: with the background and without


def draw_one(index: int, seed: int) -> tuple[bytes, str]:
    """Picture number `index` as raw RGB, and its line of captions.jsonl; never a held-out combination."""
    rng = np.random.default_rng((seed, index))
    shoe = draw.random_shoe(rng)
    while draw.is_held_out(shoe):
        shoe = draw.random_shoe(rng)
    picture = draw.draw(shoe, int(rng.integers(2**31)), SIZE)
    captions = [
        {"text": text, "says": says}
        for mention in (True, False)
        for text, says in (draw.describe(shoe, rng, mention) for _ in range(CAPTIONS_EACH))
    ]
    return picture.tobytes(), json.dumps({"attributes": asdict(shoe), "captions": captions})


def draw_cache(folder: Path, pictures: int, seed: int, processes: int) -> None:
    """Writes pictures.npy [n, 128, 128, 3] uint8, captions.jsonl (one line each) and attributes.json (all names)."""
    folder.mkdir(parents=True, exist_ok=True)
    store = np.lib.format.open_memmap(
        folder / "pictures.npy", mode="w+", dtype=np.uint8, shape=(pictures, SIZE, SIZE, 3)
    )
    with (
        ProcessPoolExecutor(processes) as pool,
        (folder / "captions.jsonl").open("w", encoding="utf-8") as lines,
    ):
        for index, (raw, line) in enumerate(pool.map(draw_one, range(pictures), repeat(seed), chunksize=64)):
            store[index] = np.frombuffer(raw, np.uint8).reshape(SIZE, SIZE, 3)
            lines.write(line + "\n")
    store.flush()
    (folder / "attributes.json").write_text(json.dumps(attribute_names(), indent=1), encoding="utf-8")


def attribute_names() -> dict[str, list[str]]:
    """Every name that an attribute can have, by attribute."""
    return {
        "type": list(draw.TYPES),
        "colour": list(draw.COLOURS),
        "material": list(draw.MATERIALS),
        "sole": list(draw.SOLES),
        "background": list(draw.BACKGROUNDS),
        "facing": list(draw.FACINGS),
        "view": list(draw.VIEWS),
    }


class Command(BaseCommand):
    help = "Trains the starter model from nothing (or goes on from its weights) on shoes drawn for it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--minutes", type=float, default=120.0, help="Training time for all parts together.")
        parser.add_argument("--pictures", type=int, default=24_000, help="How many drawings to train on.")
        parser.add_argument("--seed", type=int, default=1)
        parser.add_argument("--continue", dest="go_on", action="store_true", help="Go on from the weights in --out.")
        parser.add_argument("--parts", nargs="+", choices=("clip", "vae", "unet"), help="Default: all three, in order.")
        parser.add_argument("--out", type=Path, default=WEIGHTS, help="Where the weights go (default: in the package).")
        parser.add_argument("--cache", type=Path, help="Keep the drawings here, and use them if they are there.")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["minutes"] <= 0 or options["pictures"] < 1000:
            raise CommandError("--minutes must be above 0 and --pictures at least 1000.")
        if options["go_on"] and not (options["out"] / "sd" / "unet").is_dir():
            raise CommandError(f"--continue needs weights to go on from, and {options['out']} holds none.")
        with tempfile.TemporaryDirectory(prefix="starter-") as temporary:
            cache = options["cache"] or Path(temporary)
            if not (cache / "attributes.json").exists():
                start = time.monotonic()
                draw_cache(cache, options["pictures"], options["seed"], os.cpu_count() or 1)
                self.stderr.write(f"{options['pictures']} drawings in {time.monotonic() - start:.0f} s")
            self._train(cache, options)

    def _train(self, cache: Path, options: dict[str, Any]) -> None:
        arguments = ["train", "--cache", str(cache), "--out", str(options["out"]), "--seed", str(options["seed"])]
        arguments += ["--minutes", str(options["minutes"]), "--log", str(options["out"] / "log.jsonl")]
        arguments += ["--continue"] if options["go_on"] else []
        arguments += ["--parts", *options["parts"]] if options["parts"] else []
        if run_engine(arguments):
            raise CommandError("The training stopped early; its last words are above.")


def run_engine(arguments: Sequence[str]) -> int:
    """Runs the torch part as a child, because no Django process imports torch. Its output is the person's."""
    return subprocess.run([sys.executable, "-m", "shoesai.engine.starter", *arguments], check=False).returncode
