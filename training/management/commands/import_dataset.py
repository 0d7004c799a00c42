"""Photos from a folder or a ZIP into the studio, as a new version of a dataset."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from shoesai import terminal
from shoesai.models import Team, User
from shoesai.terminal import DataCommand
from training.datasets.drafts import DraftProblem
from training.datasets.importing import DatasetNameProblem, clean_name, import_photos
from training.datasets.sources import Files, Problem, SourceProblem
from training.importers import IMPORTERS, DatasetProblems, PhotoFile, Report, read_photos, read_strictly, source_of
from training.models import Dataset, DatasetVersion


class Command(DataCommand):
    help = (
        "Imports photos from a folder or a ZIP. What has any problem imports nothing, unless --skip-broken leaves out"
        " what is broken. Photos without captions become a draft, to be captioned in the portal."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("path", type=Path, help="The folder, or the ZIP.")
        parser.add_argument("--name", required=True, help="The dataset; one that exists gets a new version.")
        parser.add_argument(
            "--importer",
            choices=["auto", *IMPORTERS],
            default="auto",
            help="auto: what it looks like; " + "; ".join(f"{key}: {row.label}" for key, row in IMPORTERS.items()),
        )
        parser.add_argument("--skip-broken", action="store_true", help="Import what can be used, and report the rest.")
        parser.add_argument("--share", metavar="TEAM", help="Show the dataset to this team of yours.")
        super().add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        user, report = self.user(options), Report()
        team = _team_of(user, options["share"])
        try:
            version = import_path(
                user,
                options["path"],
                options["name"],
                importer=options["importer"],
                skip_broken=options["skip_broken"],
                report=report,
                quiet=options["verbosity"] == 0,
            )
        except DatasetProblems as error:
            self._end_with(error.problems, str(error), report, options)
        except SourceProblem as error:
            self._end_with([Problem(options["path"].name, str(error))], f"PATH: {error}", report, options)
        except DraftProblem as error:
            raise CommandError(str(error), returncode=terminal.FAILED) from error
        if team:
            Dataset.objects.filter(pk=version.dataset_id).update(team=team)
        self._print(version, report, options)

    def _end_with(self, problems: list[Problem], words: str, report: Report, options: dict[str, Any]) -> None:
        if options["json"]:
            told = report.as_dict() | {"images": 0, "captions": 0}
            self.print_json(told | {"problems": [asdict(problem) for problem in problems]})
        raise CommandError(words, returncode=terminal.INVALID_DATA)

    def _print(self, version: DatasetVersion, report: Report, options: dict[str, Any]) -> None:
        if options["json"]:
            self.print_json(described(version) | report.as_dict())
            return
        for problem in report.problems:
            terminal.say(f"left out: {problem.file}: {problem.problem}")
        what = "a draft" if version.is_draft else f"content {version.content_hash[:12]}"
        self.stdout.write(f"{version}: {version.photo_count} photos, {what}")


def _team_of(user: User, name: str | None) -> Team | None:
    if not name:
        return None
    team = user.teams.filter(name=name).first()
    if team is None:
        raise CommandError(f"--share: you are in no team named {name!r}.", returncode=terminal.NOT_FOUND)
    return team


def described(version: DatasetVersion) -> dict[str, Any]:
    return {
        "dataset": version.dataset.name,
        "version": version.number,
        "state": "draft" if version.is_draft else "frozen",
        "photos": version.photo_count,
        "content_hash": version.content_hash,
        "id": str(version.pk),
        "created_at": version.created_at.isoformat(),
    }


def import_path(
    user: User,
    path: Path,
    name: str,
    *,
    importer: str = "auto",
    skip_broken: bool = False,
    report: Report | None = None,
    quiet: bool = False,
) -> DatasetVersion:
    """With a progress bar. Raises DatasetProblems, SourceProblem; CommandError for what is not there or no name."""
    report = Report() if report is None else report
    try:
        clean_name(name)
    except DatasetNameProblem as error:
        raise CommandError(f"--name: {error}", returncode=terminal.USAGE) from error
    photos = read_path(path, importer=importer, skip_broken=skip_broken, report=report, quiet=quiet)
    return import_photos(user=user, name=name, photos=photos, licence_note=lambda: report.licence_note)


def read_path(
    path: Path,
    *,
    importer: str = "auto",
    skip_broken: bool = False,
    report: Report | None = None,
    quiet: bool = False,
) -> Iterator[PhotoFile]:
    if not path.exists():
        raise CommandError(f"There is no folder or ZIP {path}.", returncode=terminal.NOT_FOUND)
    read = read_photos if skip_broken else read_strictly
    with terminal.progress("Checking photos", quiet=quiet) as view:
        files: Files = source_of(path)
        yield from read(files, importer, report=report, progress=lambda done, total: view.show(done, total, ""))
