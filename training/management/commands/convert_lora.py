"""One LoRA in another tool's form: renaming only, at exactly the scale that it had."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from shoesai import terminal
from shoesai.engine.lora_formats import PEFT_WEIGHTS, WEIGHTS, lora_files
from shoesai.engine.lora_names import FORMS
from shoesai.terminal import DataCommand
from training.exports import Files, files_of
from training.imports import facts_of, file_of
from training.management.lora_source import LoraSource, add_source, find_source, lora_problems_of
from training.outputs import write_whole


class Command(DataCommand):
    help = (
        "Writes a LoRA in diffusers, kohya (A1111, ComfyUI, InvokeAI) or PEFT form. The weights are not touched and"
        " alpha is said in each form's own way, so every tool draws the same picture with it."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        add_source(parser)
        parser.add_argument("--to", required=True, choices=FORMS)
        parser.add_argument("--out", required=True, metavar="PATH", help="A .safetensors file; else a folder.")
        parser.add_argument("--dry-run", action="store_true", help="Say what would be written, and write nothing.")
        super().add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        source = find_source(self.user(options), options["source"])
        with lora_problems_of(source.name):
            made = _converted(source, options["to"])
        targets = _places(made, options["to"], source, options["out"])
        if not options["dry_run"]:
            for path, data in targets.items():
                _write(path, data)
        if options["json"]:
            self.print_json(
                {
                    "source": source.name,
                    "from": source.lora.form,
                    "to": options["to"],
                    "files": [str(path) for path in targets],
                    **{key: value for key, value in facts_of(source.lora).items() if key != "format"},
                    "dry_run": options["dry_run"],
                }
            )
            return
        for path in targets:
            self.stdout.write(str(path))


def _converted(source: LoraSource, form: str) -> Files:
    """A checkpoint as it is downloaded; a file that has the form already as it is."""
    if source.checkpoint:
        return files_of(source.checkpoint, form)
    if source.path and source.lora.form == form != "peft":
        return {source.path.name: file_of(source.path).read_bytes()}
    return lora_files(source.lora, form)


def _places(made: Files, form: str, source: LoraSource, out: str) -> dict[Path, bytes]:
    target = Path(out).expanduser()
    if form == "peft":
        if target.is_file() or target.suffix == ".safetensors":
            text = f"--out: {out}: PEFT is a folder ({PEFT_WEIGHTS} and its configuration), not a file."
            raise CommandError(text, returncode=terminal.USAGE)
        return {target / name: data for name, data in made.items()}
    (data,) = made.values()
    if form == "diffusers" and (target.is_dir() or target.suffix != ".safetensors"):
        return {target / WEIGHTS: data}  # what load_lora_weights looks for in a folder
    if target.is_dir() or out.endswith(os.sep):
        stem = source.path.stem if source.path else source.name.replace("/", "_")
        target = target / f"{stem}_{form}.safetensors"
    return {target: data}


def _write(path: Path, data: bytes) -> None:
    try:
        write_whole(path, data)
    except OSError as error:
        raise CommandError(f"--out: {path}: {error.strerror}.", returncode=terminal.FAILED) from error
