"""The account: who one is, how the portal looks and behaves for one, and the keys one has given out."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.views import PasswordChangeView
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse, reverse_lazy
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from generation import storage
from shoesai import sessions
from shoesai.accounts import create_token
from shoesai.auth import caller
from shoesai.forms import PreferencesForm, ProfileForm, TokenForm, say_password_rules
from shoesai.letters import in_language_of, write_to
from shoesai.models import ApiToken, User
from shoesai.views import is_htmx, next_page


@login_required
@never_cache
@require_safe
def account(request: HttpRequest) -> HttpResponse:
    return _page(request)


def _page(request: HttpRequest, status: int = 200, **forms: Any) -> HttpResponse:
    user = caller(request)
    context = {
        "profile": ProfileForm(instance=user),
        "preferences": PreferencesForm(instance=user),
        "form": TokenForm(),
        "tokens": tokens_of(user),
        "teams": user.teams.order_by("name"),
        "storage": storage.report_of(user),
        "elsewhere": sum(1 for _session in sessions.others_of(user, request.session.session_key)),
    }
    return render(request, "account/account.html", context | forms, status=status)


@login_required
@require_POST
def profile(request: HttpRequest) -> HttpResponse:
    user = caller(request)
    before = user.email
    form = ProfileForm(request.POST, instance=_fresh(user))
    if not form.is_valid():
        return _page(request, status=422, profile=form)
    saved = form.save()
    if before and before.lower() != saved.email.lower():
        transaction.on_commit(lambda: _tell_old_address(saved, before))
    messages.success(request, _("Your profile is saved."))
    return redirect("account")


def _fresh(user: User) -> User:
    """A copy for the form to write on, so that what it refuses is nowhere else on the page."""
    return User.objects.get(pk=user.pk)


def _tell_old_address(user: User, address: str) -> None:
    """Whoever changed it could have a new password sent to themselves; its owner must learn of that."""
    with in_language_of(user):
        text = _(
            "The e-mail address of the account %(username)s was changed to %(address)s.\n\n"
            "If it was not you, tell the person who runs the site at once."
        ) % {"username": user.username, "address": user.email or "–"}
        write_to(address, _("Your e-mail address for Shoes AI was changed"), text)


@login_required
@require_POST
def preferences(request: HttpRequest) -> HttpResponse:
    form = PreferencesForm(request.POST, instance=_fresh(caller(request)))
    if not form.is_valid():
        return _page(request, status=422, preferences=form)
    user = form.save()
    with in_language_of(user):  # the page that the words are on comes in the language just chosen
        messages.success(request, _("Your preferences are saved."))
    return redirect("account")


@login_required
@require_POST
def theme(request: HttpRequest) -> HttpResponse:
    """The switch in the rail: kept in the account, so that it is the same on every device."""
    chosen = request.POST.get("theme", "")
    if chosen not in User.Theme.values:
        return HttpResponseBadRequest(f"theme must be one of {', '.join(User.Theme.values)}.")
    User.objects.filter(pk=caller(request).pk).update(theme=chosen)
    if request.headers.get("X-Requested-With"):  # a script's, which has changed the page itself
        return HttpResponse(status=204)
    return redirect(next_page(request, reverse("home")))


class ChangePassword(PasswordChangeView):
    """Django ends the user's other sessions with it."""

    template_name = "account/password.html"
    success_url = reverse_lazy("account")

    def get_form(self, form_class: Any = None) -> Any:
        form = super().get_form(form_class)
        say_password_rules(form.fields["new_password1"], form.fields["new_password2"])
        return form

    def form_valid(self, form: Any) -> HttpResponse:
        messages.success(self.request, _("Your password is changed, and you are signed out everywhere else."))
        return super().form_valid(form)


@login_required
@require_POST
def end_other_sessions(request: HttpRequest) -> HttpResponse:
    sessions.end_others(caller(request), request.session.session_key)
    messages.success(request, _("You are signed out everywhere else."))
    return redirect("account")


# --- tokens -----------------------------------------------------------------------------------------------------
def tokens_of(user: User) -> Any:
    return ApiToken.objects.filter(user=user).order_by("-created")


@login_required
@never_cache
@require_POST
def token_create(request: HttpRequest) -> HttpResponse:
    """The secret is in the answer to this POST and nowhere else."""
    form = TokenForm(request.POST)
    if not form.is_valid():
        return _tokens(request, status=422, form=form)
    data = form.cleaned_data
    secret = create_token(caller(request), data["name"], data["scopes"], form.lifetime())
    return _tokens(request, secret=secret)


def _tokens(request: HttpRequest, status: int = 200, **context: Any) -> HttpResponse:
    if not is_htmx(request):
        return _page(request, status=status, **context)
    context = {"form": TokenForm(), "tokens": tokens_of(caller(request)), **context}
    return render(request, "account/_tokens.html", context, status=status)


@login_required
@require_POST
def token_revoke(request: HttpRequest, pk: str) -> HttpResponse:
    token = get_object_or_404(ApiToken, public_id=pk, user=caller(request))
    name = token.name or token.token_key
    token.delete()
    messages.success(request, _("“%(name)s” is revoked; whatever used it is signed out.") % {"name": name})
    return redirect("account")
