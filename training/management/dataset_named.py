"""A dataset as a command names it."""

from __future__ import annotations

from django.core.management.base import CommandError

from shoesai import terminal
from shoesai.models import User
from training.models import Dataset


def dataset_named(user: User, name: str | None, flag: str = "NAME") -> Dataset:
    """One that the user may see, the user's own first; without a name the only one. Raises CommandError."""
    visible = Dataset.objects.visible_to(user).distinct()
    if name is None:
        datasets = list(visible[:2])
        if len(datasets) != 1:
            raise CommandError(f"{flag}: say which dataset is meant.", returncode=terminal.USAGE)
        return datasets[0]
    mine_first = sorted(visible.filter(name=name), key=lambda each: each.owner_id != user.pk)
    if not mine_first:
        raise CommandError(f"{flag}: there is no dataset named {name!r}.", returncode=terminal.NOT_FOUND)
    return mine_first[0]
