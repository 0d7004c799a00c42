from django.urls import URLPattern, URLResolver, path

from generation import views

urlpatterns: list[URLPattern | URLResolver] = [
    path("generate/", views.generate, name="generate"),
    path("generate/<uuid:pk>/", views.generation, name="generation"),
    path("images/<uuid:pk>/file/", views.image_file, name="image-file"),
    path("images/<uuid:pk>/thumbnail/", views.image_thumbnail, name="image-thumbnail"),
    path("references/<slug:sha256>/", views.reference_file, name="reference-file"),
]
