from django.urls import URLPattern, URLResolver, path

from gallery import picture_views, views

urlpatterns: list[URLPattern | URLResolver] = [
    path("", views.gallery, name="gallery"),
    path("zip/", views.selection_zip, name="gallery-zip"),
    path("metadata/", views.selection_metadata, name="gallery-metadata"),
    path("<uuid:pk>/", picture_views.image, name="image"),
    path("<uuid:pk>/metadata/", picture_views.image_metadata, name="image-metadata"),
]
