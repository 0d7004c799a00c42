"""A gallery of any size, for trials and measurements."""

from __future__ import annotations

import time
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import connection

from gallery.filling import fill
from generation.models import GeneratedImage
from shoesai import terminal
from shoesai.terminal import DataCommand

SAID_EVERY_SECONDS = 5.0


class Command(DataCommand):
    help = (
        "Fills the gallery with drawn pictures for trials and measurements: real rows, shared files. "
        "Example: manage.py make_gallery 100000 --user alice"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("images", type=int, help="How many pictures.")
        parser.add_argument("--seed", type=int, default=0, help="The same seed makes the same gallery.")
        parser.add_argument("--add", action="store_true", help="Even though there are pictures already.")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["images"] < 1:
            raise CommandError("images: must be 1 or more.", returncode=2)
        if GeneratedImage.objects.exists() and not options["add"]:
            raise CommandError("There are pictures already; --add puts these beside them.", returncode=1)
        began = said = time.monotonic()
        for made in fill(self.user(options), options["images"], options["seed"]):
            if time.monotonic() - said > SAID_EVERY_SECONDS:
                said = time.monotonic()
                terminal.say(f"{made:,} of {options['images']:,} pictures")
        self._tidy()
        seconds = round(time.monotonic() - began, 1)
        terminal.say(f"{options['images']:,} pictures in {seconds} s.")
        if options["json"]:
            self.print_json({"images": options["images"], "seconds": seconds})

    def _tidy(self) -> None:
        """Databases plan by what they know of their tables; PostgreSQL would find out by itself some minutes later."""
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE" if connection.vendor == "postgresql" else "ANALYZE")
