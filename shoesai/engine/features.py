"""Where features come from: networks that look at pictures. What is computed from them is `metrics.py`'s business.

An extractor's identity is the hash of its weights; numbers of different identities are never compared. Nothing is ever
downloaded, and nothing is unpickled that could run code.
"""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from pytorch_fid.inception import FIDInceptionA, FIDInceptionC, FIDInceptionE_1, FIDInceptionE_2
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models import inception_v3
from torchvision.transforms import functional as vision
from transformers import CLIPModel, CLIPProcessor

from shoesai.engine.device import current, to_device

BATCH: Final = 16
# The published file of pytorch-fid's release "fid_weights"; its name ends with the hash's beginning.
INCEPTION_FILE: Final = "pt_inception-2015-12-05-6726825d.pth"
INCEPTION_PREFIX: Final = "6726825d"

Features = dict[str, NDArray[np.float32]]
Look = Callable[[list[Image.Image]], Features]


class ExtractorProblem(Exception):
    """Weights that are not here, or not what they say; and what to do about it."""


@dataclass(frozen=True)
class Extractor:
    """`look` gives `image` [n, width], and `probabilities` [n, 1008] where there are classes; `read` texts [n, width].

    `sha256` is that of its weights.
    """

    name: str
    sha256: str
    look: Look
    read: Callable[[list[str]], NDArray[np.float32]] | None = None


# --- CLIP ---------------------------------------------------------------------------------------------------
def clip(name: str, source: str, expected: str = "") -> Extractor:
    """From a folder of transformers, or a hub id whose files are on this machine. Raises ExtractorProblem."""
    options: dict[str, Any] = {"local_files_only": True}
    try:
        processor = CLIPProcessor.from_pretrained(source, **options)
        model = CLIPModel.from_pretrained(source, use_safetensors=True, **options).eval()
    except (OSError, ValueError) as error:
        raise ExtractorProblem(
            f"{source} is no CLIP on this machine: put the files of openai/clip-vit-base-patch32 (with"
            " model.safetensors) into a folder, and name it in SHOESAI_CLIP"
        ) from error
    sha256 = _hash_of_state(model)
    _require_hash(source, sha256, expected)
    model = model.to(current().torch_device)

    @torch.inference_mode()
    def look(pictures: list[Image.Image]) -> Features:
        pixels = to_device(processor(images=pictures, return_tensors="pt")["pixel_values"])
        pooled = model.vision_model(pixel_values=pixels).pooler_output
        return {"image": model.visual_projection(pooled).float().cpu().numpy()}

    @torch.inference_mode()
    def read(texts: list[str]) -> NDArray[np.float32]:
        tokens = processor.tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
        pooled = model.text_model(**{key: to_device(value) for key, value in tokens.items()}).pooler_output
        told: NDArray[np.float32] = model.text_projection(pooled).float().cpu().numpy()
        return told

    return Extractor(name, sha256, look, read)


def _hash_of_state(model: nn.Module) -> str:
    """Over names and values, so that the same weights in another file are the same extractor."""
    digest = hashlib.sha256()
    for key, value in sorted(model.state_dict().items()):
        digest.update(key.encode())
        digest.update(np.ascontiguousarray(value.detach().cpu().float().numpy()).tobytes())
    return digest.hexdigest()


# --- Inception ----------------------------------------------------------------------------------------------
def inception(path: str, expected: str = "") -> Extractor:
    """Inception-v3 as FID means it, in the file format of pytorch-fid or the same tensors as safetensors.

    Raises ExtractorProblem.
    """
    file = Path(path)
    if not file.is_file():
        raise ExtractorProblem(
            f"{path} is not there: download {INCEPTION_FILE} from the releases of mseitzer/pytorch-fid, and name it in"
            " SHOESAI_INCEPTION"
        )
    sha256 = _hash_of_file(file)
    _require_hash(path, sha256, expected or (INCEPTION_PREFIX if file.name == INCEPTION_FILE else ""))
    network = _inception_of(file)

    @torch.inference_mode()
    def look(pictures: list[Image.Image]) -> Features:
        """Pixels 0..1, one picture at a time where sizes differ: the network resizes to 299 itself, as the original."""
        parts = [network(to_device(batch)) for batch in _same_sizes(pictures)]
        return {
            "image": torch.cat([pooled for pooled, _ in parts]).cpu().numpy(),
            "probabilities": torch.cat([logits for _, logits in parts]).softmax(-1).cpu().numpy(),
        }

    return Extractor("inception", sha256, look)


def _same_sizes(pictures: list[Image.Image]) -> Iterator[Tensor]:
    if len({picture.size for picture in pictures}) == 1:
        yield torch.stack([vision.to_tensor(picture) for picture in pictures])
        return
    for picture in pictures:
        yield vision.to_tensor(picture)[None]


def _inception_of(file: Path) -> _Inception:
    try:
        state = load_file(file) if file.suffix == ".safetensors" else torch.load(file, "cpu", weights_only=True)
        network = fid_inception()
        network.load_state_dict(state)
    except Exception as error:  # torch, pickle and zip raise many kinds for a file that is something else
        words = str(error).splitlines()[0]
        raise ExtractorProblem(f"{file.name} holds no Inception-v3 of pytorch-fid: {words}") from error
    return _Inception(network).eval().to(current().torch_device)


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
        self.network = network
        self.pooled = torch.empty(0)
        network.avgpool.register_forward_hook(self._keep)

    def _keep(self, _module: nn.Module, _inputs: Any, output: Tensor) -> None:
        self.pooled = output.flatten(1)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """`pixels` [n, 3, height, width] in 0..1."""
        resized = functional.interpolate(pixels, size=(299, 299), mode="bilinear", align_corners=False)
        self.network(2 * resized - 1)
        return self.pooled, self.pooled @ self.network.fc.weight.T


# --- both ---------------------------------------------------------------------------------------------------
def _hash_of_file(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _require_hash(what: str, sha256: str, expected: str) -> None:
    """`expected` may be a beginning."""
    if expected and not sha256.startswith(expected.lower()):
        raise ExtractorProblem(
            f"{what} has the SHA-256 {sha256[:16]}… and not {expected[:16]}…: it is damaged or another file"
        )


class FeatureCache:
    """Features of files that were looked at before, by the files' hash and the extractor's; one small file each, in
    folders of 256."""

    def __init__(self, folder: str, extractor: Extractor) -> None:
        self._folder = Path(folder, extractor.sha256[:32]) if folder else None

    def get(self, sha256: str) -> dict[str, NDArray[np.float32]] | None:
        if self._folder is None:
            return None
        try:
            with np.load(self._path(sha256), allow_pickle=False) as kept:
                return {name: kept[name] for name in kept.files}
        except (OSError, ValueError, EOFError, zipfile.BadZipFile):
            return None  # not there, or a write that was cut short: it is looked at again

    def put(self, sha256: str, features: dict[str, NDArray[np.float32]]) -> None:
        if self._folder is None:
            return
        path = self._path(sha256)
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_suffix(f".{os.getpid()}.tmp")
        with beside.open("wb") as out:
            np.savez(out, **features)  # type: ignore[arg-type]
        beside.replace(path)

    def _path(self, sha256: str) -> Path:
        assert self._folder is not None
        return self._folder / sha256[:2] / f"{sha256}.npz"


@dataclass(frozen=True)
class Broken:
    """A file without features, and why."""

    place: int
    problem: str


def features_of(
    paths: Sequence[str], extractor: Extractor, cache: FeatureCache, batch: int = BATCH
) -> Iterator[tuple[list[int], Features] | Broken]:
    """Places and their features, some at a time; a file that is no picture is told and passed over.

    No more than a batch of pictures is in memory.
    """
    for begin in range(0, len(paths), batch):
        fresh: list[tuple[int, str, Image.Image]] = []
        rows: dict[int, dict[str, NDArray[np.float32]]] = {}
        for place in range(begin, min(begin + batch, len(paths))):
            try:
                sha256 = _hash_of_file(Path(paths[place]))
                if kept := cache.get(sha256):
                    rows[place] = kept
                else:
                    fresh.append((place, sha256, opened(paths[place])))
            except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
                yield Broken(place, f"{Path(paths[place]).name}: cannot be read as a picture ({type(error).__name__})")
        if fresh:
            looked = extractor.look([picture for _, _, picture in fresh])
            for row, (place, sha256, _) in enumerate(fresh):
                rows[place] = {name: values[row] for name, values in looked.items()}
                cache.put(sha256, rows[place])
        if rows:
            places = sorted(rows)
            yield places, {name: np.stack([rows[place][name] for place in places]) for name in rows[places[0]]}


def opened(path: str) -> Image.Image:
    with Image.open(path) as picture:
        return picture.convert("RGB")
