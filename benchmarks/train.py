"""Seconds per optimizer step: our trainer beside the plain loop of diffusers' LoRA script, same model and photos.

    python benchmarks/train.py                                  the starter, here, in a few minutes
    python benchmarks/train.py --base var/models/sd15-random --resolution 512 --batch 2 --accumulation 8

The peer is what `examples/text_to_image/train_text_to_image_lora.py` does in each step (encode pixels and captions, add
noise, predict, MSE, clip, AdamW), written down here with the same libraries; both do the same number of photos a step.
Prints one JSON object; `ratio` is the peer's seconds over ours, so above 1 we are faster.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "10000")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import peft
import torch
from diffusers import DDPMScheduler, StableDiffusionPipeline

from shoesai.engine import processes, trainer
from shoesai.engine.base_model import forget_base
from shoesai.engine.dataset import as_tensor, open_photo
from shoesai.engine.device import current, most_memory_held, to_device
from shoesai.engine.specs import PhotoInput, TrainInputs, TrainSpec
from shoesai.starter import draw

PHOTOS = 8
WARM_UP_STEPS = 1  # the first one chooses kernels and fetches memory


def main() -> None:
    options = _options()
    spec = TrainSpec(
        resolution=options.resolution,
        train_batch_size=options.batch,
        gradient_accumulation_steps=options.accumulation,
        lr_warmup_steps=0,
        max_train_steps=options.steps + WARM_UP_STEPS,
        checkpointing_steps=10**6,
        validation_steps=0,
        gradient_checkpointing=not options.no_gradient_checkpointing,
    )
    with tempfile.TemporaryDirectory() as folder:
        photos = drawn_photos(Path(folder), options.resolution)
        ours = seconds_of_ours(spec, options.base, photos, Path(folder))
        first = seconds_to_encode(spec, options.base, photos, Path(folder))
        memory = most_memory_held()
        forget_base()
        peer = seconds_of_the_plain_loop(spec, options.base, photos)
    print(
        json.dumps(
            {
                "device": current().kind,
                "precision": trainer.PRECISION[current().mixed_precision],
                "threads": torch.get_num_threads(),
                "resolution": spec.resolution,
                "batch": f"{spec.train_batch_size} x {spec.gradient_accumulation_steps}",
                "gradient_checkpointing": spec.gradient_checkpointing,
                "shoesai_seconds_per_step": round(ours, 3),
                "shoesai_encoding_seconds_per_photo_once": round(first / len(photos), 3),
                "plain_diffusers_seconds_per_step": round(peer, 3),
                "ratio": round(peer / ours, 2),
                "most_memory_mib_of_ours": memory // 2**20,
            },
            indent=2,
        )
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", default="shoesai/starter/weights/sd", help="A diffusers folder.")
    parser.add_argument("--resolution", type=int, default=128)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--accumulation", type=int, default=8)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--no-gradient-checkpointing", action="store_true")
    return parser.parse_args()


def drawn_photos(folder: Path, side: int) -> tuple[PhotoInput, ...]:
    chance = np.random.default_rng(0)
    photos = []
    for number in range(PHOTOS):
        shoe = draw.random_shoe(chance)
        path = folder / f"{number}.png"
        draw.draw_catalogue(shoe, number, side).save(path)
        photos.append(PhotoInput(str(path), draw.caption(shoe, chance)))
    return tuple(photos)


# -- ours -------------------------------------------------------------------------------------------------------------


def seconds_of_ours(spec: TrainSpec, base: str, photos: tuple[PhotoInput, ...], folder: Path) -> float:
    """A whole run through the trainer, encodings cached before the first step; from its own metrics."""
    seconds = []

    def listen(event: str, **fields: Any) -> None:
        if event == "metric":
            seconds.append(fields["seconds"])

    trainer.train(spec, TrainInputs(base, photos, str(folder), cache_dir=str(folder / "cache")), listen, lambda: None)
    return float(np.mean(seconds[WARM_UP_STEPS:]))


def seconds_to_encode(spec: TrainSpec, base: str, photos: tuple[PhotoInput, ...], folder: Path) -> float:
    """What the cache costs, once in the life of a data set: VAE and text encoder on every photo and caption."""
    from shoesai.engine.base_model import load_base
    from shoesai.engine.dataset import encode
    from shoesai.engine.encoding_cache import EncodingCache

    model = load_base(base)
    started = time.monotonic()
    encode(model, photos, spec.resolution, "", EncodingCache(folder / "empty", model.folder), lambda message: None)
    return time.monotonic() - started


# -- the peer ---------------------------------------------------------------------------------------------------------


def seconds_of_the_plain_loop(spec: TrainSpec, base: str, photos: tuple[PhotoInput, ...]) -> float:
    pipeline = StableDiffusionPipeline.from_pretrained(
        base, dtype=current().dtype, safety_checker=None, local_files_only=True, use_safetensors=True,
        variant=None if list((Path(base) / "unet").glob("diffusion_pytorch_model.safetensors")) else "fp16",
    ).to(current().torch_device)  # fmt: skip
    for part in (pipeline.unet, pipeline.vae, pipeline.text_encoder):
        part.requires_grad_(False)
    pipeline.unet.add_adapter(
        peft.LoraConfig(r=spec.rank, lora_alpha=spec.lora_alpha, target_modules=list(spec.lora_targets))
    )
    weights = [weight for weight in pipeline.unet.parameters() if weight.requires_grad]
    for weight in weights:
        weight.data = weight.data.float()
    if spec.gradient_checkpointing:
        pipeline.unet.enable_gradient_checkpointing()
    pipeline.unet.train()
    optimizer = torch.optim.AdamW(weights, lr=spec.learning_rate)
    step = _plain_step(pipeline, DDPMScheduler.from_config(pipeline.scheduler.config), weights, optimizer, spec, photos)
    for _ in range(WARM_UP_STEPS):
        step()
    started = time.monotonic()
    count = spec.max_train_steps - WARM_UP_STEPS
    for _ in range(count):
        step()
    return (time.monotonic() - started) / count


def _plain_step(
    pipeline: Any,
    schedule: DDPMScheduler,
    weights: list[torch.nn.Parameter],
    optimizer: torch.optim.Optimizer,
    spec: TrainSpec,
    photos: tuple[PhotoInput, ...],
) -> Callable[[], None]:
    autocast = torch.autocast(current().kind, dtype=current().dtype, enabled=current().dtype != torch.float32)

    def batch(start: int) -> list[PhotoInput]:
        return [photos[(start + number) % len(photos)] for number in range(spec.train_batch_size)]

    def micro_step(chosen: list[PhotoInput]) -> None:
        pixels = torch.stack([as_tensor(open_photo(photo.path, spec.resolution)) for photo in chosen])
        with torch.no_grad():
            latents = pipeline.vae.encode(to_device(pixels, current().dtype)).latent_dist.sample()
            latents = latents * pipeline.vae.config.scaling_factor
            texts = pipeline.tokenizer(
                [photo.caption for photo in chosen], padding="max_length", truncation=True,
                max_length=pipeline.tokenizer.model_max_length, return_tensors="pt",
            )  # fmt: skip
            embeddings = pipeline.text_encoder(to_device(texts.input_ids), return_dict=False)[0]
        noise = torch.randn_like(latents)
        times = torch.randint(schedule.config.num_train_timesteps, (len(chosen),), device=latents.device)
        noisy = schedule.add_noise(latents, noise, times)
        target = noise if schedule.config.prediction_type == "epsilon" else schedule.get_velocity(latents, noise, times)
        with autocast:
            predicted = pipeline.unet(noisy, times, embeddings, return_dict=False)[0]
        loss = torch.nn.functional.mse_loss(predicted.float(), target.float())
        (loss / spec.gradient_accumulation_steps).backward()

    def step() -> None:
        for part in range(spec.gradient_accumulation_steps):
            micro_step(batch(part * spec.train_batch_size))
        torch.nn.utils.clip_grad_norm_(weights, spec.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if current().kind == "cuda":
            torch.cuda.synchronize()

    return step


if __name__ == "__main__":
    processes.accelerator()  # device and precision as in the engine, before anything is measured
    main()
