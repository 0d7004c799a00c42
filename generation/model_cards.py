"""Models as the picker shows them: a picture, the words that call them, and what they fit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.urls import reverse
from django.utils.translation import gettext as _

from generation.models import GeneratedImage
from generation.suggestions import phrases_of
from shoesai.models import User
from training.catalogue import UnknownModel, find_model
from training.models import BaseModel, Checkpoint, Family, ValidationImage

SHOWN = 60
COMMON_PHRASES = 3


@dataclass(frozen=True)
class ModelCard:
    """`words` call what a LoRA has learned; `captions` are what its photos were often called, where it has none."""

    name: str
    title: str
    short: str  # below the group's name
    group: str
    family: str
    note: str = ""
    thumbnail: str = ""
    words: str = ""
    captions: tuple[str, ...] = ()
    fits: bool = True


@dataclass
class Shelf:
    """One run's checkpoints, or the base models."""

    title: str
    cards: list[ModelCard] = field(default_factory=list)


def shelves_of(user: User, *, query: str = "", loras_for: BaseModel | None = None) -> tuple[list[Shelf], bool]:
    """What fits the words of `query`, newest runs first, and whether there is more. With `loras_for`: no bases."""
    cards: list[ModelCard] = []
    if loras_for is None:
        cards += [_base_card(base) for base in _with_pictures(_narrowed_bases(query), user, "base_model")]
    found = list(_narrowed_checkpoints(user, query)[: SHOWN + 1])
    cards += _checkpoint_cards(found[:SHOWN], loras_for)
    shelves: dict[str, Shelf] = {}
    for card in cards:
        shelves.setdefault(card.group, Shelf(card.group)).cards.append(card)
    return list(shelves.values()), len(found) > SHOWN


def card_of(user: User, name: str, loras_for: BaseModel | None = None) -> ModelCard | None:
    """None where this user has no such model."""
    try:
        model = find_model(user, name)
    except UnknownModel:
        return None
    if model.checkpoint is None:
        return _base_card(_with_pictures(BaseModel.objects.filter(pk=model.base.pk), user, "base_model").get())
    return next(_checkpoint_cards([_checkpoints(user).get(pk=model.checkpoint.pk)], loras_for), None)


def _narrowed_bases(query: str) -> QuerySet[BaseModel]:
    bases = BaseModel.objects.all()
    for word in query.split():
        bases = bases.filter(Q(name__icontains=word) | Q(title__icontains=word) | Q(family__icontains=word))
    return bases


def _narrowed_checkpoints(user: User, query: str) -> QuerySet[Checkpoint]:
    checkpoints = _checkpoints(user)
    for word in query.split():
        fits = Q(run__name__icontains=word) | Q(run__dataset_version__dataset__name__icontains=word)
        checkpoints = checkpoints.filter(fits | (Q(step=word) if word.isdecimal() and len(word) < 10 else Q()))
    return checkpoints.order_by("-run__created_at", "-step")


def _checkpoints(user: User) -> QuerySet[Checkpoint]:
    """With a picture each: the run's newest validation picture up to that step, or one that was made with it."""
    validation = ValidationImage.objects.filter(run=OuterRef("run"), step__lte=OuterRef("step"))
    best = Checkpoint.objects.filter(run=OuterRef("run"), validation_loss__isnull=False)
    return _with_pictures(Checkpoint.objects.visible_to(user), user, "checkpoint").annotate(
        validation=Subquery(validation.order_by("-step", "seq").values("pk")[:1]),
        best=Subquery(best.order_by("validation_loss", "step").values("pk")[:1]),
    ).select_related("run__dataset_version__dataset")  # fmt: skip


def _with_pictures(queryset: QuerySet[Any], user: User, role: str) -> QuerySet[Any]:
    """Each with the newest picture that this user may see of it."""
    mine = GeneratedImage.objects.visible_to(user).filter(**{f"shelf__{role}": OuterRef("pk")})
    if role == "base_model":
        mine = mine.filter(shelf__checkpoint__isnull=True)
    return queryset.annotate(picture=Subquery(mine.order_by("-created_at", "-id").values("pk")[:1]))


def _base_card(base: Any) -> ModelCard:
    return ModelCard(
        name=base.name,
        title=str(base),
        short=str(base),
        group=_("Base models"),
        family=base.family,
        note=_("%(family)s, %(side)d px") % {"family": base.get_family_display(), "side": base.resolution},
        thumbnail=reverse("image-thumbnail", args=[base.picture]) if base.picture else "",
    )


def _checkpoint_cards(checkpoints: Iterable[Any], loras_for: BaseModel | None) -> Iterator[ModelCard]:
    for checkpoint in checkpoints:
        run = checkpoint.run
        words = str(run.spec.get("trigger_words") or "")
        fits = loras_for is None or loras_for.family == checkpoint.family
        yield ModelCard(
            name=checkpoint.name,
            title=_("%(run)s, step %(step)d") % {"run": run.name, "step": checkpoint.step},
            short=_("Step %(step)d") % {"step": checkpoint.step},
            group=run.name,
            family=checkpoint.family,
            note=_note(checkpoint) if fits else _("Fits %(family)s") % {"family": Family(checkpoint.family).label},
            thumbnail=_thumbnail(checkpoint),
            words=words,
            captions=() if words else _often_said(run),
            fits=fits,
        )


def _note(checkpoint: Any) -> str:
    if checkpoint.best == checkpoint.pk:
        return _("Lowest validation loss")
    version = checkpoint.run.dataset_version
    return _("Learned from %(dataset)s") % {"dataset": version.dataset.name} if version else ""


def _thumbnail(checkpoint: Any) -> str:
    if checkpoint.validation:
        return reverse("training-validation-thumbnail", args=[checkpoint.run_id, checkpoint.validation])
    return reverse("image-thumbnail", args=[checkpoint.picture]) if checkpoint.picture else ""


def _often_said(run: Any) -> tuple[str, ...]:
    """Phrases that at least two captions share: what to say to get what it has learned."""
    if run.dataset_version_id is None:
        return ()
    common = phrases_of(run.dataset_version_id).most_common(COMMON_PHRASES)
    return tuple(phrase for phrase, uses in common if uses > 1)
