"""What only a dataset's owner decides: its name, who sees it, how much of it may be generated, and its end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import ProtectedError, QuerySet
from django.utils.translation import gettext as _

from shoesai import files
from shoesai.models import User
from training.datasets.importing import DatasetNameProblem, clean_name
from training.datasets.models import Dataset, Photo
from training.models import TrainingRun


class NameTaken(DatasetNameProblem):
    """Its owner has another dataset of this name."""

    def __init__(self, name: str) -> None:
        words = _("You have a dataset called “%(name)s” already; choose another name.")
        super().__init__(words % {"name": name})


class DatasetInUse(Exception):
    """Runs have learned from it, so it stays."""

    def __init__(self) -> None:
        words = _("Runs have learned from this dataset, so it stays. Take photos out in a new draft instead.")
        super().__init__(words)


def new_dataset(user: User, name: str, **settings: Any) -> Dataset:
    """Raises DatasetNameProblem, NameTaken."""
    name = _good_name(name)
    dataset, made = Dataset.objects.get_or_create(owner=user, name=name, defaults=settings)
    if not made:
        raise NameTaken(name)
    return dataset


def free_name(user: User, name: str, *, but: Dataset) -> str:
    """The name as it is kept. Raises DatasetNameProblem, and NameTaken where another dataset than `but` has it."""
    name = _good_name(name)
    if Dataset.objects.filter(owner=user, name=name).exclude(pk=but.pk).exists():
        raise NameTaken(name)
    return name


def _good_name(name: str) -> str:
    try:
        return clean_name(name)
    except DatasetNameProblem as error:
        raise DatasetNameProblem(_("A dataset's name is 1 to 120 printable characters.")) from error


def change_settings(dataset: Dataset, settings: Mapping[str, Any]) -> None:
    """Raises DatasetNameProblem, NameTaken; nothing has changed then."""
    if "name" in settings:
        settings = {**settings, "name": free_name(dataset.owner, settings["name"], but=dataset)}
    for name, value in settings.items():
        setattr(dataset, name, value)
    try:
        with transaction.atomic():
            dataset.save(update_fields=list(settings))
    except IntegrityError as error:  # another request was faster
        raise NameTaken(dataset.name) from error


def runs_of(dataset: Dataset) -> QuerySet[TrainingRun]:
    """Anybody's: what a run learned from must stay."""
    return TrainingRun.objects.filter(dataset_version__dataset=dataset)


@transaction.atomic
def delete_dataset(dataset: Dataset) -> None:
    """With the files that nothing else needs. Raises DatasetInUse."""
    photos = Photo.objects.filter(version__dataset=dataset)
    held = {sha256 for row in photos.values_list("blob", "original", "parent") for sha256 in row if sha256}
    try:
        Dataset.objects.filter(pk=dataset.pk).delete()
    except ProtectedError as error:
        raise DatasetInUse from error
    for sha256 in held:
        files.discard(sha256)
