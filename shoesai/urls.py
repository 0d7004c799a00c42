"""The composition root: the one file that sees every app."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("", include("shoesai.portal_urls")),
    path("", include("generation.urls")),
    path("gallery/", include("gallery.urls")),
    path("", include("gallery.sharing_urls")),
    path("", include("shoesai.api_urls")),
    path("admin/", admin.site.urls),
]
