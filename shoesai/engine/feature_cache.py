"""Features of files that were looked at before, on disk by the file's hash and the extractor's identity.

One safetensors file a batch. They are small beside the pictures, but nobody empties the folder, so the oldest files
go when an extractor has more than its share.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import numpy as np
import safetensors
from numpy.typing import NDArray
from safetensors.numpy import save

from shoesai.engine.progress import publish

Features = dict[str, NDArray[np.float32]]
"""Name → rows [n, …]."""
BOUND: Final = 2**30  # bytes for each extractor: 80,000 pictures by Inception, 2,000,000 by the starter's CLIP


class FeatureCache:
    """Without a folder it remembers nothing."""

    def __init__(self, folder: str, identity: str, bound: int = BOUND) -> None:
        self._folder = Path(folder, identity[:32]) if folder else None
        self._bound = bound
        self._index: dict[str, tuple[Path, int]] = {}
        self._read: tuple[Path, Features] | None = None
        for shard in self._shards():
            self._learn(shard)

    def get(self, sha256: str) -> Features | None:
        """None also for what was cut short or is gone meanwhile: it is looked at again."""
        shard, row = self._index.get(sha256, (None, 0))
        if shard is None:
            return None
        read = self._read  # a copy of the reference: one thread asks while another puts
        if read is None or read[0] != shard:
            try:
                with safetensors.safe_open(shard, "np") as file:
                    read = self._read = shard, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            except (OSError, safetensors.SafetensorError):
                return None
        return {name: values[row] for name, values in read[1].items()}

    def put(self, hashes: Sequence[str], features: Features) -> None:
        if self._folder is None or not hashes:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        content = {name: np.ascontiguousarray(values) for name, values in features.items()}
        # Named after what is in it: two runs that look at the same pictures write the same file
        listed = json.dumps(list(hashes))
        shard = self._folder / f"{hashlib.sha256(listed.encode()).hexdigest()}.safetensors"
        publish(shard, save(content, metadata={"hashes": listed}))
        self._index |= {sha256: (shard, row) for row, sha256 in enumerate(hashes)}
        self._read = None
        self._keep_to_bound()

    def _shards(self) -> list[Path]:
        return sorted(self._folder.glob("*.safetensors")) if self._folder and self._folder.is_dir() else []

    def _learn(self, shard: Path) -> None:
        with suppress(OSError, ValueError, KeyError, safetensors.SafetensorError):
            with safetensors.safe_open(shard, "np") as file:
                hashes = json.loads((file.metadata() or {})["hashes"])
            self._index |= {sha256: (shard, row) for row, sha256 in enumerate(hashes)}

    def _keep_to_bound(self) -> None:
        sizes: list[tuple[float, int, Path]] = []
        for shard in self._shards():
            with suppress(OSError):
                status = shard.stat()
                sizes.append((status.st_mtime, status.st_size, shard))
        spare = sum(size for _, size, _ in sizes) - self._bound
        for _, size, shard in sorted(sizes)[:-1]:
            if spare <= 0:
                break
            spare -= size
            shard.unlink(missing_ok=True)
