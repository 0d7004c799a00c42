"""What stands beside the gallery: collections, the trash, saved searches, and what share links open."""

from django.urls import URLPattern, URLResolver, path

from gallery import collection_views, public_views, search_views, trash_views

urlpatterns: list[URLPattern | URLResolver] = [
    path("collections/", collection_views.collections, name="collections"),
    path("collections/new/", collection_views.new, name="collection-new"),
    path("collections/<uuid:pk>/", collection_views.collection, name="collection"),
    path("collections/<uuid:pk>/edit/", collection_views.edit, name="collection-edit"),
    path("collections/<uuid:pk>/delete/", collection_views.delete, name="collection-delete"),
    path("collections/<uuid:pk>/take-out/", collection_views.take_out, name="collection-take-out"),
    path("collections/<uuid:pk>/move/", collection_views.move, name="collection-move"),
    path("collections/<uuid:pk>/links/", collection_views.link_create, name="link-create"),
    path("collections/<uuid:pk>/links/<uuid:link>/revoke/", collection_views.link_revoke, name="link-revoke"),
    path("trash/", trash_views.page, name="trash"),
    path("trash/delete/", trash_views.delete, name="trash-delete"),
    path("trash/<uuid:pk>/thumbnail/", trash_views.thumbnail, name="trash-thumbnail"),
    path("searches/", search_views.searches, name="searches"),
    path("searches/<uuid:pk>/", search_views.change, name="search-change"),
    path("searches/<uuid:pk>/delete/", search_views.delete, name="search-delete"),
    path("s/<str:token>/", public_views.page, name="shared"),
    path("s/<str:token>/zip/", public_views.archive, name="shared-zip"),
    path("s/<str:token>/<uuid:pk>/", public_views.picture, name="shared-picture"),
    path("s/<str:token>/<uuid:pk>/file/", public_views.file, name="shared-file"),
    path("s/<str:token>/<uuid:pk>/thumbnail/", public_views.thumbnail, name="shared-thumbnail"),
]
