"""A real Stable Diffusion pipeline at tiny size: every class is the real one, the weights are random but seeded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from PIL import Image
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

SIDE = 64
WORDS = ("red", "blue", "green", "white", "black", "leather", "sneaker", "boot", "a", "photo", "of", "on")
TEXT_WIDTH = 24
BLOCKS = (16, 32)
ATTENTIONS = 2 * (1 + 2 + 1)  # attn1 and attn2 in: one down block of 1 layer, its up block of 2, the middle


def build_base(folder: Path, prediction_type: str = "epsilon") -> str:
    """Writes the pipeline as a diffusers folder and returns its path."""
    torch.manual_seed(1234)
    pipeline = StableDiffusionPipeline(
        vae=_vae(),
        text_encoder=_text_encoder(),
        tokenizer=_tokenizer(),
        unet=_unet(),
        scheduler=_scheduler(prediction_type),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(str(folder), safe_serialization=True)
    return str(folder)


def _unet() -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=SIDE // 8,
        block_out_channels=BLOCKS,
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=TEXT_WIDTH,
        attention_head_dim=4,
        norm_num_groups=8,
    )


def _vae() -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(8, 8, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=4,
        sample_size=SIDE,
    )


def _vocabulary() -> dict[str, int]:
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    tokens = ["<|startoftext|>", "<|endoftext|>", *letters, *(letter + "</w>" for letter in letters)]
    tokens += [f"{word}</w>" for word in WORDS if len(word) > 1]
    return {token: number for number, token in enumerate(tokens)}


def _tokenizer() -> CLIPTokenizer:
    return CLIPTokenizer(vocab=_vocabulary(), merges=[], model_max_length=77)


def _text_encoder() -> CLIPTextModel:
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(_vocabulary()),
            hidden_size=TEXT_WIDTH,
            intermediate_size=32,
            num_attention_heads=4,
            num_hidden_layers=2,
            max_position_embeddings=77,
            bos_token_id=0,
            eos_token_id=1,
            pad_token_id=1,
        )
    )


def _scheduler(prediction_type: str) -> DDIMScheduler:
    return DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False,
        set_alpha_to_one=False, steps_offset=1, prediction_type=prediction_type,
    )  # fmt: skip


def write_photos(folder: Path, count: int = 5) -> list[tuple[str, str]]:
    """Noisy coloured pictures with captions: (path, caption)."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(7)
    photos = []
    for number in range(count):
        path = folder / f"{100001 + number}.png"
        Image.fromarray(random.integers(0, 256, (80, 72, 3), dtype=np.uint8)).save(path)
        photos.append((str(path), f"photo of a {WORDS[number % 5]} sneaker"))
    return photos
