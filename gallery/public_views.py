"""What a share link opens, for people without an account.

No answer is kept by anybody on the way, none is for search engines, and none tells other sites where it was. Whatever
is wrong with a link (expired, revoked, forged, deleted) gets the same page.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from io import BytesIO
from typing import Any
from uuid import UUID

from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.utils.cache import get_conditional_response
from django.utils.text import slugify
from django.views.decorators.http import require_safe
from PIL import Image

from gallery import sharing
from gallery.archives import bare_archive_of
from gallery.export_views import zip_answer
from gallery.models import ShareLink
from generation.bare_png import bare_chunks, bare_size
from generation.metadata import xmp_of
from generation.models import GeneratedImage
from shoesai import files

SHOWN = 120
HEADERS = {
    "X-Robots-Tag": "noindex, nofollow",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def opened(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Gives the view the link that the address names, and everybody else the same 404."""

    @require_safe
    @wraps(view)
    def guarded(request: HttpRequest, token: str, **keys: Any) -> HttpResponseBase:
        link = sharing.open_link(token)
        try:
            response = view(request, link, token, **keys) if link else _closed(request)
        except Http404:
            response = _closed(request)
        for name, value in HEADERS.items():
            response[name] = value
        response.headers.setdefault("Cache-Control", "private, no-store")
        return response

    return guarded


def _closed(request: HttpRequest) -> HttpResponse:
    return render(request, "gallery/shared_closed.html", status=404)


@opened
def page(request: HttpRequest, link: ShareLink, token: str) -> HttpResponseBase:
    shown = Paginator(sharing.pictures_of(link), SHOWN).get_page(request.GET.get("page"))
    if shown.number == 1:
        sharing.note_visit(link)
    numbered = list(enumerate(shown.object_list, shown.start_index()))
    context = {"link": link, "token": token, "pages": shown, "pictures": numbered}
    return render(request, "gallery/shared.html", context)


@opened
def picture(request: HttpRequest, link: ShareLink, token: str, pk: UUID) -> HttpResponseBase:
    order = sharing.pictures_of(link)
    image = get_object_or_404(order, pk=pk)
    earlier = order.filter(place__lt=image.place)
    context = {
        "link": link,
        "token": token,
        "image": image,
        "number": earlier.count() + 1,
        "total": order.count(),
        "before": earlier.last(),
        "after": order.filter(place__gt=image.place).first(),
    }
    return render(request, "gallery/shared_picture.html", context)


@opened
def file(request: HttpRequest, link: ShareLink, token: str, pk: UUID) -> HttpResponseBase:
    """The stored picture without its recipe; with `?download` to keep, where the link allows that."""
    order = sharing.pictures_of(link)
    image = get_object_or_404(order.select_related("blob"), pk=pk)
    path = files.path_of(image.blob_id)
    if not path.exists() or ("download" in request.GET and not link.allows_download):
        raise Http404
    number = order.filter(place__lt=image.place).count() + 1

    def make() -> StreamingHttpResponse:
        response = StreamingHttpResponse(bare_chunks(path), content_type="image/png")
        response["Content-Length"] = str(bare_size(path))
        kind = "attachment" if "download" in request.GET else "inline"
        response["Content-Disposition"] = f'{kind}; filename="{_stem(link)}-{number}.png"'
        return response

    return _checked_each_time(request, f'"{image.blob_id}-bare"', make)


@opened
def thumbnail(request: HttpRequest, link: ShareLink, token: str, pk: UUID) -> HttpResponseBase:
    image = get_object_or_404(sharing.pictures_of(link), pk=pk)

    def make() -> HttpResponse:
        return HttpResponse(_marked_thumbnail(image), content_type="image/webp")

    return _checked_each_time(request, f'"{image.thumbnail_id}-marked"', make)


def _marked_thumbnail(image: GeneratedImage) -> bytes:
    """Thumbnails carry no recipe; outside they carry the mark of AI origin."""
    out = BytesIO()
    try:
        with Image.open(files.path_of(image.thumbnail_id)) as picture:
            picture.save(out, "WEBP", quality=90, method=2, xmp=xmp_of().encode())
    except FileNotFoundError as error:
        raise Http404 from error
    return out.getvalue()


def _checked_each_time(request: HttpRequest, etag: str, make: Callable[[], HttpResponseBase]) -> HttpResponseBase:
    """A browser may keep it but asks every time, so that it shows nothing of a link that is closed."""
    response: HttpResponseBase = get_conditional_response(request, etag=etag) or make()
    response["ETag"] = etag
    response["Cache-Control"] = "private, no-cache"
    return response


@opened
def archive(request: HttpRequest, link: ShareLink, token: str) -> HttpResponseBase:
    images = sharing.pictures_of(link)
    if not link.allows_download or not images.exists():
        raise Http404
    return zip_answer(bare_archive_of(images, _stem(link)), f"{_stem(link)}-{timezone.localdate():%Y-%m-%d}.zip")


def _stem(link: ShareLink) -> str:
    return slugify(link.collection.name)[:60].strip("-") or "pictures"
