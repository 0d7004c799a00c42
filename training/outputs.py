"""A run's results as files, in the layout that `scan_models` reads back on another machine.

    checkpoints/checkpoint-500/pytorch_lora_weights.safetensors
    validation/step-000500_0_seed42.png
    lora_weights/pytorch_lora_weights.safetensors               the last checkpoint
    final_pipeline/                                             it again, fused into its base (management/pipelines.py)
    spec.json, metrics.jsonl                                    how it was trained, and how that went
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shoesai import files
from shoesai.engine.lora_formats import WEIGHTS, lora_files, parse_lora
from training.models import Checkpoint, TrainingRun

METRIC_FIELDS = ("step", "loss", "learning_rate", "grad_norm", "seconds", "memory_bytes")


def write_outputs(run: TrainingRun, folder: Path) -> list[Path]:
    """Everything but the pipeline, each file whole or not at all; other files in the folder stay."""
    return [write_whole(folder / name, data) for name, data in output_files(run)]


def output_files(run: TrainingRun) -> Iterator[tuple[str, bytes]]:
    """Relative name, content."""
    last = None
    for checkpoint in run.checkpoints.select_related("blob").order_by("step"):
        last = _weights(checkpoint)
        yield f"checkpoints/checkpoint-{checkpoint.step}/{WEIGHTS}", last
    if last:
        yield f"lora_weights/{WEIGHTS}", last
    for image in run.validation_images.select_related("blob"):
        yield f"validation/step-{image.step:06d}_{image.seq}_seed{int(image.seed)}.png", files.read(image.blob)
    yield "spec.json", (json.dumps(run.spec, indent=2, sort_keys=True) + "\n").encode()
    yield "metrics.jsonl", "".join(json.dumps(line) + "\n" for line in metric_lines(run)).encode()


def metric_lines(run: TrainingRun) -> list[dict[str, Any]]:
    """By step: the metrics of training, and the losses on photos held out."""
    lines: list[dict[str, Any]] = list(run.metrics.values(*METRIC_FIELDS))
    lines += [{"step": each.step, "validation_loss": each.loss} for each in run.validation_losses.all()]
    return sorted(lines, key=lambda line: (line["step"], "validation_loss" in line))


def _weights(checkpoint: Checkpoint) -> bytes:
    """An imported one may be in another form than the name of the file promises."""
    data = files.read(checkpoint.blob)
    if checkpoint.run.state == TrainingRun.State.IMPORTED and (lora := parse_lora(data)).form != "diffusers":
        (data,) = lora_files(lora, "diffusers").values()
    return data


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
