"""Three forms of one LoRA: the same bytes there and back, and the same picture out of every loader."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import peft
import pytest
import torch
from diffusers import StableDiffusionPipeline, UNet2DConditionModel
from safetensors.numpy import load, load_file, save, save_file
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel

from shoesai.engine import lora, merge
from shoesai.engine.base_model import Base, forget_base, load_base
from shoesai.engine.base_shapes import base_shapes, check_fits
from shoesai.engine.lora_formats import (
    CARRIED,
    PEFT_CONFIG,
    PEFT_WEIGHTS,
    Lora,
    lora_files,
    parse_lora,
    read_lora,
)
from shoesai.engine.lora_header import SETTINGS
from shoesai.engine.lora_names import LoraProblem, key_name, parse_key
from shoesai.engine.tests.bad_loras import BAD_FILES, DOWN, OF_ANOTHER_BASE, UP, kohya, pair, safetensors

STARTER = Path(__file__).parents[2] / "starter" / "weights" / "sd"
RANK, ALPHA = 8, 16  # the seed's: a scale of 2
TOLERANCE = 1e-5
SD15 = {"cross_attention_dim": 768, "block_out_channels": (320, 640, 1280, 1280), "attention_head_dim": 8}


def train_a_little(unet: nn.Module, seed: int = 1) -> bytes:
    """A LoRA whose B is no longer zero, as after training; leaves its layers on the UNet."""
    weights = lora.add_trainable_lora(unet, RANK, ALPHA, seed)
    generator = torch.Generator().manual_seed(seed)
    for name, weight in weights.items():
        if "lora_B" in name:
            weight.data = torch.randn(weight.shape, generator=generator) * 0.05
    return lora.lora_file(unet, {"shoesai.step": "7"})


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def only(files: dict[str, bytes]) -> bytes:
    (data,) = files.values()
    return data


def peft_again(files: dict[str, bytes]) -> Lora:
    return parse_lora(files[PEFT_WEIGHTS], files[PEFT_CONFIG])


@torch.no_grad()
def predict(unet: nn.Module, text_width: int) -> Tensor:
    generator = torch.Generator().manual_seed(5)
    latents = torch.randn((1, 4, 16, 16), generator=generator)
    text = torch.randn((1, 77, text_width), generator=generator)
    return unet(latents, torch.tensor([500]), text, return_dict=False)[0]


def farthest(one: Tensor, other: Tensor) -> float:
    return float((one - other).abs().max())


@pytest.fixture(scope="module")
def trained() -> bytes:
    forget_base()
    base = load_base(str(STARTER))
    data = train_a_little(base.pipeline.unet)
    forget_base()
    return data


@pytest.fixture
def starter() -> Base:
    forget_base()
    return load_base(str(STARTER))


def stock() -> StableDiffusionPipeline:
    return StableDiffusionPipeline.from_pretrained(STARTER, safety_checker=None)


# --- the same output ----------------------------------------------------------------------------------------
@pytest.fixture
def wanted(trained: bytes, starter: Base, tmp_path: Path) -> Tensor:
    """What the LoRA does, by the formula: W + alpha / rank * B A, merged here by hand."""
    tensors = load_file(write(tmp_path / "formula", {"lora": trained}) / "lora")
    unet = stock().unet
    for name, down in tensors.items():
        if name.endswith("lora_A.weight"):
            module = unet.get_submodule(name.removeprefix("unet.").removesuffix(".lora_A.weight"))
            up = tensors[name.replace("lora_A", "lora_B")]
            module.weight.data += ALPHA / RANK * torch.from_numpy(up) @ torch.from_numpy(down)
    return predict(unet, 192)


def test_the_lora_of_these_tests_matters(wanted: Tensor) -> None:
    assert farthest(wanted, predict(stock().unet, 192)) > 0.05


@pytest.mark.parametrize("form", ["diffusers", "kohya"])
def test_our_loader_gives_the_formulas_output(
    form: str, trained: bytes, starter: Base, wanted: Tensor, tmp_path: Path
) -> None:
    path = tmp_path / "lora.safetensors"
    path.write_bytes(only(lora_files(parse_lora(trained), form)))
    lora.use_loras(starter, [(str(path), 1.0)])
    assert farthest(predict(starter.pipeline.unet, 192), wanted) < TOLERANCE


@pytest.mark.parametrize("form", ["diffusers", "kohya"])
def test_stock_diffusers_gives_the_formulas_output(
    form: str, trained: bytes, wanted: Tensor, tmp_path: Path
) -> None:
    (tmp_path / "lora.safetensors").write_bytes(only(lora_files(parse_lora(trained), form)))
    pipeline = stock()
    pipeline.load_lora_weights(str(tmp_path), weight_name="lora.safetensors")
    assert farthest(predict(pipeline.unet, 192), wanted) < TOLERANCE


def test_stock_peft_gives_the_formulas_output(trained: bytes, wanted: Tensor, tmp_path: Path) -> None:
    folder = write(tmp_path, lora_files(parse_lora(trained), "peft"))
    model = peft.PeftModel.from_pretrained(stock().unet, str(folder))
    assert farthest(predict(model, 192), wanted) < TOLERANCE


@pytest.mark.parametrize("form", ["diffusers", "kohya", "peft"])
def test_a_converter_that_dropped_alpha_would_be_caught(
    form: str, trained: bytes, starter: Base, wanted: Tensor, tmp_path: Path
) -> None:
    """The same files without their alpha: at half strength, far outside the tolerance."""
    files = lora_files(parse_lora(trained), form)
    name = next(name for name in files if name.endswith(".safetensors"))
    tensors = {key: value for key, value in load_file(write(tmp_path, files) / name).items() if "alpha" not in key}
    if form == "peft":  # as a file with its names changed and its configuration forgotten
        tensors = {key.replace("base_model.model.", "unet."): value for key, value in tensors.items()}
    save_file(tensors, tmp_path / "without.safetensors")
    lora.use_loras(starter, [(str(tmp_path / "without.safetensors"), 1.0)])
    dropped = predict(starter.pipeline.unet, 192)
    assert farthest(dropped, wanted) > 1000 * TOLERANCE


def test_modules_of_several_ranks_and_alphas_keep_each_its_own(starter: Base, tmp_path: Path) -> None:
    """As other tools write them: ranks 2 to 5, alphas 1 to 4, one convolution; every loader agrees."""
    random = np.random.default_rng(3)
    shapes = [(key, shape) for key, shape in base_shapes(STARTER).items() if key[0] == "unet"][::9]
    assert any(len(shape) == 4 for _, shape in shapes)
    tensors = {}
    for number, ((_, module), shape) in enumerate(shapes):
        rank, tail = 2 + number % 4, (1,) * (len(shape) - 2)
        name = f"lora_unet_{module.replace('.', '_')}"
        tensors[f"{name}.lora_down.weight"] = random.normal(size=(rank, *shape[1:])).astype("float32") * 0.2
        tensors[f"{name}.lora_up.weight"] = random.normal(size=(shape[0], rank, *tail)).astype("float32") * 0.2
        tensors[f"{name}.alpha"] = np.array(1 + number % 4, "float32")
    read = parse_lora(save(tensors))
    assert {each.alpha for each in read.modules.values()} == {1, 2, 3, 4}
    outputs = []
    for form in ("diffusers", "kohya"):
        (tmp_path / form).write_bytes(only(lora_files(read, form)))
        lora.use_loras(starter, [(str(tmp_path / form), 1.0)])
        outputs.append(predict(starter.pipeline.unet, 192))
    folder = write(tmp_path / "peft", lora_files(read, "peft"))
    outputs.append(predict(peft.PeftModel.from_pretrained(stock().unet, str(folder)), 192))
    pipeline = stock()
    (tmp_path / "diffusers").rename(tmp_path / "lora.safetensors")
    pipeline.load_lora_weights(str(tmp_path), weight_name="lora.safetensors")
    outputs.append(predict(pipeline.unet, 192))
    bare = predict(stock().unet, 192)
    assert farthest(outputs[0], bare) > 0.01
    assert max(farthest(outputs[0], other) for other in outputs[1:]) < TOLERANCE


def test_a_lora_of_the_text_encoder_survives_every_form(starter: Base, tmp_path: Path) -> None:
    read = parse_lora(save(text_encoder_lora()))
    assert read.parts == ["unet", "text_encoder"]
    embed = lambda pipeline: pipeline.encode_prompt("red boot", "cpu", 1, False)[0].detach()  # noqa: E731
    outputs = []
    for form in ("diffusers", "kohya"):
        (tmp_path / f"{form}.safetensors").write_bytes(only(lora_files(read, form)))
        lora.use_loras(starter, [(str(tmp_path / f"{form}.safetensors"), 1.0)])
        outputs.append(embed(starter.pipeline))
        pipeline = stock()
        pipeline.load_lora_weights(str(tmp_path), weight_name=f"{form}.safetensors")
        outputs.append(embed(pipeline))
    folder = write(tmp_path / "peft", lora_files(read, "peft"))
    pipeline = stock()
    pipeline.text_encoder = peft.PeftModel.from_pretrained(pipeline.text_encoder, str(folder / "text_encoder"))
    outputs.append(embed(pipeline))
    assert farthest(outputs[0], embed(stock())) > 0.01
    assert max(farthest(outputs[0], other) for other in outputs[1:]) < TOLERANCE


def text_encoder_lora() -> dict[str, np.ndarray[Any, Any]]:
    """In kohya's naming, a UNet module and three of the text encoder."""
    random = np.random.default_rng(4)
    tensors = {}
    for name, (out, into) in {
        "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_k": (160, 192),
        "lora_te_text_model_encoder_layers_0_self_attn_q_proj": (192, 192),
        "lora_te_text_model_encoder_layers_0_self_attn_out_proj": (192, 192),  # stock diffusers looks for one
        "lora_te_text_model_encoder_layers_1_mlp_fc1": (768, 192),
    }.items():
        tensors[f"{name}.lora_down.weight"] = random.normal(size=(4, into)).astype("float32") * 0.2
        tensors[f"{name}.lora_up.weight"] = random.normal(size=(out, 4)).astype("float32") * 0.2
        tensors[f"{name}.alpha"] = np.array(8, "float32")
    return tensors


# --- the same bytes -----------------------------------------------------------------------------------------
def test_ours_comes_back_from_kohya_and_from_peft_byte_for_byte(trained: bytes) -> None:
    read = parse_lora(trained)
    assert only(lora_files(read, "diffusers")) == trained
    as_kohya, as_peft = only(lora_files(read, "kohya")), lora_files(read, "peft")
    assert only(lora_files(parse_lora(as_kohya), "diffusers")) == trained
    assert only(lora_files(peft_again(as_peft), "diffusers")) == trained
    assert lora_files(parse_lora(as_kohya), "peft") == as_peft
    assert only(lora_files(peft_again(as_peft), "kohya")) == as_kohya


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_a_kohya_file_comes_back_from_diffusers_and_from_peft_byte_for_byte(dtype: str) -> None:
    tensors = {name: value.astype(dtype) for name, value in text_encoder_lora().items()}
    original = bytes(save(tensors, {"ss_training_comment": "shoes"}))
    read = parse_lora(original)
    assert only(lora_files(read, "kohya")) == original
    assert only(lora_files(parse_lora(only(lora_files(read, "diffusers"))), "kohya")) == original
    unet_only = parse_lora(bytes(save({name: value for name, value in tensors.items() if "unet" in name})))
    again = peft_again(lora_files(unet_only, "peft"))
    assert lora_files(again, "kohya") == lora_files(unet_only, "kohya")


def test_a_peft_folder_comes_back_from_diffusers_and_from_kohya_byte_for_byte(tmp_path: Path) -> None:
    first = lora_files(parse_lora(save(text_encoder_lora())), "peft")
    names = (PEFT_CONFIG, PEFT_WEIGHTS)
    assert sorted(first) == [f"{part}/{name}" for part in ("text_encoder", "unet") for name in names]
    read = read_lora(write(tmp_path / "peft", first))
    for form in ("diffusers", "kohya"):
        assert lora_files(parse_lora(only(lora_files(read, form))), "peft") == first


def test_bfloat16_is_renamed_and_not_rounded() -> None:
    bits = np.arange(4 * 192, dtype="<u2").tobytes()
    source = safetensors({DOWN: ("BF16", (4, 192), bits), UP: ("BF16", (160, 4), bits[: 160 * 8])})
    as_kohya = only(lora_files(parse_lora(source), "kohya"))
    (matrices,) = parse_lora(as_kohya).modules.values()
    assert bytes(matrices.down.data) == bits
    assert matrices.alpha == 4  # a file that does not say one means a scale of 1


def test_our_bytes_are_in_the_order_of_the_safetensors_library() -> None:
    tensors = {name: value.astype("float16") for name, value in text_encoder_lora().items() if "te_" not in name}
    tensors |= {name: value for name, value in text_encoder_lora().items() if "te_" in name}
    assert only(lora_files(parse_lora(bytes(save(tensors))), "kohya")) == bytes(save(tensors))


def test_equal_loras_give_equal_bytes_in_any_order_of_their_tensors() -> None:
    tensors = pair()
    backwards = dict(reversed(tensors.items()))
    for form in ("diffusers", "kohya", "peft"):
        assert lora_files(parse_lora(safetensors(tensors)), form) == lora_files(
            parse_lora(safetensors(backwards)), form
        )


def test_what_was_on_board_is_only_believed_when_it_says_the_same_scale(trained: bytes) -> None:
    as_kohya = only(lora_files(parse_lora(trained), "kohya"))
    read = parse_lora(as_kohya)
    assert CARRIED not in read.metadata
    tensors = {name: np.array(4, "float32") if "alpha" in name else value for name, value in load(as_kohya).items()}
    changed = parse_lora(bytes(save(tensors, metadata_of(as_kohya))))
    assert {each.alpha for each in changed.modules.values()} == {4}
    assert json.loads(metadata_of(only(lora_files(changed, "diffusers")))[SETTINGS])["unet.lora_alpha"] == 4


def test_no_form_names_a_place_on_this_machine(trained: bytes) -> None:
    read = parse_lora(trained)
    for form in ("diffusers", "kohya", "peft"):
        for data in lora_files(read, form).values():
            assert b'"/' not in data[:60_000] and b"tmp" not in data[:60_000]


def metadata_of(data: bytes) -> dict[str, str]:
    length = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + length]).get("__metadata__", {})


# --- names --------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def sd15_modules() -> list[tuple[str, str]]:
    with torch.device("meta"):
        unet = UNet2DConditionModel(**SD15)
        text_encoder = CLIPTextModel(CLIPTextConfig(hidden_size=768, num_hidden_layers=12, num_attention_heads=12))
    return [
        (part, name)
        for part, model in (("unet", unet), ("text_encoder", text_encoder))
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear | nn.Conv2d)
    ]


@pytest.mark.parametrize("form", ["diffusers", "kohya", "peft"])
def test_every_module_of_stable_diffusion_15_keeps_its_name(form: str, sd15_modules: list[tuple[str, str]]) -> None:
    assert len(sd15_modules) > 300
    for part, module in sd15_modules:
        for side in ("down", "up"):
            key = parse_key(key_name(form, part, module, side))
            assert (key.form, key.part, key.module, key.side) == (form, part, module, side)


@pytest.mark.parametrize(
    ("name", "part", "module"),
    [
        ("unet.mid_block.attentions.0.transformer_blocks.0.attn1.processor.to_out_lora.up.weight",
         "unet", "mid_block.attentions.0.transformer_blocks.0.attn1.to_out.0"),
        ("unet.mid_block.attentions.0.proj_in.lora.up.weight", "unet", "mid_block.attentions.0.proj_in"),
        ("text_encoder.text_model.encoder.layers.0.self_attn.q_proj.lora_linear_layer.up.weight",
         "text_encoder", "encoder.layers.0.self_attn.q_proj"),
        ("text_encoder.encoder.layers.0.mlp.fc1.lora_B.weight", "text_encoder", "encoder.layers.0.mlp.fc1"),
        ("base_model.model.text_model.encoder.layers.0.mlp.fc1.lora_B.weight",
         "text_encoder", "encoder.layers.0.mlp.fc1"),
    ],
)  # fmt: skip
def test_older_names_are_known_too(name: str, part: str, module: str) -> None:
    key = parse_key(name)
    assert (key.part, key.module, key.side) == (part, module, "up")


# --- the gate -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("what", BAD_FILES)
def test_it_refuses_with_its_reason(what: str) -> None:
    make, words = BAD_FILES[what]
    with pytest.raises(LoraProblem, match=words):
        parse_lora(make())


@pytest.mark.parametrize("what", OF_ANOTHER_BASE)
def test_it_refuses_what_does_not_fit_the_base(what: str) -> None:
    make, words = OF_ANOTHER_BASE[what]
    with pytest.raises(LoraProblem, match=words):
        check_fits(parse_lora(make()).matrix_shapes, base_shapes(STARTER))


def test_the_same_without_a_fault_is_taken() -> None:
    for tensors in (pair(), pair(dtype="float32"), kohya()):
        check_fits(parse_lora(safetensors(tensors)).matrix_shapes, base_shapes(STARTER))


def test_whatever_is_changed_in_a_file_it_is_read_or_refused_in_words() -> None:
    """Bytes of the header changed, removed and doubled at random: never another error, never a value that is none."""
    random = np.random.default_rng(11)
    sources = [safetensors(kohya(), {"ss_steps": "7"}), only(lora_files(parse_lora(safetensors(pair())), "diffusers"))]
    refused = 0
    for round_ in range(1000):
        data = bytearray(sources[round_ % 2])
        end = 8 + int.from_bytes(data[:8], "little")
        for place in random.integers(0, end, size=random.integers(1, 4)):
            data[place : place + int(random.integers(0, 3))] = random.bytes(int(random.integers(0, 3)))
        try:
            read = parse_lora(bytes(data))
        except LoraProblem:
            refused += 1
        else:
            assert all(0 < each.alpha < float("inf") for each in read.modules.values())
            for form in ("diffusers", "kohya", "peft"):
                lora_files(read, form)
    assert refused > 500


@pytest.mark.parametrize("layout", ["shards", "fp16", "both"])
def test_a_base_is_read_from_shards_and_from_half_precision(layout: str, tmp_path: Path) -> None:
    whole = load_file(STARTER / "unet" / "diffusion_pytorch_model.safetensors")
    names, folder = sorted(whole), tmp_path / "unet"
    folder.mkdir()
    stem = "diffusion_pytorch_model"
    if layout == "shards":
        for number in (1, 2):
            part = {name: whole[name] for name in names[number - 1 :: 2]}
            save_file(part, folder / f"{stem}-0000{number}-of-00002.safetensors")
    if layout in ("fp16", "both"):
        save_file(whole, folder / f"{stem}.fp16.safetensors")
    if layout == "both":
        save_file(whole, folder / f"{stem}.safetensors")
        save_file(whole, folder / f"{stem}.non_ema.safetensors")
    unet = {key: shape for key, shape in base_shapes(STARTER).items() if key[0] == "unet"}
    assert base_shapes(tmp_path) == unet


def test_a_base_without_safetensors_is_no_base(tmp_path: Path) -> None:
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet" / "diffusion_pytorch_model.bin").write_bytes(b"\x80\x04")
    with pytest.raises(LoraProblem, match="no UNet in safetensors files"):
        base_shapes(tmp_path)


# --- PEFT's own -----------------------------------------------------------------------------------------------
def test_a_folder_that_stock_peft_saved_is_read_with_its_scale(starter: Base, tmp_path: Path) -> None:
    config = peft.LoraConfig(r=4, lora_alpha=12, target_modules=["to_q", "to_v"], alpha_pattern={"mid_block.*to_v": 4})
    with pytest.raises(LoraProblem, match="regular expression"):
        read_lora(saved_by_peft(config, tmp_path / "pattern"))
    config = peft.LoraConfig(r=4, lora_alpha=12, target_modules=["to_q", "to_v"], rank_pattern={"to_v": 2},
                             alpha_pattern={"attn2.to_v": 4})  # fmt: skip
    read = read_lora(saved_by_peft(config, tmp_path / "plain"))
    said = {name[-10:]: (each.rank, each.alpha) for (_, name), each in read.modules.items()}
    assert said == {"attn1.to_q": (4, 12), "attn2.to_q": (4, 12), "attn1.to_v": (2, 12), "attn2.to_v": (2, 4)}


def test_rank_stabilised_loras_keep_their_scale(starter: Base, tmp_path: Path) -> None:
    folder = saved_by_peft(
        peft.LoraConfig(r=4, lora_alpha=6, target_modules=["to_q"], use_rslora=True, init_lora_weights=False), tmp_path
    )
    by_peft = predict(peft.PeftModel.from_pretrained(stock().unet, str(folder)), 192)
    (tmp_path / "kohya.safetensors").write_bytes(only(lora_files(read_lora(folder), "kohya")))
    lora.use_loras(starter, [(str(tmp_path / "kohya.safetensors"), 1.0)])
    assert farthest(predict(starter.pipeline.unet, 192), by_peft) < TOLERANCE


def saved_by_peft(config: peft.LoraConfig, folder: Path) -> Path:
    torch.manual_seed(2)
    peft.get_peft_model(stock().unet, config).save_pretrained(str(folder))
    return folder


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (b"{", "not JSON"),
        (b"[]", "does not describe a LoRA"),
        (b'{"peft_type": "LOHA"}', "does not describe a LoRA"),
        (b'{"r": 4}', "lora_alpha"),
        (b'{"r": 4, "lora_alpha": "8"}', "lora_alpha"),
        (b'{"r": 8, "lora_alpha": 8}', "say rank 8"),
        (b'{"r": 4, "lora_alpha": 8, "use_dora": true}', "use_dora"),
        (b'{"r": 4, "lora_alpha": 8, "bias": "all"}', "bias"),
        (b'{"r": 4, "lora_alpha": 8, "modules_to_save": ["conv_in"]}', "modules_to_save"),
        (b'{"r": 4, "lora_alpha": 8, "alpha_pattern": []}', None),
        (b'{"r": 4, "lora_alpha": 8, "alpha_pattern": [1]}', "not a JSON object"),
        (b'{"r": 4, "lora_alpha": 8, "auto_mapping": {"parent_library": "os"}}', None),
    ],
)
def test_adapter_configs_of_strangers(config: bytes, words: str | None) -> None:
    weights = safetensors({name.replace("unet.", "base_model.model."): value for name, value in pair().items()})
    if words:
        with pytest.raises(LoraProblem, match=words):
            parse_lora(weights, config)
    else:
        written = lora_files(parse_lora(weights, config), "peft")[PEFT_CONFIG]
        assert json.loads(written)["lora_alpha"] == 8
        assert b"parent_library" not in written


def test_a_folder_without_its_parts_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(LoraProblem, match="neither pytorch_lora_weights"):
        read_lora(tmp_path)
    write(tmp_path, {PEFT_WEIGHTS: b"x"})
    with pytest.raises(LoraProblem, match="which says its alpha; add it"):
        read_lora(tmp_path)
    with pytest.raises(LoraProblem, match="cannot be read"):
        read_lora(tmp_path / "nowhere")


def test_forms_need_no_torch() -> None:
    code = "import sys, shoesai.engine.lora_formats, shoesai.engine.base_shapes; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# --- full size ----------------------------------------------------------------------------------------------
@pytest.mark.slow
def test_at_full_size_every_form_gives_the_same_output(tmp_path: Path) -> None:
    """A Stable Diffusion 1.5 UNet with random weights: 859,520,964 of them, and 1,594,368 of the LoRA."""
    torch.manual_seed(0)
    unet = UNet2DConditionModel(**SD15).eval().requires_grad_(False)
    pipeline = SimpleNamespace(unet=unet, text_encoder=None)
    base = Base(tmp_path, (), pipeline)  # type: ignore[arg-type]  # as much of a pipeline as a LoRA needs
    read = parse_lora(train_a_little(unet))
    assert sum(len(each.down.data) + len(each.up.data) for each in read.modules.values()) == 4 * 1_594_368
    lora.unload_loras(base)
    bare, outputs = predict(unet, 768), {}
    for form in ("diffusers", "kohya"):
        path = tmp_path / f"{form}.safetensors"
        path.write_bytes(only(lora_files(read, form)))
        lora.use_loras(base, [(str(path), 1.0)])
        outputs[f"ours, {form}"] = predict(unet, 768)
        lora.unload_loras(base)
        state, alphas, metadata = StableDiffusionPipeline.lora_state_dict(
            str(tmp_path), weight_name=path.name, return_lora_metadata=True
        )
        StableDiffusionPipeline.load_lora_into_unet(state, alphas, unet, adapter_name=form, metadata=metadata)
        outputs[f"stock diffusers, {form}"] = predict(unet, 768)
        lora.unload_loras(base)
    folder = write(tmp_path / "peft", lora_files(read, "peft"))
    outputs["stock peft"] = predict(peft.PeftModel.from_pretrained(unet, str(folder)), 768)
    lora.unload_loras(base)
    with torch.no_grad():
        for (_, module), matrices in read.modules.items():
            weight = unet.get_submodule(module).weight
            weight += merge.change(matrices).reshape(weight.shape)
    outputs["merged"] = predict(unet, 768)
    assert farthest(outputs["merged"], bare) > 0.01
    differences = {name: farthest(output, outputs["merged"]) for name, output in outputs.items()}
    assert max(differences.values()) < TOLERANCE, differences
