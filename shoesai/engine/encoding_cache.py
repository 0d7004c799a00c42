"""What VAE and text encoder made of photos and captions, on disk under a hash of all that it depends on.

So an entry is never out of date: another picture, caption, size, encoder or precision is another name.
"""

from __future__ import annotations

import functools
import hashlib
import json
from pathlib import Path

import safetensors
from safetensors.torch import load_file, save
from torch import Tensor

from shoesai.engine.device import current
from shoesai.engine.progress import publish

VERSION = 1  # of how photos are cropped and captions are tokenised; raise it when that changes
TOKENIZER_AND_ENCODER = ("tokenizer", "text_encoder")


class EncodingCache:
    """`kind` is "latents" or "texts"; keys come from `latents_key` and `text_key`."""

    def __init__(self, folder: Path, base_folder: Path) -> None:
        self._folder = folder
        precision = str(current().dtype)
        self._vae = functools.partial(fingerprint, base_folder, ("vae",), precision)
        self._texts = functools.partial(fingerprint, base_folder, TOKENIZER_AND_ENCODER, precision)

    def latents_key(self, photo_sha256: str, resolution: int) -> str:
        return _key("latents", photo_sha256, resolution, self._vae())

    def text_key(self, text: str) -> str:
        return _key("text", text, self._texts())

    def has(self, kind: str, key: str) -> bool:
        """False also for an entry that a power cut has damaged."""
        path = self._path(kind, key)
        if not path.exists():
            return False
        try:
            with safetensors.safe_open(path, "pt"):
                return True
        except (OSError, safetensors.SafetensorError):
            return False

    def read(self, kind: str, key: str) -> dict[str, Tensor]:
        tensors: dict[str, Tensor] = load_file(self._path(kind, key))
        return tensors

    def write(self, kind: str, key: str, tensors: dict[str, Tensor]) -> None:
        path = self._path(kind, key)
        path.parent.mkdir(parents=True, exist_ok=True)
        publish(path, save({name: tensor.contiguous() for name, tensor in tensors.items()}))

    def _path(self, kind: str, key: str) -> Path:
        return self._folder / kind / key[:2] / f"{key}.safetensors"


def _key(*parts: str | int) -> str:
    return hashlib.sha256(json.dumps([VERSION, *parts]).encode()).hexdigest()


def fingerprint(base_folder: Path, parts: tuple[str, ...], used_as: str = "") -> str:
    """Of the bytes of these parts of a base model, and of how they are used."""
    digest = hashlib.sha256(used_as.encode())
    for part in parts:
        for path in sorted((base_folder / part).rglob("*")):
            if path.is_file():
                status = path.stat()
                name = path.relative_to(base_folder)
                digest.update(f"{name} {_file_digest(path, status.st_size, status.st_mtime_ns)}\n".encode())
    return digest.hexdigest()


@functools.lru_cache(maxsize=64)
def _file_digest(path: Path, size: int, changed_ns: int) -> str:
    """Half a gigabyte takes a second, so once for each state of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
