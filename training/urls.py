from django.urls import URLPattern, URLResolver, path

from training import views

urlpatterns: list[URLPattern | URLResolver] = [
    path("", views.runs, name="training"),
    path("new/", views.new_run, name="training-new"),
    path("compare/", views.compare, name="training-compare"),
    path("<uuid:run_id>/", views.run, name="training-run"),
    path("<uuid:run_id>/pause/", views.act, {"action": "pause"}, name="training-pause"),
    path("<uuid:run_id>/resume/", views.act, {"action": "resume"}, name="training-resume"),
    path("<uuid:run_id>/cancel/", views.act, {"action": "cancel"}, name="training-cancel"),
    path("<uuid:run_id>/validation/<uuid:pk>/", views.validation_image, name="training-validation"),
    path(
        "<uuid:run_id>/validation/<uuid:pk>/thumbnail/",
        views.validation_thumbnail,
        name="training-validation-thumbnail",
    ),
    path("photos/<uuid:pk>/", views.photo, {"small": False}, name="photo"),
    path("photos/<uuid:pk>/thumbnail/", views.photo, {"small": True}, name="photo-thumbnail"),
    path("checkpoints/<uuid:pk>/pin/", views.pin, name="training-pin"),
    path("checkpoints/<uuid:pk>/download/<slug:form>/", views.download, name="training-download"),
]
