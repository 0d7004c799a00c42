"""Device and precision are chosen in one place, and float64 never goes to the device."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import safetensors
import torch
from accelerate.state import AcceleratorState
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from shoesai.engine import (
    base_model,
    device,
    encoding_cache,
    lora,
    objective,
    processes,
    sampler,
    trainer,
    training_state,
)
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
    assert chosen("cpu") == device.Device("cpu", torch.float32)


def test_apple_works_in_fp32(chosen: Callable[[str], device.Device], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert chosen("mps") == chosen("auto") == device.Device("mps", torch.float32)


@pytest.mark.parametrize(
    ("has_bf16", "dtype", "mixed"), [(True, torch.bfloat16, "bf16"), (False, torch.float16, "fp16")]
)
def test_cuda_works_in_bf16_where_it_can_and_else_in_fp16(
    chosen: Callable[[str], device.Device],
    monkeypatch: pytest.MonkeyPatch,
    has_bf16: bool,
    dtype: torch.dtype,
    mixed: str,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: has_bf16)
    assert chosen("cuda") == device.Device("cuda", dtype)
    assert chosen("cuda").mixed_precision == mixed


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
    spec = TrainSpec(
        resolution=64, max_train_steps=1, lr_warmup_steps=0, gradient_accumulation_steps=1, validation_steps=0
    )
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


@pytest.fixture
def bf16_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What CUDA does, on a device that can do it too. (fp16 with a scaler cannot be tried without CUDA.)"""
    users = (device, base_model, encoding_cache, lora, objective, sampler, trainer, training_state)
    for module in users:
        monkeypatch.setattr(module, "current", lambda: device.Device("cpu", torch.bfloat16))
    forget_accelerator()
    base_model.forget_base()
    yield
    forget_accelerator()
    base_model.forget_base()


def forget_accelerator() -> None:
    processes.accelerator.cache_clear()
    AcceleratorState._reset_state(reset_partial_state=True)


def test_the_precision_of_cuda_trains_and_makes_pictures(
    bf16_on_the_cpu: None,
    base_folder: str,
    photos: tuple[PhotoInput, ...],
    output: Path,
    emitted: Recorder,
    never: Callable[[], None],
) -> None:
    """The base in half precision, the LoRA in fp32 on it, the base as before."""
    base = base_model.load_base(base_folder)
    before = {name: value.clone() for name, value in base.pipeline.unet.state_dict().items()}
    spec = TrainSpec(
        resolution=64, max_train_steps=2, lr_warmup_steps=0, validation_steps=2, validation_prompts=("a boot",)
    )
    trainer.train(spec, TrainInputs(base_folder, photos, str(output)), emitted, never)
    after = base.pipeline.unet.state_dict()
    assert all(value.dtype == torch.bfloat16 and torch.equal(value, before[name]) for name, value in after.items())
    assert all(metric["grad_norm"] > 0 for metric in emitted["metric"])
    wish = GenerateSpec("a boot", 64, 64, (ImageUnit(0, 1),), num_inference_steps=2, lora_weights=(1.0,))
    sampler.generate(
        wish, GenerateInputs(base_folder, str(output), (emitted["checkpoint"][-1]["path"],)), emitted, never
    )
    assert [sample["step"] for sample in emitted["sample"]] == [0, 2]
    assert len(emitted["image"]) == 1
    with safetensors.safe_open(emitted["checkpoint"][-1]["path"], "pt") as file:
        assert {file.get_tensor(key).dtype for key in file.keys()} == {torch.float32}  # noqa: SIM118 - not a dict
