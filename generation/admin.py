from __future__ import annotations

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from generation.models import GeneratedImage, Generation, GenerationLora
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
