"""E-mail to the owner of a run that has ended."""

from __future__ import annotations

from django.conf import settings
from django.core.mail import send_mail
from django.db import transaction
from django.urls import reverse

from shoesai.models import Job
from training.models import TrainingRun


def send_end_of_run(run: TrainingRun, job: Job) -> None:
    """After the commit, and never at the run's expense: a mail server that is down is a line in the log (`robust`)."""
    if run.owner.email:
        transaction.on_commit(lambda: _send(run, job), robust=True)


def _send(run: TrainingRun, job: Job) -> None:
    send_mail(_subject(run), _text(run, job), settings.DEFAULT_FROM_EMAIL, [run.owner.email])


def _subject(run: TrainingRun) -> str:
    return f"Training {run.name}: {run.get_state_display().lower()}"


def _text(run: TrainingRun, job: Job) -> str:
    lines = [f"The run {run.name} has {run.get_state_display().lower()} after {_duration(run.train_seconds)}.", ""]
    if run.state == TrainingRun.State.FAILED:
        lines += [f"{job.error_text} ({job.error_code})", "", _how_to_resume(run), ""]
    best = run.best_checkpoint()
    if best:
        lines += [f"Best checkpoint by validation loss: {best.name} ({best.validation_loss:.4f}).", ""]
    lines.append(settings.SITE_URL + reverse("training-run", args=[run.pk]))
    return "\n".join(lines)


def _how_to_resume(run: TrainingRun) -> str:
    step = run.resume_step
    where = f"It goes on from step {step}, whose state is kept," if step else "It begins again"
    return f"{where} with the run page's Resume button or `manage.py resume_training {run.name}`."


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 1:
        return f"{seconds:.0f} s"
    return f"{minutes // 60} h {minutes % 60:02} min" if minutes >= 60 else f"{minutes} min"
