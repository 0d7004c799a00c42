from django.urls import URLPattern, URLResolver, path

from gallery import compare_views, export_views, picture_views, recreation_views, selection_views, views

urlpatterns: list[URLPattern | URLResolver] = [
    path("", views.gallery, name="gallery"),
    path("complete/", views.complete, name="gallery-complete"),
    path("facets/<slug:name>/", views.facet, name="gallery-facet"),
    path("zip/", export_views.selection_zip, name="gallery-zip"),
    path("metadata/", export_views.selection_metadata, name="gallery-metadata"),
    path("sheet/", export_views.selection_sheet, name="gallery-sheet"),
    path("selection/compare/", views.compare_selected, name="compare-selected"),
    path("selection/restore/", selection_views.restore, name="selection-restore"),
    *(
        path(f"selection/{action}/", selection_views.act, {"action": action}, name=f"selection-{action}")
        for action in selection_views.ACTIONS
    ),
    path("compare/", compare_views.compare, name="image-compare"),
    path("<uuid:pk>/", picture_views.image, name="image"),
    path("<uuid:pk>/judge/", selection_views.judge, name="image-judge"),
    path("<uuid:pk>/metadata/", picture_views.image_metadata, name="image-metadata"),
    path("<uuid:pk>/recreate/", recreation_views.recreate, name="image-recreate"),
    path("<uuid:pk>/recreation/<uuid:recreation>/", recreation_views.recreation, name="recreation"),
    path("<uuid:pk>/recreation/<uuid:recreation>/file/", recreation_views.recreation_file, name="recreation-file"),
]
