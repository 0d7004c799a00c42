"""What the gallery's forms ask for."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from gallery.models import Collection, ShareLink
from shoesai.models import Team, User


class CollectionForm(forms.ModelForm):
    class Meta:
        model = Collection
        fields = ["name", "description", "team"]
        labels = {"name": _("Name"), "description": _("Description"), "team": _("Who sees it")}
        widgets = {"description": forms.Textarea(attrs={"rows": 2})}

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user = user
        team = self.fields["team"]
        assert isinstance(team, forms.ModelChoiceField)
        team.queryset = Team.objects.filter(members=user).order_by("name")
        team.empty_label = str(_("Only you"))
        team.help_text = _("A team sees it, adds and takes out. Pictures of yours in it are shared with the team.")

    def clean_name(self) -> str:
        return " ".join(self.cleaned_data["name"].split())

    def clean(self) -> dict[str, Any] | None:
        name = self.cleaned_data.get("name")
        if name and Collection.objects.filter(owner=self.user, name=name).exclude(pk=self.instance.pk).exists():
            self.add_error("name", _("You have a collection of this name already; choose another one."))
        return self.cleaned_data


LIFETIMES = {"7": _("7 days"), "30": _("30 days"), "90": _("90 days"), "": _("Never")}
DEFAULT_LIFETIME = "30"


class LinkForm(forms.ModelForm):
    lifetime = forms.ChoiceField(
        label=_("Expires after"), choices=list(LIFETIMES.items()), initial=DEFAULT_LIFETIME, required=False
    )

    class Meta:
        model = ShareLink
        fields = ["label", "allows_download"]
        labels = {"label": _("For whom"), "allows_download": _("May download the pictures as a ZIP")}
        help_texts = {"label": _("Whoever has the link reads this too.")}

    def days(self) -> timedelta | None:
        days = self.cleaned_data["lifetime"]
        return timedelta(days=int(days)) if days else None
