"""Runs the jobs: both lanes, watched."""

from __future__ import annotations

import signal
import sys
import threading
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from shoesai.jobs.supervisor import supervise


class Command(BaseCommand):
    help = "Runs generation and training jobs until Ctrl-C; what runs then is kept and goes on at the next start."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--until-stdin-closes", action="store_true", help="also stop when whoever started it is gone"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        stop = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stop.set())
        self.stderr.write("The worker runs both lanes (gpu, cpu). Ctrl-C drains and stops it.")
        if options["until_stdin_closes"]:
            threading.Thread(target=_wait_for_the_parents_end, args=(stop,), daemon=True).start()
        supervise(stop)


def _wait_for_the_parents_end(stop: threading.Event) -> None:
    while sys.stdin.buffer.read(1):
        pass
    stop.set()
