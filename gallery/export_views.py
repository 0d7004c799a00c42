"""Taking many pictures out: as a ZIP, as metadata, as a contact sheet."""

from __future__ import annotations

from collections.abc import Iterator

from django.contrib.auth.decorators import login_required
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, QueryDict, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.utils.text import slugify
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST
from PIL import Image

from gallery.answers import refused
from gallery.archives import Archive, archive_of, metadata_file
from gallery.arranging import in_collection
from gallery.judging import Images
from gallery.models import Collection
from gallery.rows import FORMATS
from gallery.selection import selection_of
from gallery.web import uuid_or_404
from generation.contact_sheet import MOST, Frame, sheet
from generation.models import GeneratedImage
from shoesai import files
from shoesai.auth import caller


@login_required
@require_POST
def selection_zip(request: HttpRequest) -> HttpResponseBase:
    images = _chosen(request)
    if not images.exists():
        return refused(request, _("Nothing was selected. Tick some pictures first."))
    return zip_answer(archive_of(images, caller(request)), _file_name(request, "zip"))


def zip_answer(archive: Archive, name: str) -> HttpResponseBase:
    response = StreamingHttpResponse(archive.stream(), content_type="application/zip")
    response["Content-Length"] = str(archive.length)
    return _to_keep(response, name)


@login_required
@require_POST
def selection_metadata(request: HttpRequest) -> HttpResponseBase:
    """`format` is json or csv."""
    form, images = request.POST.get("format", "json"), _chosen(request)
    if form not in FORMATS:
        raise Http404
    if not images.exists():
        return refused(request, _("Nothing was selected. Tick some pictures first."))
    file = metadata_file(images, caller(request), form)
    return _to_keep(FileResponse(file, content_type=FORMATS[form][1]), _file_name(request, form))


@login_required
@require_POST
def selection_sheet(request: HttpRequest) -> HttpResponseBase:
    images = _chosen(request)
    number = images.order_by().count()
    if not number:
        return refused(request, _("Nothing was selected. Tick some pictures first."))
    if number > MOST:
        words = _("A contact sheet holds at most %(most)d pictures, and %(number)d are selected. Select fewer of them.")
        return refused(request, words % {"most": MOST, "number": number})
    title = " · ".join(filter(None, (_subject(request), f"{timezone.localdate():%Y-%m-%d}")))
    png = sheet(_frames(images.select_related("generation", "thumbnail")), number, title=title)
    return _to_keep(HttpResponse(png, content_type="image/png"), _file_name(request, "png"))


def _frames(images: Images) -> Iterator[Frame]:
    for image in images:
        seed = _("seed %(seed)d") % {"seed": image.seed_number}
        yield Frame(_small(image), (image.file_name(), seed, image.generation.prompt))


def _small(image: GeneratedImage) -> Image.Image:
    """Its thumbnail; where that is missing, its colour keeps its place."""
    try:
        with Image.open(files.path_of(image.thumbnail_id)) as stored:
            return stored.convert("RGB")
    except FileNotFoundError:
        return Image.new("RGB", (image.width, image.height), image.colour)


# --- which, and what it is called -----------------------------------------------------------------------------------
def _chosen(request: HttpRequest) -> Images:
    """The selection; a collection's in its own order."""
    whole = _whole_collection(request)
    return in_collection(caller(request), whole) if whole else selection_of(request)


def _whole_collection(request: HttpRequest) -> Collection | None:
    """Where a form means all of one: by name, or as a search for nothing else."""
    key = request.POST.get("collection", "")
    if request.POST.get("all") == "1":
        asked = QueryDict(request.POST.get("query", "").lstrip("?"))
        key = asked.get("collection", "") if set(asked) == {"collection"} else ""
    if not key:
        return None
    return get_object_or_404(Collection.objects.visible_to(caller(request)), pk=uuid_or_404(key))


def _subject(request: HttpRequest) -> str:
    """What was searched for, or the collection's name."""
    whole = _whole_collection(request)
    if whole:
        return whole.name
    searched = request.POST.get("query", "") if request.POST.get("all") == "1" else ""
    return QueryDict(searched.lstrip("?")).get("q", "")


def _file_name(request: HttpRequest, suffix: str) -> str:
    about = slugify(_subject(request))[:60].strip("-")
    return "-".join(filter(None, ("shoes", f"{timezone.localdate():%Y-%m-%d}", about))) + f".{suffix}"


def _to_keep(response: HttpResponseBase, name: str) -> HttpResponseBase:
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    response["Cache-Control"] = "private, no-store"
    return response
