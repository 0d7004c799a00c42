"""E-mail to the owner of a run that has ended."""

from __future__ import annotations

import logging
from smtplib import SMTPException

from django.conf import settings
from django.core.mail import send_mail
from django.db import transaction
from django.urls import reverse

from shoesai.models import Job
from training.models import TrainingRun

logger = logging.getLogger(__name__)


def send_end_of_run(run: TrainingRun, job: Job) -> None:
    """After the commit, and never at the run's expense: a mail server that is down fails no training."""
    if run.owner.email:
        transaction.on_commit(lambda: _send(run, job))


def _send(run: TrainingRun, job: Job) -> None:
    try:
        send_mail(_subject(run), _text(run, job), settings.DEFAULT_FROM_EMAIL, [run.owner.email])
    except (OSError, SMTPException):
        logger.exception("the e-mail about run %s could not be sent", run.name)


def _subject(run: TrainingRun) -> str:
    return f"Training {run.name}: {run.get_state_display().lower()}"


def _text(run: TrainingRun, job: Job) -> str:
    lines = [f"The run {run.name} has {run.get_state_display().lower()}."]
    if run.state == TrainingRun.State.FAILED:
        lines += [f"{job.error_code}: {job.error_text}", f"It can be resumed from step {run.resume_step}."]
    best = run.best_checkpoint()
    if best:
        lines.append(f"Best checkpoint by validation loss: {best.name} ({best.validation_loss:.4f}).")
    lines.append(f"Trained for {run.train_seconds / 60:.0f} minutes.")
    lines.append(f"{settings.SITE_URL}{reverse('training-run', args=[run.pk])}")
    return "\n".join(lines)
