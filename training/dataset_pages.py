"""What all pages of a dataset have in common: which dataset, which of its versions, and the tabs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, wraps
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils.translation import gettext_lazy as _

from shoesai.auth import caller
from shoesai.models import User
from training.datasets.drafts import DraftProblem
from training.datasets.freezing import synthetic_share
from training.models import Dataset, DatasetVersion

# name → (what the tab is called, the page's URL)
TABS: dict[str, tuple[Any, str]] = {
    "photos": (_("Photos"), "dataset"),
    "checks": (_("Checks"), "dataset-checks"),
    "captions": (_("Captions"), "dataset-captions"),
    "split": (_("Split"), "dataset-split"),
    "augment": (_("Augment"), "dataset-augment"),
    "expand": (_("Expand"), "dataset-expand"),
    "versions": (_("Versions"), "dataset-versions"),
    "settings": (_("Settings"), "dataset-settings"),
}


@dataclass(frozen=True)
class DatasetPage:
    """Shown is the version that `?version=` names, else the draft, else the newest."""

    dataset: Dataset
    user: User
    version: DatasetVersion | None

    @property
    def is_mine(self) -> bool:
        return self.dataset.owner_id == self.user.pk

    @cached_property
    def draft(self) -> DatasetVersion | None:
        return self.version if self.version and self.version.is_draft else self.dataset.draft()

    def needed_draft(self) -> DatasetVersion:
        """Raises DraftProblem where nobody has begun one."""
        if self.draft is None:
            raise DraftProblem(_("There is no draft to change; press “Edit” first."))
        return self.draft

    def context(self, tab: str) -> dict[str, Any]:
        draft = self.draft
        steps = list(draft.edits.values_list("undone", flat=True)) if draft else []
        return {
            "page": self,
            "dataset": self.dataset,
            "version": self.version,
            "draft": draft,
            "latest": self.dataset.latest(),
            "is_mine": self.is_mine,
            "steps": steps.count(False),
            "undone": steps.count(True),
            "synthetic": synthetic_share(self.version) if self.version else 0.0,
            "tab": tab,
            "tabs": [(name, label, url) for name, (label, url) in TABS.items()],
        }


def shown(request: HttpRequest, dataset_id: UUID) -> DatasetPage:
    """Raises Http404 for what the user may not see."""
    user = caller(request)
    seen = Dataset.objects.visible_to(user).select_related("owner", "team").distinct()
    dataset = get_object_or_404(seen, pk=dataset_id)
    number = request.GET.get("version", "")
    if not number:
        return DatasetPage(dataset, user, dataset.draft() or dataset.latest())
    if not (number.isascii() and number.isdigit() and len(number) < 9):
        raise Http404
    return DatasetPage(dataset, user, get_object_or_404(dataset.versions, number=int(number)))


def own(request: HttpRequest, dataset_id: UUID) -> DatasetPage:
    """What only its owner may do. Raises Http404."""
    page = shown(request, dataset_id)
    if not page.is_mine:
        raise Http404
    return page


View = Callable[..., HttpResponse]


def changes(view: View) -> View:
    """A POST that changes the draft: what is refused becomes a message on the page that one came from."""

    @login_required
    @wraps(view)
    def outer(request: HttpRequest, dataset_id: UUID, *args: Any, **kwargs: Any) -> HttpResponse:
        page = shown(request, dataset_id)
        try:
            return view(request, page, *args, **kwargs)
        except DraftProblem as problem:
            messages.error(request, str(problem))
            return redirect("dataset", page.dataset.pk)

    return outer
