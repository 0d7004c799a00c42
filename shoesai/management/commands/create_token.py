"""`manage.py create_token USER` prints a new API token, and nothing else, on stdout."""

from __future__ import annotations

import argparse
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from shoesai.accounts import create_token
from shoesai.models import ApiToken, User
from shoesai.terminal import require_text

MAX_DAYS = 3650
SCOPES = ", ".join(ApiToken.Scope.values)


def scope_list(text: str) -> list[str]:
    scopes = [scope.strip() for scope in text.split(",") if scope.strip()]
    unknown = sorted(set(scopes) - set(ApiToken.Scope.values))
    if unknown:
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: scopes are {SCOPES}")
    return scopes


def day_count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 5 and 1 <= int(text) <= MAX_DAYS):
        raise argparse.ArgumentTypeError(f"must be a whole number between 1 and {MAX_DAYS}")
    return int(text)


class Command(BaseCommand):
    help = "Makes an API token for a user and prints it, this once; only its digest is kept."

    def add_arguments(self, parser: CommandParser) -> None:
        default = settings.TOKEN_LIFETIME.days
        parser.add_argument("user")
        parser.add_argument("--name", default="", help="what the token is for, to tell it from others")
        parser.add_argument(
            "--scopes",
            type=scope_list,
            default=[],
            help=f"comma-separated, of {SCOPES}; without it all that the user may do",
        )
        either = parser.add_mutually_exclusive_group()
        either.add_argument("--days", type=day_count, default=default, help=f"valid for so long ({default})")
        either.add_argument("--never", action="store_true", help="never expires")

    def handle(self, *, user: str, scopes: list[str], days: int, never: bool, **options: Any) -> None:
        require_text({"user": user, "name": options["name"]})
        owner = User.objects.filter(username=user).first()
        if owner is None:
            raise CommandError(f"There is no user named {user!r}.", returncode=3)
        if not owner.is_active:
            raise CommandError(f"The user {user!r} is not active; a token would open nothing.", returncode=3)
        lifetime = None if never else timedelta(days=days)
        self.stdout.write(create_token(owner, options["name"][:120], scopes, lifetime))
