"""Models as the picker shows them: a picture, the words that call them, and what they fit."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db.models import Max, OuterRef, Q, QuerySet, Subquery
from django.urls import reverse
from django.utils.translation import gettext as _

from generation.models import GeneratedImage, Shelf
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
class Group:
    """One run's checkpoints, or the base models."""

    title: str
    cards: list[ModelCard] = field(default_factory=list)


def groups_of(user: User, *, query: str = "", loras_for: BaseModel | None = None) -> tuple[list[Group], bool]:
    """What fits the words of `query`, newest runs first, and whether there is more. With `loras_for`: no bases."""
    cards = [] if loras_for else _base_cards(user, _narrowed_bases(query))
    found = list(_narrowed_checkpoints(user, query)[: SHOWN + 1])
    cards += _checkpoint_cards(user, found[:SHOWN], loras_for)
    groups: dict[str, Group] = {}
    for card in cards:
        groups.setdefault(card.group, Group(card.group)).cards.append(card)
    return list(groups.values()), len(found) > SHOWN


def card_of(user: User, name: str, loras_for: BaseModel | None = None) -> ModelCard | None:
    """None where this user has no such model."""
    try:
        model = find_model(user, name)
    except UnknownModel:
        return None
    if model.checkpoint is None:
        return _base_cards(user, [model.base])[0]
    return _checkpoint_cards(user, [_checkpoints(user).get(pk=model.checkpoint.pk)], loras_for)[0]


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
    """Each with its run's newest validation picture up to that step, and with the best of its run."""
    validation = ValidationImage.objects.filter(run=OuterRef("run"), step__lte=OuterRef("step"))
    best = Checkpoint.objects.filter(run=OuterRef("run"), validation_loss__isnull=False)
    return (
        Checkpoint.objects.visible_to(user)
        .annotate(
            validation=Subquery(validation.order_by("-step", "seq").values("pk")[:1]),
            best=Subquery(best.order_by("validation_loss", "step").values("pk")[:1]),
        )
        .select_related("run__dataset_version__dataset")
    )


def _newest_pictures(shelves: QuerySet[Shelf], role: str) -> dict[UUID, UUID]:
    """Of each base model or checkpoint the newest picture. Each shelf is asked for its own newest, by its index."""
    on_it = GeneratedImage.objects.filter(shelf=OuterRef("pk")).order_by("-created_at", "-id").values("created_at")[:1]
    moments = shelves.filter(images__gt=0).order_by().values_list(role).annotate(moment=Max(Subquery(on_it)))
    newest = [moment for _key, moment in moments if moment]
    pictures = GeneratedImage.objects.filter(created_at__in=newest, shelf__in=shelves).order_by("created_at", "id")
    return dict(pictures.values_list(f"shelf__{role}", "pk"))


def _base_cards(user: User, bases: Iterable[BaseModel]) -> list[ModelCard]:
    bases = list(bases)
    bare = Shelf.objects.visible_to(user).filter(base_model__in=bases, checkpoint__isnull=True)
    pictures = _newest_pictures(bare, "base_model")
    return [
        ModelCard(
            name=base.name,
            title=str(base),
            short=str(base),
            group=_("Base models"),
            family=base.family,
            note=_("%(family)s, %(side)d px") % {"family": base.get_family_display(), "side": base.resolution},
            thumbnail=reverse("image-thumbnail", args=[pictures[base.pk]]) if base.pk in pictures else "",
        )
        for base in bases
    ]


def _checkpoint_cards(user: User, checkpoints: list[Any], loras_for: BaseModel | None) -> list[ModelCard]:
    shelves = Shelf.objects.visible_to(user).filter(checkpoint__in=[one for one in checkpoints if not one.validation])
    pictures = _newest_pictures(shelves, "checkpoint")
    return [_checkpoint_card(checkpoint, pictures.get(checkpoint.pk), loras_for) for checkpoint in checkpoints]


def _checkpoint_card(checkpoint: Any, picture: UUID | None, loras_for: BaseModel | None) -> ModelCard:
    run = checkpoint.run
    words = str(run.spec.get("trigger_words") or "")
    fits = loras_for is None or loras_for.family == checkpoint.family
    return ModelCard(
        name=checkpoint.name,
        title=_("%(run)s, step %(step)d") % {"run": run.name, "step": checkpoint.step},
        short=_("Step %(step)d") % {"step": checkpoint.step},
        group=run.name,
        family=checkpoint.family,
        note=_note(checkpoint) if fits else _("Fits %(family)s") % {"family": Family(checkpoint.family).label},
        thumbnail=_thumbnail(checkpoint, picture),
        words=words,
        captions=() if words else _often_said(run),
        fits=fits,
    )


def _note(checkpoint: Any) -> str:
    if checkpoint.best == checkpoint.pk:
        return _("Lowest validation loss")
    version = checkpoint.run.dataset_version
    return _("Learned from %(dataset)s") % {"dataset": version.dataset.name} if version else ""


def _thumbnail(checkpoint: Any, picture: UUID | None) -> str:
    if checkpoint.validation:
        return reverse("training-validation-thumbnail", args=[checkpoint.run_id, checkpoint.validation])
    return reverse("image-thumbnail", args=[picture]) if picture else ""


def _often_said(run: Any) -> tuple[str, ...]:
    """Phrases that at least two captions share: what to say to get what it has learned."""
    if run.dataset_version_id is None:
        return ()
    common = phrases_of(run.dataset_version_id).most_common(COMMON_PHRASES)
    return tuple(phrase for phrase, uses in common if uses > 1)
