"""Base models for tests: one that only looks like one, made without torch, and a small one that really runs."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from django.conf import settings

from shoesai.engine import base_folder, random_base, tensor_file
from shoesai.engine.base_folder import CONFIGURATION, PARTS

SD15 = Path(base_folder.__file__).parent / "sd15"


def hollow_base_folder(folder: Path) -> Path:
    """Stable Diffusion 1.5 by its configuration, with one tensor in each part: enough to be judged, not to be run."""
    for file in (*CONFIGURATION, "tokenizer/tokenizer_config.json"):
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(SD15 / file, folder / file)
    random_base.write_vocabulary(folder / "tokenizer", 600)
    for part, row in PARTS.items():
        tensors = random_base.tensors_of(part, {"conv_in.weight": (4, 4)}, 0, "fp16")
        tensor_file.write(folder / part / row.weights(), tensors)
    return folder


def small_base_folder(folder: Path) -> Path:
    """Every block of Stable Diffusion 1.5 with hardly any channels; made once per test session, then copied."""
    made = settings.DATA_DIR / "small-sd15"
    if not made.exists():
        code = (
            "import pathlib, sys; from shoesai.engine.tests import small_sd15;"
            " small_sd15.build(pathlib.Path(sys.argv[1]), precision='fp16')"
        )
        subprocess.run([sys.executable, "-c", code, str(made)], check=True, cwd=settings.BASE_DIR)
    return Path(shutil.copytree(made, folder))
