"""Device and precision are chosen in one place, and float64 never goes to the device."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from shoesai.engine import base_model, device, lora, sampler, trainer
from shoesai.engine.base_model import Base
from shoesai.engine.specs import GenerateInputs, GenerateSpec, ImageUnit, PhotoInput, TrainInputs, TrainSpec
from shoesai.engine.tests.conftest import Recorder


class RefuseFloat64(TorchDispatchMode):
    """Fails on any operation that touches a float64 tensor that could live on the device (a scalar cannot)."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for value in tree_leaves((args, kwargs, result)):
            if isinstance(value, torch.Tensor) and value.dtype == torch.float64:
                raise AssertionError(f"{func} works on a float64 tensor of shape {tuple(value.shape)}")
        return result


@pytest.fixture
def chosen(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], device.Device]:
    def choose(kind: str) -> device.Device:
        monkeypatch.setenv("SHOESAI_DEVICE", kind)
        return device.current.__wrapped__()

    return choose


def test_the_cpu_works_in_fp32(chosen: Callable[[str], device.Device]) -> None:
    assert chosen("cpu") == device.Device("cpu", torch.float32, torch.float32)


def test_apple_works_in_fp32(chosen: Callable[[str], device.Device], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert chosen("mps") == chosen("auto") == device.Device("mps", torch.float32, torch.float32)


@pytest.mark.parametrize(
    ("has_bf16", "dtype", "training_dtype"),
    [(True, torch.bfloat16, torch.bfloat16), (False, torch.float16, torch.float32)],
)
def test_cuda_works_in_half_precision_and_never_trains_in_fp16(
    chosen: Callable[[str], device.Device],
    monkeypatch: pytest.MonkeyPatch,
    has_bf16: bool,
    dtype: torch.dtype,
    training_dtype: torch.dtype,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: has_bf16)
    assert chosen("cuda") == device.Device("cuda", dtype, training_dtype)


def test_it_says_which_devices_there_are(
    chosen: Callable[[str], device.Device], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="auto, cpu, mps, cuda"):
        chosen("tpu")
    with pytest.raises(ValueError, match="does not offer"):
        chosen("cuda")


def test_it_describes_itself_in_plain_json_values() -> None:
    described = device.describe()
    assert described.keys() == {"device", "dtype", "name", "torch", "memory_mib", "threads"}
    assert all(isinstance(value, str | int) for value in described.values())
    assert described["memory_mib"] > 0


def test_a_float64_tensor_is_not_sent_to_the_device() -> None:
    with pytest.raises(device.Float64OnDevice):
        device.to_device(torch.zeros(2, dtype=torch.float64))
    with pytest.raises(device.Float64OnDevice):
        device.to_device(torch.zeros(2), torch.float64)


def test_training_touches_no_float64(
    base_folder: str, photos: tuple[PhotoInput, ...], output: Path, emitted: Recorder, never: Callable[[], None]
) -> None:
    spec = TrainSpec(resolution=64, max_train_steps=1, gradient_accumulation_steps=1, validation_steps=0)
    with RefuseFloat64():
        trainer.train(spec, TrainInputs(base_folder, photos, str(output)), emitted, never)


@pytest.mark.parametrize("scheduler", sorted(sampler.SCHEDULERS))
def test_sampling_hands_no_float64_to_unet_and_vae(base: Base, scheduler: str) -> None:
    """Schedules begin as float64 on the CPU; what leaves it are the inputs of the networks and the latents."""
    seen: list[torch.dtype] = []

    def note(module: Any, arguments: Any, keywords: Any = None) -> None:
        seen.extend(value.dtype for value in tree_leaves((arguments, keywords)) if isinstance(value, torch.Tensor))

    base.pipeline.unet.register_forward_pre_hook(note, with_kwargs=True)
    base.pipeline.vae.decoder.register_forward_pre_hook(note, with_kwargs=True)
    spec = GenerateSpec("a red boot", 64, 64, (ImageUnit(0, 1),), num_inference_steps=3, scheduler=scheduler)
    latents: list[torch.Tensor] = []
    sampler.sample(base, spec, spec.images, lambda done, steps, known: latents.append(known))
    assert seen
    assert torch.float64 not in seen
    assert {known.dtype for known in latents} == {torch.float32}


@pytest.mark.parametrize("scheduler", sorted(sampler.SCHEDULERS))
def test_the_steps_of_a_scheduler_touch_no_float64(base: Base, scheduler: str) -> None:
    spec = GenerateSpec("a red boot", 64, 64, (ImageUnit(0, 1),), num_inference_steps=3, scheduler=scheduler)
    started = sampler.make_scheduler(base.pipeline.scheduler.config, spec)
    original, sampler.make_scheduler = sampler.make_scheduler, lambda *_: started
    try:
        with RefuseFloat64():
            sampler.sample(base, spec, spec.images, lambda *_: None)
    finally:
        sampler.make_scheduler = original


@pytest.mark.parametrize(
    ("dtype", "training_dtype"), [(torch.bfloat16, torch.bfloat16), (torch.float16, torch.float32)]
)
def test_the_precisions_of_cuda_train_and_make_pictures(
    base_folder: str,
    photos: tuple[PhotoInput, ...],
    output: Path,
    emitted: Recorder,
    never: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
    dtype: torch.dtype,
    training_dtype: torch.dtype,
) -> None:
    """On the CPU, which can do both: the base in half precision, the LoRA in fp32 on it, the base as before."""
    for module in (device, base_model, lora, sampler, trainer):
        monkeypatch.setattr(module, "current", lambda: device.Device("cpu", dtype, training_dtype))
    base_model.forget_base()
    base = base_model.load_base(base_folder)
    before = {name: value.clone() for name, value in base.pipeline.unet.state_dict().items()}
    spec = TrainSpec(
        resolution=64, max_train_steps=2, lr_warmup_steps=0, validation_steps=2, validation_prompts=("a boot",)
    )
    trainer.train(spec, TrainInputs(base_folder, photos, str(output)), emitted, never)
    after = base.pipeline.unet.state_dict()
    assert all(value.dtype == dtype and torch.equal(value, before[name]) for name, value in after.items())
    assert all(metric["grad_norm"] > 0 for metric in emitted["metric"])
    wish = GenerateSpec("a boot", 64, 64, (ImageUnit(0, 1),), num_inference_steps=2, lora_weights=(1.0,))
    sampler.generate(
        wish, GenerateInputs(base_folder, str(output), (emitted["checkpoint"][-1]["path"],)), emitted, never
    )
    assert len(emitted["sample"]) == len(emitted["image"]) == 1
    base_model.forget_base()
