"""What kinds of work there are: one row each. Handlers and hooks are dotted names, so nothing here imports upwards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.utils.module_loading import import_string

if TYPE_CHECKING:
    from shoesai.jobs.queue import Claim
    from shoesai.models import Job


@dataclass(frozen=True)
class Kind:
    """`handler(claim) -> result dict`; `on_change(job)` is called inside the transaction of every state change.

    A `yields` kind steps aside at a safe point when better-priority work waits in its lane, and goes on later.
    `housekeeping` is the platform's own work: no quota counts it and no list of people's work shows it.
    """

    lane: str
    handler: str
    priority: int
    on_change: str = ""
    yields: bool = False
    housekeeping: bool = False


KINDS: dict[str, Kind] = {
    "generate": Kind(
        "gpu", "generation.tasks.generate_images", priority=0, on_change="evaluation.verdicts.follow_generation"
    ),
    "judge_images": Kind("cpu", "evaluation.verdicts.judge_new_images", priority=5, housekeeping=True),
    "recreate": Kind("gpu", "generation.tasks.recreate_image", priority=0),
    "train": Kind(
        "gpu", "training.tasks.train_lora", priority=10, on_change="training.services.follow_job", yields=True
    ),
    "expand_dataset": Kind("gpu", "generation.expansion_tasks.expand_dataset", priority=10, yields=True),
    "evaluate": Kind("gpu", "evaluation.tasks.evaluate", priority=5, yields=True),
    "measure_training": Kind("gpu", "training.tasks.measure_training", priority=0),
    "add_base_model": Kind("cpu", "training.tasks.add_base_model", priority=10),
    "merge_lora": Kind("cpu", "training.tasks.merge_lora", priority=10),
    "check_lora": Kind("cpu", "training.tasks.check_lora", priority=0),
    "try_checkpoint": Kind("gpu", "training.tasks.try_checkpoint", priority=0),
    "scan_models": Kind("cpu", "training.tasks.scan_models", priority=10, housekeeping=True),
    "purge_trash": Kind("cpu", "gallery.tasks.purge_trash", priority=10, housekeeping=True),
    "augment_dataset": Kind("cpu", "training.augment_tasks.augment_dataset", priority=10),
    "preview_augmentation": Kind("cpu", "training.augment_tasks.preview_augmentation", priority=0),
    "make_demo": Kind("cpu", "training.tasks.make_demo", priority=0),
    "import_dataset": Kind("cpu", "training.dataset_tasks.import_dataset", priority=0),
    "check_dataset": Kind("cpu", "training.dataset_check_tasks.check_dataset", priority=0),
    "mend_photos": Kind("cpu", "training.dataset_check_tasks.mend_photos", priority=0),
    "propose_captions": Kind("gpu", "training.dataset_tasks.propose_captions", priority=5),
    "tidy_uploads": Kind("cpu", "training.dataset_tasks.tidy_uploads", priority=10, housekeeping=True),
    "canary.gpu": Kind("gpu", "shoesai.jobs.tasks.sing", priority=-10, housekeeping=True),
    "canary.cpu": Kind("cpu", "shoesai.jobs.tasks.sing", priority=-10, housekeeping=True),
}

HOUSEKEEPING = [name for name, row in KINDS.items() if row.housekeeping]


def run_handler(claim: Claim) -> dict[str, Any]:
    return import_string(KINDS[claim.job.kind].handler)(claim) or {}


def notify_change(job: Job) -> None:
    hook = KINDS[job.kind].on_change
    if hook:
        import_string(hook)(job)
