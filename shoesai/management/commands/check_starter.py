"""`manage.py check_starter`: measures the starter model on combinations that it never saw. Prints what is."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, Final

import numpy as np
from django.core.management.base import BaseCommand, CommandError, CommandParser
from numpy.typing import NDArray
from PIL import Image

from shoesai import photo_checks
from shoesai.management.commands.build_starter import SIZE, WEIGHTS, attribute_names, run_engine
from shoesai.starter import draw
from shoesai.starter.draw import Shoe

SAME_PROMPT: Final = 6  # pictures of one prompt, for the spread
SPREAD_PROMPTS: Final = 8
Pictures = NDArray[np.uint8]  # [n, 128, 128, 3]

UNSAID: Final = 24  # pictures of prompts that leave the background open


@dataclass(frozen=True)
class Request:
    shoe: Shoe
    prompt: str
    seed: int


def held_out_shoe(rng: np.random.Generator) -> Shoe:
    while not draw.is_held_out(shoe := draw.random_shoe(rng)):
        pass
    return shoe


def make_requests(count: int, seed: int) -> list[Request]:
    """`count` requests for held-out combinations; the first 8 prompts are asked for 6 times, the others once."""
    rng = np.random.default_rng(seed)
    requests: list[Request] = []
    while len(requests) < count:
        shoe = held_out_shoe(rng)
        prompt = draw.caption(shoe, rng)
        repeats = SAME_PROMPT if len(requests) < SAME_PROMPT * SPREAD_PROMPTS else 1
        requests += [Request(shoe, prompt, int(rng.integers(2**31))) for _ in range(repeats)]
    return requests[:count]


def open_requests(seed: int) -> list[Request]:
    """Requests that do not say what the background is."""
    rng = np.random.default_rng((seed, 1))
    shoes = [draw.random_shoe(rng) for _ in range(UNSAID)]
    return [Request(s, draw.caption(s, rng, mention_background=False), int(rng.integers(2**31))) for s in shoes]


def drawn_for(requests: Sequence[Request]) -> Pictures:
    """What `draw` makes of the same prompts: what the caption leaves open is free, [n, 128, 128, 3]."""
    pictures = []
    for request in requests:
        rng = np.random.default_rng(request.seed)
        shoe = request.shoe
        free = draw.random_shoe(rng, type=shoe.type, colour=shoe.colour, background=shoe.background)
        pictures.append(np.asarray(draw.draw(free, request.seed, SIZE)))
    return np.stack(pictures)


def spread(pictures: Pictures) -> float:
    """Mean absolute difference (of 255) between pictures of one prompt, averaged over the prompts asked repeatedly."""
    groups = len(pictures) // SAME_PROMPT
    small = pictures[: groups * SAME_PROMPT].reshape(groups, SAME_PROMPT, -1).astype(np.int16)
    pairs = [np.abs(g[i] - g[j]).mean() for g in small for i, j in combinations(range(SAME_PROMPT), 2)]
    return float(np.mean(pairs)) if pairs else float("nan")


def share(answers: Sequence[bool]) -> float:
    return round(float(np.mean(answers)), 4)


def report(requests: Sequence[Request], answers: dict[str, Any], made: Pictures, drawn: Pictures) -> dict[str, Any]:
    """The figures; `made` holds the pictures of `requests` and then those whose background was left open."""
    count = len(requests)
    shoes = [r.shoe for r in requests]
    named, photos = answers["made"], answers["drawn"]
    clip = {
        attribute: share([getattr(s, attribute) == name for s, name in zip(shoes, photos[attribute], strict=True)])
        for attribute in ("type", "colour", "background")
    }
    repeated = min(count, SAME_PROMPT * SPREAD_PROMPTS)
    colours = [photo_checks.nearest_colour_name(photo_checks.shoe_colour(p), draw.COLOURS) for p in made[:count]]
    backs = [photo_checks.background_colour_name(p, draw.BACKGROUNDS) for p in made[:count]]
    return {
        "resolution": answers["resolution"],
        "colour": share([s.colour == c for s, c in zip(shoes, colours, strict=True)]),
        "background": share([s.background == b for s, b in zip(shoes, backs, strict=True)]),
        "type": share([s.type == t for s, t in zip(shoes, named["type"][:count], strict=True)]),
        "clip_names_photos": min(clip.values()),
        "clip_names_photos_by_attribute": clip,
        "spread": round(spread(made[:repeated]) / spread(drawn[:repeated]), 3),
        "white_when_unsaid": share([photo_checks.is_white_background(p) for p in made[count:]]),
        "seconds_per_image": round(answers["seconds_per_image"], 3),
        "count": count,
    }


class Command(BaseCommand):
    help = "Measures the starter model on prompts whose (type, colour, background) its training never saw."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="Print one JSON object on stdout.")
        parser.add_argument("--count", type=int, default=200)
        parser.add_argument("--seed", type=int, default=20_000)
        parser.add_argument("--steps", type=int, default=25)
        parser.add_argument("--guidance", type=float, default=3.0)
        parser.add_argument("--weights", type=Path, default=WEIGHTS)
        parser.add_argument("--sheet", type=Path, help="Also write the first 64 pictures as one PNG.")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["count"] < SAME_PROMPT:
            raise CommandError(f"--count must be at least {SAME_PROMPT}.")
        if not (options["weights"] / "sd" / "model_index.json").exists():
            raise CommandError(f"{options['weights']} holds no starter model; `manage.py build_starter` makes one.")
        with tempfile.TemporaryDirectory(prefix="starter-") as folder:
            figures = self._measure(Path(folder), options)
        figures |= {"steps": options["steps"], "guidance": options["guidance"]}
        if options["json"]:
            self.stdout.write(json.dumps(figures, indent=2))
        else:
            for name, value in figures.items():
                self.stdout.write(f"{name:32} {value}")

    def _measure(self, folder: Path, options: dict[str, Any]) -> dict[str, Any]:
        requests = make_requests(options["count"], options["seed"])
        asked = requests + open_requests(options["seed"])
        drawn = drawn_for(requests)
        np.save(folder / "drawn.npy", drawn)
        names = {"prompts": [r.prompt for r in asked], "seeds": [r.seed for r in asked], "names": attribute_names()}
        (folder / "requests.json").write_text(json.dumps(names), encoding="utf-8")
        arguments = ["check", "--weights", str(options["weights"]), "--folder", str(folder)]
        arguments += ["--steps", str(options["steps"]), "--guidance", str(options["guidance"])]
        if run_engine(arguments):
            raise CommandError("The engine could not make the pictures; its last words are above.")
        answers = json.loads((folder / "answers.json").read_text(encoding="utf-8"))
        made = np.load(folder / "made.npy")
        if options["sheet"]:
            write_sheet(made[:64], options["sheet"])
        return report(requests, answers, made, drawn)


def write_sheet(pictures: Pictures, path: Path, columns: int = 8) -> None:
    rows = [np.hstack(list(pictures[i : i + columns])) for i in range(0, len(pictures) - columns + 1, columns)]
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.vstack(rows)).save(path)
