"""The API's addresses; none ends in a slash."""

from csp.decorators import csp_update
from django.urls import URLPattern, URLResolver, path, re_path
from drf_spectacular.views import SpectacularAPIView

from evaluation.api import (
    EvaluationReportView,
    EvaluationsView,
    EvaluationView,
    JudgedPictureFileView,
    JudgedPicturesView,
)
from evaluation.mending_api import ImageMendView
from gallery.api import ImagesView
from gallery.selection import pictures_named
from generation.api import GenerateView, ImageFileView, ImageView
from generation.expansion_api import DatasetExpandView
from shoesai.api import DocsView, HealthView, JobCancelView, JobsView, JobView, NothingHereView
from training.api import (
    CheckpointFileView,
    ModelsView,
    ModelView,
    RunCancelView,
    RunEventsView,
    RunMetricsView,
    RunPauseView,
    RunResumeView,
    RunsView,
    RunView,
)
from training.augment_api import DatasetAugmentView
from training.dataset_api import DatasetsView, DatasetView, ExportView, FindingsView, VersionsView, VersionView
from training.dataset_draft_api import CheckView, DraftPhotosView, DraftView, FreezeView
from training.dataset_photo_api import PhotoFileView, PhotosView, UploadView

swagger = csp_update({"style-src": ["'unsafe-inline'"]})(DocsView.as_view())

urlpatterns: list[URLPattern | URLResolver] = [
    path("api/generate", GenerateView.as_view(), name="api-generate"),
    path("api/images", ImagesView.as_view(), name="api-images"),
    path("api/images/<uuid:id>", ImageView.as_view(), name="api-image"),
    path("api/images/<uuid:id>/file", ImageFileView.as_view(), name="api-image-file"),
    path("api/images/<uuid:id>/mend", ImageMendView.as_view(), name="api-image-mend"),
    path("api/models", ModelsView.as_view(), name="api-models"),
    path("api/models/<uuid:id>", ModelView.as_view(), name="api-model"),
    path("api/runs", RunsView.as_view(), name="api-runs"),
    path("api/runs/<uuid:id>", RunView.as_view(), name="api-run"),
    path("api/runs/<uuid:id>/pause", RunPauseView.as_view(), name="api-run-pause"),
    path("api/runs/<uuid:id>/resume", RunResumeView.as_view(), name="api-run-resume"),
    path("api/runs/<uuid:id>/cancel", RunCancelView.as_view(), name="api-run-cancel"),
    path("api/runs/<uuid:id>/metrics", RunMetricsView.as_view(), name="api-run-metrics"),
    path("api/runs/<uuid:id>/events", RunEventsView.as_view(), name="api-run-events"),
    path("api/evaluations", EvaluationsView.as_view(pictures_of=pictures_named), name="api-evaluations"),
    path("api/evaluations/<uuid:id>", EvaluationView.as_view(), name="api-evaluation"),
    path("api/evaluations/<uuid:id>/report", EvaluationReportView.as_view(), name="api-evaluation-report"),
    path("api/evaluations/<uuid:id>/pictures", JudgedPicturesView.as_view(), name="api-evaluation-pictures"),
    path(
        "api/evaluations/<uuid:id>/pictures/<int:subject>/<int:seq>",
        JudgedPictureFileView.as_view(),
        name="api-judged-picture-file",
    ),
    path("api/checkpoints/<uuid:id>/file", CheckpointFileView.as_view(), name="api-checkpoint-file"),
    path("api/datasets", DatasetsView.as_view(), name="api-datasets"),
    path("api/datasets/<uuid:id>", DatasetView.as_view(), name="api-dataset"),
    path("api/datasets/<uuid:id>/upload", UploadView.as_view(), name="api-dataset-upload"),
    path("api/datasets/<uuid:id>/draft", DraftView.as_view(), name="api-dataset-draft"),
    path("api/datasets/<uuid:id>/draft/photos", DraftPhotosView.as_view(), name="api-dataset-draft-photos"),
    path("api/datasets/<uuid:id>/check", CheckView.as_view(), name="api-dataset-check"),
    path("api/datasets/<uuid:id>/freeze", FreezeView.as_view(), name="api-dataset-freeze"),
    path("api/datasets/<uuid:id>/augment", DatasetAugmentView.as_view(), name="api-dataset-augment"),
    path("api/datasets/<uuid:id>/expand", DatasetExpandView.as_view(), name="api-dataset-expand"),
    path("api/datasets/<uuid:id>/versions", VersionsView.as_view(), name="api-dataset-versions"),
    path("api/datasets/<uuid:id>/versions/<int:number>", VersionView.as_view(), name="api-dataset-version"),
    path("api/datasets/<uuid:id>/versions/<int:number>/photos", PhotosView.as_view(), name="api-dataset-photos"),
    path("api/datasets/<uuid:id>/versions/<int:number>/findings", FindingsView.as_view(), name="api-dataset-findings"),
    path("api/datasets/<uuid:id>/versions/<int:number>/export", ExportView.as_view(), name="api-dataset-export"),
    path("api/photos/<uuid:id>/file", PhotoFileView.as_view(), name="api-photo-file"),
    path("api/jobs", JobsView.as_view(), name="api-jobs"),
    path("api/jobs/<uuid:id>", JobView.as_view(), name="api-job"),
    path("api/jobs/<uuid:id>/cancel", JobCancelView.as_view(), name="api-job-cancel"),
    path("api/health", HealthView.as_view(), name="api-health"),
    path("api/schema", SpectacularAPIView.as_view(), name="api-schema"),
    path("docs", swagger, name="api-docs"),
    re_path(r"^api(?:/[\s\S]*)?\Z", NothingHereView.as_view(), name="api-nothing-here"),
]
