"""The door: signing in and up, a forgotten password, and who tried too often."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any, cast

from axes.handlers.proxy import AxesProxyHandler
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import login, views
from django.db.models import Max
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse_lazy
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters

from shoesai.forms import ResetForm, SignUpForm, say_password_rules

MODEL_BACKEND = "django.contrib.auth.backends.ModelBackend"


class SignIn(views.LoginView):
    redirect_authenticated_user = True

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(**kwargs, signup=settings.SIGNUP)


@sensitive_post_parameters()
@never_cache
def sign_up(request: HttpRequest) -> HttpResponse:
    """An account of one's own, where whoever runs the site allows it (SHOESAI_SIGNUP)."""
    if not settings.SIGNUP:
        raise Http404
    if request.user.is_authenticated:
        return redirect(settings.LOGIN_REDIRECT_URL)
    form = SignUpForm(request.POST or None)
    if form.is_valid():
        login(request, form.save(), backend=MODEL_BACKEND)
        return redirect(settings.LOGIN_REDIRECT_URL)
    return render(request, "registration/signup.html", {"form": form}, status=422 if form.errors else 200)


class ResetPassword(views.PasswordResetView):
    form_class = ResetForm
    template_name = "registration/reset.html"
    email_template_name = "registration/reset_mail.txt"
    subject_template_name = "registration/reset_subject.txt"
    success_url = reverse_lazy("password-reset-sent")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(**kwargs, sends_mail=sends_mail())


class NewPassword(views.PasswordResetConfirmView):
    """Who opens the letter's link owns the mailbox: they are signed in, and need not wait if they were locked out."""

    template_name = "registration/new_password.html"
    post_reset_login = True
    post_reset_login_backend = MODEL_BACKEND
    success_url = reverse_lazy("home")

    def get_form(self, form_class: Any = None) -> Any:
        form = super().get_form(form_class)
        say_password_rules(form.fields["new_password1"], form.fields["new_password2"])
        return form

    def form_valid(self, form: Any) -> HttpResponse:
        messages.success(self.request, _("Your new password is set."))
        return super().form_valid(form)


def sends_mail() -> bool:
    """Without a mail server the letter ends in a log, and waiting for it would be in vain."""
    return not settings.EMAIL_BACKEND.endswith("console.EmailBackend")


# --- who tried too often --------------------------------------------------------------------------------------
def address_of(request: HttpRequest) -> str | None:
    """The client's address, as far as our own proxies vouch for it: each has appended whom it heard."""
    heard = [part.strip() for part in request.META.get("HTTP_X_FORWARDED_FOR", "").split(",") if part.strip()]
    if settings.PROXIES and len(heard) >= settings.PROXIES:
        return heard[-settings.PROXIES]
    return request.META.get("REMOTE_ADDR")


def locked_out(request: HttpRequest, _response: Any = None, credentials: Any = None) -> HttpResponse:
    """django-axes calls this instead of the answer that the sign-in page would have given."""
    wait = _time_to_wait(request, credentials)
    minutes = max(1, math.ceil(wait.total_seconds() / 60))
    response = render(request, "registration/locked.html", {"minutes": minutes}, status=429)
    response["Retry-After"] = str(max(1, math.ceil(wait.total_seconds())))
    return response


def _time_to_wait(request: HttpRequest, credentials: Any) -> timedelta:
    """Until the last counted failure is forgotten."""
    handler = cast(Any, AxesProxyHandler.get_implementation())
    attempts = handler.get_user_attempts(request, credentials)
    last = max((found for rows in attempts if (found := _newest(rows))), default=timezone.now())
    return last + settings.AXES_COOLOFF_TIME - timezone.now()


def _newest(attempts: Any) -> Any:
    return attempts.aggregate(newest=Max("attempt_time"))["newest"]

