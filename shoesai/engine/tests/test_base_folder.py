"""Diffusers folders: which files count, what is refused, what their hash says, what is copied."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shoesai.engine import base_folder, new_base
from shoesai.engine.base_folder import BaseModelProblem
from shoesai.engine.progress import Stopped
from shoesai.engine.specs import BaseSpec, NewBaseInputs
from shoesai.engine.tests import small_sd15
from shoesai.engine.tests.conftest import Recorder

NEVER: Callable[[], None] = lambda: None  # noqa: E731


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_sd15.build(tmp_path_factory.mktemp("small") / "sd15")


@pytest.fixture
def folder(tmp_path: Path, whole: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "shoes"))


def edit(file: str, **changes: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        content = json.loads((folder / file).read_text())
        (folder / file).write_text(json.dumps({**content, **changes}))

    return change


def remove(file: str) -> Callable[[Path], Any]:
    return lambda folder: (folder / file).unlink()


def put(file: str, content: bytes) -> Callable[[Path], Any]:
    return lambda folder: (folder / file).write_bytes(content)


def as_pickle(folder: Path) -> None:
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_suffix(".bin"))


def cut_off(folder: Path) -> None:
    file = folder / "vae" / "diffusion_pytorch_model.safetensors"
    file.write_bytes(file.read_bytes()[:-1])


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (remove("model_index.json"), "not a diffusers folder: it has no model_index.json"),
        (put("model_index.json", b"[]"), "model_index.json is not a JSON object"),
        (put("model_index.json", b"\xff{"), "model_index.json is not JSON"),
        (put("model_index.json", b" " * (base_folder.MAX_JSON_BYTES + 1)), "larger than any configuration"),
        (edit("model_index.json", _class_name="StableDiffusionXLPipeline"), "is a StableDiffusionXLPipeline, not a"),
        (edit("model_index.json", unet=["pirate_models", "UNet"]), "wants code from pirate_models, which is never run"),
        (remove("scheduler/scheduler_config.json"), "it has no scheduler/scheduler_config.json"),
        (edit("unet/config.json", _class_name="UNet3DConditionModel"), "its unet is a UNet3DConditionModel"),
        (edit("text_encoder/config.json", architectures=["T5EncoderModel"]), "its text_encoder is a T5EncoderModel"),
        (edit("unet/config.json", in_channels=9), "made for inpainting, not for text to image"),
        (edit("unet/config.json", cross_attention_dim=1024), "is not sd15: its UNet reads texts of width 1024"),
        (edit("unet/config.json", cross_attention_dim=24), "width 24, which is no family that is known here"),
        (as_pickle, "weights of its unet only as a pickle, which could run code and is never read"),
        (remove("vae/diffusion_pytorch_model.safetensors"), "has no vae/diffusion_pytorch_model.safetensors"),
        (remove("tokenizer/merges.txt"), "has no tokenizer: tokenizer/vocab.json and merges.txt are missing"),
        (cut_off, "diffusion_pytorch_model.safetensors has .* bytes, but its tensors end at .* cut off"),
    ],
)
def test_what_is_not_a_base_model_is_refused_with_the_reason(
    folder: Path, damage: Callable[[Path], Any], sentence: str
) -> None:
    base_folder.check_folder(folder, "sd15")
    damage(folder)
    with pytest.raises(BaseModelProblem, match=sentence) as caught:
        base_folder.check_folder(folder, "sd15")
    assert "'shoes'" in str(caught.value) and str(folder.parent) not in str(caught.value)


def test_a_folder_that_is_not_there_is_a_problem_too(tmp_path: Path) -> None:
    with pytest.raises(BaseModelProblem, match="there is no folder 'gone'"):
        base_folder.check_folder(tmp_path / "gone")


def test_full_precision_counts_where_it_is_there_and_half_where_it_is_alone(whole: Path) -> None:
    files = base_folder.files_in(whole)
    halves = [file.replace(".safetensors", ".fp16.safetensors") for file in files]
    assert base_folder.weights_in([*files, *halves], "x")["unet"] == "unet/diffusion_pytorch_model.safetensors"
    assert base_folder.weights_in(halves, "x") == {
        "unet": "unet/diffusion_pytorch_model.fp16.safetensors",
        "vae": "vae/diffusion_pytorch_model.fp16.safetensors",
        "text_encoder": "text_encoder/model.fp16.safetensors",
    }


def test_the_hash_is_what_sha256sum_says_of_the_files_that_count(folder: Path) -> None:
    files = sorted(base_folder.check_folder(folder))
    lines = "".join(f"{hashlib.sha256((folder / file).read_bytes()).hexdigest()}  {file}\n" for file in files)
    before = base_folder.content_hash(folder)
    assert before == hashlib.sha256(lines.encode()).hexdigest()
    (folder / "README.md").write_text("not of the model")
    assert base_folder.content_hash(folder) == before
    edit("scheduler/scheduler_config.json", prediction_type="v_prediction")(folder)
    assert base_folder.content_hash(folder) != before


def test_a_copy_has_all_that_the_model_needs_and_nothing_else(tmp_path: Path, folder: Path, emitted: Recorder) -> None:
    (folder / "unet" / "diffusion_pytorch_model.bin").write_bytes(b"pickle")
    (folder / "unet" / "model.py").write_text("raise SystemExit")
    weights = folder / "vae" / "diffusion_pytorch_model.safetensors"
    weights.rename(tmp_path / "blob")
    weights.symlink_to(tmp_path / "blob")  # as in the hub's cache
    target = tmp_path / "copy"
    new_base.copy(BaseSpec(), NewBaseInputs(str(target), str(folder)), emitted, NEVER)
    assert base_folder.files_in(target) == sorted(base_folder.check_folder(folder, "sd15"))
    assert base_folder.content_hash(target) == base_folder.content_hash(folder)
    assert not (target / "vae" / "diffusion_pytorch_model.safetensors").is_symlink()
    assert emitted["step"][0]["message"] == "copying"


def test_a_wish_to_stop_is_heard_while_bytes_flow(tmp_path: Path, folder: Path, emitted: Recorder) -> None:
    with pytest.raises(Stopped):
        new_base.copy(BaseSpec(), NewBaseInputs(str(tmp_path / "copy"), str(folder)), emitted, lambda: "cancel")
