"""Registers what lies in MODELS_DIR; the worker does the same when it starts."""

from __future__ import annotations

from typing import Any

from shoesai import terminal
from shoesai.terminal import DataCommand
from training.importers import shown
from training.scan import scan


class Command(DataCommand):
    help = "Registers the LoRA checkpoints that lie in MODELS_DIR. Scanning again changes nothing."

    def handle(self, *args: Any, **options: Any) -> None:
        report = scan(self.user(options))
        for left_out in report.problems:
            terminal.say(f"{shown(left_out.file)}: {left_out.problem}")
        if options["json"]:
            self.print_json(report.to_dict())
        else:
            for name in report.registered:
                self.stdout.write(name)
        terminal.say(f"{len(report.registered)} new, {len(report.known)} known, {len(report.problems)} left out.")
