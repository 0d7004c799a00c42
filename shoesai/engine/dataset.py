"""Photos and captions become latents and text embeddings, once; they wait on disk, and the encoders leave memory."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from shoesai.engine.base_model import Base
from shoesai.engine.device import to_device
from shoesai.engine.encoding_cache import EncodingCache
from shoesai.engine.specs import PhotoInput, SpecError

WHITE = 235  # min(R, G, B) from which a pixel may be background

Told = Callable[[str], None]


@dataclass(frozen=True)
class Photo:
    """One photo as the UNet sees it, on the CPU in fp32.

    The VAE gives a distribution per photo; mean and std [channels, height / 8, width / 8] are kept, so that every step
    still draws from it. `shoe` [height / 8, width / 8] is 1 where the photo is not white background.
    """

    mean: Tensor
    std: Tensor
    shoe: Tensor


class Encoded:
    """Photos with captions, read from the cache when they are needed: a large data set need not fit into memory."""

    def __init__(self, cache: EncodingCache, photos: Sequence[str], texts: Sequence[str], no_caption: str) -> None:
        self._cache, self._photos, self._texts, self._no_caption = cache, photos, texts, no_caption

    def __len__(self) -> int:
        return len(self._photos)

    def photo(self, number: int) -> Photo:
        return Photo(**self._cache.read("latents", self._photos[number]))

    def text(self, number: int | None) -> Tensor:
        """[tokens, width]: the caption of that photo, or the embedding of "" for None."""
        key = self._no_caption if number is None else self._texts[number]
        return self._cache.read("texts", key)["embedding"]


def encode(
    base: Base, photos: Sequence[PhotoInput], resolution: int, trigger_words: str, cache: EncodingCache, tell: Told
) -> Encoded:
    """What is not in the cache yet goes through VAE and text encoder; neither is loaded for what is there."""
    if not photos:
        raise SpecError("photos", "must hold at least one photo")
    latents = [cache.latents_key(photo.sha256 or _digest(photo.path), resolution) for photo in photos]
    missing = [(key, photo) for key, photo in zip(latents, photos, strict=True) if not cache.has("latents", key)]
    for done, (key, photo) in enumerate(missing):
        tell(f"Reading photos: {done} of {len(missing)}")
        _encode_photo(base, cache, key, photo, resolution)
    captions = [with_trigger_words(photo.caption, trigger_words) for photo in photos]
    texts = encode_texts(base, cache, ["", *captions], tell)
    return Encoded(cache, latents, [texts[caption] for caption in captions], texts[""])


def encode_texts(base: Base, cache: EncodingCache, texts: Iterable[str], tell: Told) -> dict[str, str]:
    """The cache's key for each text."""
    keys = {text: cache.text_key(text) for text in dict.fromkeys(texts)}
    missing = [(text, key) for text, key in keys.items() if not cache.has("texts", key)]
    for done, (text, key) in enumerate(missing):
        if done % 50 == 0:
            tell(f"Reading captions: {done} of {len(missing)}")
        cache.write("texts", key, {"embedding": embedding_of(base, text)})
    return keys


def with_trigger_words(caption: str, words: str) -> str:
    return f"{words}, {caption}" if words and words not in caption else caption


@functools.lru_cache(maxsize=1024)
def _digest(path: str) -> str:
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError as error:
        raise SpecError("photos", f"{Path(path).name} cannot be read ({error.strerror})") from error


def _encode_photo(base: Base, cache: EncodingCache, key: str, photo: PhotoInput, resolution: int) -> None:
    """One by one: the last bits depend on what else is in a batch, and what is cached must depend on the photo only."""
    picture = open_photo(photo.path, resolution)
    means, stds = _posterior(base, as_tensor(picture)[None])
    shoe = shoe_mask(picture, *means.shape[2:])
    cache.write("latents", key, {"mean": means[0], "std": stds[0], "shoe": shoe})


def open_photo(path: str, resolution: int) -> Image.Image:
    """Upright, RGB on white, shortest side scaled, centre cropped to `resolution` squared."""
    try:
        with Image.open(path) as opened:
            picture = _on_white(ImageOps.exif_transpose(opened))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        problem = f"{Path(path).name} is not a picture that can be read ({type(error).__name__})"
        raise SpecError("photos", problem) from error
    return ImageOps.fit(picture, (resolution, resolution), Image.Resampling.LANCZOS)


def as_tensor(picture: Image.Image) -> Tensor:
    """[3, height, width] in -1..1."""
    values = torch.from_numpy(np.asarray(picture, dtype=np.float32))
    return values.permute(2, 0, 1) / 127.5 - 1


def _on_white(picture: Image.Image) -> Image.Image:
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
    return picture.convert("RGB")


def shoe_mask(picture: Image.Image, height: int, width: int) -> Tensor:
    """1 where the shoe is, 0 on the white that reaches the border, on the grid of the latents [height, width].

    A cell is background when all its pixels are white and a chain of such cells leads to the border: white soles and
    laces inside the shoe stay shoe. A photo without white background is all shoe.
    """
    whiteness = np.asarray(picture).min(axis=2) >= WHITE
    cells = torch.from_numpy(whiteness.astype(np.float32))[None, None]
    white = -torch.nn.functional.adaptive_max_pool2d(-cells, (height, width))[0, 0] > 0.5  # the least white pixel
    reached = torch.zeros_like(white)
    reached[0], reached[-1], reached[:, 0], reached[:, -1] = white[0], white[-1], white[:, 0], white[:, -1]
    while True:
        grown = (torch.nn.functional.max_pool2d(reached[None].float(), 3, 1, 1)[0] > 0) & white
        if torch.equal(grown, reached):
            return (~reached).float()
        reached = grown


@torch.no_grad()
def _posterior(base: Base, pixels: Tensor) -> tuple[Tensor, Tensor]:
    vae = base.part("vae")
    posterior = vae.encode(to_device(pixels, vae.dtype)).latent_dist
    return posterior.mean.float().cpu(), posterior.std.float().cpu()


@torch.no_grad()
def embedding_of(base: Base, text: str) -> Tensor:
    """[tokens, width]; a caption longer than CLIP's 77 tokens is cut, as everywhere in Stable Diffusion."""
    base.part("text_encoder")
    pipeline = base.pipeline
    embedding, _ = pipeline.encode_prompt(text, pipeline.unet.device, 1, do_classifier_free_guidance=False)
    return embedding[0].float().cpu()


# -- chance -----------------------------------------------------------------------------------------------------------
# Everything random is a pure function of the seed and of where the sample stands in the run, so 2 x 8 accumulated
# samples, or 4 processes with 4 each, draw what a batch of 16 draws.


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
    """One micro-batch, fp32 on the CPU; timesteps int64; `shoe` as in Photo."""

    latents: Tensor
    noise: Tensor
    timesteps: Tensor
    embeddings: Tensor
    shoe: Tensor


def batch_at(
    data: Encoded,
    positions: Sequence[int],
    *,
    seed: int,
    timesteps: int,
    scale: float,
    dropout: float = 0.0,
    noise_offset: float = 0.0,
) -> Batch:
    """The samples at these positions of the run: latents drawn from the VAE's distribution and scaled by `scale`.

    `noise_offset` shifts each channel of the noise as a whole, so that a picture's mean brightness can be learned too
    (Guttenberg, "Diffusion with offset noise", 2023): without it, white stays grey.
    """
    rows = []
    for position in positions:
        number = photo_at(seed, position, len(data))
        photo = data.photo(number)
        generator = generator_for(seed, "sample", position)
        drawn, noise = torch.randn((2, *photo.mean.shape), generator=generator)
        time = torch.randint(timesteps, (), generator=generator)
        dropped = bool(torch.rand((), generator=generator) < dropout)
        if noise_offset:
            noise = noise + noise_offset * torch.randn((len(noise), 1, 1), generator=generator)
        latents = (photo.mean + photo.std * drawn) * scale
        rows.append((latents, noise, time, data.text(None if dropped else number), photo.shoe))
    return Batch(*(torch.stack(column) for column in zip(*rows, strict=True)))
