"""Photos with captions from a folder into the studio, as a new version of a dataset."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from shoesai import terminal
from shoesai.models import User
from shoesai.terminal import DataCommand
from training.datasets.importing import DatasetNameProblem, clean_name, import_photos
from training.importers import IMPORTERS, DatasetProblems, PhotoFile
from training.models import DatasetVersion


class Command(DataCommand):
    help = "Imports a folder with images/ and captions.json; a folder with any problem imports nothing."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("path", type=Path, help="The folder.")
        parser.add_argument("--name", required=True, help="The dataset; one that exists gets a new version.")
        parser.add_argument(
            "--importer",
            choices=list(IMPORTERS),
            default="captions_json",
            help="; ".join(f"{key}: {row.label}" for key, row in IMPORTERS.items()),
        )
        super().add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            version = import_folder(
                self.user(options),
                options["path"],
                options["name"],
                importer=options["importer"],
                quiet=options["verbosity"] == 0,
            )
        except DatasetProblems as error:
            if options["json"]:
                self.print_json({"problems": [asdict(problem) for problem in error.problems]})
            raise CommandError(str(error), returncode=terminal.INVALID_DATA) from error
        if options["json"]:
            self.print_json(described(version))
        else:
            self.stdout.write(f"{version}: {version.photo_count} photos, content {version.content_hash[:12]}")


def described(version: DatasetVersion) -> dict[str, Any]:
    return {
        "dataset": version.dataset.name,
        "version": version.number,
        "photos": version.photo_count,
        "content_hash": version.content_hash,
        "id": str(version.pk),
        "created_at": version.created_at.isoformat(),
    }


def import_folder(
    user: User, path: Path, name: str, *, importer: str = "captions_json", quiet: bool = False
) -> DatasetVersion:
    """With a progress bar. Raises DatasetProblems; CommandError for a missing folder or an unusable name."""
    try:
        clean_name(name)
        return import_photos(user=user, name=name, photos=read_folder(path, importer=importer, quiet=quiet))
    except DatasetNameProblem as error:
        raise CommandError(f"--name: {error}", returncode=terminal.USAGE) from error


def read_folder(path: Path, *, importer: str = "captions_json", quiet: bool = False) -> Iterator[PhotoFile]:
    if not path.is_dir():
        raise CommandError(f"There is no folder {path}.", returncode=terminal.NOT_FOUND)
    with terminal.progress("Checking photos", quiet=quiet) as view:
        yield from IMPORTERS[importer].read(path, lambda done, total: view.show(done, total, ""))
