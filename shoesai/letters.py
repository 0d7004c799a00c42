"""E-mail to people, in the language that they read."""

from __future__ import annotations

import logging

from django.conf import settings
from django.core.mail import send_mail
from django.utils import translation

from shoesai.models import User

logger = logging.getLogger(__name__)


def in_language_of(user: User) -> translation.override:
    """The language that the user chose; without a choice of theirs the one at hand."""
    return translation.override(user.language or translation.get_language() or settings.LANGUAGE_CODE)


def write_to(address: str, subject: str, text: str) -> None:
    """A mail server that is down is a line in the log, and never at the expense of what the letter tells of."""
    try:
        send_mail(subject, text, settings.DEFAULT_FROM_EMAIL, [address])
    except OSError:  # smtplib's errors are OSErrors too
        logger.exception("no letter could be sent: %s", subject)
