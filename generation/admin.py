from __future__ import annotations

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from generation.models import (
    Expansion,
    ExpansionTry,
    GeneratedImage,
    Generation,
    GenerationLora,
    Preset,
    Recreation,
    Shelf,
    Stack,
    Upload,
)
from shoesai.admin import ReadOnly


class LoraInline(ReadOnly, admin.TabularInline):
    model = GenerationLora
    fields = ["position", "checkpoint", "weight"]
    extra = 0


@admin.register(Generation)
class GenerationAdmin(ReadOnly, admin.ModelAdmin):
    list_display = ["prompt_start", "owner", "team", "model_name", "num_images", "state", "created_at"]
    list_filter = ["job__state", "scheduler", "base_model", "team", "created_at"]
    search_fields = ["prompt", "negative_prompt", "model_name", "owner__username", "id"]
    list_select_related = ["owner", "team", "job"]
    date_hierarchy = "created_at"
    ordering = ["-created_at"]
    inlines = [LoraInline]

    @admin.display(description=_("prompt"), ordering="prompt")
    def prompt_start(self, generation: Generation) -> str:
        return generation.prompt[:60]

    @admin.display(description=_("state"), ordering="job__state")
    def state(self, generation: Generation) -> str:
        return generation.job.get_state_display()


@admin.register(GeneratedImage)
class GeneratedImageAdmin(ReadOnly, admin.ModelAdmin):
    list_display = ["prompt_start", "owner", "team", "model_name", "seed", "size", "seconds", "created_at"]
    list_filter = ["generation__scheduler", "generation__base_model", "team", "created_at"]
    search_fields = ["generation__prompt", "generation__model_name", "owner__username", "id", "blob__sha256"]
    list_select_related = ["owner", "team", "generation"]
    date_hierarchy = "created_at"

    @admin.display(description=_("prompt"), ordering="generation__prompt")
    def prompt_start(self, image: GeneratedImage) -> str:
        return image.generation.prompt[:60]

    @admin.display(description=_("model"), ordering="generation__model_name")
    def model_name(self, image: GeneratedImage) -> str:
        return image.generation.model_name

    @admin.display(description=_("size"))
    def size(self, image: GeneratedImage) -> str:
        return f"{image.width} × {image.height}"


@admin.register(Shelf)
class ShelfAdmin(ReadOnly, admin.ModelAdmin):
    list_display = ["base_model", "checkpoint", "owner", "team", "width", "height", "num_inference_steps", "images"]
    list_filter = ["base_model", "scheduler", "team"]
    search_fields = ["owner__username", "id"]
    list_select_related = ["base_model", "checkpoint__run", "owner", "team"]


@admin.register(Stack)
class StackAdmin(ReadOnly, admin.ModelAdmin):
    list_display = ["words", "day", "images", "shelf"]
    search_fields = ["generation__prompt"]
    list_select_related = ["shelf__base_model"]


@admin.register(Preset)
class PresetAdmin(ReadOnly, admin.ModelAdmin):
    list_display = ["name", "owner", "team", "created_at"]
    list_filter = ["team"]
    search_fields = ["name", "owner__username"]
    list_select_related = ["owner", "team"]


@admin.register(Recreation)
class RecreationAdmin(ReadOnly, admin.ModelAdmin):
    list_display = ["image", "verdict", "max_difference", "owner", "created_at"]
    list_filter = ["verdict", "created_at"]
    search_fields = ["image__generation__prompt", "owner__username"]
    list_select_related = ["image__generation", "owner"]


@admin.register(Upload)
class UploadAdmin(ReadOnly, admin.ModelAdmin):
    list_display = ["blob", "owner", "created_at"]
    search_fields = ["owner__username", "blob__sha256"]
    list_select_related = ["blob", "owner"]


@admin.register(Expansion)
class ExpansionAdmin(ReadOnly, admin.ModelAdmin):
    list_display = ["dataset", "model_name", "owner", "created_at"]
    search_fields = ["dataset__name", "model_name", "owner__username"]
    list_select_related = ["dataset", "owner"]


@admin.register(ExpansionTry)
class ExpansionTryAdmin(ReadOnly, admin.ModelAdmin):
    list_display = ["expansion", "seq", "attempt", "accepted"]
    list_filter = ["accepted"]
    search_fields = ["expansion__dataset__name", "sha256"]
    list_select_related = ["expansion__dataset"]
