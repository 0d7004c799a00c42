"""Who a request comes from, and what its token may do."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db.models import Q
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from knox.auth import TokenAuthentication
from knox.crypto import hash_token
from rest_framework.authentication import get_authorization_header
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from shoesai.models import ApiToken, User

KEYWORDS = (b"token", b"bearer")
USED_EVERY = timedelta(minutes=1)


class ApiTokenAuthentication(TokenAuthentication):
    """`Authorization: Token …` or `Bearer …`. Whatever is wrong with a token, the answer is the same."""

    def authenticate(self, request: Request) -> tuple[User, ApiToken] | None:
        keyword, _space, secret = get_authorization_header(request).partition(b" ")
        if keyword.lower() not in KEYWORDS:
            return None
        return self.authenticate_credentials(secret.strip())

    def authenticate_credentials(self, secret: bytes) -> tuple[User, ApiToken]:
        refused = AuthenticationFailed(_("This token is unknown, expired or revoked."))
        try:
            digest = hash_token(secret.decode("ascii"))
        except UnicodeDecodeError:
            raise refused from None
        # The digest is the primary key, so nothing is compared byte by byte with the secret.
        token = ApiToken.objects.select_related("user").filter(digest=digest).first()
        if token is None or not token.user.is_active or (token.expiry and token.expiry <= timezone.now()):
            raise refused
        note_use(token)
        return token.user, token

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="shoesai", Token realm="shoesai"'


def note_use(token: ApiToken) -> None:
    """At most one write a minute, however many requests come."""
    now = timezone.now()
    if token.last_used_at is None or token.last_used_at <= now - USED_EVERY:
        unused = Q(last_used_at=None) | Q(last_used_at__lte=now - USED_EVERY)
        ApiToken.objects.filter(unused, pk=token.pk).update(last_used_at=now)


def caller(request: Request | HttpRequest) -> User:
    """Whoever passed IsAuthenticated or login_required."""
    assert isinstance(request.user, User)
    return request.user


class HasScope(BasePermission):
    """Reading takes the scope `read`, anything else the view's `write_scope`. Sessions may do all."""

    def has_permission(self, request: Request, view: Any) -> bool:
        reading = request.method in SAFE_METHODS
        require_scope(request, ApiToken.Scope.READ if reading else view.write_scope)
        return True


def require_scope(request: Request, scope: str) -> None:
    if isinstance(request.auth, ApiToken) and not request.auth.allows(scope):
        words = {"scope": str(scope), "scopes": ", ".join(request.auth.scopes)}
        raise PermissionDenied(_("This token lacks the scope '%(scope)s'; it has: %(scopes)s.") % words)


class ApiTokenScheme(OpenApiAuthenticationExtension):
    target_class = "shoesai.auth.ApiTokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {
            "type": "http",
            "scheme": "bearer",
            "description": "A token from `manage.py create_token USER`. The keyword `Token` works too.",
        }
