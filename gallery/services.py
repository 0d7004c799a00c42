"""Where a picture comes from."""

from __future__ import annotations

from typing import Any

from generation.models import Generation


def provenance_of(generation: Generation) -> list[dict[str, Any]]:
    """For each LoRA in use: checkpoint, run, and the dataset version that it learned from."""
    loras = generation.loras.select_related("checkpoint__run__dataset_version__dataset", "checkpoint__run__base_model")
    return [
        {
            "checkpoint": lora.checkpoint,
            "run": lora.checkpoint.run,
            "dataset_version": lora.checkpoint.run.dataset_version,
            "weight": lora.weight,
        }
        for lora in loras
    ]
