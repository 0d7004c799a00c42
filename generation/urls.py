from django.urls import URLPattern, URLResolver, path

from generation import assist_views, dataset_views, preset_views, views

urlpatterns: list[URLPattern | URLResolver] = [
    path("generate/", views.generate, name="generate"),
    path("generate/form/", views.form, name="generate-form"),
    path("generate/reference/", views.reference, name="generate-reference"),
    path("generate/live/", views.live, name="generate-live"),
    path("generate/cancel/", views.cancel_all, name="generate-cancel-all"),
    path("generate/<uuid:pk>/", views.generation, name="generation"),
    path("generate/suggestions/", assist_views.suggestions, name="generate-suggestions"),
    path("generate/check/", assist_views.check, name="generate-check"),
    path("generate/models/", assist_views.models, name="generate-models"),
    path("generate/models/picked/", assist_views.picked, name="generate-picked"),
    path("generate/presets/", preset_views.save, name="preset-save"),
    path("generate/presets/restore/", preset_views.restore, name="preset-restore"),
    path("generate/presets/<uuid:pk>/", preset_views.change, name="preset-change"),
    path("datasets/<uuid:dataset_id>/expand/", dataset_views.expand, name="dataset-expand"),
    path(
        "datasets/<uuid:dataset_id>/expand/refused/<int:pk>/",
        dataset_views.refused_picture,
        name="dataset-expand-refused",
    ),
    path("images/<uuid:pk>/file/", views.image_file, name="image-file"),
    path("images/<uuid:pk>/thumbnail/", views.image_thumbnail, name="image-thumbnail"),
    path("references/<slug:sha256>/", views.reference_file, name="reference-file"),
]
