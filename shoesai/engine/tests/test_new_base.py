"""The check before a base model is registered: nothing missing, nothing broken, everything really runs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from shoesai.engine import base_folder, base_model, new_base, random_base
from shoesai.engine.base_folder import BaseModelProblem
from shoesai.engine.specs import BaseFolder, BaseSpec
from shoesai.engine.tests import small_sd15
from shoesai.engine.tests.conftest import Recorder

NEVER: Callable[[], None] = lambda: None  # noqa: E731
UNET, VAE = "unet/diffusion_pytorch_model.safetensors", "vae/diffusion_pytorch_model.safetensors"
TEXT = "text_encoder/model.safetensors"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_sd15.build(tmp_path_factory.mktemp("small") / "sd15")


@pytest.fixture
def folder(tmp_path: Path, whole: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "shoes"))


def change(folder: Path, file: str, edit: Callable[[dict[str, Tensor]], dict[str, Tensor]]) -> None:
    save_file(edit(load_file(folder / file)), folder / file, metadata={"format": "pt"})


def test_a_sound_base_is_loaded_tried_hashed_and_let_go(folder: Path, emitted: Recorder) -> None:
    told = new_base.check(BaseSpec(), BaseFolder(str(folder)), emitted, NEVER)
    assert told["sha256"] == base_folder.content_hash(folder)
    shapes = new_base.shapes_in(folder)
    assert told["parameters"] == {
        part: sum(torch.Size(shape).numel() for shape in each.values()) for part, each in shapes.items()
    }
    assert base_model._warm is None


@pytest.mark.parametrize("file", [UNET, VAE, TEXT])
def test_a_missing_tensor_is_noticed_though_the_loaders_would_only_warn(
    folder: Path, emitted: Recorder, file: str
) -> None:
    name = sorted(load_file(folder / file))[5]
    change(folder, file, lambda tensors: {key: value for key, value in tensors.items() if key != name})
    with pytest.raises(BaseModelProblem, match=f"{file} lacks 1 tensors") as caught:
        new_base.check(BaseSpec(), BaseFolder(str(folder)), emitted, NEVER)
    assert name.removeprefix("text_model.") in str(caught.value)


@pytest.mark.parametrize(("file", "what"), [(UNET, "UNet"), (VAE, "VAE"), (TEXT, "text encoder")])
def test_numbers_that_are_not_finite_are_noticed(folder: Path, emitted: Recorder, file: str, what: str) -> None:
    change(folder, file, lambda tensors: {key: torch.full_like(value, torch.nan) for key, value in tensors.items()})
    with pytest.raises(BaseModelProblem, match=f"its {what} gives numbers that are not finite"):
        new_base.check(BaseSpec(), BaseFolder(str(folder)), emitted, NEVER)
    assert base_model._warm is None


def test_a_tokenizer_of_another_model_is_noticed(folder: Path, emitted: Recorder) -> None:
    random_base.write_vocabulary(folder / "tokenizer", 700)
    with pytest.raises(BaseModelProblem, match="tokenizer knows 700 words and its text encoder 600"):
        new_base.check(BaseSpec(), BaseFolder(str(folder)), emitted, NEVER)


def test_weights_of_another_shape_and_a_configuration_that_builds_nothing_are_noticed(
    folder: Path, emitted: Recorder
) -> None:
    change(folder, UNET, lambda tensors: {**tensors, "conv_in.bias": torch.zeros(3)})
    with pytest.raises(BaseModelProblem, match="'shoes' cannot be loaded"):
        new_base.check(BaseSpec(), BaseFolder(str(folder)), emitted, NEVER)
    config = folder / "unet" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "down_block_types": ["NoSuchBlock"] * 4}))
    with pytest.raises(BaseModelProblem, match="'shoes' cannot be built"):
        new_base.check(BaseSpec(), BaseFolder(str(folder)), emitted, NEVER)


def test_names_of_years_ago_are_understood_as_diffusers_understands_them(folder: Path, emitted: Recorder) -> None:
    """The published weights of Stable Diffusion 1.5 have them."""
    former = {today: word for word, today in new_base.FORMER_NAMES.items()}

    def rename(name: str) -> str:
        for today, word in former.items():
            name = name.replace(f"attentions.0.{today}.", f"attentions.0.{word}.")
        return name

    change(folder, VAE, lambda tensors: {rename(key): value for key, value in tensors.items()})
    change(folder, TEXT, lambda tensors: {**tensors, "text_model.embeddings.position_ids": torch.arange(77)[None]})
    assert any(".proj_attn." in name for name in load_file(folder / VAE))
    new_base.check(BaseSpec(), BaseFolder(str(folder)), emitted, NEVER)
