"""What is known of a run, as small files: its spec, its curves, its checkpoints, its log."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable, Mapping
from io import BytesIO
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import F

from training.models import TrainingRun

SPEC, METRICS, VALIDATION, CHECKPOINTS, LOG = (
    "spec.json", "metrics.jsonl", "validation.jsonl", "checkpoints.json", "log.txt"
)  # fmt: skip


def records_of(run: TrainingRun) -> dict[str, str]:
    """File name → text. `spec.json` is the recipe with what it was used on; the `.jsonl` have a line for each point."""
    metrics = run.metrics.order_by("step").values(
        "step", "loss", "learning_rate", "grad_norm", "seconds", "memory_bytes"
    )
    validation = run.validation_losses.order_by("step").values("step", "loss", "photos")
    checkpoints = run.checkpoints.order_by("step").values(
        "step", "validation_loss", "rank", "lora_alpha", "pinned", sha256=F("blob_id")
    )
    events = run.events.order_by("at", "id").values_list("at", "step", "message")
    return {
        SPEC: _json(_origin(run)),
        METRICS: _lines(metrics),
        VALIDATION: _lines(validation),
        CHECKPOINTS: _json(list(checkpoints)),
        LOG: "".join(f"{at:%Y-%m-%d %H:%M:%S} {'' if step is None else step:>7} {text}\n" for at, step, text in events),
    }


def zipped(runs: Iterable[TrainingRun]) -> bytes:
    """A folder for each run."""
    out = BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for run in runs:
            for name, text in records_of(run).items():
                archive.writestr(f"{run.name}/{name}", text)
    return out.getvalue()


def _origin(run: TrainingRun) -> dict[str, Any]:
    version = run.dataset_version
    return {
        "run": run.name,
        "state": run.state,
        "base_model": {"name": run.base_model.name, "family": run.family, "sha256": run.base_model.sha256},
        "dataset": version
        and {"name": version.dataset.name, "version": version.number, "content_hash": version.content_hash},
        "spec": run.spec,
        "engine": run.engine,
        "train_seconds": round(run.train_seconds, 2),
        "created_at": run.created_at,
        "finished_at": run.finished_at,
    }


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, cls=DjangoJSONEncoder) + "\n"


def _lines(rows: Iterable[Mapping[str, Any]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)
