"""A picture depends on its own seed, whatever is made beside it."""

from __future__ import annotations

import base64
import dataclasses
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import shoesai.engine.sampler as sampler
from shoesai.engine.base_model import Base, BaseModelProblem, load_base
from shoesai.engine.lora_header import LoraProblem
from shoesai.engine.progress import Stopped
from shoesai.engine.specs import GenerateInputs, GenerateSpec, ImageUnit, SpecError
from shoesai.engine.tests.conftest import Recorder

SPEC = GenerateSpec(
    "a red boot", 64, 64, tuple(ImageUnit(seq, 42 + seq) for seq in range(3)), num_inference_steps=3, guidance_scale=5.0
)
Never = Callable[[], None]


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture, dtype=np.int16)


def run(spec: GenerateSpec, folder: str, output: Path, emitted: Recorder, never: Never) -> None:
    output.mkdir(exist_ok=True)
    sampler.generate(spec, GenerateInputs(folder, str(output)), emitted, never)


@pytest.mark.parametrize("scheduler", sorted(sampler.SCHEDULERS))
def test_a_picture_of_a_batch_equals_its_seed_alone(
    scheduler: str, base_folder: str, tmp_path: Path, emitted: Recorder, never: Never
) -> None:
    """Also with the schedulers that draw fresh noise at each step."""
    spec = dataclasses.replace(SPEC, scheduler=scheduler)
    run(spec, base_folder, tmp_path / "batch", emitted, never)
    assert [event["seq"] for event in emitted["image"]] == [0, 1, 2]
    alone = dataclasses.replace(spec, images=spec.images[2:])
    run(alone, base_folder, tmp_path / "alone", emitted, never)
    together, single = pixels(tmp_path / "batch/2.png"), pixels(tmp_path / "alone/2.png")
    assert np.abs(together - single).max() <= 2
    assert np.abs(together - pixels(tmp_path / "batch/1.png")).max() > 2


@pytest.mark.parametrize("scheduler", sorted(sampler.SCHEDULERS))
def test_each_scheduler_makes_a_picture_in_one_step(base: Base, scheduler: str) -> None:
    spec = dataclasses.replace(SPEC, scheduler=scheduler, num_inference_steps=1)
    [picture] = sampler.sample(base, spec, spec.images[:1], lambda *_: None)
    assert picture.size == (64, 64)


@pytest.mark.parametrize("guidance", [0.0, 1.0, 7.5])
def test_it_makes_what_the_stock_pipeline_makes(base: Base, guidance: float) -> None:
    spec = dataclasses.replace(SPEC, guidance_scale=guidance, negative_prompt="black")
    [ours] = sampler.sample(base, spec, spec.images[:1], lambda *_: None)
    base.pipeline.set_progress_bar_config(disable=True)
    [stock] = base.pipeline(
        spec.prompt, height=64, width=64, num_inference_steps=3, guidance_scale=guidance, negative_prompt="black",
        generator=torch.Generator().manual_seed(spec.images[0].seed),
    ).images  # fmt: skip
    assert np.abs(np.asarray(ours, np.int16) - np.asarray(stock, np.int16)).max() <= 1


def test_karras_sigmas_and_other_options_reach_the_scheduler(base: Base) -> None:
    spec = dataclasses.replace(
        SPEC, scheduler="DPMSolverMultistepScheduler", scheduler_options={"use_karras_sigmas": True}
    )
    assert sampler.make_scheduler(base.pipeline.scheduler.config, spec).config.use_karras_sigmas
    with pytest.raises(SpecError, match="karras is not an option"):
        sampler.make_scheduler(
            base.pipeline.scheduler.config, dataclasses.replace(spec, scheduler_options={"karras": 1})
        )


def test_a_v_prediction_base_keeps_its_prediction_with_every_scheduler(v_base_folder: str) -> None:
    config = load_base(v_base_folder).pipeline.scheduler.config
    for name in sampler.SCHEDULERS:
        scheduler = sampler.make_scheduler(config, dataclasses.replace(SPEC, scheduler=name))
        assert scheduler.config.prediction_type == "v_prediction"


def test_a_class_that_is_not_on_the_list_is_refused(base: Base) -> None:
    with pytest.raises(SpecError, match="scheduler"):
        sampler.make_scheduler(
            base.pipeline.scheduler.config, dataclasses.replace(SPEC, scheduler="StableDiffusionPipeline")
        )


def test_steps_count_over_all_pictures_and_previews_are_small_webps(
    base_folder: str, output: Path, emitted: Recorder, never: Never
) -> None:
    images = tuple(ImageUnit(seq, seq) for seq in (4, 7, 8, 9, 12))
    run(dataclasses.replace(SPEC, images=images, preview_every=2), base_folder, output, emitted, never)
    steps = [event["step"] for event in emitted["step"]]
    assert steps == [4, 8, 12, 13, 14, 15]
    assert {event["total"] for event in emitted["step"]} == {15}
    assert [event["seq"] for event in emitted["preview"]] == [4, 12]
    webp = base64.b64decode(emitted["preview"][0]["webp"])
    assert len(webp) <= 8192
    assert Image.open(io.BytesIO(webp)).format == "WEBP"
    assert sorted(path.name for path in output.iterdir()) == ["12.png", "4.png", "7.png", "8.png", "9.png"]
    assert [event["seed"] for event in emitted["image"]] == [4, 7, 8, 9, 12]


def test_the_preview_of_a_large_picture_is_a_good_guess(base: Base) -> None:
    generator = torch.Generator().manual_seed(3)
    coarse = torch.randn((1, 4, 6, 6), generator=generator)
    latents = torch.nn.functional.interpolate(coarse, scale_factor=4, mode="bilinear")
    guess = sampler.preview_pixels(base, latents)
    assert guess.shape == (1, 3, 24, 24)
    with torch.no_grad():
        truth = torch.nn.functional.avg_pool2d(sampler.decode(base.pipeline.vae, latents), 8)
    spread = (truth - truth.mean(dim=(2, 3), keepdim=True)).abs().mean()
    assert (guess - truth).abs().mean() < spread
    noise = torch.rand((3, 256, 256), generator=generator)
    assert 0 < len(sampler.webp_bytes(noise)) <= 8192


@pytest.mark.parametrize("reason", ["cancel", "yield"])
def test_a_wish_to_stop_is_granted_between_steps(
    reason: str, base_folder: str, output: Path, emitted: Recorder
) -> None:
    spec = dataclasses.replace(SPEC, images=tuple(ImageUnit(seq, seq) for seq in range(6)))
    with pytest.raises(Stopped) as stopped:
        sampler.generate(
            spec,
            GenerateInputs(base_folder, str(output)),
            emitted,
            lambda: reason if len(emitted["step"]) == 4 else None,
        )
    assert stopped.value.reason == reason
    assert len(emitted["image"]) == 4
    assert len(emitted["step"]) == 4


def test_nan_and_black_pictures_are_errors() -> None:
    with pytest.raises(sampler.BrokenPicture, match="NaN"):
        sampler.to_picture(torch.full((3, 8, 8), float("nan")))
    with pytest.raises(sampler.BrokenPicture, match="black"):
        sampler.to_picture(torch.zeros((3, 8, 8)))


def test_loras_and_weights_must_be_as_many(base_folder: str, output: Path, emitted: Recorder, never: Never) -> None:
    spec = dataclasses.replace(SPEC, lora_weights=(1.0,))
    with pytest.raises(SpecError, match="lora_weights"):
        sampler.generate(spec, GenerateInputs(base_folder, str(output)), emitted, never)
    with pytest.raises(LoraProblem, match="gone"):
        sampler.generate(spec, GenerateInputs(base_folder, str(output), ("/nowhere",)), emitted, never)


def test_a_base_stays_warm_until_its_files_change(base_folder: str, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(base_folder, copy)
    first = load_base(str(copy))
    assert load_base(str(copy)) is first
    (copy / "model_index.json").touch()
    assert load_base(str(copy)) is not first


def test_a_folder_that_is_no_base_model_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(BaseModelProblem, match=r"no model_index\.json"):
        load_base(str(tmp_path))
    (tmp_path / "model_index.json").write_text('{"_class_name": "FluxPipeline"}')
    with pytest.raises(BaseModelProblem, match="is a FluxPipeline"):
        load_base(str(tmp_path))
    (tmp_path / "model_index.json").write_text('{"_class_name": "StableDiffusionPipeline", "unet": ["evil", "UNet"]}')
    with pytest.raises(BaseModelProblem, match="wants code from evil"):
        load_base(str(tmp_path))
