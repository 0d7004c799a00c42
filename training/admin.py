from __future__ import annotations

from pathlib import Path
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from shoesai.admin import ReadOnly
from shoesai.engine.base_folder import BaseModelProblem, check_folder, content_hash
from shoesai.engine.specs import BASE_FAMILIES
from training import base_models, run_admin  # noqa: F401  # registers runs and what hangs on them
from training.datasets.models import AcceptedFinding, DatasetImport, DraftEdit, Finding, PhotoMeasure
from training.models import BaseModel, Dataset, DatasetVersion, Photo


class BaseModelForm(forms.ModelForm):
    """A folder in MODELS_DIR is judged before its row is there; `add_base_model` also loads and tries it."""

    class Meta:
        model = BaseModel
        fields = "__all__"  # noqa: DJ007  # what staff may change is in the admin's readonly fields

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if "location" in self.changed_data and data.get("format") == BaseModel.Format.DIFFUSERS:
            folder = Path(settings.MODELS_DIR) / data.get("location", "")
            if base_models.place_below_models_dir(folder):  # elsewhere the model's own check says so
                self._judge(folder, data.get("family", ""))
        return data

    def _judge(self, folder: Path, family: str) -> None:
        try:
            check_folder(folder, family if family in BASE_FAMILIES else None)
        except BaseModelProblem as problem:
            self.add_error("location", f"{problem}.")


@admin.register(BaseModel)
class BaseModelAdmin(admin.ModelAdmin):
    form = BaseModelForm
    list_display = ["title", "name", "family", "format", "source", "hash_start", "resolution", "created_at"]
    list_filter = ["family", "format"]
    search_fields = ["name", "title", "sha256", "source"]
    readonly_fields = ["sha256", "source", "created_at"]

    def get_readonly_fields(self, request: HttpRequest, base: BaseModel | None = None) -> list[str]:
        """What runs and checkpoints rely on stays as it was added."""
        return [*self.readonly_fields, *(["name", "family", "format", "location"] if base else [])]

    def save_model(self, request: HttpRequest, base: BaseModel, form: forms.ModelForm, change: bool) -> None:
        if not change and base.format == BaseModel.Format.DIFFUSERS:
            base.sha256, base.source = content_hash(base.path), base.path.name
        super().save_model(request, base, form, change)

    @admin.display(description=_("content"))
    def hash_start(self, base: BaseModel) -> str:
        return base.sha256[:12]


@admin.register(Dataset)
class DatasetAdmin(admin.ModelAdmin):
    list_display = ["name", "owner", "team", "created_at"]
    list_filter = ["team", "created_at"]
    search_fields = ["name", "description", "owner__username"]
    list_select_related = ["owner", "team"]
    autocomplete_fields = ["owner", "team"]


@admin.register(DatasetVersion)
class DatasetVersionAdmin(ReadOnly, admin.ModelAdmin):
    list_display = ["__str__", "photo_count", "hash_start", "created_at"]
    search_fields = ["dataset__name", "content_hash"]
    list_select_related = ["dataset"]

    @admin.display(description=_("content"))
    def hash_start(self, version: DatasetVersion) -> str:
        return version.content_hash[:12]


@admin.register(Photo)
class PhotoAdmin(ReadOnly, admin.ModelAdmin):
    list_display = ["file_name", "version", "caption_start", "width", "height"]
    search_fields = ["file_name", "caption", "version__dataset__name"]
    list_select_related = ["version__dataset"]

    @admin.display(description=_("caption"))
    def caption_start(self, photo: Photo) -> str:
        return photo.caption[:80]


@admin.register(DatasetImport)
class DatasetImportAdmin(ReadOnly, admin.ModelAdmin):
    list_display = ["__str__", "dataset", "owner", "created_at"]
    search_fields = ["source", "dataset__name", "owner__username"]
    list_select_related = ["dataset", "owner"]


@admin.register(DraftEdit)
class DraftEditAdmin(ReadOnly, admin.ModelAdmin):
    list_display = ["verb", "version", "user", "photo_count", "undone", "at"]
    search_fields = ["verb", "version__dataset__name", "user__username"]
    list_select_related = ["version__dataset", "user"]


@admin.register(Finding)
class FindingAdmin(ReadOnly, admin.ModelAdmin):
    list_display = ["kind", "version", "photo", "accepted"]
    list_filter = ["kind", "accepted"]
    search_fields = ["kind", "photo__file_name", "version__dataset__name"]
    list_select_related = ["version__dataset", "photo"]


@admin.register(AcceptedFinding)
class AcceptedFindingAdmin(ReadOnly, admin.ModelAdmin):
    list_display = ["kind", "dataset", "user", "at"]
    search_fields = ["kind", "dataset__name", "user__username"]
    list_select_related = ["dataset", "user"]


@admin.register(PhotoMeasure)
class PhotoMeasureAdmin(ReadOnly, admin.ModelAdmin):
    list_display = ["__str__", "edition", "phash"]
    search_fields = ["blob__sha256", "phash"]
