"""The samplers people can choose: one row each. Forms, API, documentation and the engine's allow-list read it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Scheduler:
    label: str
    class_name: str
    options: dict[str, Any] = field(default_factory=dict)


SCHEDULERS: dict[str, Scheduler] = {
    "ddim": Scheduler("DDIM", "DDIMScheduler"),
    "euler": Scheduler("Euler", "EulerDiscreteScheduler"),
    "euler_a": Scheduler("Euler a", "EulerAncestralDiscreteScheduler"),
    "dpmpp_2m": Scheduler("DPM++ 2M", "DPMSolverMultistepScheduler", {"use_karras_sigmas": False}),
    "dpmpp_2m_karras": Scheduler("DPM++ 2M Karras", "DPMSolverMultistepScheduler", {"use_karras_sigmas": True}),
    "unipc": Scheduler("UniPC", "UniPCMultistepScheduler"),
}
DEFAULT = "ddim"
CHOICES = [(key, row.label) for key, row in SCHEDULERS.items()]
