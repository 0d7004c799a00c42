"""E-mail to the owner of a run that has ended, in the language that they have chosen."""

from __future__ import annotations

from django.conf import settings
from django.core.mail import send_mail
from django.db import transaction
from django.urls import reverse
from django.utils.translation import gettext as _

from shoesai.letters import in_language_of
from shoesai.models import Job
from shoesai.numbers import in_language
from shoesai.sentences import said
from training.models import TrainingRun


def send_end_of_run(run: TrainingRun, job: Job) -> None:
    """After the commit, and never at the run's expense: a mail server that is down is a line in the log (`robust`)."""
    if run.owner.email:
        transaction.on_commit(lambda: _send(run, job), robust=True)


def _send(run: TrainingRun, job: Job) -> None:
    with in_language_of(run.owner):
        send_mail(_subject(run), _text(run, job), settings.DEFAULT_FROM_EMAIL, [run.owner.email])


def _subject(run: TrainingRun) -> str:
    return _("Training %(run)s: %(state)s") % {"run": run.name, "state": run.get_state_display().lower()}


def _text(run: TrainingRun, job: Job) -> str:
    facts = {"run": run.name, "time": _duration(run.train_seconds)}
    if run.state == TrainingRun.State.FAILED:
        lines = [_("The run %(run)s has failed after %(time)s.") % facts, ""]
        lines += [f"{said(job.error_text)} ({job.error_code})", "", _how_to_resume(run), ""]
    else:
        lines = [_("The run %(run)s has succeeded after %(time)s.") % facts, ""]
    best = run.best_checkpoint()
    if best:
        words = _("Best checkpoint by validation loss: %(checkpoint)s (%(loss)s).")
        lines += [words % {"checkpoint": best.name, "loss": in_language(f"{best.validation_loss:.4f}")}, ""]
    lines.append(settings.SITE_URL + reverse("training-run", args=[run.pk]))
    return "\n".join(lines)


def _how_to_resume(run: TrainingRun) -> str:
    step = run.resume_step
    if not step:
        words = _("It begins again with the run page's Resume button or `manage.py resume_training %(run)s`.")
        return words % {"run": run.name}
    words = _(
        "It goes on from step %(step)d, whose state is kept, with the run page's Resume button or"
        " `manage.py resume_training %(run)s`."
    )
    return words % {"step": step, "run": run.name}


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 1:
        return _("%(number)s s") % {"number": f"{seconds:.0f}"}
    if minutes >= 60:
        return _("%(hours)s h %(minutes)s min") % {"hours": minutes // 60, "minutes": f"{minutes % 60:02}"}
    return _("%(number)s min") % {"number": minutes}
