"""One base model, kept warm between jobs: loading takes seconds, switching a LoRA on it does not."""

from __future__ import annotations

import functools
import gc
import json
import logging
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from diffusers import AutoencoderKL, StableDiffusionPipeline
from diffusers.utils import logging as diffusers_logging
from transformers import CLIPTextModel
from transformers.utils import logging as transformers_logging

from shoesai.engine.base_folder import BaseModelProblem, check_index
from shoesai.engine.device import current, release_memory

logger = logging.getLogger(__name__)

Signature = tuple[tuple[str, int, int], ...]
# The parts that a training needs only to prepare photos and captions, and to look at pictures.
ENCODERS = {"vae": AutoencoderKL, "text_encoder": CLIPTextModel}


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

    def part(self, name: str) -> Any:
        """One of ENCODERS; loaded when it is not there."""
        if getattr(self.pipeline, name) is None:
            setattr(self.pipeline, name, _load_encoder(self.folder, name))
        return getattr(self.pipeline, name)

    def let_go(self, *names: str) -> None:
        """Frees the memory of these ENCODERS; whoever needs one again calls `part`."""
        for name in names:
            setattr(self.pipeline, name, None)
        gc.collect()
        release_memory()

    @functools.cached_property
    def latent_scale(self) -> float:
        """What latents are multiplied with before noise is added; known without the VAE."""
        return float(_config(self.folder, "vae").get("scaling_factor", 0.18215))


_warm: Base | None = None


def load_base(folder: str, without: Collection[str] = ()) -> Base:
    """The base model in that diffusers folder: the warm one when it is the same and its files have not changed.

    The ENCODERS named in `without` may be missing; all others are there.
    """
    global _warm
    path = Path(folder)
    signature = _signature(path)
    if _warm is None or (_warm.folder, _warm.signature) != (path, signature):
        forget_base()  # before loading: two bases at once may not fit in memory
        _warm = Base(path, signature, _load_pipeline(path, without))
    for name in ENCODERS:
        if name not in without:
            _warm.part(name)
    return _warm


def forget_base() -> None:
    global _warm
    _warm = None


def _signature(folder: Path) -> Signature:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return tuple((str(p.relative_to(folder)), p.stat().st_size, p.stat().st_mtime_ns) for p in files)


def _load_pipeline(folder: Path, without: Collection[str]) -> StableDiffusionPipeline:
    """Safetensors only, from this disk only, and no code from the folder."""
    check_index(folder)
    diffusers_logging.disable_progress_bar()
    transformers_logging.disable_progress_bar()
    with _problems_of(folder):
        pipeline = StableDiffusionPipeline.from_pretrained(
            str(folder),
            dtype=current().dtype,
            variant=_variant(folder / "unet" / "diffusion_pytorch_model.safetensors"),
            local_files_only=True,
            use_safetensors=True,
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
            **dict.fromkeys(without),
        )
        vae_config = _config(folder, "vae")
    if pipeline.unet.config.in_channels != vae_config.get("latent_channels", 4):
        raise BaseModelProblem(f"the base model {folder.name!r} is made for inpainting, not for text to image")
    pipeline.vae_scale_factor = 2 ** (len(vae_config["block_out_channels"]) - 1)  # 8 without a VAE, right or wrong
    for part in (pipeline.unet, pipeline.vae, pipeline.text_encoder):
        if part is not None:
            part.requires_grad_(False).eval()
    return pipeline.to(current().torch_device)


def _load_encoder(folder: Path, name: str) -> Any:
    weights = {"vae": "diffusion_pytorch_model.safetensors", "text_encoder": "model.safetensors"}[name]
    with _problems_of(folder):
        part = ENCODERS[name].from_pretrained(
            str(folder),
            subfolder=name,
            dtype=current().dtype,
            variant=_variant(folder / name / weights),
            local_files_only=True,
            use_safetensors=True,
        )
    return part.requires_grad_(False).eval().to(current().torch_device)


def _variant(weights: Path) -> str | None:
    half = weights.with_name(weights.name.replace(".safetensors", ".fp16.safetensors"))
    return "fp16" if half.exists() and not weights.exists() else None


def _config(folder: Path, part: str) -> dict[str, Any]:
    config: dict[str, Any] = json.loads((folder / part / "config.json").read_text("utf-8"))
    return config


@contextmanager
def _problems_of(folder: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, KeyError) as error:
        logger.exception("base model %s", folder.name)
        # Not the error's own words: they hold paths of this machine.
        reason = f"({type(error).__name__}); the engine's log has the details"
        raise BaseModelProblem(f"the base model {folder.name!r} cannot be loaded {reason}") from error
