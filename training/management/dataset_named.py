"""A dataset as a command names it."""

from __future__ import annotations

from django.core.management.base import CommandError

from shoesai import terminal
from shoesai.models import User
from training.models import Dataset


def dataset_named(user: User, name: str, flag: str = "NAME") -> Dataset:
    """One that the user may see, the user's own first. Raises CommandError."""
    named = Dataset.objects.visible_to(user).filter(name=name)
    mine_first = sorted(named, key=lambda each: each.owner_id != user.pk)
    if not mine_first:
        raise CommandError(f"{flag}: there is no dataset named {name!r}.", returncode=terminal.NOT_FOUND)
    return mine_first[0]
