"""Who acts when nobody is signed in: the terminal's user, and the users of the demo."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import timedelta

from django.conf import settings
from django.core.management.base import CommandError

from shoesai.models import ApiToken, User


def acting_user(username: str | None) -> User:
    """The named user; without a name the only staff user, else a `local` user made on first use."""
    if username:
        user = User.objects.filter(username=username).first()
        if user is None:
            raise CommandError(f"--user: there is no user named {username!r}.", returncode=3)
        return user
    staff = list(User.objects.filter(is_staff=True, is_active=True)[:2])
    return staff[0] if len(staff) == 1 else local_user()


def local_user() -> User:
    user, created = User.objects.get_or_create(username="local")
    if created:
        user.set_unusable_password()
        user.save()
    return user


def new_password(user: User) -> str:
    password = secrets.token_urlsafe(12)
    user.set_password(password)
    user.save()
    return password


def create_token(
    user: User, name: str, scopes: Sequence[str] = (), lifetime: timedelta | None = settings.TOKEN_LIFETIME
) -> str:
    """Returns the secret, which is shown this once and kept only as a digest. Without a lifetime it never expires."""
    _, secret = ApiToken.objects.create(user=user, name=name, scopes=list(scopes), expiry=lifetime)
    return secret
