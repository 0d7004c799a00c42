"""Where a user is signed in: the rows of Django's session table that name them."""

from __future__ import annotations

from collections.abc import Iterator

from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.models import Session
from django.utils import timezone

from shoesai.models import User


def others_of(user: User, own_key: str | None) -> Iterator[Session]:
    """Every live session of the user but the one at hand.

    Who it is stands signed inside the row, so all live rows are read; a studio has hundreds of them, not millions.
    """
    live = Session.objects.filter(expire_date__gt=timezone.now()).exclude(session_key=own_key)
    for session in live.iterator():
        if session.get_decoded().get(SESSION_KEY) == str(user.pk):
            yield session


def end_others(user: User, own_key: str | None) -> int:
    keys = [session.session_key for session in others_of(user, own_key)]
    Session.objects.filter(session_key__in=keys).delete()
    return len(keys)
