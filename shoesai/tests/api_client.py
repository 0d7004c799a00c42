"""A program's side of the API in tests."""

from __future__ import annotations

from typing import Any

from django.test import Client

from shoesai.accounts import create_token
from shoesai.models import User


def client_of(user: User, *scopes: str, **options: Any) -> Client:
    return Client(headers={"Authorization": f"Token {create_token(user, 'test', list(scopes))}"}, **options)


def fields_of(response: Any) -> dict[str, str]:
    """What a problem says of which field."""
    return {error["field"]: error["message"] for error in response.json()["errors"]}
