"""Datasets with real rows and real files, without an import: what the workshop's tests stand on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from shoesai import files
from shoesai.models import Team, User
from shoesai.starter import draw
from training.datasets.drafts import Source, add_photos, open_draft
from training.datasets.freezing import freeze
from training.models import Dataset, DatasetVersion
from training.tests.pictures_for_tests import encoded, png_of


def source_of(picture: Image.Image | bytes, file_name: str, caption: str = "", **more: object) -> Source:
    """Its bytes are published."""
    data = picture if isinstance(picture, bytes) else png_of(picture)
    opened = picture if isinstance(picture, Image.Image) else None
    width, height = opened.size if opened else (40, 32)
    blob = files.publish(data, "image/png")
    return Source(file_name, blob.pk, width, height, caption, **more)  # type: ignore[arg-type]


def plain(number: int, caption: str | None = None, **more: object) -> Source:
    """A small picture of one colour, another for each number."""
    data = encoded(colour=(number % 256, number // 256, 120))
    return source_of(data, f"{100001 + number}.png", f"shoe {number}" if caption is None else caption, **more)


def draft_of(
    owner: User, photos: int | Sequence[Source] = 3, name: str = "casual", team: Team | None = None
) -> DatasetVersion:
    dataset = Dataset.objects.create(owner=owner, name=name, team=team)
    draft = open_draft(dataset)
    add_photos(draft, [plain(number) for number in range(photos)] if isinstance(photos, int) else photos)
    draft.refresh_from_db()
    return draft


def frozen_of(
    owner: User, photos: int | Sequence[Source] = 3, name: str = "casual", team: Team | None = None
) -> DatasetVersion:
    return freeze(draft_of(owner, photos, name, team))


def drawn(number: int, size: int = 128, **fixed: str) -> Source:
    """A catalogue photo that `starter/draw.py` draws, with its true caption."""
    rng = np.random.default_rng(number)
    shoe = draw.random_shoe(rng, background="white", **fixed)
    return source_of(draw.draw_catalogue(shoe, number, size), f"shoe-{number:04}.png", draw.caption(shoe, rng))
