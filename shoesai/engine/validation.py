"""Looks at a training from outside: loss on photos it has never learned from, and the same pictures each time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from shoesai.engine import processes
from shoesai.engine.dataset import Batch, Encoded, generator_for
from shoesai.engine.objective import squared_errors
from shoesai.engine.progress import check_stop, publish
from shoesai.engine.sampler import BrokenPicture, png_bytes, sample
from shoesai.engine.specs import MAX_SEED, GenerateSpec, ImageUnit, TrainSpec

if TYPE_CHECKING:
    from shoesai.engine.trainer import Run

INFERENCE_STEPS = 25
MAX_PHOTOS = 32  # a measurement should cost seconds to minutes, not a part of the training
NOISE_LEVELS = (1 / 8, 3 / 8, 5 / 8, 7 / 8)  # of the schedule; the loss differs more between levels than between runs


@torch.no_grad()
def loss(run: Run) -> float | None:
    """Mean squared error on the held-out photos at fixed timesteps and noise; None without such photos.

    Unweighted, whatever the recipe weighs, so that runs with different recipes can be compared.
    """
    if run.unseen is None:
        return None
    unet = run.base.pipeline.unet
    unet.eval()
    photos = min(len(run.unseen), MAX_PHOTOS)
    total = 0.0
    for number in range(photos):
        check_stop(processes.on_its_own(run.should_stop))
        batch = fixed_batch(run.unseen, number, run.schedule.config.num_train_timesteps, run.base.latent_scale)
        total += float(squared_errors(unet, run.schedule, batch).mean())
    unet.train()
    mean = total / photos
    run.emit("validation", step=run.step, loss=mean, photos=photos)
    return mean


def fixed_batch(photos: Encoded, number: int, timesteps: int, scale: float) -> Batch:
    """One photo at each of NOISE_LEVELS. The noise depends on its place only, so every run of a data set meets it."""
    photo = photos.photo(number)
    noise = torch.stack(
        [torch.randn(photo.mean.shape, generator=generator_for(0, "validation", number, level))
         for level in range(len(NOISE_LEVELS))]
    )  # fmt: skip
    times = torch.tensor([int(level * timesteps) for level in NOISE_LEVELS])
    count = len(NOISE_LEVELS)
    return Batch(
        latents=(photo.mean * scale).expand(count, -1, -1, -1),
        noise=noise,
        timesteps=times,
        embeddings=photos.text(number).expand(count, -1, -1),
        shoe=photo.shoe.expand(count, -1, -1),
    )


def draw(run: Run) -> None:
    """The validation prompts with their seeds, so that the pictures of a run can be compared."""
    if not run.spec.validation_prompts:
        return
    stop = processes.on_its_own(run.should_stop)
    run.base.pipeline.unet.eval()
    run.base.part("vae")
    try:
        for seq, (prompt, seed) in enumerate(zip(run.spec.validation_prompts, seeds(run.spec), strict=True)):
            unit = ImageUnit(seq=seq, seed=seed)
            side, guidance = run.spec.resolution, run.spec.validation_guidance_scale
            wish = GenerateSpec(prompt, side, side, (unit,), num_inference_steps=INFERENCE_STEPS,
                                guidance_scale=guidance)  # fmt: skip
            texts = _embeddings(run, prompt, guidance)
            try:
                [picture] = sample(run.base, wish, (unit,), lambda *_: check_stop(stop), texts)
            except BrokenPicture as problem:  # worth knowing, and no reason to end a run whose loss is sound
                run.emit("note", step=run.step, message=f"No validation picture for {prompt!r}: {problem}.")
                continue
            path = publish(run.output / f"sample-{run.step}-{seq}.png", png_bytes(picture))
            run.emit("sample", step=run.step, seq=seq, prompt=prompt, seed=seed, path=str(path))
    finally:
        run.base.let_go("vae")
        run.base.pipeline.unet.train()


def seeds(spec: TrainSpec) -> tuple[int, ...]:
    counted = ((spec.seed + seq) % (MAX_SEED + 1) for seq in range(len(spec.validation_prompts)))
    return spec.validation_seeds or tuple(counted)


def _embeddings(run: Run, prompt: str, guidance: float) -> Tensor:
    wanted = ["", prompt] if guidance > 1 else [prompt]
    return torch.stack([run.prompts[text] for text in wanted])
