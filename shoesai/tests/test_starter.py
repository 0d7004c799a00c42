"""The committed starter model: ordinary folders, small, and alive."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shoesai.starter import draw

WEIGHTS = Path(draw.__file__).parent / "weights"
ODD_TEXTS = (
    "",
    "zapatos rojos de señora",
    "鞋子 👟",
    "x" * 10_000,
    "50% off! <b>#1</b> \x00\t\n",
    "BLACK Leather LOAFERS",
)


@pytest.fixture(scope="module")
def pipe() -> Any:
    from diffusers import StableDiffusionPipeline

    pipe = StableDiffusionPipeline.from_pretrained(WEIGHTS / "sd")
    pipe.set_progress_bar_config(disable=True)
    return pipe


def test_the_weights_tell_no_folder_of_the_machine_that_made_them() -> None:
    for config in WEIGHTS.rglob("*.json*"):
        assert "_name_or_path" not in config.read_text(encoding="utf-8"), config


def test_the_weights_are_half_precision_safetensors_of_at_most_30_megabytes() -> None:
    files = [f for f in WEIGHTS.rglob("*") if f.is_file()]
    assert sum(f.stat().st_size for f in files) <= 30_000_000
    assert not [f for f in files if f.suffix in {".bin", ".pt", ".ckpt", ".pkl"}]
    for file in (f for f in files if f.suffix == ".safetensors"):
        with file.open("rb") as stream:
            header = json.loads(stream.read(int.from_bytes(stream.read(8), "little")))
        assert {v["dtype"] for k, v in header.items() if k != "__metadata__"} <= {"F16", "I64"}, file


def test_the_pipeline_loads_and_names_its_resolution(pipe: Any) -> None:
    assert type(pipe).__name__ == "StableDiffusionPipeline"
    assert pipe.unet.config.sample_size * pipe.vae_scale_factor == 128
    assert pipe.scheduler.config.prediction_type == "v_prediction"
    assert pipe.tokenizer.model_max_length == 77
    assert pipe.safety_checker is None


def test_it_makes_a_picture_in_two_steps(pipe: Any) -> None:
    import torch

    generator = torch.Generator("cpu").manual_seed(1)
    image = pipe("red sneakers on mint background", num_inference_steps=2, generator=generator).images[0]
    assert image.size == (128, 128)
    assert np.asarray(image).std() > 5


@pytest.mark.parametrize("text", ODD_TEXTS)
def test_any_text_can_be_tokenized(pipe: Any, text: str) -> None:
    ids = pipe.tokenizer(text, padding="max_length", max_length=77, truncation=True).input_ids
    assert len(ids) == 77
    assert max(ids) < pipe.text_encoder.config.vocab_size
    assert ids[0] == pipe.tokenizer.bos_token_id
    assert pipe.tokenizer.eos_token_id in ids


def test_a_word_of_the_captions_is_one_token(pipe: Any) -> None:
    words = ["sneakers", "loafers", "leather", "suede", "purple", "lavender", "background", "photography"]
    assert [pipe.tokenizer.tokenize(word) for word in words] == [[f"{word}</w>"] for word in words]


def test_the_text_encoder_is_the_small_clips_text_tower(pipe: Any) -> None:
    import torch
    from transformers import CLIPModel

    clip = CLIPModel.from_pretrained(WEIGHTS / "clip")
    ids = pipe.tokenizer("black loafers", padding="max_length", max_length=77, return_tensors="pt").input_ids
    with torch.no_grad():
        own = pipe.text_encoder(ids).last_hidden_state.float()
        theirs = clip.text_model(input_ids=ids).last_hidden_state.float()
    assert torch.equal(own, theirs)


def test_the_small_clip_names_drawn_photos() -> None:
    import torch
    from transformers import CLIPModel, CLIPProcessor

    clip = CLIPModel.from_pretrained(WEIGHTS / "clip", dtype=torch.float32).eval()
    processor = CLIPProcessor.from_pretrained(WEIGHTS / "clip")
    rng = np.random.default_rng(5)
    shoes = [draw.random_shoe(rng) for _ in range(60)]
    for attribute, names, phrase in (
        ("type", draw.TYPES, "a photo of {}"),
        ("background", tuple(draw.BACKGROUNDS), "a photo of shoes on {} background"),
    ):
        inputs = processor(
            text=[phrase.format(n) for n in names],
            images=[draw.draw(s, i) for i, s in enumerate(shoes)],
            return_tensors="pt",
            padding=True,
        )
        with torch.no_grad():
            best = clip(**inputs).logits_per_image.argmax(1).tolist()
        assert np.mean([names[b] == getattr(s, attribute) for b, s in zip(best, shoes, strict=True)]) >= 0.85
