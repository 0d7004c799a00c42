"""One base model, kept warm between jobs: loading takes seconds, switching a LoRA on it does not."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from diffusers import StableDiffusionPipeline
from diffusers.utils import logging as diffusers_logging
from transformers.utils import logging as transformers_logging

from shoesai.engine.device import current

logger = logging.getLogger(__name__)

Signature = tuple[tuple[str, int, int], ...]
TRUSTED_LIBRARIES = {"diffusers", "transformers", "stable_diffusion"}


class BaseModelProblem(ValueError):
    """The base model cannot be loaded; the words are for the user."""


@dataclass
class Base:
    """A warm pipeline with the LoRA adapters that `lora.py` has put on it (file signature → adapter name)."""

    folder: Path
    signature: Signature
    pipeline: StableDiffusionPipeline
    adapters: dict[tuple[str, int, int], str] = field(default_factory=dict)
    preview_matrix: Any = None

    @property
    def cross_attention_dim(self) -> int:
        return int(self.pipeline.unet.config.cross_attention_dim)


_warm: Base | None = None


def load_base(folder: str) -> Base:
    """The base model in that diffusers folder: the warm one when it is the same and its files have not changed."""
    global _warm
    path = Path(folder)
    signature = _signature(path)
    if _warm is None or (_warm.folder, _warm.signature) != (path, signature):
        forget_base()  # before loading: two bases at once may not fit in memory
        _warm = Base(path, signature, _load_pipeline(path))
    return _warm


def forget_base() -> None:
    global _warm
    _warm = None


def _signature(folder: Path) -> Signature:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return tuple((str(p.relative_to(folder)), p.stat().st_size, p.stat().st_mtime_ns) for p in files)


def _load_pipeline(folder: Path) -> StableDiffusionPipeline:
    """Safetensors only, from this disk only, and no code from the folder."""
    _check_index(folder)
    diffusers_logging.disable_progress_bar()
    transformers_logging.disable_progress_bar()
    plain = folder / "unet" / "diffusion_pytorch_model.safetensors"
    half = folder / "unet" / "diffusion_pytorch_model.fp16.safetensors"
    try:
        pipeline = StableDiffusionPipeline.from_pretrained(
            str(folder),
            dtype=current().dtype,
            variant="fp16" if half.exists() and not plain.exists() else None,
            local_files_only=True,
            use_safetensors=True,
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
    except (OSError, ValueError, KeyError) as error:
        logger.exception("base model %s", folder.name)
        # Not the error's own words: they hold paths of this machine.
        reason = f"({type(error).__name__}); the engine's log has the details"
        raise BaseModelProblem(f"the base model {folder.name!r} cannot be loaded {reason}") from error
    if pipeline.unet.config.in_channels != pipeline.vae.config.latent_channels:
        raise BaseModelProblem(f"the base model {folder.name!r} is made for inpainting, not for text to image")
    for part in (pipeline.unet, pipeline.vae, pipeline.text_encoder):
        part.requires_grad_(False).eval()
    return pipeline.to(current().torch_device)


def _check_index(folder: Path) -> None:
    try:
        index = json.loads((folder / "model_index.json").read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise BaseModelProblem(f"{folder.name!r} is not a diffusers folder: no readable model_index.json") from error
    if index.get("_class_name") != "StableDiffusionPipeline":
        raise BaseModelProblem(f"{folder.name!r} is a {index.get('_class_name')}, not a StableDiffusionPipeline")
    libraries = {part[0] for part in index.values() if isinstance(part, list) and part and part[0]}
    if not libraries <= TRUSTED_LIBRARIES:
        foreign = ", ".join(sorted(libraries - TRUSTED_LIBRARIES))
        raise BaseModelProblem(f"the base model {folder.name!r} wants code from {foreign}, which is never run")
