"""A LoRA fused into its base is a pipeline of its own, and the base knows nothing of it."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionPipeline
from safetensors.torch import load_file, save_file

from shoesai.engine import lora
from shoesai.engine.base_model import Base, load_base
from shoesai.engine.lora_check import check_lora
from shoesai.engine.lora_names import LoraProblem
from shoesai.engine.merge import merge_lora
from shoesai.engine.progress import Stopped
from shoesai.engine.specs import CheckLoraInputs, CheckLoraSpec, MergeInputs, MergeSpec
from shoesai.engine.tests import tiny
from shoesai.engine.tests.conftest import Recorder
from shoesai.engine.tests.test_lora import predict, trained_file

WEIGHTS = ("unet/diffusion_pytorch_model", "vae/diffusion_pytorch_model", "text_encoder/model")


def merge(base_folder: str, path: Path, output: Path, precision: str, emitted: Recorder) -> Path:
    merge_lora(MergeSpec(precision), MergeInputs(base_folder, str(path), str(output)), emitted, lambda: None)
    return output


def test_the_merged_pipeline_gives_the_adapters_output(
    base: Base, base_folder: str, tmp_path: Path, output: Path, emitted: Recorder
) -> None:
    path = trained_file(base, tmp_path / "a.safetensors")
    lora.use_loras(base, [(str(path), 1.0)])
    through_adapter = predict(base.pipeline.unet)
    merge(base_folder, path, output, "fp32", emitted)
    stock = StableDiffusionPipeline.from_pretrained(str(output))
    assert float((predict(stock.unet) - through_adapter).abs().max()) < 1e-5
    assert torch.equal(predict(base.pipeline.unet), through_adapter)  # the warm base has the adapter still
    picture = stock("red boot", num_inference_steps=1, height=64, width=64).images[0]
    assert picture.size == (64, 64)
    assert emitted["step"][-1]["message"] == "merging"


def test_the_warm_base_and_its_files_stay_as_they_are(
    base: Base, base_folder: str, tmp_path: Path, output: Path, emitted: Recorder
) -> None:
    def files() -> dict[str, str]:
        return {str(p): hashlib.sha256(p.read_bytes()).hexdigest() for p in Path(base_folder).rglob("*") if p.is_file()}

    path, before, unet = trained_file(base, tmp_path / "a.safetensors"), files(), base.pipeline.unet
    bare = predict(unet)
    merge(base_folder, path, output, "fp16", emitted)
    assert files() == before
    assert load_base(base_folder).pipeline.unet is unet
    assert torch.equal(predict(unet), bare)


def test_fp16_is_fp32_rounded_once_and_only_what_the_lora_changes_differs(
    base: Base, base_folder: str, tmp_path: Path, emitted: Recorder
) -> None:
    path = trained_file(base, tmp_path / "a.safetensors")
    for precision in ("fp16", "fp32"):
        (tmp_path / precision).mkdir()
        merge(base_folder, path, tmp_path / precision, precision, emitted)
    changed = 0
    for stem in WEIGHTS:
        half = load_file(tmp_path / "fp16" / f"{stem}.safetensors")
        full = load_file(tmp_path / "fp32" / f"{stem}.safetensors")
        original = load_file(Path(base_folder) / f"{stem}.safetensors")
        assert half.keys() == full.keys() == original.keys()
        for name, tensor in full.items():
            assert torch.equal(half[name], tensor.half())
            changed += not torch.equal(tensor, original[name])
    assert changed == 4 * tiny.ATTENTIONS


def test_equal_input_gives_equal_bytes(base: Base, base_folder: str, tmp_path: Path, emitted: Recorder) -> None:
    path = trained_file(base, tmp_path / "a.safetensors")
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        merge(base_folder, path, tmp_path / name, "fp16", emitted)
    for file in (tmp_path / "one").rglob("*.*"):
        assert file.read_bytes() == (tmp_path / "two" / file.relative_to(tmp_path / "one")).read_bytes(), file


def test_a_base_in_half_precision_with_more_than_it_needs_is_merged_too(
    base: Base, base_folder: str, tmp_path: Path, output: Path, emitted: Recorder
) -> None:
    """As the hub has Stable Diffusion 1.5: a safety checker in the index, and paths of the machine that saved it."""
    path, folder = trained_file(base, tmp_path / "a.safetensors"), tmp_path / "half"
    shutil.copytree(base_folder, folder)
    for stem in WEIGHTS:
        tensors = {name: tensor.half() for name, tensor in load_file(folder / f"{stem}.safetensors").items()}
        (folder / f"{stem}.safetensors").unlink()
        save_file(tensors, folder / f"{stem}.fp16.safetensors", {"format": "pt"})
    index = json.loads((folder / "model_index.json").read_text())
    index["safety_checker"] = ["stable_diffusion", "StableDiffusionSafetyChecker"]
    (folder / "model_index.json").write_text(json.dumps(index))
    config = json.loads((folder / "unet" / "config.json").read_text())
    (folder / "unet" / "config.json").write_text(json.dumps({**config, "_name_or_path": "/home/somebody/unet"}))
    (folder / "unet" / "pipeline.py").write_text("raise SystemExit")
    merge(str(folder), path, output, "fp32", emitted)
    assert StableDiffusionPipeline.from_pretrained(str(output)).safety_checker is None
    assert not list(output.rglob("*.py"))
    assert not [file for file in output.rglob("*.json") if "/home" in file.read_text()]


def test_what_does_not_fit_or_cannot_be_held_is_refused(
    base: Base, base_folder: str, tmp_path: Path, output: Path, emitted: Recorder
) -> None:
    name = "unet.mid_block.attentions.0.transformer_blocks.0.attn2.to_k"
    for width, value, words in ((768, 1.0, "another kind of base model"), (tiny.TEXT_WIDTH, 1e6, "precision fp32")):
        save_file({f"{name}.lora_A.weight": torch.full((2, width), value), f"{name}.lora_B.weight": torch.ones(32, 2)},
                  tmp_path / "bad.safetensors")  # fmt: skip
        with pytest.raises(LoraProblem, match=words):
            merge(base_folder, tmp_path / "bad.safetensors", output, "fp16", emitted)


def test_it_stops_when_it_is_asked_to(base: Base, base_folder: str, tmp_path: Path, output: Path) -> None:
    path = trained_file(base, tmp_path / "a.safetensors")
    with pytest.raises(Stopped):
        merge_lora(MergeSpec(), MergeInputs(base_folder, str(path), str(output)), Recorder(), lambda: "cancel")


def test_a_check_tells_how_much_a_lora_changes_and_takes_it_off_again(
    base: Base, base_folder: str, tmp_path: Path, emitted: Recorder
) -> None:
    path, bare = trained_file(base, tmp_path / "a.safetensors"), predict(base.pipeline.unet)
    found = check_lora(CheckLoraSpec(), CheckLoraInputs(base_folder, str(path)), emitted, lambda: None)
    assert found["change"] > 1e-3
    assert found["output"] > 0
    assert torch.equal(predict(base.pipeline.unet), bare)


def test_a_check_refuses_a_lora_of_another_base(base: Base, base_folder: str, tmp_path: Path) -> None:
    name = "unet.mid_block.attentions.0.transformer_blocks.0.attn2.to_k"
    save_file({f"{name}.lora_A.weight": torch.ones(2, 768), f"{name}.lora_B.weight": torch.ones(32, 2)},
              tmp_path / "sd15.safetensors")  # fmt: skip
    with pytest.raises(LoraProblem, match="another kind of base model"):
        check_lora(
            CheckLoraSpec(), CheckLoraInputs(base_folder, str(tmp_path / "sd15.safetensors")), Recorder(), lambda: None
        )
