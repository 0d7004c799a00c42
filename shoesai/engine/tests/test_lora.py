"""A LoRA survives its file with the exact scale, and leaves no trace on the base."""

from __future__ import annotations

import json
from pathlib import Path

import peft
import pytest
import torch
from diffusers import StableDiffusionPipeline, UNet2DConditionModel
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from shoesai.engine import lora
from shoesai.engine.base_model import Base, load_base
from shoesai.engine.lora_header import LoraProblem, read_lora_header
from shoesai.engine.specs import ATTENTION_TARGETS
from shoesai.engine.tests import tiny

RANK, ALPHA = 4, 12


def trained_file(base: Base, path: Path, alpha: int = ALPHA, seed: int = 1) -> Path:
    """A LoRA with random B, as after training; the base is clean afterwards."""
    unet = base.pipeline.unet
    weights = lora.add_trainable_lora(unet, RANK, alpha, seed)
    generator = torch.Generator().manual_seed(seed)
    for name, weight in weights.items():
        if "lora_B" in name:
            weight.data = torch.randn(weight.shape, generator=generator) * 0.1
    path.write_bytes(lora.lora_file(unet, {"shoesai.step": "7"}))
    lora.unload_loras(base)
    return path


def predict(unet: UNet2DConditionModel) -> Tensor:
    generator = torch.Generator().manual_seed(5)
    latents = torch.randn((1, 4, 8, 8), generator=generator)
    text = torch.randn((1, 77, tiny.TEXT_WIDTH), generator=generator)
    with torch.no_grad():
        return unet(latents, torch.tensor([500]), text).sample


def bits(base: Base) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in base.pipeline.unet.state_dict().items()}


def test_the_scale_of_a_saved_lora_is_exact(base: Base, tmp_path: Path) -> None:
    """Against W + weight * (alpha / rank) * B A, merged by hand."""
    path = trained_file(base, tmp_path / "a.safetensors")
    lora.use_loras(base, [(str(path), 0.5)])
    through_adapter = predict(base.pipeline.unet)
    lora.unload_loras(base)
    unet = base.pipeline.unet
    with safe_open(path, "pt") as file:
        for key in file.keys():  # noqa: SIM118 - not a dict
            if key.endswith("lora_A.weight"):
                module = unet.get_submodule(key.removeprefix("unet.").removesuffix(".lora_A.weight"))
                up = file.get_tensor(key.replace("lora_A", "lora_B"))
                module.weight += 0.5 * ALPHA / RANK * (up @ file.get_tensor(key))
    assert torch.allclose(predict(unet), through_adapter, atol=1e-5)


def test_diffusers_loads_our_file_with_the_same_scale(base: Base, base_folder: str, tmp_path: Path) -> None:
    path = trained_file(base, tmp_path / "a.safetensors")
    lora.use_loras(base, [(str(path), 1.0)])
    ours = predict(base.pipeline.unet)
    stock = StableDiffusionPipeline.from_pretrained(base_folder, safety_checker=None)
    stock.load_lora_weights(str(tmp_path), weight_name="a.safetensors")
    assert torch.allclose(predict(stock.unet), ours, atol=1e-6)


def test_the_file_says_rank_alpha_step_and_no_path(base: Base, tmp_path: Path) -> None:
    header = read_lora_header(trained_file(base, tmp_path / "a.safetensors"))
    assert (header.rank, header.alpha, header.cross_attention_dim) == (RANK, ALPHA, tiny.TEXT_WIDTH)
    assert header.tensor_count == 2 * 4 * tiny.ATTENTIONS
    assert header.metadata["shoesai.step"] == "7"
    assert "/" not in json.dumps(header.metadata)


def test_equal_weights_give_equal_bytes(base: Base, tmp_path: Path) -> None:
    one, two = trained_file(base, tmp_path / "1"), trained_file(base, tmp_path / "2")
    assert one.read_bytes() == two.read_bytes()


def test_a_fresh_lora_changes_nothing_yet(base: Base) -> None:
    bare = predict(base.pipeline.unet)
    lora.add_trainable_lora(base.pipeline.unet, RANK, ALPHA, seed=1)
    assert torch.equal(predict(base.pipeline.unet), bare)


def test_switching_does_not_reload_the_base_and_unloading_restores_it_bit_for_bit(
    base: Base, base_folder: str, tmp_path: Path
) -> None:
    before, bare = bits(base), predict(base.pipeline.unet)
    first, second = trained_file(base, tmp_path / "1", seed=1), trained_file(base, tmp_path / "2", seed=2)
    unet = base.pipeline.unet
    lora.use_loras(base, [(str(first), 1.0)])
    with_first = predict(unet)
    lora.use_loras(base, [(str(second), 1.0)])
    with_second = predict(unet)
    lora.use_loras(base, [(str(first), 1.0)])
    assert torch.equal(predict(unet), with_first)
    assert not torch.allclose(with_first, with_second)
    lora.use_loras(base, [])
    assert torch.equal(predict(unet), bare)
    lora.unload_loras(base)
    after = bits(base)
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert load_base(base_folder).pipeline.unet is unet


def test_a_file_is_read_once_until_it_changes(base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = trained_file(base, tmp_path / "a")
    reads: list[str] = []
    read = lora.load_file

    def count(path: str) -> dict[str, Tensor]:
        reads.append(path)
        return read(path)

    monkeypatch.setattr(lora, "load_file", count)
    for weight in (1.0, 0.5, 0.0):
        lora.use_loras(base, [(str(path), weight)])
    assert len(reads) == 1
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(data[:-4] + b"\0\0\0\0")
    lora.use_loras(base, [(str(path), 1.0)])
    assert len(reads) == 2


def test_two_loras_add_up(base: Base, tmp_path: Path) -> None:
    """Half of a LoRA and half of its copy are the whole."""
    one, copy = trained_file(base, tmp_path / "1"), trained_file(base, tmp_path / "2")
    lora.use_loras(base, [(str(one), 1.0)])
    whole = predict(base.pipeline.unet)
    lora.use_loras(base, [(str(one), 0.5), (str(copy), 0.5)])
    assert torch.allclose(predict(base.pipeline.unet), whole, atol=1e-5)


def test_only_a_few_files_stay_on_the_base(base: Base, tmp_path: Path) -> None:
    paths = [trained_file(base, tmp_path / str(n), seed=n) for n in range(lora.MAX_CACHED + 2)]
    for path in paths:
        lora.use_loras(base, [(str(path), 1.0)])
    assert len(base.adapters) == lora.MAX_CACHED
    layer = base.pipeline.unet.get_submodule("mid_block.attentions.0.transformer_blocks.0.attn1.to_q")
    assert len(layer.lora_A) == lora.MAX_CACHED


def test_a_kohya_file_means_the_same(base: Base, tmp_path: Path) -> None:
    path = trained_file(base, tmp_path / "a")
    lora.use_loras(base, [(str(path), 0.7)])
    ours = predict(base.pipeline.unet)
    tensors: dict[str, Tensor] = {}
    with safe_open(path, "pt") as file:
        for key in file.keys():  # noqa: SIM118 - not a dict
            module, _, side = key.removeprefix("unet.").removesuffix(".weight").rpartition(".")
            flat = "lora_unet_" + module.replace(".", "_")
            tensors[f"{flat}.{'lora_down' if side == 'lora_A' else 'lora_up'}.weight"] = file.get_tensor(key)
            tensors[f"{flat}.alpha"] = torch.tensor(float(ALPHA))
    save_file(tensors, tmp_path / "kohya.safetensors")
    lora.use_loras(base, [(str(tmp_path / "kohya.safetensors"), 0.7)])
    assert torch.allclose(predict(base.pipeline.unet), ours, atol=1e-6)


def test_a_lora_on_the_text_encoder_works_and_comes_off(base: Base, tmp_path: Path) -> None:
    embed = lambda: base.pipeline.encode_prompt("red boot", "cpu", 1, False)[0]  # noqa: E731
    bare = embed()
    flat = "lora_te_text_model_encoder_layers_0_self_attn_q_proj"
    width = tiny.TEXT_WIDTH
    save_file({f"{flat}.lora_down.weight": torch.ones(2, width), f"{flat}.lora_up.weight": torch.ones(width, 2),
               f"{flat}.alpha": torch.tensor(1.0)}, tmp_path / "te.safetensors")  # fmt: skip
    lora.use_loras(base, [(str(tmp_path / "te.safetensors"), 1.0)])
    assert not torch.allclose(embed(), bare)
    lora.use_loras(base, [])
    assert torch.equal(embed(), bare)


def test_it_refuses_a_lora_of_another_base(base: Base, tmp_path: Path) -> None:
    name = "unet.mid_block.attentions.0.transformer_blocks.0.attn2.to_k"
    save_file({f"{name}.lora_A.weight": torch.ones(2, 768), f"{name}.lora_B.weight": torch.ones(32, 2)},
              tmp_path / "sd15.safetensors")  # fmt: skip
    with pytest.raises(LoraProblem, match="another kind of base model"):
        lora.use_loras(base, [(str(tmp_path / "sd15.safetensors"), 1.0)])
    name = "unet.nowhere.to_k"
    save_file({f"{name}.lora_A.weight": torch.ones(2, 8), f"{name}.lora_B.weight": torch.ones(8, 2)},
              tmp_path / "nowhere.safetensors")  # fmt: skip
    with pytest.raises(LoraProblem, match="does not have"):
        lora.use_loras(base, [(str(tmp_path / "nowhere.safetensors"), 1.0)])


def test_the_number_of_trained_weights_follows_the_formula(base: Base) -> None:
    """rank * (in + out) for each attention projection."""
    linears = [
        module
        for name, module in base.pipeline.unet.named_modules()
        if name.endswith(ATTENTION_TARGETS) and isinstance(module, torch.nn.Linear)
    ]
    weights = lora.add_trainable_lora(base.pipeline.unet, RANK, ALPHA, seed=1)
    assert len(linears) == 4 * tiny.ATTENTIONS
    assert sum(w.numel() for w in weights.values()) == RANK * sum(m.in_features + m.out_features for m in linears)
    assert {w.dtype for w in weights.values()} == {torch.float32}


def test_stable_diffusion_15_has_1594368_weights_at_rank_8() -> None:
    """The seed's figure, on the real configuration without its weights."""
    with torch.device("meta"):
        unet = UNet2DConditionModel(
            cross_attention_dim=768, block_out_channels=(320, 640, 1280, 1280), attention_head_dim=8
        )
    unet.requires_grad_(False)
    peft.inject_adapter_in_model(lora.trained_config(8, 16), unet, low_cpu_mem_usage=True)
    assert sum(w.numel() for w in unet.parameters() if w.requires_grad) == 1_594_368
