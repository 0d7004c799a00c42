"""What a command learns from: a dataset that is imported already, or a folder."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from shoesai import terminal
from shoesai.models import User
from training.management.commands.import_dataset import import_path, read_path
from training.models import Dataset, DatasetVersion, Photo


def add_source_flags(parser: CommandParser) -> None:
    parser.add_argument("--dataset_path", type=Path, help="A folder or a ZIP of photos with captions.")
    parser.add_argument(
        "--dataset",
        help="A dataset that is imported already; with --dataset_path: the name to import it under.",
    )


def version_of(user: User, options: dict[str, Any]) -> DatasetVersion:
    """Imports the folder, if one is given. Raises CommandError, and DatasetProblems when the folder has any."""
    path = options["dataset_path"]
    if not path:
        return find_dataset(user, options["dataset"])
    name = options["dataset"] or dataset_name_of(path)
    version = import_path(user, path, name, quiet=options["verbosity"] == 0)
    terminal.say(f"Photos: {version} ({version.photo_count}).")
    return version


def photos_of(user: User, options: dict[str, Any]) -> list[Photo]:
    """What would be learned from; of a folder only the facts that a plan needs, and nothing is stored."""
    if not options["dataset_path"]:
        return list(find_dataset(user, options["dataset"]).photos.order_by("position"))
    return [
        Photo(
            blob_id=hashlib.sha256(photo.picture.png).hexdigest(),
            caption=photo.caption,
            width=photo.picture.width,
            height=photo.picture.height,
        )
        for photo in read_path(options["dataset_path"], quiet=options["verbosity"] == 0)
    ]


def find_dataset(user: User, name: str | None) -> DatasetVersion:
    """The newest version of a dataset that the user may see, the user's own first."""
    if not name:
        raise CommandError("Give --dataset_path or --dataset to learn from.", returncode=terminal.USAGE)
    named = Dataset.objects.visible_to(user).filter(name=name)
    mine_first = sorted(named, key=lambda each: each.owner_id != user.pk)
    version = mine_first[0].latest() if mine_first else None
    if version is None:
        raise CommandError(f"--dataset: there is no dataset named {name!r}.", returncode=terminal.NOT_FOUND)
    return version


def dataset_name_of(folder: Path) -> str:
    """`data/casual_shoes/train` is casual_shoes: the layout calls every folder `train`."""
    parts = [part for part in folder.resolve().parts if part not in ("/", "train")]
    return parts[-1] if parts else "dataset"
