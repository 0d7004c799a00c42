"""Stable Diffusion 1.5 with every block that it has, and hardly any channels: the shipped configuration, shrunk."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any
from unittest.mock import patch

from shoesai.engine import new_base
from shoesai.engine.specs import NewBaseInputs, RandomBaseSpec

SHRUNK: dict[str, dict[str, Any]] = {
    "unet": {"block_out_channels": [8, 8, 16, 16], "norm_num_groups": 4, "attention_head_dim": 2, "sample_size": 8},
    "vae": {"block_out_channels": [4, 4, 8, 8], "norm_num_groups": 2, "sample_size": 64},
    "text_encoder": {
        "num_hidden_layers": 2, "intermediate_size": 16, "vocab_size": 600,
        "bos_token_id": 598, "eos_token_id": 599, "pad_token_id": 599,
    },
}  # fmt: skip


def write_architecture(parent: Path) -> Path:
    """A folder to be ARCHITECTURES: its `sd15` is the shipped one, shrunk."""
    shutil.copytree(Path(new_base.__file__).parent / "sd15", parent / "sd15")
    for part, changes in SHRUNK.items():
        config = parent / "sd15" / part / "config.json"
        config.write_text(json.dumps({**json.loads(config.read_text()), **changes}))
    return parent


def build(folder: Path, *, seed: int = 0, precision: str = "fp32") -> Path:
    """Writes such a base model with random weights, a few megabytes, and returns its folder."""
    parent = write_architecture(folder.parent / f"{folder.name}-architecture")
    folder.mkdir(parents=True)
    with patch.object(new_base, "ARCHITECTURES", parent):
        spec = RandomBaseSpec(seed=seed, precision=precision)
        new_base.make_random(spec, NewBaseInputs(str(folder)), lambda *_, **__: None, lambda: None)
    shutil.rmtree(parent)
    return folder
