from django.urls import URLPattern, URLResolver, path

from training import views

urlpatterns: list[URLPattern | URLResolver] = [
    path("", views.runs, name="training"),
]
