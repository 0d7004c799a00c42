"""What LoRA browsers read in a kohya file: `ss_*` as kohya's sd-scripts write them, `modelspec.*` of ModelSpec 1.0.0.

Sources: `train_network.py` of kohya-ss/sd-scripts, and the README of Stability-AI/ModelSpec. Values are texts; nested
ones are JSON, the rest as Python's `str` would have it, because that is what the readers expect.
"""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime
from typing import Any

from shoesai.engine import base_folder
from shoesai.engine.base_folder import BaseModelProblem
from shoesai.engine.lora_formats import Lora
from training.models import BaseModel, Checkpoint, Family, TrainingRun

ARCHITECTURES = {
    Family.SD15: "stable-diffusion-v1/lora",
    Family.SDXL: "stable-diffusion-xl-v1-base/lora",
    Family.STARTER: "shoesai-starter/lora",
}
VERSIONS = {Family.SD15: "sd_v1", Family.SDXL: "sdxl_base_v1-0", Family.STARTER: "shoesai_starter"}
MAX_TAGS = 100
MAX_TAG = 120
MAX_NOTE = 1000
PREDICTIONS = {"epsilon": "epsilon", "v_prediction": "v"}
# Field of the recipe → key
_OF_SPEC = {
    "learning_rate": ("ss_learning_rate", "ss_unet_lr"),
    "max_train_steps": ("ss_max_train_steps",),
    "train_batch_size": ("ss_batch_size_per_device",),
    "gradient_accumulation_steps": ("ss_gradient_accumulation_steps",),
    "gradient_checkpointing": ("ss_gradient_checkpointing",),
    "lr_scheduler": ("ss_lr_scheduler",),
    "lr_warmup_steps": ("ss_lr_warmup_steps",),
    "noise_offset": ("ss_noise_offset",),
    "caption_dropout": ("ss_caption_dropout_rate",),
    "max_grad_norm": ("ss_max_grad_norm",),
    "seed": ("ss_seed",),
}


def kohya_metadata(checkpoint: Checkpoint, lora: Lora, tensor_hash: str) -> dict[str, str]:
    """Only what is known: an imported LoRA has no recipe, and says so by its silence."""
    run = checkpoint.run
    known = {**_network(lora), **_base(run.base_model), **_recipe(run), **_dates(checkpoint), **_photos(run)}
    known |= {"ss_output_name": run.name, "ss_steps": checkpoint.step, "sshs_model_hash": tensor_hash}
    texts = {key: value if isinstance(value, str) else str(value) for key, value in known.items()}
    return texts | _modelspec(checkpoint, tensor_hash)


def prediction_type(base: BaseModel) -> str | None:
    """What the UNet predicts, in the words of the base's own scheduler; None where that cannot be read."""
    try:
        config = base_folder.read_json(base.path, "scheduler/scheduler_config.json")
    except BaseModelProblem:
        return None
    said = config.get("prediction_type", "epsilon")
    return said if isinstance(said, str) else None


def source_of(base: BaseModel) -> str:
    """A hub id without its revision where it came from the hub; else the name it has here. Never a path."""
    origin = base.source.partition("@")[0]
    return origin if origin.count("/") == 1 and not origin.startswith(("/", ".")) else base.name


def _network(lora: Lora) -> dict[str, Any]:
    return {
        "ss_network_module": "networks.lora",
        "ss_network_dim": lora.rank,
        "ss_network_alpha": lora.alpha,
        "ss_network_args": json.dumps({}),
    }


def _base(base: BaseModel) -> dict[str, Any]:
    known = {"ss_base_model_version": VERSIONS[Family(base.family)], "ss_sd_model_name": source_of(base)}
    return known | ({"ss_new_sd_model_hash": base.sha256} if base.sha256 else {})


def _recipe(run: TrainingRun) -> dict[str, Any]:
    spec = run.spec
    known = {key: spec[field] for field, keys in _OF_SPEC.items() if field in spec for key in keys}
    if "train_batch_size" in spec and "gradient_accumulation_steps" in spec:
        known["ss_total_batch_size"] = spec["train_batch_size"] * spec["gradient_accumulation_steps"]
    if "resolution" in spec:
        known["ss_resolution"] = (spec["resolution"], spec["resolution"])
    if spec.get("snr_gamma"):
        known["ss_min_snr_gamma"] = spec["snr_gamma"]
    if "adam_weight_decay" in spec:
        known["ss_optimizer"] = f"torch.optim.adamw.AdamW(weight_decay={spec['adam_weight_decay']})"
    return known


def _dates(checkpoint: Checkpoint) -> dict[str, Any]:
    if checkpoint.run.state == checkpoint.run.State.IMPORTED:
        return {}  # when it was trained is not known
    first = checkpoint.run.jobs.filter(started_at__isnull=False).order_by("started_at").first()
    known: dict[str, Any] = {"ss_training_finished_at": checkpoint.created_at.timestamp()}
    if first and first.started_at:
        known["ss_training_started_at"] = first.started_at.timestamp()
    return known


def _photos(run: TrainingRun) -> dict[str, Any]:
    """How many, and the commonest of their tags; a caption is a list of tags, separated by commas."""
    version = run.dataset_version
    words = str(run.spec.get("trigger_words", ""))
    tags: Counter[str] = Counter()
    known: dict[str, Any] = {}
    name = run.name
    if version:
        name = version.dataset.name
        held_out = int(run.engine.get("held_out") or 0)
        known["ss_num_train_images"] = int(run.engine.get("photos") or version.photo_count - held_out)
        known["ss_num_validation_images"] = held_out
        known["ss_dataset_dirs"] = json.dumps({name: {"n_repeats": 1, "img_count": known["ss_num_train_images"]}})
        for caption in version.photos.values_list("caption", flat=True):
            tags.update(tag[:MAX_TAG] for part in caption.split(",") if (tag := part.strip()))
    frequency = dict(sorted(tags.items(), key=lambda item: (-item[1], item[0]))[:MAX_TAGS])
    if words:
        frequency = {words: known.get("ss_num_train_images", 1), **frequency}
    return known | ({"ss_tag_frequency": json.dumps({name: frequency})} if frequency else {})


def _modelspec(checkpoint: Checkpoint, tensor_hash: str) -> dict[str, str]:
    run, base = checkpoint.run, checkpoint.run.base_model
    side = run.spec.get("resolution", base.resolution)
    known = {
        "sai_model_spec": "1.0.0",
        "architecture": ARCHITECTURES[Family(base.family)],
        "implementation": "diffusers",
        "title": f"{run.name}, step {checkpoint.step}",
        "description": f"LoRA for {base.title}, trained with Shoes AI Generator.",
        "date": _iso(checkpoint.created_at),
        "hash_sha256": f"0x{tensor_hash}",
        "resolution": f"{side}x{side}",
    }
    words = str(run.spec.get("trigger_words", ""))
    if words:
        known |= {"trigger_phrase": words, "usage_hint": f"Trigger words: {words}"}
    if base.license_note:
        known["license"] = base.license_note[:MAX_NOTE]
    prediction = PREDICTIONS.get(prediction_type(base) or "")
    if prediction:
        known["prediction_type"] = prediction
    return {f"modelspec.{key}": value for key, value in known.items()}


def _iso(moment: datetime) -> str:
    return moment.replace(microsecond=0).isoformat()
