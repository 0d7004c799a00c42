"""Stops a run for good; what it has learned is kept."""

from __future__ import annotations

from training import services
from training.management.stopping import StoppingCommand
from training.models import TrainingRun


class Command(StoppingCommand):
    help = "Stops a run. Its checkpoints and its last state are kept, so that resume_training can change its mind."

    def stop(self, run: TrainingRun) -> None:
        services.cancel_training(run)
