"""Pictures that start from a picture: near it where the strength is small, and the same each time."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionImg2ImgPipeline
from PIL import Image, ImageDraw

import shoesai.engine.sampler as sampler
from shoesai.engine.base_model import Base, load_base
from shoesai.engine.reference import ONLY_FROM_NOISE, encode, fitted, read_reference
from shoesai.engine.specs import GenerateInputs, GenerateSpec, ImageUnit, SpecError
from shoesai.engine.tests.conftest import Recorder
from shoesai.engine.tests.test_sampler import pixels

SPEC = GenerateSpec(
    "a red boot", 64, 64, tuple(ImageUnit(seq, 42 + seq) for seq in range(3)), num_inference_steps=10,
    guidance_scale=5.0, strength=0.5,
)  # fmt: skip
STARTER = Path(sampler.__file__).parents[1] / "starter" / "weights" / "sd"
NEAR = 8.0  # of 255, in the mean: little more than what the VAE loses
STARTING = sorted(sampler.SCHEDULERS - ONLY_FROM_NOISE)
Never = Callable[[], None]


@pytest.fixture(scope="session")
def shoe(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("shoe") / "shoe.png"
    picture = Image.new("RGB", (128, 128), "white")
    ImageDraw.Draw(picture).pieslice((20, 30, 108, 130), 180, 360, "saddlebrown")
    picture.save(path)
    return str(path)


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Smooth colours, 96 × 64, so that it is cut on both sides."""
    across, down = np.meshgrid(np.linspace(0, 255, 96), np.linspace(0, 255, 64))
    path = tmp_path_factory.mktemp("reference") / "reference.png"
    Image.fromarray(np.stack([across, down, 255 - across], axis=2).astype(np.uint8)).save(path)
    return str(path)


def made(base: Base, spec: GenerateSpec, reference: str, units: int = 1) -> list[np.ndarray]:
    latents = read_reference(base, spec, reference if spec.strength else "")
    pictures = sampler.sample(base, spec, spec.images[:units], lambda *_: None, reference=latents)
    return [np.asarray(picture, np.int16) for picture in pictures]


@pytest.mark.parametrize("scheduler", STARTING)
def test_the_same_seed_is_the_same_picture_twice_and_beside_others(
    scheduler: str, base: Base, reference: str
) -> None:
    spec = dataclasses.replace(SPEC, scheduler=scheduler)
    batch, again = made(base, spec, reference, units=3), made(base, spec, reference, units=3)
    assert all(np.array_equal(first, second) for first, second in zip(batch, again, strict=True))
    [alone] = made(base, dataclasses.replace(spec, images=spec.images[2:]), reference)
    assert np.abs(alone - batch[2]).max() <= 1
    assert np.abs(batch[0] - batch[1]).max() > 2


@pytest.mark.parametrize("scheduler", STARTING)
def test_strength_1_is_text_to_image_to_the_last_bit(scheduler: str, base: Base, reference: str) -> None:
    spec = dataclasses.replace(SPEC, scheduler=scheduler, strength=1.0)
    [started], [from_noise] = made(base, spec, reference), made(base, dataclasses.replace(spec, strength=None), "")
    assert np.array_equal(started, from_noise)


@pytest.mark.parametrize("scheduler", STARTING)
def test_the_smaller_the_strength_the_nearer_the_reference(scheduler: str, shoe: str) -> None:
    """With the starter: what random weights make of a picture has no likeness to it."""
    spec = dataclasses.replace(
        SPEC, prompt="a photo of a green boot", width=128, height=128, scheduler=scheduler, num_inference_steps=20
    )
    starter = load_base(str(STARTER))
    with Image.open(shoe) as picture:
        start = np.asarray(picture, np.int16)
    distances = [
        np.abs(made(starter, dataclasses.replace(spec, strength=strength), shoe)[0] - start).mean()
        for strength in (0.01, 0.5, 1.0)
    ]
    assert distances[0] < NEAR
    assert distances[0] < distances[1] < distances[2]


@pytest.mark.parametrize("strength", [0.1, 0.55, 0.99])
def test_it_makes_what_the_stock_pipeline_makes(base: Base, reference: str, strength: float) -> None:
    """From the same latents with the same noise: the stock pipeline would draw a sample of the VAE's posterior."""
    spec = dataclasses.replace(SPEC, strength=strength, negative_prompt="black", images=SPEC.images[:1])
    [ours] = made(base, spec, reference)
    stock = StableDiffusionImg2ImgPipeline(**base.pipeline.components, requires_safety_checker=False)
    stock.set_progress_bar_config(disable=True)
    [theirs] = stock(
        spec.prompt, image=read_reference(base, spec, reference), strength=strength, num_inference_steps=10,
        guidance_scale=5.0, negative_prompt="black", generator=torch.Generator().manual_seed(spec.images[0].seed),
    ).images  # fmt: skip
    assert np.abs(ours - np.asarray(theirs, np.int16)).max() <= 1


def test_the_reference_is_cut_at_its_centre_and_never_squeezed() -> None:
    wide = Image.new("RGB", (120, 40), "red")
    wide.paste("blue", (40, 0, 80, 40))
    inside = fitted(wide, 64, 64)[:, :, :, 4:-4]  # away from where Lanczos rings
    assert torch.allclose(inside, torch.tensor([0.0, 0.0, 1.0]).view(1, 3, 1, 1), atol=0.02)
    exact = Image.effect_noise((64, 48), 80).convert("RGB")
    assert np.array_equal((fitted(exact, 64, 48)[0].permute(1, 2, 0).numpy() * 255).round(), np.asarray(exact))


def test_encoding_is_the_inverse_of_decoding_up_to_what_the_vae_loses(base: Base) -> None:
    vae, half = base.pipeline.vae, torch.full((1, 3, 64, 64), 0.25)
    latents = encode(vae, half)
    expected = vae.encode(half * 2 - 1).latent_dist.mean * vae.config.scaling_factor
    assert latents.dtype == torch.float32
    assert torch.allclose(latents, expected)


def test_only_the_steps_that_are_done_are_counted_and_previews_come(
    base_folder: str, reference: str, output: Path, emitted: Recorder, never: Never
) -> None:
    spec = dataclasses.replace(SPEC, strength=0.45, preview_every=2)
    sampler.generate(spec, GenerateInputs(base_folder, str(output), reference=reference), emitted, never)
    assert [event["step"] for event in emitted["step"]] == [3, 6, 9, 12]
    assert {event["total"] for event in emitted["step"]} == {12}
    assert len(emitted["preview"]) == 1
    assert len(emitted["image"]) == 3
    first, last = pixels(output / "0.png"), pixels(output / "2.png")
    assert not np.array_equal(first, last)


def test_a_strength_below_one_step_does_one(
    base_folder: str, reference: str, output: Path, emitted: Recorder, never: Never
) -> None:
    spec = dataclasses.replace(SPEC, strength=0.01, images=SPEC.images[:1])
    sampler.generate(spec, GenerateInputs(base_folder, str(output), reference=reference), emitted, never)
    assert [(event["step"], event["total"]) for event in emitted["step"]] == [(1, 1)]


def test_what_makes_a_picture_is_told_before_it_is_made(
    base_folder: str, output: Path, emitted: Recorder, never: Never
) -> None:
    sampler.generate(dataclasses.replace(SPEC, strength=None), GenerateInputs(base_folder, str(output)), emitted, never)
    assert emitted.events[0][0] == "begun"
    assert emitted["begun"][0].keys() == {"device", "name", "precision", "threads", "torch", "diffusers", "at_once"}


def test_what_cannot_be_meant_is_refused_in_words(base: Base, reference: str, tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG")
    for spec, path, words in (
        (SPEC, "", "strength: must be given where"),
        (dataclasses.replace(SPEC, strength=None), reference, "strength: must be given where"),
        (SPEC, str(broken), "reference: is gone or cannot be decoded"),
        (SPEC, "/nowhere.png", "reference: is gone"),
        (dataclasses.replace(SPEC, scheduler="PNDMScheduler"), reference, "scheduler: PNDMScheduler cannot start"),
    ):
        with pytest.raises(SpecError, match=words):
            read_reference(base, spec, path)
    for strength in (0.0, -0.1, 1.01, float("nan")):
        with pytest.raises(SpecError, match="strength: must be above 0 and at most 1"):
            dataclasses.replace(SPEC, strength=strength)


def test_a_spec_of_version_1_starts_from_noise() -> None:
    old = {key: value for key, value in SPEC.to_dict().items() if key != "strength"} | {"version": 1}
    assert GenerateSpec.from_dict(old) == dataclasses.replace(SPEC, strength=None)
    assert GenerateSpec.from_dict(SPEC.to_dict()) == SPEC
