"""A run's results as files, in the layout that `scan_models` reads back on another machine."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from shoesai import files
from training.models import TrainingRun

WEIGHTS = "pytorch_lora_weights.safetensors"


def write_outputs(run: TrainingRun, folder: Path) -> list[Path]:
    """checkpoints/checkpoint-N/, lora_weights/ (the last checkpoint) and validation/; other files stay."""
    written = []
    checkpoints = list(run.checkpoints.select_related("blob").order_by("step"))
    for checkpoint in checkpoints:
        path = folder / "checkpoints" / f"checkpoint-{checkpoint.step}" / WEIGHTS
        written.append(write_whole(path, files.read(checkpoint.blob)))
    if checkpoints:
        written.append(write_whole(folder / "lora_weights" / WEIGHTS, files.read(checkpoints[-1].blob)))
    for image in run.validation_images.select_related("blob"):
        path = folder / "validation" / f"step-{image.step:06d}_{image.seq}_seed{int(image.seed)}.png"
        written.append(write_whole(path, files.read(image.blob)))
    return written


def write_whole(path: Path, data: bytes) -> Path:
    """Temporary file, then rename: nobody ever sees half a file under this name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".tmp-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.chmod(temporary, 0o666 & ~_umask())  # mkstemp's 0600 is for secrets
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return path


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
