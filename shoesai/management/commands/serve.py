"""Web and worker together on one machine."""

from __future__ import annotations

from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandParser

from shoesai.site import (
    DEFAULT_PORT,
    require_free_port,
    serve_until_stopped,
    signals_interrupt,
    start_web,
    start_worker,
    stop_all,
)


class Command(BaseCommand):
    help = "Serves the portal and the API and runs the jobs, until one Ctrl-C stops both cleanly."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", type=int, default=DEFAULT_PORT)
        parser.add_argument("--host", default="127.0.0.1", help="0.0.0.0 to be reached from other machines")

    def handle(self, *args: Any, **options: Any) -> None:
        signals_interrupt()
        require_free_port(options["port"])
        call_command("migrate", verbosity=0, interactive=False)
        parts = [start_worker()]
        try:
            parts.append(start_web(options["port"], options["host"]))
            self.stderr.write(f"The portal is at http://127.0.0.1:{options['port']} — Ctrl-C stops it.")
            serve_until_stopped(*parts)
        finally:
            self.stderr.write("Stopping: a running job is kept and goes on at the next start.")
            stop_all(*parts)
