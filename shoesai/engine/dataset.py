"""Photos and captions become latents and text embeddings, once per run; the loop then needs neither VAE nor CLIP."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from shoesai.engine.device import to_device
from shoesai.engine.specs import PhotoInput, SpecError

ENCODE_PIXELS = 4 * 512 * 512  # at once through the VAE

Told = Callable[[str], None]


@dataclass(frozen=True)
class Encoded:
    """The data set as the UNet sees it, on the CPU in fp32.

    The VAE gives a distribution per photo; mean and std are kept, so that every step still draws from it.
    """

    means: Tensor  # [photos, channels, height / 8, width / 8]
    stds: Tensor
    embeddings: Tensor  # [photos, tokens, width]
    no_caption: Tensor  # [tokens, width], the embedding of ""


def encode(pipeline: Any, photos: Sequence[PhotoInput], resolution: int, tell: Told) -> Encoded:
    if not photos:
        raise SpecError("photos", "must hold at least one photo")
    means, stds = [], []
    at_once = max(1, ENCODE_PIXELS // resolution**2)
    for start in range(0, len(photos), at_once):
        tell(f"Reading photos: {start} of {len(photos)}")
        batch = torch.stack([read_photo(photo.path, resolution) for photo in photos[start : start + at_once]])
        mean, std = _posterior(pipeline, batch)
        means.append(mean)
        stds.append(std)
    tell("Reading captions")
    texts = {text: _embedding(pipeline, text) for text in dict.fromkeys(["", *(photo.caption for photo in photos)])}
    embeddings = torch.stack([texts[photo.caption] for photo in photos])
    return Encoded(torch.cat(means), torch.cat(stds), embeddings, texts[""])


def read_photo(path: str, resolution: int) -> Tensor:
    """One photo as [3, resolution, resolution] in -1..1: upright, on white, shortest side scaled, centre cropped."""
    try:
        with Image.open(path) as opened:
            picture = _on_white(ImageOps.exif_transpose(opened))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        problem = f"{Path(path).name} is not a picture that can be read ({type(error).__name__})"
        raise SpecError("photos", problem) from error
    picture = ImageOps.fit(picture, (resolution, resolution), Image.Resampling.LANCZOS)
    values = torch.from_numpy(np.asarray(picture, dtype=np.float32))
    return values.permute(2, 0, 1) / 127.5 - 1


def _on_white(picture: Image.Image) -> Image.Image:
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
    return picture.convert("RGB")


@torch.no_grad()
def _posterior(pipeline: Any, pixels: Tensor) -> tuple[Tensor, Tensor]:
    vae = pipeline.vae
    posterior = vae.encode(to_device(pixels, vae.dtype)).latent_dist
    return posterior.mean.float().cpu(), posterior.std.float().cpu()


@torch.no_grad()
def _embedding(pipeline: Any, text: str) -> Tensor:
    """[tokens, width]; a caption longer than CLIP's 77 tokens is cut, as everywhere in Stable Diffusion."""
    device = pipeline.device
    embedding, _ = pipeline.encode_prompt(text, device, 1, do_classifier_free_guidance=False)
    return embedding[0].float().cpu()


# -- chance -----------------------------------------------------------------------------------------------------------
# Everything random is a pure function of the seed and of where the sample stands in the run, so a resumed run needs
# no random state, and 2 x 8 accumulated samples draw what a batch of 16 draws.


def generator_for(seed: int, *place: int | str) -> torch.Generator:
    """A CPU generator of its own for each place; hashed, because nearby seeds give related streams."""
    text = "/".join(map(str, (seed, *place)))
    return torch.Generator().manual_seed(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little"))


def photo_at(seed: int, position: int, photos: int) -> int:
    """Which photo is the `position`-th of the run: every epoch shows each photo once, in an order of its own."""
    epoch, place = divmod(position, photos)
    return _order(seed, epoch, photos)[place]


@functools.lru_cache(maxsize=4)
def _order(seed: int, epoch: int, photos: int) -> list[int]:
    order: list[int] = torch.randperm(photos, generator=generator_for(seed, "epoch", epoch)).tolist()
    return order


@dataclass(frozen=True)
class Batch:
    """One micro-batch, fp32 on the CPU; timesteps int64."""

    latents: Tensor
    noise: Tensor
    timesteps: Tensor
    embeddings: Tensor


def batch_at(data: Encoded, positions: Sequence[int], seed: int, timesteps: int, scale: float, dropout: float) -> Batch:
    """The samples at these positions of the run: latents drawn from the VAE's distribution and scaled by `scale`."""
    latents, noise, times, embeddings = [], [], [], []
    for position in positions:
        photo = photo_at(seed, position, len(data.means))
        generator = generator_for(seed, "sample", position)
        drawn, fresh = torch.randn((2, *data.means.shape[1:]), generator=generator)
        latents.append((data.means[photo] + data.stds[photo] * drawn) * scale)
        noise.append(fresh)
        times.append(torch.randint(timesteps, (), generator=generator))
        dropped = torch.rand((), generator=generator) < dropout
        embeddings.append(data.no_caption if dropped else data.embeddings[photo])
    return Batch(torch.stack(latents), torch.stack(noise), torch.stack(times), torch.stack(embeddings))
