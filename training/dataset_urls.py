"""The workshop's pages, at /datasets/."""

from django.urls import URLPattern, URLResolver, path

from training import dataset_augment_views as augment
from training import dataset_caption_views as captions
from training import dataset_check_views as checks
from training import dataset_settings_views as settings
from training import dataset_split_views as splits
from training import dataset_upload_views as upload
from training import dataset_version_views as versions
from training import dataset_views as views

urlpatterns: list[URLPattern | URLResolver] = [
    path("", views.datasets, name="datasets"),
    path("new/", upload.new, name="dataset-new"),
    path("<uuid:dataset_id>/", views.dataset, name="dataset"),
    path("<uuid:dataset_id>/photos/<uuid:pk>/", views.photo, name="dataset-photo"),
    path("<uuid:dataset_id>/photos/<uuid:pk>/original/", views.original, name="dataset-original"),
    # --- the draft ---
    path("<uuid:dataset_id>/edit/", views.begin, name="dataset-edit"),
    path("<uuid:dataset_id>/bulk/", views.bulk, name="dataset-bulk"),
    path("<uuid:dataset_id>/undo/", views.step, {"way": "undo"}, name="dataset-undo"),
    path("<uuid:dataset_id>/redo/", views.step, {"way": "redo"}, name="dataset-redo"),
    path("<uuid:dataset_id>/discard/", views.discard, name="dataset-discard"),
    path("<uuid:dataset_id>/freeze/", views.freezing, name="dataset-freeze"),
    path("<uuid:dataset_id>/history/", views.history, name="dataset-history"),
    # --- photos in ---
    path("<uuid:dataset_id>/upload/", upload.upload, name="dataset-upload"),
    path("<uuid:dataset_id>/upload/<uuid:pk>/file/", upload.upload_file, name="dataset-upload-file"),
    path("<uuid:dataset_id>/upload/<uuid:pk>/start/", upload.upload_start, name="dataset-upload-start"),
    path("<uuid:dataset_id>/upload/<uuid:pk>/report/", upload.dismiss_report, name="dataset-report"),
    # --- checks and split ---
    path("<uuid:dataset_id>/checks/", checks.checks, name="dataset-checks"),
    path("<uuid:dataset_id>/check/", checks.check, name="dataset-check"),
    path("<uuid:dataset_id>/findings/", checks.act, name="dataset-findings"),
    path("<uuid:dataset_id>/findings/<slug:kind>/<int:group>/", checks.keep_one, name="dataset-group"),
    path("<uuid:dataset_id>/split/", splits.split, name="dataset-split"),
    # --- captions ---
    path("<uuid:dataset_id>/captions/", captions.captions, name="dataset-captions"),
    path("<uuid:dataset_id>/captions/all/", captions.change_many, name="dataset-captions-many"),
    path("<uuid:dataset_id>/captions/proposals/", captions.proposals, name="dataset-proposals"),
    path("<uuid:dataset_id>/captions/<uuid:pk>/", captions.save_one, name="dataset-caption"),
    # --- variants ---
    path("<uuid:dataset_id>/augment/", augment.augment, name="dataset-augment"),
    path(
        "<uuid:dataset_id>/augment/<uuid:job_id>/<str:name>", augment.preview_picture, name="dataset-augment-picture"
    ),
    # --- versions ---
    path("<uuid:dataset_id>/versions/", versions.versions, name="dataset-versions"),
    path("<uuid:dataset_id>/compare/", versions.compare, name="dataset-compare"),
    path("<uuid:dataset_id>/versions/<int:number>/export/<slug:form>/", versions.export, name="dataset-export"),
    # --- its owner's ---
    path("<uuid:dataset_id>/settings/", settings.settings, name="dataset-settings"),
    path("<uuid:dataset_id>/delete/", settings.delete, name="dataset-delete"),
]
