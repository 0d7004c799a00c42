"""The portal's own small forms: coming in, the account, its tokens."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import forms
from django.conf import settings
from django.contrib.auth.forms import BaseUserCreationForm, PasswordResetForm
from django.template.loader import render_to_string
from django.utils import translation
from django.utils.translation import gettext_lazy as _

from shoesai.letters import in_language_of, write_to
from shoesai.models import ApiToken, User

NEVER = "never"
EMAIL_HELP = _("For a new password if you forget yours, and for what you ask to be told.")


def say_password_rules(first: forms.Field, again: forms.Field) -> None:
    """In one line; Django's own words are a list in HTML."""
    first.help_text = _("At least 10 characters, and not a common one.")
    again.help_text = ""


# --- coming in --------------------------------------------------------------------------------------------------
class SignUpForm(BaseUserCreationForm):
    class Meta:
        model = User
        fields = ("username", "email")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["username"].label = _("Name")
        self.fields["username"].help_text = _("For signing in. Letters, digits and @ . + - _ only.")
        self.fields["username"].widget.attrs.update(autocomplete="username", autocapitalize="none")
        self.fields["email"].required = True
        self.fields["email"].help_text = EMAIL_HELP
        self.fields["email"].widget.attrs.update(autocomplete="email")
        say_password_rules(self.fields["password1"], self.fields["password2"])

    def clean_username(self) -> str:
        """Names that differ by capitals only would be taken for each other."""
        username: str = self.cleaned_data["username"]
        if User.objects.filter(username__iexact=username).exists():
            raise forms.ValidationError(_("Somebody has this name already; choose another."))
        return username

    def save(self, commit: bool = True) -> User:
        """In the language in which they signed up."""
        self.instance.language = translation.get_language() or ""
        return super().save(commit)


class ResetForm(PasswordResetForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["email"].label = _("E-mail address")

    def send_mail(
        self,
        subject_template_name: str,
        email_template_name: str,
        context: dict[str, Any],
        from_email: str | None,
        to_email: str,
        html_email_template_name: str | None = None,
    ) -> None:
        """In the receiver's language, which need not be that of whoever asks."""
        with in_language_of(context["user"]):
            subject = " ".join(render_to_string(subject_template_name, context).split())
            write_to(to_email, subject, render_to_string(email_template_name, context))


# --- the account ------------------------------------------------------------------------------------------------
class ProfileForm(forms.ModelForm):
    class Meta:
        model = User
        fields = ("first_name", "last_name", "email")
        widgets = {
            "first_name": forms.TextInput(attrs={"autocomplete": "given-name"}),
            "last_name": forms.TextInput(attrs={"autocomplete": "family-name"}),
            "email": forms.EmailInput(attrs={"autocomplete": "email"}),
        }
        labels = {"email": _("E-mail address")}
        help_texts = {"email": EMAIL_HELP}


def _languages() -> list[tuple[str, Any]]:
    return [("", _("As the browser asks")), *settings.LANGUAGES]


class PreferencesForm(forms.ModelForm):
    language = forms.ChoiceField(label=_("Language"), required=False, choices=_languages)

    class Meta:
        model = User
        fields = ("language", "theme", "single_key_shortcuts", "shares_new_pictures")
        widgets = {"theme": forms.RadioSelect}
        labels = {
            "theme": _("Colour theme"),
            "single_key_shortcuts": _("Shortcuts of a single key"),
            "shares_new_pictures": _("Share new pictures with my team"),
        }


class TokenForm(forms.Form):
    """A new API token. No scope chosen means: everything that the user may do."""

    name = forms.CharField(
        label=_("Name"),
        max_length=120,
        widget=forms.TextInput(
            attrs={"placeholder": _("Where it will be used, such as “render script”"), "autocomplete": "off"}
        ),
    )
    scopes = forms.MultipleChoiceField(
        label=_("Scopes"),
        required=False,
        choices=ApiToken.Scope.choices,
        widget=forms.CheckboxSelectMultiple,
        help_text=_("Leave all empty to allow everything that you may do yourself."),
    )
    expires = forms.ChoiceField(
        label=_("Expires"),
        initial="90",
        choices=[
            ("30", _("in 30 days")),
            ("90", _("in 90 days")),
            ("365", _("in a year")),
            (NEVER, _("never")),
        ],
    )

    def lifetime(self) -> timedelta | None:
        days = self.cleaned_data["expires"]
        return None if days == NEVER else timedelta(days=int(days))
