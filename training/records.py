"""What is known of a run, as small files: recipe, origin, curves, checkpoints, log."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import F

from shoesai import files
from shoesai.engine.lora_formats import WEIGHTS
from training.exports import Files
from training.models import TrainingRun
from training.outputs import metric_lines


def records_of(run: TrainingRun) -> Files:
    """`spec.json` and `metrics.jsonl` are those of an exported run (`training.outputs`)."""
    checkpoints = run.checkpoints.order_by("step").values(
        "step", "validation_loss", "rank", "lora_alpha", "pinned", sha256=F("blob_id")
    )
    events = run.events.order_by("at", "id").values_list("at", "step", "message")
    texts = {
        "spec.json": _json(run.spec),
        "run.json": _json(_origin(run)),
        "metrics.jsonl": "".join(json.dumps(line) + "\n" for line in metric_lines(run)),
        "checkpoints.json": _json(list(checkpoints)),
        "log.txt": "".join(f"{at:%Y-%m-%d %H:%M:%S} {'' if step is None else step:>7} {text}\n"
                           for at, step, text in events),
    }  # fmt: skip
    return {name: text.encode() for name, text in texts.items()}


def weights_of(run: TrainingRun) -> dict[str, Path]:
    """Name as in an exported run → where the bytes of each checkpoint lie."""
    rows = run.checkpoints.values_list("step", "blob_id")
    return {f"checkpoints/checkpoint-{step}/{WEIGHTS}": files.path_of(sha256) for step, sha256 in rows}


def _origin(run: TrainingRun) -> dict[str, Any]:
    version = run.dataset_version
    return {
        "run": run.name,
        "state": run.state,
        "base_model": {"name": run.base_model.name, "family": run.family, "sha256": run.base_model.sha256},
        "dataset": version
        and {"name": version.dataset.name, "version": version.number, "content_hash": version.content_hash},
        "engine": run.engine,
        "train_seconds": round(run.train_seconds, 2),
        "created_at": run.created_at,
        "finished_at": run.finished_at,
    }


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, sort_keys=True, cls=DjangoJSONEncoder) + "\n"
