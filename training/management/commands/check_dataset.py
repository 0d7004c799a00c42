"""The doctor's report on a dataset at a terminal."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from shoesai import terminal
from shoesai.jobs.queue import QuotaReached
from shoesai.terminal import DataCommand
from training.datasets.checking import request_check, told
from training.datasets.findings import KINDS
from training.management.dataset_named import dataset_named
from training.models import Dataset, DatasetVersion


class Command(DataCommand):
    help = (
        "Looks at every photo and caption of a dataset: sharpness, light, background, framing, duplicates, captions,"
        " balance. Exit code 0 when the report is there; with --strict 4 when it has findings that nobody has accepted."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", metavar="NAME", help="The dataset.")
        parser.add_argument(
            "--version-number", "--number", type=int, metavar="N", help="Default: its draft, else its newest version."
        )
        parser.add_argument("--strict", action="store_true", help="Exit code 4 when findings are open.")
        super().add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        user = self.user(options)
        dataset = dataset_named(user, options["name"])
        version = _version(dataset, options["version_number"])
        try:
            job = request_check(user, version)
        except QuotaReached as error:
            raise CommandError(str(error), returncode=terminal.TRY_LATER) from error
        terminal.finished(job, f"Checking {version}", quiet=options["verbosity"] == 0)
        version.refresh_from_db()
        report = told(version)
        if options["json"]:
            self.print_json(report)
        else:
            self._print(report)
        if report["open"] and options["strict"]:
            raise CommandError(f"{report['open']} findings are open.", returncode=terminal.INVALID_DATA)

    def _print(self, report: dict[str, Any]) -> None:
        self.stdout.write(f"{report['dataset']} v{report['version']}: {report['photos']} photos, {report['open']} open")
        for kind, rows in report["findings"].items():
            waiting = [row for row in rows if not row["accepted"]]
            self.stdout.write(f"{KINDS[kind].label}: {len(waiting)}")
            for row in waiting[:20]:
                self.stdout.write(f"  {row['file'] or _whole(row)}")
            if len(waiting) > 20:
                self.stdout.write(f"  and {len(waiting) - 20} more; --json lists them all")


def _whole(row: dict[str, Any]) -> str:
    if "share" in row:
        return f"{round(100 * row['share'])} % are {row['value']} ({row['field']})"
    return f"{row['missing']} of {row['cells']} combinations of type and colour have no photo, {row['rare']} have one"


def _version(dataset: Dataset, number: int | None) -> DatasetVersion:
    numbered = dataset.versions.filter(number=number or 0).first()  # none has the number 0
    version = (dataset.draft() or dataset.latest()) if number is None else numbered
    if version is None:
        what = "no photos yet" if number is None else f"no version {number}"
        raise CommandError(f"The dataset {dataset.name} has {what}.", returncode=terminal.NOT_FOUND)
    return version
