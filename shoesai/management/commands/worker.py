"""Runs the jobs: both lanes, watched."""

from __future__ import annotations

import signal
import threading
from typing import Any

from django.core.management.base import BaseCommand

from shoesai.jobs.supervisor import supervise


class Command(BaseCommand):
    help = "Runs generation and training jobs until Ctrl-C; what runs then is kept and goes on at the next start."

    def handle(self, *args: Any, **options: Any) -> None:
        stop = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stop.set())
        self.stderr.write("The worker runs both lanes (gpu, cpu). Ctrl-C drains and stops it.")
        supervise(stop)
