"""Makes pictures: classifier-free guidance (arXiv 2207.12598) with any of the allowed schedulers.

Picture k depends on its own seed only: its noise comes from its own CPU generator, in fp32, so it is the same alone, in
a batch, and (up to the precision of the device) on every machine. Where it starts from a picture, see reference.py.
"""

from __future__ import annotations

import base64
import inspect
import io
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from shoesai.engine.base_model import Base, load_base
from shoesai.engine.device import current, record, to_device
from shoesai.engine.lora import use_loras
from shoesai.engine.progress import Emit, ShouldStop, check_stop, publish
from shoesai.engine.reference import beginning, read_reference
from shoesai.engine.specs import GenerateInputs, GenerateSpec, ImageUnit, SpecError

SCHEDULERS = {
    "DDIMScheduler", "DDPMScheduler", "DPMSolverMultistepScheduler", "DPMSolverSinglestepScheduler",
    "EulerAncestralDiscreteScheduler", "EulerDiscreteScheduler", "HeunDiscreteScheduler", "LCMScheduler",
    "PNDMScheduler", "UniPCMultistepScheduler",
}  # fmt: skip
CLASS_DEFAULTS = {"PNDMScheduler": {"skip_prk_steps": True}}  # as Stable Diffusion was published
MAX_BATCH = 4
MAX_BATCH_PIXELS = 4 * 512 * 512
PREVIEW_BYTES = 8 * 1024
PREVIEW_SIDE = 128
VAE_PREVIEW_PIXELS = 128 * 128

OnStep = Callable[[int, int, Tensor], None]
"""Called after each step with (steps done, steps in all, the latents as far as they are known)."""


class BrokenPicture(FloatingPointError):
    """NaN or nothing but black came out."""


def generate(spec: GenerateSpec, inputs: GenerateInputs, emit: Emit, should_stop: ShouldStop) -> dict[str, Any]:
    """Makes the pictures of the spec. Raises Stopped.

    Emits `begun` with what makes them, `step`, `preview` and, per finished PNG, `image`.
    """
    if len(spec.lora_weights) != len(inputs.loras):
        raise SpecError("lora_weights", f"must hold one weight for each of the {len(inputs.loras)} LoRA files")
    base = load_base(inputs.base_model)
    use_loras(base, list(zip(inputs.loras, spec.lora_weights, strict=True)))
    reference = read_reference(base, spec, inputs.reference)
    emit("begun", **record(), at_once=_at_once(spec))
    for start, units in _batches(spec):
        started = time.monotonic()
        on_step = _Progress(base, spec, start, units, emit, should_stop)
        pictures = sample(base, spec, units, on_step, reference=reference)
        seconds = (time.monotonic() - started) / len(units)
        for unit, picture in zip(units, pictures, strict=True):
            path = publish(Path(inputs.output_dir) / f"{unit.seq}.png", png_bytes(picture))
            emit("image", seq=unit.seq, seed=unit.seed, path=str(path), width=picture.width,
                 height=picture.height, seconds=round(seconds, 4))  # fmt: skip
    return {"images": len(spec.images)}


def _at_once(spec: GenerateSpec) -> int:
    """A few where that is faster; one by one on MPS, whose attention keeps the whole matrix in memory."""
    return 1 if current().kind == "mps" else max(1, min(MAX_BATCH, MAX_BATCH_PIXELS // (spec.width * spec.height)))


def _batches(spec: GenerateSpec) -> list[tuple[int, Sequence[ImageUnit]]]:
    at_once = _at_once(spec)
    return [(start, spec.images[start : start + at_once]) for start in range(0, len(spec.images), at_once)]


@torch.no_grad()
def sample(
    base: Base,
    spec: GenerateSpec,
    units: Sequence[ImageUnit],
    on_step: OnStep,
    embeddings: Tensor | None = None,
    reference: Tensor | None = None,
) -> list[Image.Image]:
    """One batch, with whatever adapters are active on the base now.

    `embeddings` [1 or 2, tokens, width], the empty prompt first when guided, spare the text encoder; `reference` is
    what `read_reference` makes of the picture to start from.
    """
    pipeline = base.pipeline
    guided = spec.guidance_scale > 1
    scheduler = make_scheduler(pipeline.scheduler.config, spec)
    texts = _text_embeddings(pipeline, spec, guided) if embeddings is None else to_device(embeddings)
    texts = texts.repeat_interleave(len(units), dim=0)
    generators = [torch.Generator().manual_seed(unit.seed) for unit in units]
    shape = (pipeline.unet.config.in_channels, spec.height // pipeline.vae_scale_factor,
             spec.width // pipeline.vae_scale_factor)  # fmt: skip
    noise = torch.stack([torch.randn(shape, generator=generator) for generator in generators])
    first, timesteps = beginning(scheduler, spec, noise, reference)
    latents = to_device(first, torch.float32)
    chance = {"generator": generators} if "generator" in inspect.signature(scheduler.step).parameters else {}

    # The schedule stays on the CPU (its sigmas begin as float64, and reading them from a GPU would wait for it), and
    # the latents stay fp32; only the UNet works in the precision of the device.
    for index, timestep in enumerate(timesteps):
        doubled = torch.cat([latents, latents]) if guided else latents
        doubled = scheduler.scale_model_input(doubled, timestep)
        predicted = _predict(pipeline.unet, doubled, timestep, texts)
        if guided:
            unconditional, conditional = predicted.chunk(2)
            predicted = unconditional + spec.guidance_scale * (conditional - unconditional)
        result = scheduler.step(predicted, timestep, latents, **chance)
        latents = result.prev_sample
        known = getattr(result, "pred_original_sample", None)
        on_step(index + 1, len(timesteps), latents if known is None else known)
    return [to_picture(pixels) for pixels in decode(pipeline.vae, latents)]


def make_scheduler(base_config: Any, spec: GenerateSpec) -> Any:
    """The scheduler of the spec with the base's noise schedule and its steps set, on the CPU."""
    if spec.scheduler not in SCHEDULERS:
        raise SpecError("scheduler", f"must be one of {', '.join(sorted(SCHEDULERS))}")
    scheduler_class = getattr(diffusers, spec.scheduler)
    known = inspect.signature(scheduler_class.__init__).parameters
    for option in spec.scheduler_options:
        if option not in known:
            raise SpecError("scheduler_options", f"{option} is not an option of {spec.scheduler}")
    scheduler = scheduler_class.from_config(
        base_config, **{**CLASS_DEFAULTS.get(spec.scheduler, {}), **spec.scheduler_options}
    )
    try:
        scheduler.set_timesteps(spec.num_inference_steps)
    except ValueError as error:
        raise SpecError("num_inference_steps", str(error)) from error
    return scheduler


def _text_embeddings(pipeline: Any, spec: GenerateSpec, guided: bool) -> Tensor:
    """[1, tokens, width], or [2, …] with the negative prompt first."""
    positive, negative = pipeline.encode_prompt(
        spec.prompt, current().torch_device, 1, guided, spec.negative_prompt if guided else None
    )
    return torch.cat([negative, positive]) if guided else positive


def _predict(unet: Any, latents: Tensor, timestep: Tensor, embeddings: Tensor) -> Tensor:
    dtype = unet.conv_in.weight.dtype
    time_on_device = to_device(timestep)
    predicted = unet(latents.to(dtype), time_on_device, embeddings.to(dtype), return_dict=False)[0]
    return predicted.float()


def decode(vae: Any, latents: Tensor) -> Tensor:
    """Latents to pixels in 0..1, [pictures, 3, height, width], fp32 on the CPU."""
    unscaled = latents / vae.config.scaling_factor + (getattr(vae.config, "shift_factor", None) or 0)
    pixels = vae.decode(unscaled.to(vae.dtype), return_dict=False)[0].float().cpu()
    return (pixels / 2 + 0.5).clamp(0, 1)  # NaN stays NaN


def to_picture(pixels: Tensor) -> Image.Image:
    if not torch.isfinite(pixels).all():
        raise BrokenPicture("the picture has values that are not numbers (NaN)")
    if float(pixels.max()) == 0:
        raise BrokenPicture("the picture is nothing but black")
    values = (pixels.permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()
    return Image.fromarray(values)


def png_bytes(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=1)  # it is written again, with its recipe, when it is kept
    return buffer.getvalue()


class _Progress:
    """What one batch tells while it is made: steps counted over all pictures of the request, now and then a preview."""

    def __init__(
        self,
        base: Base,
        spec: GenerateSpec,
        start: int,
        units: Sequence[ImageUnit],
        emit: Emit,
        should_stop: ShouldStop,
    ) -> None:
        self.base, self.spec, self.start, self.units = base, spec, start, units
        self.emit, self.should_stop = emit, should_stop

    def __call__(self, done: int, steps: int, latents: Tensor) -> None:
        count, first, last = len(self.spec.images), self.start + 1, self.start + len(self.units)
        which = f"{first}" if first == last else f"{first}–{last}"
        self.emit("step", step=self.start * steps + done * len(self.units), total=count * steps,
                  message=f"Picture {which} of {count}")  # fmt: skip
        if self.spec.preview_every and done % self.spec.preview_every == 0 and done < steps:
            webp = webp_bytes(preview_pixels(self.base, latents[:1])[0])
            if webp:
                self.emit("preview", webp=base64.b64encode(webp).decode(), seq=self.units[0].seq)
        check_stop(self.should_stop)


# -- previews ---------------------------------------------------------------------------------------------------------


@torch.no_grad()
def preview_pixels(base: Base, latents: Tensor) -> Tensor:
    """A rough look at unfinished latents, 0..1: decoded where that is cheap, else projected, an 8th as wide."""
    vae = base.pipeline.vae
    height, width = (side * base.pipeline.vae_scale_factor for side in latents.shape[2:])
    if height * width <= VAE_PREVIEW_PIXELS:
        return decode(vae, latents)
    if base.preview_matrix is None:
        base.preview_matrix = _fit_preview(base)
    return _project(base.preview_matrix, latents.float().cpu()).clamp(0, 1)


def _project(matrix: Tensor, latents: Tensor) -> Tensor:
    """[n, channels, h, w] with a column of ones, times [channels + 1, 3]."""
    ones = torch.ones_like(latents[:, :1])
    return torch.einsum("nchw,cr->nrhw", torch.cat([latents, ones], dim=1), matrix)


def _fit_preview(base: Base) -> Tensor:
    """Least squares from latents to the mean colour that the VAE makes of them, on smooth random latents."""
    vae, factor = base.pipeline.vae, base.pipeline.vae_scale_factor
    channels = vae.config.latent_channels
    coarse = torch.randn((4, channels, 4, 4), generator=torch.Generator().manual_seed(0))
    latents = torch.nn.functional.interpolate(coarse, scale_factor=4, mode="bilinear")
    colours = torch.nn.functional.avg_pool2d(decode(vae, to_device(latents)), factor)
    inputs = torch.cat([latents, torch.ones_like(latents[:, :1])], dim=1).permute(0, 2, 3, 1).reshape(-1, channels + 1)
    return torch.linalg.lstsq(inputs, colours.permute(0, 2, 3, 1).reshape(-1, 3)).solution


def webp_bytes(pixels: Tensor) -> bytes:
    """At most 8 KiB; empty when there is nothing to show."""
    values = torch.nan_to_num(pixels).permute(1, 2, 0).numpy()
    picture = Image.fromarray((values * 255).round().astype(np.uint8))
    picture.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE))
    for quality in (70, 40, 10):
        buffer = io.BytesIO()
        picture.save(buffer, "WEBP", quality=quality)
        if buffer.tell() <= PREVIEW_BYTES:
            return buffer.getvalue()
    return b""
