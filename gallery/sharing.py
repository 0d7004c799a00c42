"""Links for people without an account: each opens one collection, until it expires or is revoked.

Every request looks the link up again, so a revoked one closes pages, pictures and downloads in the same moment. What
it shows is what its maker sees of the collection now.
"""

from __future__ import annotations

import base64
import binascii
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.core.signing import BadSignature, Signer
from django.db.models import F, QuerySet
from django.utils import timezone

from gallery.arranging import in_collection
from gallery.models import Collection, ShareLink
from shoesai.models import User

SIGNER = Signer(salt="gallery.sharing", sep=".")


def token_of(link: ShareLink) -> str:
    """What stands in the address: the link's id and its signature."""
    return SIGNER.sign(base64.urlsafe_b64encode(link.pk.bytes).rstrip(b"=").decode())


def create_link(
    user: User, collection: Collection, *, label: str = "", lifetime: timedelta | None, allows_download: bool = True
) -> ShareLink:
    return ShareLink.objects.create(
        collection=collection,
        created_by=user,
        label=label,
        allows_download=allows_download,
        expires_at=timezone.now() + lifetime if lifetime else None,
    )


def revoke(link: ShareLink) -> None:
    ShareLink.objects.filter(pk=link.pk, revoked_at=None).update(revoked_at=timezone.now())


def open_link(token: str) -> ShareLink | None:
    """The link of an address while it may be used. Signatures are compared in constant time."""
    key = _key_in(token)
    link = ShareLink.objects.select_related("collection", "created_by").filter(pk=key).first() if key else None
    if link is None or not link.is_open or not link.created_by.is_active:
        return None
    sees = Collection.objects.visible_to(link.created_by).filter(pk=link.collection_id)
    return link if sees.exists() else None


def _key_in(token: str) -> UUID | None:
    try:
        return UUID(bytes=base64.urlsafe_b64decode(f"{SIGNER.unsign(token)}=="))
    except (BadSignature, binascii.Error, ValueError):
        return None


def pictures_of(link: ShareLink) -> QuerySet[Any]:
    return in_collection(link.created_by, link.collection)


def note_visit(link: ShareLink) -> None:
    ShareLink.objects.filter(pk=link.pk).update(visits=F("visits") + 1, last_visit_at=timezone.now())
