"""What a training will take and leave behind, said before it starts: no torch, nothing stored."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from django.conf import settings
from django.utils.functional import Promise
from django.utils.text import format_lazy
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from shoesai.engine.specs import TrainSpec
from shoesai.numbers import in_language
from training.holdout import held_out, kin_of
from training.measuring import newest_measurement
from training.models import BaseModel, DatasetVersion, Family, Photo
from training.parameters import Parameters, UnreadableWeights, count_parameters
from training.results import LAST_KEPT, STATES_KEPT, is_milestone

NO_PHOTOS = format_lazy("dataset: {}", _("there are no photos to learn from."))
MANY_EPOCHS = 100
DEFAULT_PROMPTS = 4
FP32 = 4
LATENT_CHANNELS, LATENT_SCALE, TOKENS = 4, 8, 77  # of every Stable Diffusion
CACHED_CHANNELS = 2 * LATENT_CHANNELS + 1  # mean and standard deviation of the latents, and where the shoe is
STATE_SIZE = 3  # the weights, and AdamW's two averages of each
STATES_IN_TRANSIT = 2  # a new one lies in the work folder and among the blobs before the oldest goes


@dataclass(frozen=True)
class Plan:
    """Counts, bytes and seconds; `problems` keep the training from starting or ending, `warnings` do not.

    The last three are None until the engine has measured this recipe (see `training.measuring`). `estimated_seconds`
    is for the steps alone, without pictures and validation.
    """

    photos: int
    held_out: int
    effective_batch_size: int
    photos_seen: int
    epochs: float
    checkpoints_written: int
    checkpoints_kept: int
    validation_pictures: int
    trainable_parameters: int
    total_parameters: int
    disk_bytes: int
    free_bytes: int
    problems: tuple[str, ...]
    warnings: tuple[str, ...]
    seconds_per_step: float | None = None
    estimated_seconds: float | None = None
    memory_bytes: int | None = None

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def make_plan(version: DatasetVersion, base: BaseModel, spec: TrainSpec) -> Plan:
    return plan_for(list(version.photos.order_by("position")), base, spec)


def plan_for(photos: Sequence[Photo], base: BaseModel, spec: TrainSpec) -> Plan:
    """For photos that need not be stored yet: only their blob hashes, captions and sizes count."""
    unseen = held_out(photos, spec.validation_fraction, spec.seed)
    away = unseen | kin_of(photos, unseen)
    to_learn = [photo for photo in photos if photo.blob_id not in away]
    seen = spec.max_train_steps * spec.effective_batch_size
    epochs = round(seen / len(to_learn), 2) if to_learn else 0.0
    problems: list[str] = []
    parameters = _parameters(base, spec, problems)
    pictures = validation_pictures(spec)
    disk = _disk_bytes(photos, spec, parameters, pictures)
    free = shutil.disk_usage(settings.BLOB_DIR).free
    problems += _problems(photos, disk, free)
    measured = newest_measurement(base, spec)
    seconds = measured["estimated_seconds_per_step"] if measured else None
    return Plan(
        photos=len(photos),
        held_out=sum(photo.blob_id in unseen for photo in photos),
        effective_batch_size=spec.effective_batch_size,
        photos_seen=seen,
        epochs=epochs,
        checkpoints_written=len(checkpoint_steps(spec)),
        checkpoints_kept=checkpoints_kept(spec, measured_on_held_out=bool(unseen and spec.validation_steps)),
        validation_pictures=pictures,
        trainable_parameters=parameters.trainable,
        total_parameters=parameters.total,
        disk_bytes=disk,
        free_bytes=free,
        problems=tuple(problems),
        warnings=tuple(_warnings(photos, to_learn, epochs, base, spec)),
        seconds_per_step=seconds,
        estimated_seconds=_estimated_seconds(seconds, spec),
        memory_bytes=measured["estimated_memory_bytes"] if measured else None,
    )


def default_validation_prompts(version: DatasetVersion, spec: TrainSpec) -> tuple[str, ...]:
    """Up to four different captions of photos that the run never learns from; of the first photos if there are none."""
    return prompts_from(list(version.photos.order_by("position")), spec)


def prompts_from(photos: Sequence[Photo], spec: TrainSpec) -> tuple[str, ...]:
    unseen = held_out(photos, spec.validation_fraction, spec.seed)
    asked = [photo for photo in photos if photo.blob_id in unseen] or photos
    captions = dict.fromkeys(photo.caption.strip() for photo in asked)
    return tuple(caption for caption in captions if caption)[:DEFAULT_PROMPTS]


# --- what is written and what stays -----------------------------------------------------------------------------
def checkpoint_steps(spec: TrainSpec) -> list[int]:
    """Every `checkpointing_steps`, and the last step of all."""
    return sorted({*range(spec.checkpointing_steps, spec.max_train_steps, spec.checkpointing_steps),
                   spec.max_train_steps})  # fmt: skip


def checkpoints_kept(spec: TrainSpec, measured_on_held_out: bool) -> int:
    """The most that are left at the end: milestones, the last two, and the best if there is a best
    (see `training.results.tidy_checkpoints`)."""
    kept: list[int] = []
    for step in checkpoint_steps(spec):
        kept.append(step)
        befores = [0, *kept]
        kept = [
            each
            for before, each in zip(befores, kept, strict=False)
            if each in kept[-LAST_KEPT:] or is_milestone(each, before, spec.milestone_steps)
        ]
    tidied = len(checkpoint_steps(spec)) - len(kept)
    return len(kept) + (1 if tidied and measured_on_held_out else 0)


def validation_pictures(spec: TrainSpec) -> int:
    """Each prompt at step 0 (the bare base), every `validation_steps`, and at the end."""
    every, last = spec.validation_steps, spec.max_train_steps
    return len({0, *range(every, last, every), last}) * len(spec.validation_prompts) if every else 0


def _disk_bytes(photos: Sequence[Photo], spec: TrainSpec, parameters: Parameters, pictures: int) -> int:
    """The most that lies on the disk at one moment of the run; pictures are counted as if PNG saved nothing."""
    lora = parameters.trainable * FP32
    states = (STATES_KEPT + STATES_IN_TRANSIT) * STATE_SIZE * lora
    latents = len({photo.blob_id for photo in photos}) * CACHED_CHANNELS * (spec.resolution // LATENT_SCALE) ** 2
    captions = {"", *(photo.caption for photo in photos), *spec.validation_prompts}
    texts = len(captions) * TOKENS * parameters.text_width
    kept = checkpoints_kept(spec, measured_on_held_out=True)
    return (kept + 1) * lora + states + (latents + texts) * FP32 + pictures * 3 * spec.resolution**2


def _estimated_seconds(per_step: float | None, spec: TrainSpec) -> float | None:
    if per_step is None:
        return None
    limit = spec.max_train_minutes * 60 or float("inf")
    return round(min(per_step * spec.max_train_steps, limit), 1)


# --- what to say about it ---------------------------------------------------------------------------------------
def _parameters(base: BaseModel, spec: TrainSpec, problems: list[str]) -> Parameters:
    try:
        return count_parameters(base, rank=spec.rank, targets=spec.lora_targets)
    except UnreadableWeights as error:
        problems.append(f"base_model: {error}")
        return Parameters(0, 0, 0)


def _problems(photos: Sequence[Photo], disk: int, free: int) -> Iterator[str]:
    if not photos:
        yield str(NO_PHOTOS)
    if disk > free:
        words = gettext(
            "the run takes up to %(needed)s, and %(free)s are free; free some, keep fewer checkpoints"
            " (milestone_steps), or move the data with `manage.py move_storage`."
        )
        yield "disk: " + words % {"needed": in_megabytes(disk), "free": in_megabytes(free)}


def _warnings(
    photos: Sequence[Photo], to_learn: Sequence[Photo], epochs: float, base: BaseModel, spec: TrainSpec
) -> Iterator[str]:
    """A setting's name and a sentence about it; the first is about two settings at once."""
    if 0 < len(to_learn) < spec.effective_batch_size:
        words = ngettext(
            "train_batch_size × gradient_accumulation_steps is %(batch)d, more than the %(count)d photo to learn from:"
            " each step sees it more than once.",
            "train_batch_size × gradient_accumulation_steps is %(batch)d, more than the %(count)d photos to learn from:"
            " each step sees some of them twice.",
            len(to_learn),
        )
        yield words % {"batch": spec.effective_batch_size, "count": len(to_learn)}
    if epochs > MANY_EPOCHS:
        words = gettext(
            "every photo is seen %(times).0f times; above %(many)d the LoRA memorises its photos instead of learning"
            " their style. Fewer steps, or more photos."
        )
        yield "max_train_steps: " + words % {"times": epochs, "many": MANY_EPOCHS}
    yield from _size_warnings(photos, base, spec)
    yield from _step_warnings(spec)


def _size_warnings(photos: Sequence[Photo], base: BaseModel, spec: TrainSpec) -> Iterator[str]:
    if spec.resolution != base.resolution:
        words = gettext(
            "%(size)d is not the %(own)d that %(base)s was made for; its pictures get worse away from it."
        )
        yield "resolution: " + words % {"size": spec.resolution, "own": base.resolution, "base": base.name}
    if small := sum(min(photo.width, photo.height) < spec.resolution for photo in photos):
        words = ngettext(
            "%(count)d of %(photos)d photos is smaller than %(size)d and will be blurred.",
            "%(count)d of %(photos)d photos are smaller than %(size)d and will be blurred.",
            small,
        )
        yield "resolution: " + words % {"count": small, "photos": len(photos), "size": spec.resolution}


def _step_warnings(spec: TrainSpec) -> Iterator[str]:
    last = spec.max_train_steps
    if spec.checkpointing_steps > last:
        words = gettext(
            "%(steps)d is beyond max_train_steps %(last)d: only the end is kept, and a crash costs the whole run."
        )
        yield "checkpointing_steps: " + words % {"steps": spec.checkpointing_steps, "last": last}
    if spec.validation_prompts and spec.validation_steps > last:
        words = gettext("%(steps)d is beyond max_train_steps %(last)d: only the bare base and the end are drawn.")
        yield "validation_steps: " + words % {"steps": spec.validation_steps, "last": last}
    if spec.lr_warmup_steps * 2 > last:
        words = gettext("%(steps)d of max_train_steps %(last)d are warm-up; the full learning rate comes late.")
        yield "lr_warmup_steps: " + words % {"steps": spec.lr_warmup_steps, "last": last}


def memory_problem(measured: Mapping[str, Any]) -> list[str]:
    """Of a measurement: a sentence when the device that took it has less memory than the training holds."""
    needed, there = measured.get("estimated_memory_bytes"), measured.get("device_memory_bytes")
    if not needed or not there or needed <= there:
        return []
    words = gettext(
        "the training holds about %(needed)s, and %(device)s has %(there)s; take a smaller train_batch_size (with more"
        " gradient_accumulation_steps), or turn gradient_checkpointing on."
    )
    sizes = {"needed": in_megabytes(needed), "there": in_megabytes(there)}
    return ["memory: " + words % {**sizes, "device": measured["device"]}]


def in_words(name: str, value: Any) -> str:
    """A figure of a plan or a measurement, or a setting, for a person at a terminal."""
    if value is None:
        return "not known"
    if name.endswith("_bytes"):
        return in_megabytes(value)
    if isinstance(value, tuple):
        return "; ".join(map(str, value)) or "none"
    return f"{value:,}" if type(value) is int and name.endswith("_parameters") else str(value)


def in_megabytes(size: int) -> str:
    return in_language(f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB")


# --- presets ----------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Preset:
    """A recipe to begin with: settings of TrainSpec for Stable Diffusion, and others for the small starter."""

    title: str | Promise
    sentence: str | Promise
    stable_diffusion: dict[str, Any]
    starter: dict[str, Any]

    def settings_for(self, base: BaseModel) -> dict[str, Any]:
        """Keyword arguments of TrainSpec, the base's own among them."""
        chosen = self.starter if base.family == Family.STARTER else self.stable_diffusion
        return settings_of_base(base) | chosen


def settings_of_base(base: BaseModel) -> dict[str, Any]:
    """What suits one base and not another: its picture size, and the guidance of its pictures."""
    return {"resolution": base.resolution, "validation_guidance_scale": base.guidance_scale}


# The starter has few and small layers: it takes a far higher learning rate, and shows its change within minutes. With
# the empty caption it learns the white of unguided pictures too (see the demo, whose recipe this is).
_STARTER: dict[str, Any] = {
    "train_batch_size": 8,
    "gradient_accumulation_steps": 1,
    "learning_rate": 1e-3,
    "lr_warmup_steps": 10,
    "caption_dropout": 0.3,
    "gradient_checkpointing": False,
    "milestone_steps": 100,
}
PRESETS: dict[str, Preset] = {
    "quick_look": Preset(
        _("Quick look"),
        _("Few steps with small batches: shows early whether photos and captions teach what they should."),
        {
            "gradient_accumulation_steps": 2,
            "lr_warmup_steps": 50,
            "max_train_steps": 300,
            "checkpointing_steps": 100,
            "milestone_steps": 100,
            "validation_steps": 100,
        },
        {**_STARTER, "max_train_steps": 100, "checkpointing_steps": 50, "milestone_steps": 50, "validation_steps": 50},
    ),
    "seed_recipe": Preset(
        _("The seed's recipe"),
        _("Rank 8, 16 photos a step and 3000 steps: what this product's first LoRA of casual shoes was made with."),
        {},
        {
            **_STARTER,
            "gradient_accumulation_steps": 2,
            "max_train_steps": 300,
            "checkpointing_steps": 100,
            "validation_steps": 100,
        },
    ),
    "high_quality": Preset(
        _("High quality"),
        _("Twice the rank and the steps, a falling learning rate, min-SNR weighting, dropped captions: takes longest."),
        {
            "rank": 16,
            "lora_alpha": 32,
            "lr_scheduler": "cosine",
            "max_train_steps": 6000,
            "snr_gamma": 5.0,
            "noise_offset": 0.05,
            "caption_dropout": 0.1,
        },
        {
            **_STARTER,
            "gradient_accumulation_steps": 2,
            "rank": 16,
            "lora_alpha": 32,
            "lr_scheduler": "cosine",
            "max_train_steps": 600,
            "checkpointing_steps": 100,
            "validation_steps": 100,
            "snr_gamma": 5.0,
        },
    ),
}
