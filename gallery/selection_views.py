"""What can be done with many pictures at once, and with one picture's star and rating."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST

from gallery import arranging, judging, trash
from gallery.answers import back, done, refused, undo_by
from gallery.arranging import Added
from gallery.judging import Images
from gallery.models import Collection
from gallery.selection import selection_of
from gallery.web import is_htmx, uuid_or_404
from generation.models import GeneratedImage, View
from shoesai.auth import caller


@login_required
@require_POST
def act(request: HttpRequest, action: str) -> HttpResponse:
    """One of ACTIONS on what `selection_of` finds. Whoever sees pictures may judge them; the rest is their owner's."""
    images = selection_of(request)
    if not images.exists():
        return refused(request, _("Nothing was selected. Tick some pictures first."))
    try:
        return ACTIONS[action](request, images)
    except ValidationError as problem:
        return refused(request, problem)


# --- everybody who sees them --------------------------------------------------------------------------------------
def favourite(request: HttpRequest, images: Images) -> HttpResponse:
    number = images.count()
    judging.judge(caller(request), images, favourite=True)
    words = ngettext("%(number)d picture is a favourite.", "%(number)d pictures are favourites.", number)
    return done(request, words % {"number": number})


def unfavourite(request: HttpRequest, images: Images) -> HttpResponse:
    number = images.count()
    judging.judge(caller(request), images, favourite=False)
    words = ngettext("%(number)d picture is no favourite.", "%(number)d pictures are no favourites.", number)
    return done(request, words % {"number": number})


def rate(request: HttpRequest, images: Images) -> HttpResponse:
    number, stars = images.count(), _stars(request.POST.get("rating", ""))
    judging.judge(caller(request), images, rating=stars)
    if not stars:
        words = ngettext("%(number)d picture has no rating.", "%(number)d pictures have no rating.", number)
        return done(request, words % {"number": number})
    words = ngettext("%(number)d picture is rated %(stars)s.", "%(number)d pictures are rated %(stars)s.", number)
    return done(request, words % {"number": number, "stars": "★" * stars})


def _stars(text: str) -> int:
    """Raises ValidationError; the range is `judge`'s to check."""
    if not text.isascii() or not text.isdigit():
        raise ValidationError(_("Choose a rating from 1 to 5, or 0 for none."))
    return int(text)


def tag(request: HttpRequest, images: Images) -> HttpResponse:
    number = images.count()
    name = judging.tag(caller(request), images, request.POST.get("tag", ""))
    words = ngettext("%(number)d picture is tagged “%(tag)s”.", "%(number)d pictures are tagged “%(tag)s”.", number)
    return done(request, words % {"number": number, "tag": name})


def untag(request: HttpRequest, images: Images) -> HttpResponse:
    name = judging.untag(images, request.POST.get("tag", ""))
    return done(request, _("The tag “%(tag)s” is gone from these pictures.") % {"tag": name})


def collect(request: HttpRequest, images: Images) -> HttpResponse:
    """Into the collection `into`, or a new one called `name`."""
    user = caller(request)
    with transaction.atomic():
        collection = _collection(request)
        added = arranging.add(user, collection, images)
    return done(request, " ".join(_added_words(collection, added)), then=collection.get_absolute_url())


def _collection(request: HttpRequest) -> Collection:
    user, into = caller(request), request.POST.get("into", "")
    if into:
        return get_object_or_404(Collection.objects.visible_to(user), pk=uuid_or_404(into))
    team = arranging.team_of(user, request.POST["team"]) if request.POST.get("team") else None
    return arranging.create_collection(user, request.POST.get("name", ""), team=team)


def _added_words(collection: Collection, added: Added) -> list[str]:
    """Whole sentences, each about something that happened."""
    says = []
    new = ngettext("%(number)d picture is new in “%(name)s”.", "%(number)d pictures are new in “%(name)s”.", added.new)
    says.append(new % {"number": added.new, "name": collection.name})
    if added.shared:
        shared = ngettext(
            "%(number)d of yours is shared with %(team)s now.",
            "%(number)d of yours are shared with %(team)s now.",
            added.shared,
        )
        says.append(shared % {"number": added.shared, "team": collection.team})
    if added.left_out:
        out = ngettext(
            "%(number)d stayed out, because %(team)s does not see it.",
            "%(number)d stayed out, because %(team)s does not see them.",
            added.left_out,
        )
        says.append(out % {"number": added.left_out, "team": collection.team})
    return says


# --- their owner only ---------------------------------------------------------------------------------------------
def _others_words(images: Images, own: int) -> str:
    """What a sentence about the own pictures leaves open. Raises ValidationError where there are none."""
    others = images.count() - own
    if not own:
        raise ValidationError(_("None of these pictures is yours, and only its owner may change a picture."))
    words = ngettext(
        "%(number)d belongs to somebody else and stays as it is.",
        "%(number)d belong to others and stay as they are.",
        others,
    )
    return words % {"number": others} if others else ""


def _own(request: HttpRequest, images: Images) -> int:
    return images.filter(owner=caller(request)).count()


def sku(request: HttpRequest, images: Images) -> HttpResponse:
    others = _others_words(images, _own(request, images))
    number = arranging.set_sku(caller(request), images, request.POST.get("sku", ""))
    words = ngettext("The SKU of %(number)d picture is set.", "The SKU of %(number)d pictures is set.", number)
    return done(request, f"{words % {'number': number}} {others}".strip())


def view(request: HttpRequest, images: Images) -> HttpResponse:
    chosen = request.POST.get("view", "")
    others = _others_words(images, _own(request, images))
    number = arranging.set_view(caller(request), images, chosen)
    if not chosen:
        words = ngettext("%(number)d picture names no view.", "%(number)d pictures name no view.", number)
    else:
        words = ngettext("%(number)d picture shows: %(view)s.", "%(number)d pictures show: %(view)s.", number)
    words %= {"number": number, "view": View(chosen).label if chosen else ""}
    return done(request, f"{words} {others}".strip())


def share(request: HttpRequest, images: Images) -> HttpResponse:
    user = caller(request)
    team = arranging.team_of(user, request.POST.get("team", ""))
    others = _others_words(images, _own(request, images))
    number = arranging.share(user, images, team)
    words = ngettext("%(team)s sees %(number)d picture more.", "%(team)s sees %(number)d pictures more.", number)
    return done(request, f"{words % {'team': team, 'number': number}} {others}".strip())


def unshare(request: HttpRequest, images: Images) -> HttpResponse:
    others = _others_words(images, _own(request, images))
    number = arranging.keep_private(caller(request), images)
    words = ngettext("%(number)d picture is yours alone now.", "%(number)d pictures are yours alone now.", number)
    return done(request, f"{words % {'number': number}} {others}".strip())


def throw_away(request: HttpRequest, images: Images) -> HttpResponse:
    others = _others_words(images, _own(request, images))
    number, moment = trash.throw_away(caller(request), images)
    words = ngettext("%(number)d picture is in the trash.", "%(number)d pictures are in the trash.", number)
    return done(
        request,
        f"{words % {'number': number}} {others}".strip(),
        undo=undo_by("selection-restore", moment=moment.isoformat()),
        remedy=_("The trash gives them back."),
    )


ACTIONS: dict[str, Callable[[HttpRequest, Images], HttpResponse]] = {
    "favourite": favourite,
    "unfavourite": unfavourite,
    "rate": rate,
    "tag": tag,
    "untag": untag,
    "sku": sku,
    "view": view,
    "collect": collect,
    "share": share,
    "unshare": unshare,
    "trash": throw_away,
}


# --- out of the trash ---------------------------------------------------------------------------------------------
@login_required
@require_POST
def restore(request: HttpRequest) -> HttpResponse:
    """What the user ticked in their trash, all of it, or what went there at one `moment`: that is undo."""
    number = trash.restore(trashed_of(request))
    if not number:
        return refused(request, _("Nothing was selected. Tick some pictures first."))
    words = ngettext("%(number)d picture is back.", "%(number)d pictures are back.", number)
    return done(request, words % {"number": number})


def trashed_of(request: HttpRequest) -> Images:
    mine, given = trash.in_trash(caller(request)), request.POST
    if given.get("moment"):
        return mine.filter(trashed_at=_moment(given["moment"]))
    if given.get("all") == "1":
        return mine
    return mine.filter(pk__in=[uuid_or_404(text) for text in given.getlist("image")])


def _moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise Http404 from error


# --- one picture ----------------------------------------------------------------------------------------------------
@login_required
@require_POST
def judge(request: HttpRequest, pk: UUID) -> HttpResponse:
    """`favourite` (1 or 0) and `rating` (0 to 5), either or both; a module reads what is true then, as JSON."""
    user = caller(request)
    image = get_object_or_404(GeneratedImage.objects.visible_to(user), pk=pk)
    try:
        star = _flag(request.POST["favourite"]) if "favourite" in request.POST else None
        rating = _stars(request.POST["rating"]) if "rating" in request.POST else None
        judging.judge(user, GeneratedImage.objects.filter(pk=pk), favourite=star, rating=rating)
    except ValidationError as problem:
        return refused(request, problem)
    if not is_htmx(request) and request.get_preferred_type(["text/html", "application/json"]) == "text/html":
        return redirect(back(request))
    now = judging.judgement_of(user, image)
    return JsonResponse({"favourite": now.favourite, "rating": now.rating})


def _flag(text: str) -> bool:
    if text not in ("0", "1"):
        raise ValidationError(_("A favourite is 1 or 0."))
    return text == "1"
