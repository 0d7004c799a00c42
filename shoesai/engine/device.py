"""The one place that chooses device and precision.

| device | base model      | mixed precision of a training | why                                                    |
|--------|-----------------|-------------------------------|--------------------------------------------------------|
| cpu    | fp32            | no                            | bf16 is slower there                                   |
| mps    | fp32            | no                            | fp16 gives black pictures, there is no float64         |
| cuda   | bf16, else fp16 | bf16, else fp16 with a scaler | fp16 gradients underflow when nobody scales the loss   |

The LoRA itself is trained in fp32 everywhere.
Noise is drawn on the CPU everywhere, because every device (and every macOS version) has other random numbers.
"""

from __future__ import annotations

import functools
import os
import platform
import resource
import sys
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import torch
from torch import Tensor

CHOICES = ("auto", "cpu", "mps", "cuda")
MIB = 2**20


class Float64OnDevice(TypeError):
    """A float64 tensor was meant for the device: MPS has none, and elsewhere it is an accident that costs speed."""


@dataclass(frozen=True)
class Device:
    """Where tensors go, and in which precision the frozen base is kept."""

    kind: str
    dtype: torch.dtype

    @property
    def torch_device(self) -> torch.device:
        return torch.device(self.kind)

    @property
    def mixed_precision(self) -> str:
        """In the words of accelerate."""
        return "no" if self.dtype == torch.float32 else self.precision

    @property
    def precision(self) -> str:
        """In ours."""
        return {torch.float32: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16"}[self.dtype]


@functools.cache
def current() -> Device:
    """What SHOESAI_DEVICE (auto, cpu, mps or cuda) asks for and this machine has; decided once per process."""
    kind = _chosen(os.environ.get("SHOESAI_DEVICE", "auto") or "auto")
    if kind != "cuda":
        return Device(kind, torch.float32)
    if torch.cuda.is_bf16_supported(including_emulation=False):
        return Device(kind, torch.bfloat16)
    return Device(kind, torch.float16)


def _chosen(wanted: str) -> str:
    if wanted not in CHOICES:
        raise ValueError(f"SHOESAI_DEVICE is {wanted!r}; it can be {', '.join(CHOICES)}")
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if wanted == "auto":
        return next(kind for kind, is_there in there.items() if is_there)
    if not there[wanted]:
        raise ValueError(f"SHOESAI_DEVICE asks for {wanted}, which this machine does not offer")
    return wanted


def to_device(tensor: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """Every tensor that we send to the device goes through here, and none of them is float64."""
    if tensor.dtype == torch.float64 or dtype == torch.float64:
        raise Float64OnDevice(f"a float64 tensor of shape {tuple(tensor.shape)} was meant for {current().kind}")
    return tensor.to(device=current().torch_device, dtype=dtype)


def describe() -> dict[str, Any]:
    """For people and for the record of a run: device, dtype, name, torch, memory in MiB, threads."""
    device = current()
    return {
        "device": device.kind,
        "dtype": str(device.dtype).removeprefix("torch."),
        "name": _name(device.kind),
        "torch": torch.__version__,
        "memory_mib": _memory(device.kind) // MIB,
        "threads": torch.get_num_threads(),
    }


def record() -> dict[str, Any]:
    """What a picture's bytes may depend on beside its recipe; kept with it, and compared when it is made again.

    The threads, too: they decide in which order a sum is added up.
    """
    device = current()
    return {
        "device": device.kind,
        "name": _name(device.kind),
        "precision": device.precision,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "diffusers": version("diffusers"),
    }


def _name(kind: str) -> str:
    if kind == "cuda":
        return str(torch.cuda.get_device_name())
    return platform.processor() or platform.machine()


def _memory(kind: str) -> int:
    if kind == "cuda":
        return int(torch.cuda.get_device_properties(0).total_memory)
    if kind == "mps":
        return int(torch.mps.recommended_max_memory())
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def most_memory_held() -> int:
    """Bytes: the device's where it has memory of its own, else the most that this process has held."""
    kind = current().kind
    if kind == "cuda":
        return int(torch.cuda.max_memory_allocated())
    if kind == "mps":
        return int(torch.mps.driver_allocated_memory())
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def forget_peak() -> None:
    """From here on `most_memory_held` is this job's; the system keeps no such count for a process on the CPU."""
    if current().kind == "cuda":
        torch.cuda.reset_peak_memory_stats()


def release_memory() -> None:
    """Gives cached blocks back."""
    if current().kind == "cuda":
        torch.cuda.empty_cache()
    elif current().kind == "mps":
        torch.mps.empty_cache()
