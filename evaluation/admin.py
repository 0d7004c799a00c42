from __future__ import annotations

from django.contrib import admin

from evaluation.models import (
    ChannelVerdict,
    EvaluationRun,
    ImageScore,
    PictureCheck,
    Score,
    Subject,
    SuiteImage,
    Verdict,
)
from shoesai.admin import ReadOnly


@admin.register(EvaluationRun)
class EvaluationRunAdmin(ReadOnly, admin.ModelAdmin):
    list_display = ["name", "purpose", "owner", "run", "targets", "created_at", "finished_at"]
    list_filter = ["purpose", "targets"]
    search_fields = ["name", "run__name", "suite_sha256"]


@admin.register(Subject)
class SubjectAdmin(ReadOnly, admin.ModelAdmin):
    list_display = ["label", "kind", "evaluation", "checkpoint", "base_model"]
    list_filter = ["kind"]
    search_fields = ["label", "made_by"]


@admin.register(Score)
class ScoreAdmin(ReadOnly, admin.ModelAdmin):
    list_display = ["metric", "subject", "value", "low", "high", "n", "extractor", "indicative"]
    list_filter = ["metric", "extractor", "indicative"]
    search_fields = ["subject__label", "metric"]


@admin.register(ImageScore)
class ImageScoreAdmin(ReadOnly, admin.ModelAdmin):
    list_display = ["subject", "seq", "clip_score", "similarity", "copied", "prompt"]
    list_filter = ["copied"]
    search_fields = ["prompt", "file_name", "subject__label"]


@admin.register(SuiteImage)
class SuiteImageAdmin(ReadOnly, admin.ModelAdmin):
    list_display = ["made_by", "seq", "seed", "prompt", "created_at"]
    search_fields = ["made_by", "prompt"]


@admin.register(Verdict)
class VerdictAdmin(ReadOnly, admin.ModelAdmin):
    list_display = ["run", "checkpoint", "evaluation", "at"]
    search_fields = ["run__name"]


@admin.register(PictureCheck)
class PictureCheckAdmin(ReadOnly, admin.ModelAdmin):
    list_display = ["image", "edition", "rules", "judged_at"]
    list_select_related = ["image__generation"]
    search_fields = ["image__generation__prompt"]


@admin.register(ChannelVerdict)
class ChannelVerdictAdmin(ReadOnly, admin.ModelAdmin):
    list_display = ["image", "profile", "passed"]
    list_select_related = ["image__generation"]
    list_filter = ["profile", "passed"]
    search_fields = ["image__generation__prompt"]
