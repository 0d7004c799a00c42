"""Where a picture comes from and what came from it: picture → checkpoint → run → dataset version → photos.

Whoever sees a picture reads the names of its models, which are part of its recipe; runs, datasets and photos are shown
only to those who may see them themselves.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db.models import QuerySet, Sum
from django.utils.http import urlencode

from generation.models import GeneratedImage, Generation, Shelf
from shoesai.models import User
from training.models import Checkpoint, Dataset, DatasetVersion, Photo, TrainingRun

PHOTOS_SHOWN = 8
VARIATIONS_SHOWN = 24


@dataclass(frozen=True)
class Origin:
    """One LoRA of a picture, with what of its history the viewer may see; the rest is None."""

    checkpoint: Checkpoint
    weight: float
    run: TrainingRun | None
    dataset_version: DatasetVersion | None
    photos: Sequence[Photo]
    pictures: int

    @property
    def query(self) -> str:
        """Finds the pictures that were made with this checkpoint as their model."""
        return urlencode({"checkpoint": self.checkpoint.name})

    @property
    def dataset_query(self) -> str:
        """Finds the pictures of every model that learned from the same dataset."""
        return urlencode({"dataset": self.dataset_version.dataset.name}) if self.dataset_version else ""

    @property
    def learned_elsewhere(self) -> bool:
        """It came from photos, but not from any that the viewer may see."""
        return self.dataset_version is None and self.checkpoint.run.dataset_version_id is not None

    @property
    def more_photos(self) -> int:
        return self.dataset_version.photo_count - len(self.photos) if self.dataset_version else 0


def origins_of(generation: Generation, user: User) -> list[Origin]:
    loras = list(generation.loras.select_related("checkpoint__run").order_by("position"))
    runs = TrainingRun.objects.visible_to(user).in_bulk({lora.checkpoint.run_id for lora in loras})
    learned_from = {lora.checkpoint.run.dataset_version_id for lora in loras}
    seen = DatasetVersion.objects.filter(dataset__in=Dataset.objects.visible_to(user)).select_related("dataset")
    versions = seen.in_bulk([pk for pk in learned_from if pk])
    photos = _first_photos(versions)
    counts = _pictures_of([lora.checkpoint_id for lora in loras], user)

    def origin(checkpoint: Checkpoint, weight: float) -> Origin:
        version = checkpoint.run.dataset_version_id
        return Origin(
            checkpoint=checkpoint,
            weight=weight,
            run=runs.get(checkpoint.run_id),
            dataset_version=versions.get(version) if version else None,
            photos=photos[version] if version else [],
            pictures=counts[checkpoint.pk],
        )

    return [origin(lora.checkpoint, lora.weight) for lora in loras]


def _first_photos(versions: Iterable[UUID]) -> dict[UUID, list[Photo]]:
    """Positions count from zero, so the first of each version need no counting."""
    found: dict[UUID, list[Photo]] = defaultdict(list)
    for photo in Photo.objects.filter(version__in=list(versions), position__lt=PHOTOS_SHOWN).order_by("position"):
        found[photo.version_id].append(photo)
    return found


def _pictures_of(checkpoints: Sequence[UUID], user: User) -> dict[UUID, int]:
    """How many of the viewer's gallery were made with each as their model; the shelves know."""
    shelves = Shelf.objects.visible_to(user).filter(checkpoint__in=checkpoints)
    rows = shelves.values_list("checkpoint").annotate(number=Sum("images")).order_by()
    return defaultdict(int, {pk: number for pk, number in rows if pk})


# --- pictures from pictures -------------------------------------------------------------------------------------
def siblings_of(image: GeneratedImage, user: User) -> list[GeneratedImage]:
    """The pictures of the same request, this one among them; none where it is alone."""
    if image.generation.num_images == 1:
        return []
    together = GeneratedImage.objects.visible_to(user).filter(generation=image.generation_id, mending__isnull=True)
    found = list(together.order_by("seq"))
    return found if len(found) > 1 else []


def reference_of(generation: Generation, user: User) -> GeneratedImage | None:
    """The picture of the gallery that it started from, where the viewer may see that."""
    if not generation.reference_image_id:
        return None
    return GeneratedImage.objects.visible_to(user).filter(pk=generation.reference_image_id).first()


def variations_of(image: GeneratedImage, user: User) -> QuerySet[GeneratedImage]:
    """What was made from it, newest first."""
    made = GeneratedImage.objects.visible_to(user).filter(generation__reference_image=image)
    return made.select_related("generation").order_by("-created_at", "-id")[:VARIATIONS_SHOWN]


def parent_of(image: GeneratedImage, user: User) -> GeneratedImage | None:
    """What it was mended from, where the viewer may see that."""
    return GeneratedImage.objects.visible_to(user).filter(pk=image.parent_id).first() if image.parent_id else None


def mended_from(image: GeneratedImage, user: User) -> list[GeneratedImage]:
    return list(GeneratedImage.objects.visible_to(user).filter(parent=image).order_by("seq")[:VARIATIONS_SHOWN])
