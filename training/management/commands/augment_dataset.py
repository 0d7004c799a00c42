"""Variants of a dataset's photos, into its draft; or a few of them into a folder, to look at first."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from shoesai import terminal
from shoesai.engine.specs import AugmentSpec
from shoesai.jobs.queue import QuotaReached
from shoesai.models import Job, User
from shoesai.terminal import DataCommand
from training import work
from training.datasets.augmenting import AugmentProblem, plan_of, request_augmentation, request_preview
from training.management.augment_flags import add_augment_flags, spec_of
from training.management.dataset_named import dataset_named
from training.models import Dataset, DatasetVersion, Photo


class Command(DataCommand):
    help = (
        "Varies the photos of a dataset: subtle rotations, or the product recipe (rotation, light, mirroring). The"
        " variants go into the dataset's draft; a second call with the same settings makes only what is missing."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", metavar="NAME", nargs="?", help="The dataset; may be left out where there is one.")
        add_augment_flags(parser)
        parser.add_argument("--preview", type=Path, metavar="DIR", help="Write a few variants there and nothing else.")
        super().add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        user = self.user(options)
        spec = spec_of(options)
        dataset = dataset_named(user, options["name"])
        try:
            if options["preview"]:
                self._preview(user, dataset, spec, options)
            else:
                self._augment(user, dataset, spec, options)
        except AugmentProblem as error:
            raise CommandError(str(error), returncode=terminal.USAGE) from error
        except QuotaReached as error:
            raise CommandError(str(error), returncode=terminal.TRY_LATER) from error

    def _augment(self, user: User, dataset: Dataset, spec: AugmentSpec, options: dict[str, Any]) -> None:
        job = request_augmentation(user=user, dataset=dataset, spec=spec)
        if note := plan_of(DatasetVersion.objects.get(pk=job.spec["draft"]), spec).flip_note:
            terminal.say(note)
        job = terminal.finished(job, f"Augmenting {dataset.name}", quiet=options["verbosity"] == 0)
        for one in job.result["skipped"]:
            terminal.say(f"{one['file']}: {one['problem']}")
        if options["json"]:
            self.print_json({"dataset": dataset.name, "job": str(job.pk), "settings": spec.to_dict(), **job.result})
        else:
            self.stdout.write(
                f"{dataset.name}: {job.result['variants']} variants of {job.result['photos']} photos,"
                f" {job.result['total']} in the draft"
            )

    def _preview(self, user: User, dataset: Dataset, spec: AugmentSpec, options: dict[str, Any]) -> None:
        version = dataset.draft() or dataset.latest()
        if version is None:
            raise CommandError(f"{dataset.name} has no photos yet.", returncode=terminal.NOT_FOUND)
        job = request_preview(user=user, version=version, spec=spec)
        job = terminal.finished(job, "Trying", quiet=options["verbosity"] == 0)
        paths = _taken(job, options["preview"])
        if options["json"]:
            self.print_json({"dataset": dataset.name, "job": str(job.pk), "settings": spec.to_dict(), "files": paths})
        else:
            self.stdout.write("\n".join(paths))


def _taken(job: Job, folder: Path) -> list[str]:
    """Moves the variants into the folder under their photos' names, beside what was drawn for each."""
    names = {str(photo.pk): photo.file_name for photo in Photo.objects.filter(pk__in=job.result["photos"])}
    source, paths = work.folder_of(job), []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for one in job.result["variants"]:
            path = folder / f"{Path(names.get(one['photo'], one['photo'])).stem}_var{one['variant']}.png"
            path.write_bytes((source / one["file"]).read_bytes())
            path.with_suffix(".json").write_text(json.dumps(one["drawn"], indent=2) + "\n", "utf-8")
            paths.append(str(path))
    except OSError as error:
        raise CommandError(f"--preview: {folder}: {error.strerror}.", returncode=terminal.USAGE) from error
    finally:
        work.forget(job)
    return paths
