"""Where features come from: networks that look at pictures. What is computed from them is `metrics.py`'s business.

An extractor's identity is the hash of its weights; numbers of different identities are never compared. Nothing is ever
downloaded, and nothing is unpickled that could run code.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Final

import numpy as np
import safetensors
import torch
from numpy.typing import NDArray
from PIL import Image
from pytorch_fid.inception import FIDInceptionA, FIDInceptionC, FIDInceptionE_1, FIDInceptionE_2
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models import inception_v3
from torchvision.transforms import functional as vision
from transformers import CLIPModel, CLIPProcessor
from transformers.utils import cached_file

from shoesai.engine.device import current, to_device
from shoesai.engine.feature_cache import FeatureCache, Features

BATCHES: Final = {"cpu": 8, "mps": 32, "cuda": 64}
WIDTH_OF_INCEPTION: Final = 2048
# The published file of pytorch-fid's release "fid_weights"; its name ends with the hash's beginning.
INCEPTION_FILE: Final = "pt_inception-2015-12-05-6726825d.pth"
INCEPTION_SHA256: Final = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
# How pictures are made ready and which features are kept; raise it when that changes
VERSION: Final = 1


class ExtractorProblem(Exception):
    """Weights that are not what they say, and what to do about it."""


class WeightsMissing(ExtractorProblem):
    """Weights that are not on this machine."""


@dataclass(frozen=True)
class Extractor:
    """`prepare` makes a picture ready, on the CPU; `look` gives `image` [n, width] of ready ones, and `probabilities`
    [n, 1008] where there are classes; `read` gives those of texts [n, width].

    `sha256` is that of the file of its weights, `identity` also covers how pictures are made ready.
    """

    name: str
    sha256: str
    identity: str
    width: int
    prepare: Callable[[Image.Image], Tensor]
    look: Callable[[list[Tensor]], Features]
    read: Callable[[list[str]], NDArray[np.float32]] | None = None


@dataclass(frozen=True)
class Row:
    """How an extractor is opened from a place on this machine and the hash that it must have."""

    open: Callable[[str, str], Extractor]
    reads_texts: bool


def open_extractor(name: str, place: str, expected: str = "") -> Extractor:
    """Raises WeightsMissing, and ExtractorProblem for weights that are something else."""
    return EXTRACTORS[name].open(place, expected)


# --- CLIP ---------------------------------------------------------------------------------------------------
def clip(name: str, source: str, expected: str = "") -> Extractor:
    """From a folder of transformers, or a hub id whose files are on this machine."""
    sha256 = _hash_of_file(_clip_weights(source))
    _require_hash(f"the CLIP {source}", sha256, expected)
    options: dict[str, Any] = {"local_files_only": True}
    try:
        processor = CLIPProcessor.from_pretrained(source, **options)
        model = CLIPModel.from_pretrained(source, use_safetensors=True, **options).eval()
    except (OSError, ValueError, RuntimeError, safetensors.SafetensorError) as error:
        raise ExtractorProblem(f"{source} is not a whole CLIP of transformers: {_first_line(error)}") from error
    model = model.to(current().torch_device)

    def prepare(picture: Image.Image) -> Tensor:
        pixels: Tensor = processor(images=picture, return_tensors="pt")["pixel_values"][0]
        return pixels

    @torch.inference_mode()
    def look(pictures: list[Tensor]) -> Features:
        pooled = model.vision_model(pixel_values=to_device(torch.stack(pictures))).pooler_output
        return {"image": model.visual_projection(pooled).float().cpu().numpy()}

    @torch.inference_mode()
    def read(texts: list[str]) -> NDArray[np.float32]:
        tokens = processor.tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
        pooled = model.text_model(**{key: to_device(value) for key, value in tokens.items()}).pooler_output
        told: NDArray[np.float32] = model.text_projection(pooled).float().cpu().numpy()
        return told

    identity = _identity(sha256, processor.image_processor.to_json_string())
    return Extractor(name, sha256, identity, model.config.projection_dim, prepare, look, read)


def _clip_weights(source: str) -> Path:
    try:
        return Path(cached_file(source, "model.safetensors", local_files_only=True))
    except (OSError, ValueError) as error:
        raise WeightsMissing(
            f"{source or 'CLIP'} is not on this machine with a model.safetensors: put the files of"
            " openai/clip-vit-base-patch32 into a folder, and name it in SHOESAI_CLIP"
        ) from error


# --- Inception ----------------------------------------------------------------------------------------------
def inception(path: str, expected: str = "") -> Extractor:
    """Inception-v3 as FID means it, in the file format of pytorch-fid or the same tensors as safetensors.

    A file that bears the published name must have the published hash, unless another one is expected.
    """
    file = Path(path)
    if not path or not file.is_file():
        raise WeightsMissing(
            f"{file.name or 'Inception-v3'} is not there: download {INCEPTION_FILE} from the releases of"
            " mseitzer/pytorch-fid, and name it in SHOESAI_INCEPTION"
        )
    sha256 = _hash_of_file(file)
    _require_hash(file.name, sha256, expected or (INCEPTION_SHA256 if file.name == INCEPTION_FILE else ""))
    network = _inception_of(file)

    @torch.inference_mode()
    def prepare(picture: Image.Image) -> Tensor:
        """The network's own resizing, but one by one, so that sizes may differ and only small pictures are kept."""
        pixels = vision.to_tensor(picture)[None]
        return functional.interpolate(pixels, size=(299, 299), mode="bilinear", align_corners=False)[0]

    @torch.inference_mode()
    def look(pictures: list[Tensor]) -> Features:
        pixels = torch.stack(pictures).contiguous(memory_format=torch.channels_last)
        pooled, logits = network(to_device(pixels))
        return {"image": pooled.cpu().numpy(), "probabilities": logits.softmax(-1).cpu().numpy()}

    return Extractor("inception", sha256, _identity(sha256, "299 bilinear"), WIDTH_OF_INCEPTION, prepare, look)


# What torch, pickle and safetensors raise for a file that is something else, or cut short.
NOT_A_STATE: Final = (
    RuntimeError, ValueError, TypeError, KeyError, AttributeError, EOFError, OSError, UnpicklingError, SafetensorError,
)  # fmt: skip


def _inception_of(file: Path) -> _Inception:
    try:
        state = load_file(file) if file.suffix == ".safetensors" else torch.load(file, "cpu", weights_only=True)
        with torch.device("meta"):
            network = fid_inception()
        network.load_state_dict(state, assign=True)  # no second copy of the weights
    except NOT_A_STATE as error:
        raise ExtractorProblem(f"{file.name} holds no Inception-v3 of pytorch-fid: {_first_line(error)}") from error
    # The same numbers to 6 digits, in little more than half the time on a CPU
    return _Inception(network).eval().to(device=current().torch_device, memory_format=torch.channels_last)


def fid_inception() -> nn.Module:
    """The architecture that pytorch-fid patches together, without the download that its own function ends with."""
    network = inception_v3(num_classes=1008, aux_logits=False, weights=None, init_weights=False)
    network.Mixed_5b = FIDInceptionA(192, pool_features=32)
    network.Mixed_5c = FIDInceptionA(256, pool_features=64)
    network.Mixed_5d = FIDInceptionA(288, pool_features=64)
    network.Mixed_6b = FIDInceptionC(768, channels_7x7=128)
    network.Mixed_6c = FIDInceptionC(768, channels_7x7=160)
    network.Mixed_6d = FIDInceptionC(768, channels_7x7=160)
    network.Mixed_6e = FIDInceptionC(768, channels_7x7=192)
    network.Mixed_7b = FIDInceptionE_1(1280)
    network.Mixed_7c = FIDInceptionE_2(2048)
    return network


class _Inception(nn.Module):
    """Pooled features [n, 2048] and logits without their bias [n, 1008], as the Inception score was published with:
    one pass gives both."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.classes = network.fc
        network.fc = nn.Identity()
        self.network = network

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """`pixels` [n, 3, 299, 299] in 0..1."""
        pooled = self.network(2 * pixels - 1)
        return pooled, pooled @ self.classes.weight.T


EXTRACTORS: Final = {
    "starter": Row(lambda place, expected: clip("starter", place, expected), reads_texts=True),
    "clip": Row(lambda place, expected: clip("clip", place, expected), reads_texts=True),
    "inception": Row(inception, reads_texts=False),
}


# --- all of them --------------------------------------------------------------------------------------------
def _hash_of_file(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _identity(*parts: str) -> str:
    return hashlib.sha256(json.dumps([VERSION, *parts]).encode()).hexdigest()


def _require_hash(what: str, sha256: str, expected: str) -> None:
    """`expected` may be a beginning."""
    if expected and not sha256.startswith(expected.lower()):
        raise ExtractorProblem(
            f"{what} has the SHA-256 {sha256[:16]}… and not {expected[:16]}…: it is damaged or another file"
        )


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


@dataclass(frozen=True)
class Broken:
    """A file without features, and why."""

    place: int
    problem: str


@dataclass(frozen=True)
class Seen:
    """Some pictures: their places, the hashes of their files, and features [n, …]."""

    places: list[int]
    hashes: list[str]
    features: Features


@dataclass
class _Opened:
    """A batch: hashes by place, what the cache knew, and the pictures that it did not."""

    hashes: dict[int, str]
    kept: dict[int, Features]
    ready: dict[int, Tensor]
    broken: list[Broken]


def features_of(
    paths: Sequence[str], extractor: Extractor, cache: FeatureCache, batch: int = 0
) -> Iterator[Seen | Broken]:
    """Features, some at a time; a file that is no picture is told and passed over.

    No more than two batches of pictures are in memory: one that is looked at, and the next, which a thread opens.
    """
    batch = batch or BATCHES[current().kind]
    starts = range(0, len(paths), batch)
    with ThreadPoolExecutor(1) as reader:
        coming: Future[_Opened] | None = None
        for begin in starts:
            opened = coming.result() if coming else _open(paths, begin, batch, extractor, cache)
            if begin + batch < len(paths):
                coming = reader.submit(_open, paths, begin + batch, batch, extractor, cache)
            yield from _looked(opened, paths, extractor, cache)


def _open(paths: Sequence[str], begin: int, batch: int, extractor: Extractor, cache: FeatureCache) -> _Opened:
    opened = _Opened({}, {}, {}, [])
    for place in range(begin, min(begin + batch, len(paths))):
        path = Path(paths[place])
        try:
            opened.hashes[place] = _hash_of_file(path)
            if kept := cache.get(opened.hashes[place]):
                opened.kept[place] = kept
                continue
            with Image.open(path) as picture:
                opened.ready[place] = extractor.prepare(picture.convert("RGB"))
        except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
            opened.broken.append(Broken(place, f"{path.name}: cannot be read as a picture ({type(error).__name__})"))
    return opened


def _looked(
    opened: _Opened, paths: Sequence[str], extractor: Extractor, cache: FeatureCache
) -> Iterator[Seen | Broken]:
    yield from opened.broken
    fresh = list(opened.ready)
    rows = opened.kept
    if fresh:
        seen = extractor.look([opened.ready[place] for place in fresh])
        finite = np.asarray(np.isfinite(seen["image"]).all(axis=1))
        for place in (place for place, good in zip(fresh, finite.tolist(), strict=True) if not good):
            yield Broken(place, f"{Path(paths[place]).name}: the features are not finite numbers")
        fresh = [place for place, good in zip(fresh, finite.tolist(), strict=True) if good]
        seen = {name: values[finite] for name, values in seen.items()}
        cache.put([opened.hashes[place] for place in fresh], seen)
        rows |= {place: {name: values[row] for name, values in seen.items()} for row, place in enumerate(fresh)}
    if rows:
        places = sorted(rows)
        together = {name: np.stack([rows[place][name] for place in places]) for name in rows[places[0]]}
        yield Seen(places, [opened.hashes[place] for place in places], together)
