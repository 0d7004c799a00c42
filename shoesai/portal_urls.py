"""The door, the dashboard, the account, jobs, and the pages of apps that have no prefix of their own in urls.py."""

from django.contrib.auth.views import LogoutView, PasswordResetDoneView
from django.templatetags.static import static
from django.urls import URLPattern, URLResolver, include, path
from django.views.generic import RedirectView
from django.views.i18n import set_language

from evaluation import gallery_views
from gallery.selection import selection_of
from shoesai import account_page, dashboard, door, views

urlpatterns: list[URLPattern | URLResolver] = [
    path("", dashboard.home, name="home"),
    path("demo/", dashboard.demo, name="demo"),
    path("checklist/close/", dashboard.close_checklist, name="checklist-close"),
    path("favicon.ico", RedirectView.as_view(url=static("icons/favicon.svg"))),
    path("language/", set_language, name="set_language"),
    # --- the door ---
    path("login/", door.SignIn.as_view(), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("signup/", door.sign_up, name="signup"),
    path("password/", door.ResetPassword.as_view(), name="password-reset"),
    path(
        "password/sent/",
        PasswordResetDoneView.as_view(template_name="registration/reset_sent.html"),
        name="password-reset-sent",
    ),
    path("password/<uidb64>/<token>/", door.NewPassword.as_view(), name="password-new"),
    # --- the account ---
    path("account/", account_page.account, name="account"),
    path("account/profile/", account_page.profile, name="profile"),
    path("account/preferences/", account_page.preferences, name="preferences"),
    path("account/theme/", account_page.theme, name="theme"),
    path("account/password/", account_page.ChangePassword.as_view(), name="password_change"),
    path("account/sessions/end/", account_page.end_other_sessions, name="sessions-end"),
    path("account/tokens/", account_page.token_create, name="token-create"),
    path("account/tokens/<uuid:pk>/revoke/", account_page.token_revoke, name="token-revoke"),
    # --- jobs ---
    path("jobs/", views.jobs, name="jobs"),
    path("jobs/tray/", views.tray, name="job-tray"),
    path("jobs/<uuid:pk>/", views.job_status, name="job-status"),
    path("jobs/<uuid:pk>/cancel/", views.job_cancel, name="job-cancel"),
    path("jobs/<uuid:pk>/preview/", views.job_preview, name="job-preview"),
    path("datasets/", include("training.dataset_urls")),
    path("training/", include("training.urls")),
    # Neither app knows the other: which pictures a form means is the gallery's to say.
    path("evaluation/pictures/", gallery_views.new, {"selection_of": selection_of}, name="evaluation-of-pictures"),
    path("evaluation/", include("evaluation.urls")),
]
