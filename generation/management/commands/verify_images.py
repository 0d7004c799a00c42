"""Proof from the terminal that pictures can be made again: a sample is, and every pixel compared."""

from __future__ import annotations

import random
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db.models import QuerySet

from generation.models import GeneratedImage, Recreation
from generation.recreating import CLOSE_MAX, CLOSE_MEAN, queue_recreation, words_of
from shoesai import terminal
from shoesai.jobs.queue import QuotaReached
from shoesai.models import Job, User
from shoesai.terminal import DataCommand, say

FAILED = "failed"
VERDICTS = [*Recreation.Verdict.values, FAILED]


class Command(DataCommand):
    help = (
        "Makes a sample of stored pictures again from their recipes and compares every pixel: identical, close (at"
        f" most {CLOSE_MAX} of 255, {CLOSE_MEAN} in the mean), different, or failed where something is gone. Ends with"
        " 1 when any is different or failed. The stored pictures stay as they are."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--sample", type=int, default=5, help="How many pictures. Default: 5.")
        parser.add_argument("--seed", type=int, default=1, help="Which ones; the same seed takes the same. Default: 1.")
        super().add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        if options["sample"] < 1:
            raise CommandError("--sample must be 1 or more.", returncode=terminal.USAGE)
        asked_by = self.user(options)
        images = _sample(_pictures(options["user"], asked_by), options["sample"], options["seed"])
        if not images:
            raise CommandError("There are no pictures to make again.", returncode=terminal.NOT_FOUND)
        rows = []
        for image in images:
            rows.append(_verified(asked_by, image, quiet=options["verbosity"] == 0))
            if not options["json"]:
                self.stdout.write(_line(rows[-1]))
        counts = {verdict: sum(row["verdict"] == verdict for row in rows) for verdict in VERDICTS}
        if options["json"]:
            self.print_json({"pictures": len(rows), **counts, "images": rows})
        else:
            say(", ".join(f"{number} {verdict}" for verdict, number in counts.items() if number))
        if counts[Recreation.Verdict.DIFFERENT] or counts[FAILED]:
            raise CommandError("Not every picture could be made again.", returncode=terminal.FAILED)


def _pictures(named: str | None, user: User) -> QuerySet[GeneratedImage]:
    """That user's own; all of the site where nobody is named."""
    images = GeneratedImage.objects.filter(trashed_at__isnull=True, mending__isnull=True)
    return images.filter(owner=user) if named else images


def _sample(images: QuerySet[GeneratedImage], size: int, seed: int) -> list[GeneratedImage]:
    """By their places in the order of making, so that a million of them need not be read."""
    ordered, count = images.order_by("created_at", "pk"), images.count()
    places = sorted(random.Random(seed).sample(range(count), min(size, count)))
    return [ordered.select_related("generation", "team")[place] for place in places]


def _verified(user: User, image: GeneratedImage, *, quiet: bool) -> dict[str, Any]:
    try:
        recreation = queue_recreation(user, image)
    except QuotaReached as error:
        raise CommandError(str(error), returncode=terminal.TRY_LATER) from error
    job = terminal.follow(recreation.job, f"Making {image.pk} again", quiet=quiet)
    if job.state == Job.State.CANCELLED:
        raise CommandError("Stopped.", returncode=terminal.STOPPED)
    recreation.refresh_from_db()
    failed = job.state != Job.State.SUCCEEDED
    return {
        "id": str(image.pk),
        "prompt": image.generation.prompt,
        "model": image.generation.model_name,
        "seed": image.seed_number,
        "verdict": FAILED if failed else recreation.verdict,
        "max_difference": recreation.max_difference,
        "mean_difference": recreation.mean_difference,
        "reasons": [job.error_text] if failed else _reasons(recreation),
    }


def _reasons(recreation: Recreation) -> list[str]:
    return [] if recreation.verdict == Recreation.Verdict.IDENTICAL else words_of(recreation)


def _line(row: dict[str, Any]) -> str:
    figures = ""
    if row["max_difference"]:
        figures = f" (max {row['max_difference']}, mean {row['mean_difference']:g} of 255)"
    return f"{row['verdict']}{figures}  {row['id']}  {row['model']} · {row['seed']}" + "".join(
        f"\n  {reason}" for reason in row["reasons"]
    )
