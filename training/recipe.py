"""The settings of a training in words for people: one row a field of TrainSpec, used by form, run page and comparison.

A field without a row still works: it is shown under its own name, among the others.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from shoesai.engine.specs import TrainSpec
from shoesai.numbers import in_language

MAIN, OPTIMIZER, LEARNED, CHECKS, LIMITS, OTHER = "main", "optimizer", "learned", "checks", "limits", "other"
GROUPS: dict[str, Promise] = {
    MAIN: _("Main settings"),
    OPTIMIZER: _("Learning rate and optimizer"),
    LEARNED: _("What is learned"),
    CHECKS: _("Checks on the way"),
    LIMITS: _("Time, memory, chance"),
    OTHER: _("Other settings"),
}


@dataclass(frozen=True)
class Words:
    label: str | Promise
    help: str | Promise
    group: str


# In the order in which they are shown.
WORDS: dict[str, Words] = {
    "max_train_steps": Words(_("Steps"), _("Each changes the LoRA once."), MAIN),
    "learning_rate": Words(_("Learning rate"), _("Reached after the warm-up."), MAIN),
    "rank": Words(_("Rank"), _("How much the LoRA can hold."), MAIN),
    "lora_alpha": Words(_("Alpha"), _("Its strength is alpha / rank."), MAIN),
    "train_batch_size": Words(_("Batch"), _("Photos at once; takes memory."), MAIN),
    "gradient_accumulation_steps": Words(_("Accumulation"), _("Batches per step; takes time."), MAIN),
    "resolution": Words(_("Resolution"), _("Pixels on a side."), MAIN),
    "checkpointing_steps": Words(_("Checkpoint every"), _("Steps between usable LoRAs."), MAIN),
    "validation_steps": Words(_("Validate every"), _("Steps; 0 is never."), MAIN),
    "trigger_words": Words(
        _("Trigger words"), _("Go before every caption and into exported files."), MAIN
    ),
    "validation_prompts": Words(
        _("Validation prompts"), _("One a line. Empty: captions of up to four held-out photos."), MAIN
    ),
    "lr_scheduler": Words(_("Schedule"), _("How the rate goes on after the warm-up."), OPTIMIZER),
    "lr_warmup_steps": Words(_("Warm-up"), _("Steps from 0 to the full rate."), OPTIMIZER),
    "max_grad_norm": Words(_("Largest gradient"), _("Longer ones are cut to it."), OPTIMIZER),
    "adam_beta1": Words(_("Adam β₁"), "", OPTIMIZER),
    "adam_beta2": Words(_("Adam β₂"), "", OPTIMIZER),
    "adam_epsilon": Words(_("Adam ε"), "", OPTIMIZER),
    "adam_weight_decay": Words(_("Weight decay"), "", OPTIMIZER),
    "lora_targets": Words(_("LoRA on"), _("Layers of the UNet's attention blocks."), LEARNED),
    "caption_dropout": Words(
        _("Caption dropout"), _("Share of captions left empty, 0 to 1."), LEARNED
    ),
    "noise_offset": Words(_("Noise offset"), _("0 is off."), LEARNED),
    "snr_gamma": Words(_("Min-SNR γ"), _("Often 5; 0 is off."), LEARNED),
    "masked_loss": Words(
        _("Look at the shoe only"), _("Finds it on the white background."), LEARNED
    ),
    "unmasked_weight": Words(
        _("Background's weight"), _("Where only the shoe is looked at, 0 to 1."), LEARNED
    ),
    "validation_fraction": Words(
        _("Held-out share"), _("Photos kept for measuring, 0 to 0.5."), CHECKS
    ),
    "validation_seeds": Words(
        _("Validation seeds"), _("One for each prompt, or none."), CHECKS
    ),
    "validation_guidance_scale": Words(
        _("Validation guidance"), _("How closely its pictures follow their prompts."), CHECKS
    ),
    "milestone_steps": Words(
        _("Milestone every"), _("Checkpoints kept for good; 0 keeps all."), CHECKS
    ),
    "max_train_minutes": Words(_("Most minutes"), _("0 is no limit."), LIMITS),
    "gradient_checkpointing": Words(
        _("Gradient checkpointing"), _("Less memory, more time."), LIMITS
    ),
    "seed": Words(_("Seed"), _("Of everything random."), LIMITS),
}
DEFAULTS: dict[str, Any] = {each.name: each.default for each in dataclasses.fields(TrainSpec) if each.name != "version"}


def words_for(name: str) -> Words:
    return WORDS.get(name) or Words(name.replace("_", " ").capitalize(), "", OTHER)


def in_order() -> list[str]:
    """All settings as they are shown: those of the table, then those it does not know yet."""
    return [name for name in WORDS if name in DEFAULTS] + [name for name in DEFAULTS if name not in WORDS]


@dataclass(frozen=True)
class Setting:
    """One setting of a run beside its default."""

    name: str
    value: Any
    default: Any

    @property
    def label(self) -> str | Promise:
        return words_for(self.name).label

    @property
    def is_changed(self) -> bool:
        return as_json(self.value) != as_json(self.default)

    @property
    def shown(self) -> str:
        return shown(self.value)

    @property
    def default_shown(self) -> str:
        return shown(self.default)


def settings_of(spec: Mapping[str, Any]) -> Iterator[Setting]:
    """Every setting of a saved spec, also of an older version: what it does not say has its default."""
    for name in in_order():
        yield Setting(name, spec.get(name, DEFAULTS[name]), DEFAULTS[name])


def in_groups(spec: Mapping[str, Any]) -> list[tuple[Promise, list[Setting]]]:
    settings = list(settings_of(spec))
    grouped = ((title, [each for each in settings if words_for(each.name).group == group])
               for group, title in GROUPS.items())  # fmt: skip
    return [(title, each) for title, each in grouped if each]


def as_json(value: Any) -> Any:
    """Tuples and lists hold the same, and 1 is 1.0."""
    return list(value) if isinstance(value, tuple) else value


def shown(value: Any) -> str:
    """A value in words, exactly: 0.0001 is not rounded away."""
    if isinstance(value, bool):
        return gettext("on") if value else gettext("off")
    if isinstance(value, float):
        return in_language(repr(value).removesuffix(".0"))
    if isinstance(value, list | tuple):
        return "\n".join(map(str, value)) or gettext("none")
    return str(value) if value != "" else gettext("none")
