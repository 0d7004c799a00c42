"""Frees the device and keeps the run: resume_training goes on exactly there."""

from __future__ import annotations

from training import services
from training.management.stopping import StoppingCommand
from training.models import TrainingRun


class Command(StoppingCommand):
    help = "Keeps a run's state after the step at hand and frees the device; resume_training goes on exactly there."

    def stop(self, run: TrainingRun) -> None:
        services.pause_training(run)
