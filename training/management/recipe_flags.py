"""The recipe as flags: every setting of TrainSpec under its own name, so a new one needs nothing here."""

from __future__ import annotations

import argparse
from dataclasses import fields
from typing import Any

from django.core.management.base import CommandError, CommandParser

from shoesai import terminal
from shoesai.engine.specs import LORA_TARGETS, TrainSpec
from training.base_models import UnknownBaseModel, find_base_model
from training.models import BaseModel
from training.plan import PRESETS, settings_of_base
from training.recipe import words_for

# These have a flag of another form, or a default that depends on something else.
_OF_BASE = ("resolution", "validation_guidance_scale")
_SPECIAL = {"version", *_OF_BASE, "lr_warmup_steps", "lora_targets", "validation_prompts", "validation_seeds"}
_PLAIN = {each.name: each.default for each in fields(TrainSpec) if each.name not in _SPECIAL}
_LIST_FLAGS = {"validation_prompt": "validation_prompts", "validation_seed": "validation_seeds"}


def add_base_flag(parser: CommandParser) -> None:
    parser.add_argument(
        "--pretrained_model_name_or_path", "--base", dest="base", default="starter", metavar="NAME",
        help="A base model's name, or the hub's for it. Default: starter.",
    )  # fmt: skip


def add_recipe_flags(parser: CommandParser) -> None:
    """All of them None when not given, so that a preset can stand below them."""
    presets = "; ".join(f"{name}: {preset.sentence}" for name, preset in PRESETS.items())
    parser.add_argument("--preset", choices=list(PRESETS), help=f"A recipe that other flags then change. {presets}")
    for name, default in _PLAIN.items():
        kind: dict[str, Any] = {"type": type(default)}
        if isinstance(default, bool):
            kind = {"action": argparse.BooleanOptionalAction}
        parser.add_argument(f"--{name}", default=None, help=_help(name, default), **kind)
    for name in _OF_BASE:
        kind_of_value = type(getattr(TrainSpec, name))
        parser.add_argument(f"--{name}", type=kind_of_value, help=f"{_help(name, '')} Default: the base model's own.")
    parser.add_argument("--lr_warmup_steps", type=int, help="Default: a sixth of the steps, at most 500.")
    parser.add_argument("--lora_targets", nargs="+", metavar="NAME", help=f"Some of {', '.join(LORA_TARGETS)}.")
    parser.add_argument(
        "--validation_prompt", action="append",
        help="Can be repeated. Default: captions of up to four held-out photos.",
    )  # fmt: skip
    parser.add_argument("--validation_seed", type=int, action="append", help="One for each prompt.")


def _help(name: str, default: Any) -> str:
    words = words_for(name)
    text = f"{words.label}. {words.help}".rstrip()
    return text if default == "" else f"{text} [{default}]"


def base_of(options: dict[str, Any]) -> BaseModel:
    try:
        return find_base_model(options["base"])
    except UnknownBaseModel as error:
        raise CommandError(f"--pretrained_model_name_or_path: {error}", returncode=terminal.NOT_FOUND) from error


def spec_of(options: dict[str, Any], base: BaseModel) -> TrainSpec:
    """Raises SpecError, naming the settings that disagree."""
    given = {name: options[name] for name in (*_PLAIN, *_OF_BASE, "lr_warmup_steps") if options[name] is not None}
    if options["lora_targets"]:
        given["lora_targets"] = tuple(options["lora_targets"])
    given |= {name: tuple(options[flag]) for flag, name in _LIST_FLAGS.items() if options[flag]}
    begun_from = PRESETS[options["preset"]].settings_for(base) if options["preset"] else settings_of_base(base)
    settings = begun_from | given
    steps = settings.get("max_train_steps", TrainSpec.max_train_steps)
    settings.setdefault("lr_warmup_steps", TrainSpec.usual_warmup(steps))
    return TrainSpec(**settings)
