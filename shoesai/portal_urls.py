"""Sign-in, account, jobs, and the pages of apps that have no prefix of their own in urls.py."""

from django.contrib.auth.views import LoginView, LogoutView, PasswordChangeView
from django.templatetags.static import static
from django.urls import URLPattern, URLResolver, include, path, reverse_lazy
from django.views.generic import RedirectView

from shoesai import views

urlpatterns: list[URLPattern | URLResolver] = [
    path("", RedirectView.as_view(pattern_name="generate"), name="home"),
    path("favicon.ico", RedirectView.as_view(url=static("icons/favicon.svg"))),
    path("login/", LoginView.as_view(redirect_authenticated_user=True), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("account/", views.account, name="account"),
    path("account/tokens/<uuid:pk>/revoke/", views.token_revoke, name="token-revoke"),
    path(
        "account/password/",
        PasswordChangeView.as_view(template_name="account/password.html", success_url=reverse_lazy("account")),
        name="password_change",
    ),
    path("jobs/", views.jobs, name="jobs"),
    path("jobs/tray/", views.tray, name="job-tray"),
    path("jobs/<uuid:pk>/", views.job_status, name="job-status"),
    path("jobs/<uuid:pk>/cancel/", views.job_cancel, name="job-cancel"),
    path("jobs/<uuid:pk>/preview/", views.job_preview, name="job-preview"),
    path("training/", include("training.urls")),
]
