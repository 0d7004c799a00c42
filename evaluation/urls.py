"""The pages of evaluations, at /evaluation/."""

from django.urls import URLPattern, URLResolver, path

from evaluation import mending_views, views

urlpatterns: list[URLPattern | URLResolver] = [
    path("", views.evaluations, name="evaluations"),
    path("new/", views.new, name="evaluation-new"),
    path("mend/<uuid:pk>/", mending_views.mend, name="image-mend"),
    path("<uuid:pk>/", views.evaluation, name="evaluation"),
    path("<uuid:pk>/report/<slug:form>/", views.report, name="evaluation-report"),
    path("<uuid:pk>/pictures/<int:subject>/<int:seq>/", views.picture, name="evaluation-picture"),
    path("<uuid:pk>/delete/", views.delete, name="evaluation-delete"),
]
