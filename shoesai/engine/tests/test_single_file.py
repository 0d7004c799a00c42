"""Checkpoints in the original layout: taken apart as diffusers' own loader takes them, or refused with the reason."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionPipeline
from safetensors.torch import load_file, save_file
from torch import Tensor

from shoesai.engine import base_folder, new_base, single_file
from shoesai.engine.base_folder import BaseModelProblem
from shoesai.engine.specs import BaseFolder, BaseSpec, NewBaseInputs
from shoesai.engine.tests import small_sd15
from shoesai.engine.tests.conftest import Recorder

Tensors = dict[str, Tensor]
NEVER: Callable[[], None] = lambda: None  # noqa: E731
CONV_IN = "model.diffusion_model.input_blocks.0.0.weight"
TO_TEXT = "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"


@pytest.fixture(scope="module")
def architectures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_sd15.write_architecture(tmp_path_factory.mktemp("architectures"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_sd15.build(tmp_path_factory.mktemp("small") / "sd15", precision="fp16")


@pytest.fixture(scope="module")
def parts(folder: Path) -> dict[str, Tensors]:
    files = base_folder.weights_in(base_folder.files_in(folder), "sd15")
    return {part: load_file(folder / file) for part, file in files.items()}


@pytest.fixture
def original(folder: Path, parts: dict[str, Tensors]) -> Tensors:
    """What the folder's tensors are called in a single file; a VAE's attention is 1 x 1 convolutions there."""
    tensors = {}
    for part, prefix in single_file.PREFIXES.items():
        config = base_folder.read_json(folder, f"{part}/config.json")
        for name, tensor in parts[part].items():
            key = prefix + single_file.original_name(part, name, config)
            convolution = part == "vae" and ".attn_1." in key and tensor.ndim == 2
            tensors[key] = tensor[:, :, None, None] if convolution else tensor
    assert len(tensors) == sum(map(len, parts.values()))
    return tensors


def written(path: Path, tensors: Tensors) -> Path:
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path, metadata={"format": "pt"})
    return path


def test_our_names_are_those_that_diffusers_own_loader_understands(
    tmp_path: Path, folder: Path, original: Tensors, parts: dict[str, Tensors]
) -> None:
    """The other implementation is the judge: it must find every tensor where we say that it is."""
    pipeline = StableDiffusionPipeline.from_single_file(
        str(written(tmp_path / "model.safetensors", original)),
        config=str(folder), local_files_only=True, dtype=torch.float16, safety_checker=None,
    )  # fmt: skip
    for part, tensors in parts.items():
        loaded = getattr(pipeline, part).state_dict()
        plain = {name.removeprefix("text_model."): tensor for name, tensor in tensors.items()}
        assert loaded.keys() == plain.keys()
        assert [name for name in loaded if not torch.equal(loaded[name], plain[name])] == []


def convert(file: Path, folder: Path, target: Path, emitted: Recorder) -> Path:
    new_base.convert(BaseSpec(), NewBaseInputs(str(target), str(file), str(folder / "tokenizer")), emitted, NEVER)
    return target


def test_a_single_file_becomes_the_folder_it_was_made_of(
    tmp_path: Path, folder: Path, original: Tensors, architectures: Path, monkeypatch: pytest.MonkeyPatch,
    emitted: Recorder,
) -> None:  # fmt: skip
    monkeypatch.setattr(new_base, "ARCHITECTURES", architectures)
    leftovers = {
        "model_ema.diffusion_modelinput_blocks00weight": torch.ones(2),
        "cond_stage_model.transformer.text_model.embeddings.position_ids": torch.arange(77)[None],
        "betas": torch.ones(1000, dtype=torch.float64),
    }
    file = written(tmp_path / "model.safetensors", {**original, **leftovers})
    target = convert(file, folder, tmp_path / "converted", emitted)
    assert base_folder.content_hash(target) == base_folder.content_hash(folder)
    new_base.check(BaseSpec(), BaseFolder(str(target)), emitted, NEVER)
    assert emitted["step"][-1]["message"] == "loading"


def test_a_text_encoder_in_the_older_naming_is_found(
    tmp_path: Path, folder: Path, original: Tensors, architectures: Path, monkeypatch: pytest.MonkeyPatch,
    emitted: Recorder,
) -> None:  # fmt: skip
    monkeypatch.setattr(new_base, "ARCHITECTURES", architectures)
    older = {name.replace(".transformer.text_model.", ".transformer."): tensor for name, tensor in original.items()}
    target = convert(written(tmp_path / "older.safetensors", older), folder, tmp_path / "converted", emitted)
    assert base_folder.content_hash(target) == base_folder.content_hash(folder)


def without(prefix: str) -> Callable[[Tensors], Tensors]:
    return lambda tensors: {name: tensor for name, tensor in tensors.items() if not name.startswith(prefix)}


def with_(name: str, *shape: int, dtype: torch.dtype = torch.float16) -> Callable[[Tensors], Tensors]:
    return lambda tensors: {**tensors, name: torch.zeros(shape, dtype=dtype)}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda tensors: {"lora_unet_x.lora_down.weight": torch.zeros(4, 4)}, "is a LoRA, not a base model"),
        (with_("conditioner.embedders.0.weight", 1), "is a Stable Diffusion XL"),
        (without("model.diffusion_model."), "not a whole Stable Diffusion checkpoint"),
        (with_(CONV_IN, 8, 9, 3, 3), "made for inpainting"),
        (without("first_stage_model."), "comes without its vae"),
        (without("cond_stage_model."), "comes without its text_encoder"),
        (with_(TO_TEXT, 8, 1024), "of no family|is sd2"),
        (without("model.diffusion_model.middle_block.1.norm.weight"), "has no .*middle_block.1.norm.weight; it is not"),
        (with_("model.diffusion_model.out.2.bias", 5), r"out.2.bias has the shape \(5,\) instead of \(4,\)"),
        (with_("model.diffusion_model.out.2.bias", 4, dtype=torch.float8_e4m3fn), "is F8_E4M3; F32, F16, BF16"),
        (with_("model.diffusion_model.label_emb.0.0.weight", 4), "another architecture: its UNet has .*label_emb"),
    ],
)
def test_what_is_not_a_stable_diffusion_1_5_is_refused_with_the_reason(
    tmp_path: Path, folder: Path, original: Tensors, architectures: Path, monkeypatch: pytest.MonkeyPatch,
    emitted: Recorder, change: Callable[[Tensors], Tensors], sentence: str,
) -> None:  # fmt: skip
    monkeypatch.setattr(new_base, "ARCHITECTURES", architectures)
    file = written(tmp_path / "model.safetensors", change(original))
    with pytest.raises(BaseModelProblem, match=sentence) as caught:
        convert(file, folder, tmp_path / "converted", emitted)
    assert str(caught.value).startswith("model.safetensors")


def test_a_pickle_is_not_even_opened(tmp_path: Path, folder: Path, emitted: Recorder) -> None:
    with pytest.raises(BaseModelProblem, match="is a pickle, which could run code and is never read"):
        convert(tmp_path / "v1-5-pruned.ckpt", folder, tmp_path / "converted", emitted)


def test_a_file_without_a_tokenizer_says_what_is_missing(
    tmp_path: Path, folder: Path, original: Tensors, emitted: Recorder
) -> None:
    file = written(tmp_path / "model.safetensors", original)
    shutil.copytree(folder / "unet", tmp_path / "unet")
    with pytest.raises(BaseModelProblem, match="'unet' holds no tokenizer"):
        new_base.convert(
            BaseSpec(), NewBaseInputs(str(tmp_path / "out"), str(file), str(tmp_path / "unet")), emitted, NEVER
        )
