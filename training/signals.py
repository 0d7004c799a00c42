"""What a training tells to whoever wants to follow it without training knowing them. Sent inside transactions."""

from django.dispatch import Signal

checkpoint_kept = Signal()
"""`sender`: TrainingRun, `run`: the run that has one more checkpoint."""

run_succeeded = Signal()
"""`sender`: TrainingRun, `run`: the run that has come to its end."""
