"""FILE_OR_CHECKPOINT: a LoRA that lies on this disk, or one of the catalogue's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from django.core.management.base import CommandError, CommandParser

from shoesai import terminal
from shoesai.engine.lora_formats import Lora, read_lora
from shoesai.engine.lora_names import LoraProblem
from shoesai.models import User
from training.catalogue import UnknownModel, find_checkpoint
from training.exports import lora_of
from training.models import Checkpoint


@dataclass(frozen=True)
class LoraSource:
    name: str
    lora: Lora
    path: Path | None
    checkpoint: Checkpoint | None


def add_source(parser: CommandParser) -> None:
    parser.add_argument(
        "source",
        metavar="FILE_OR_CHECKPOINT",
        help="A .safetensors file, a PEFT folder, or a checkpoint such as casual/checkpoint-500.",
    )


def find_source(user: User, text: str) -> LoraSource:
    """Raises CommandError: 3 for what is not there (or not the user's), 4 for what is no LoRA."""
    path = Path(text).expanduser()
    with lora_problems_of(path.name):
        if path.exists():
            return LoraSource(path.name, read_lora(path), path, None)
        checkpoint = checkpoint_named(user, text, "FILE_OR_CHECKPOINT")
        return LoraSource(checkpoint.name, lora_of(checkpoint), None, checkpoint)


def checkpoint_named(user: User, name: str, what: str = "CHECKPOINT") -> Checkpoint:
    """Raises CommandError with exit code 3; somebody else's is as unknown as one that never was."""
    try:
        return find_checkpoint(user, name)
    except UnknownModel as error:
        text = f"{what}: {name!r} is neither a file nor a checkpoint" if "FILE" in what else f"{what}: no {name!r}"
        raise CommandError(f"{text} that {user.username} can use.", returncode=terminal.NOT_FOUND) from error


@contextmanager
def lora_problems_of(name: str) -> Iterator[None]:
    try:
        yield
    except LoraProblem as problem:
        raise CommandError(f"{name}: {problem}.", returncode=terminal.INVALID_DATA) from problem
