"""The full-size architecture is Stable Diffusion 1.5's, its random weights are reproducible, its words are CLIP's."""

from __future__ import annotations

from pathlib import Path

import peft
import pytest
import torch
from diffusers import UNet2DConditionModel
from transformers import CLIPTokenizer

from shoesai.engine import base_folder, lora, new_base, random_base
from shoesai.engine.tests import small_sd15

SD15 = new_base.ARCHITECTURES / "sd15"


def count(shapes: dict[str, tuple[int, ...]]) -> int:
    return sum(torch.Size(shape).numel() for shape in shapes.values())


# --- the architecture ---------------------------------------------------------------------------------------
def test_the_configuration_is_that_of_stable_diffusion_1_5_to_the_last_parameter() -> None:
    shapes = new_base.shapes_in(SD15)
    assert {part: count(each) for part, each in shapes.items()} == {
        "unet": 859_520_964, "vae": 83_653_863, "text_encoder": 123_060_480
    }  # fmt: skip
    assert shapes["text_encoder"]["text_model.embeddings.token_embedding.weight"] == (49_408, 768)


def test_a_lora_of_rank_8_on_it_trains_as_many_parameters_as_the_first_product_did() -> None:
    with torch.device("meta"):
        unet = UNet2DConditionModel.from_config(base_folder.read_json(SD15, "unet/config.json"))
        peft.inject_adapter_in_model(lora.trained_config(8, 16), unet)
    trainable = sum(p.numel() for name, p in unet.named_parameters() if "lora_" in name)
    assert (trainable, sum(p.numel() for p in unet.parameters())) == (1_594_368, 861_115_332)


# --- the weights --------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_sd15.build(tmp_path_factory.mktemp("small") / "sd15")


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path: Path, folder: Path) -> None:
    again, other = small_sd15.build(tmp_path / "again"), small_sd15.build(tmp_path / "other", seed=1)
    assert base_folder.content_hash(again) == base_folder.content_hash(folder)
    assert base_folder.content_hash(other) != base_folder.content_hash(folder)


def test_half_precision_is_the_same_numbers_rounded() -> None:
    shapes = {"conv.weight": (4, 3, 3, 3), "norm.weight": (4,), "conv.bias": (4,)}
    halves, wholes = (
        {t.name: b"".join(t.chunks()) for t in random_base.tensors_of("unet", shapes, 7, precision)}
        for precision in ("fp16", "fp32")
    )
    for name, shape in shapes.items():
        half = torch.frombuffer(bytearray(halves[name]), dtype=torch.float16).reshape(shape)
        whole = torch.frombuffer(bytearray(wholes[name]), dtype=torch.float32).reshape(shape)
        assert torch.equal(half, whole.half())


def test_no_two_tensors_are_equal_so_that_a_mix_up_would_show() -> None:
    shapes = {"a.bias": (8,), "b.bias": (8,), "a.weight": (8,), "b.weight": (8,)}
    tensors = [*random_base.tensors_of("unet", shapes, 0, "fp32"), *random_base.tensors_of("vae", shapes, 0, "fp32")]
    assert len({b"".join(tensor.chunks()) for tensor in tensors}) == 8


# --- the words ----------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> CLIPTokenizer:
    folder = tmp_path_factory.mktemp("words")
    random_base.write_vocabulary(folder, 49_408)
    (folder / "tokenizer_config.json").write_text((SD15 / "tokenizer" / "tokenizer_config.json").read_text())
    return CLIPTokenizer.from_pretrained(folder)


def test_the_vocabulary_has_clips_size_and_clips_special_words(tokenizer: CLIPTokenizer) -> None:
    assert len(tokenizer) == len(set(tokenizer.get_vocab().values())) == 49_408
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id) == (49_406, 49_407, 49_407)
    assert tokenizer.convert_tokens_to_ids("a</w>") == 320  # the first bytes and letters are CLIP's own


@pytest.mark.parametrize(
    "text", ["", "a photo of brown shoes", "Tênis de couro — 100%", "運動鞋 👟", "x" * 5000, "\x00\x7f<|endoftext|>"]
)
def test_any_text_becomes_77_tokens(tokenizer: CLIPTokenizer, text: str) -> None:
    ids = tokenizer(text, padding="max_length", max_length=77, truncation=True).input_ids
    assert len(ids) == 77
    assert ids[0] == 49_406 and 49_407 in ids
    assert all(0 <= number < 49_408 for number in ids)


def test_texts_are_told_apart_and_can_be_read_again(tokenizer: CLIPTokenizer) -> None:
    texts = ["brown leather shoes", "brown leather boots", "tênis 鞋 👟"]
    assert [tokenizer.decode(tokenizer(text).input_ids, skip_special_tokens=True) for text in texts] == texts
