"""The portal's own small forms."""

from __future__ import annotations

from datetime import timedelta

from django import forms
from django.utils.translation import gettext_lazy as _

from shoesai.models import ApiToken

NEVER = "never"


class TokenForm(forms.Form):
    """A new API token. No scope chosen means: everything that the user may do."""

    name = forms.CharField(
        label=_("Name"),
        max_length=120,
        widget=forms.TextInput(attrs={"placeholder": _("Where it will be used, such as “render script”")}),
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
