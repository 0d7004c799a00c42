"""Speed and memory of FID beside pytorch-fid's own `calculate_fid_given_paths`, in the same run and on the same files.

    python benchmarks/evaluate.py --pictures 150
    python benchmarks/evaluate.py --pictures 5000 --weights pt_inception-2015-12-05-6726825d.pth

Each side runs in a process of its own, one after the other, so that the most memory that each held can be told; the
imports are not counted, the loading of the weights is. `ratio` is our time as a part of theirs: at most 1.1 is wanted.
Pytorch-fid reads pictures in a process of its own beside the one that is counted, so its memory is told too low. Ours
does more in this time: KID, Inception Score, and the intervals of all.

Without `--weights` the network has random ones in pytorch-fid's file format, which changes neither time nor memory.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

import numpy as np
import torch
from PIL import Image

BATCH = 50  # the default of pytorch-fid, and the one of the script that this project grew from
SIDE = 512


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=150, help="in each of the two sets")
    parser.add_argument("--weights", help="pytorch-fid's file of Inception-v3")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--side", choices=sorted(SIDES), help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    if arguments.side:
        print(json.dumps(_measured(SIDES[arguments.side], Path(arguments.folder), arguments.weights)))
        return
    with tempfile.TemporaryDirectory() as folder:
        weights = arguments.weights or _random_weights(Path(folder, "inception.pth"))
        _draw(Path(folder), arguments.pictures)
        told = {side: _in_a_process(side, folder, weights, arguments.threads) for side in SIDES}
    told["ratio"] = round(told["ours"]["seconds"] / told["pytorch_fid"]["seconds"], 3)
    told["apart"] = abs(told["ours"]["fid"] - told["pytorch_fid"]["fid"])
    print(json.dumps(told) if arguments.json else _in_words(told, arguments.pictures))


def _in_a_process(side: str, folder: str, weights: str, threads: int) -> dict[str, Any]:
    options = ["--side", side, "--folder", folder, "--weights", weights, "--threads", str(threads)]
    said = subprocess.run([sys.executable, __file__, *options], check=True, stdout=subprocess.PIPE, text=True)
    told: dict[str, Any] = json.loads(said.stdout.splitlines()[-1])
    return told


def _measured(side: Callable[[Path, str], float], folder: Path, weights: str) -> dict[str, Any]:
    from pytorch_fid import fid_score  # noqa: F401  # both sides start with everything imported

    from shoesai.engine import evaluator  # noqa: F401

    begun_with = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.monotonic()
    fid = side(folder, weights)
    seconds = time.monotonic() - start
    memory = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - begun_with) / 1024
    return {"fid": fid, "seconds": round(seconds, 2), "mib": round(memory)}


# --- the two sides ------------------------------------------------------------------------------------------
def _ours(folder: Path, weights: str) -> float:
    from shoesai.engine.evaluator import evaluate
    from shoesai.engine.specs import EvaluateInputs, EvaluatePicture, EvaluateSpec

    generated, real = (
        tuple(EvaluatePicture(path.name, str(path)) for path in sorted((folder / name).iterdir()))
        for name in ("generated", "real")
    )
    inputs = EvaluateInputs(generated, real, inception=weights)
    told = evaluate(EvaluateSpec(extractors=("inception",)), inputs, lambda *_, **__: None, lambda: None)
    return next(float(row["value"]) for row in told["metrics"] if row["name"] == "fid")


def _pytorch_fid(folder: Path, weights: str) -> float:
    """As published, but for the download of its weights."""
    from pytorch_fid import fid_score, inception

    from shoesai.engine.device import current

    inception.load_state_dict_from_url = lambda *_, **__: torch.load(weights, weights_only=True)
    paths = [str(folder / "generated"), str(folder / "real")]
    return float(fid_score.calculate_fid_given_paths(paths, BATCH, current().torch_device, 2048, num_workers=1))


SIDES: dict[str, Callable[[Path, str], float]] = {"pytorch_fid": _pytorch_fid, "ours": _ours}


# --- what they look at --------------------------------------------------------------------------------------
def _random_weights(path: Path) -> str:
    from shoesai.engine.features import fid_inception

    torch.manual_seed(5)
    network = fid_inception()
    for parameter in network.parameters():
        if parameter.ndim > 1:
            torch.nn.init.kaiming_normal_(parameter)
    torch.save(network.state_dict(), path)
    return str(path)


def _draw(folder: Path, count: int) -> None:
    with ProcessPoolExecutor() as pool:
        for name, brightness in (("generated", 120), ("real", 150)):
            (folder / name).mkdir()
            paths = [folder / name / f"{number:05}.png" for number in range(count)]
            list(pool.map(_one, paths, repeat(brightness), range(count), chunksize=50))


def _one(path: Path, brightness: int, seed: int) -> None:
    rng = np.random.default_rng([brightness, seed])
    small = np.clip(rng.normal(brightness, 50, (SIDE // 16, SIDE // 16, 3)), 0, 255).astype(np.uint8)
    Image.fromarray(small).resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(path)


def _in_words(told: dict[str, Any], pictures: int) -> str:
    rows = [f"FID of {pictures} and {pictures} pictures of {SIDE} px"]
    for side in SIDES:
        one = told[side]
        rows.append(f"  {side:12} {one['seconds']:8.1f} s {one['mib']:7} MiB   FID {one['fid']:.4f}")
    rows.append(f"  ratio of time {told['ratio']:.2f}, FIDs {told['apart']:.1e} apart")
    return "\n".join(rows)


if __name__ == "__main__":
    main()
