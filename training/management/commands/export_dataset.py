"""A version of a dataset as a folder that other tools read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from shoesai import terminal
from shoesai.models import User
from shoesai.terminal import DataCommand
from training.datasets.exporting import FORMATS, write_to
from training.management.photo_source import find_dataset
from training.models import DatasetVersion


class Command(DataCommand):
    help = "Writes photos, captions and shoesai.json (order, held-out part, licence note) into an empty folder."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", metavar="NAME", help="The dataset.")
        parser.add_argument("--format", choices=list(FORMATS), default="captions-json")
        parser.add_argument("--to", type=Path, required=True, metavar="DIR")
        parser.add_argument("--version-number", "--number", type=int, metavar="N", help="Default: the newest version.")
        super().add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        version = _version(self.user(options), options["name"], options["version_number"])
        try:
            written = write_to(options["to"], version, options["format"])
        except FileExistsError as error:
            raise CommandError(f"--to: {error} Give an empty folder.", returncode=terminal.USAGE) from error
        except OSError as error:
            raise CommandError(f"--to: {error.strerror}: {error.filename}", returncode=terminal.FAILED) from error
        told = {
            "dataset": version.dataset.name,
            "version": version.number,
            "format": options["format"],
            "folder": str(options["to"]),
            "photos": version.photo_count,
            "files": len(written),
        }
        if options["json"]:
            self.print_json(told)
        else:
            self.stdout.write(f"{version}: {len(written)} files in {options['to']}")


def _version(user: User, name: str, number: int | None) -> DatasetVersion:
    newest = find_dataset(user, name)
    if number is None:
        return newest
    found = newest.dataset.versions.frozen().filter(number=number).first()
    if found is None:
        raise CommandError(f"--number: {name} has no version {number}.", returncode=terminal.NOT_FOUND)
    return found
