"""The settings of an augmentation as a form; what they may be, `AugmentSpec` says alone."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from shoesai.engine.specs import AUGMENT_RECIPES, AugmentSpec, SpecError
from shoesai.sentences import said

DEFAULT = AugmentSpec()
ANGLES = sorted(DEFAULT.angles)
RECIPES = {"product": _("Product: a little of everything"), "rotations": _("Subtle rotations only")}
PRODUCT = ("rotation", "brightness", "contrast", "saturation", "hue", "flip", "crop")


def _number(label: Any, help_text: Any, step: str = "0.01") -> forms.FloatField:
    return forms.FloatField(label=label, help_text=help_text, required=False,
                            widget=forms.NumberInput(attrs={"step": step, "min": 0}))  # fmt: skip


class AugmentForm(forms.Form):
    """A field that is left empty has the seed's value."""

    recipe = forms.ChoiceField(label=_("Recipe"), choices=[(name, RECIPES[name]) for name in reversed(AUGMENT_RECIPES)],
                               widget=forms.RadioSelect)  # fmt: skip
    variants = forms.IntegerField(label=_("Variants per photo"), required=False)
    angles = forms.MultipleChoiceField(
        label=_("Angles"), required=False, choices=[(f"{angle:g}", f"{angle:+g}°") for angle in ANGLES],
        widget=forms.CheckboxSelectMultiple,
    )  # fmt: skip
    rotation = _number(_("Rotation, ± degrees"), _("Corners get the background's colour."), "1")
    brightness = _number(_("Brightness, ±"), _("0.1 is 10 %; the background stays white."))
    contrast = _number(_("Contrast, ±"), "")
    saturation = _number(_("Saturation, ±"), "")
    hue = _number(_("Hue, ±"), _("0.02 is 2 % of the colour circle."))
    flip = _number(_("Mirrored"), _("Probability, 0 to 1."), "0.1")
    crop = _number(_("Crop, up to"), _("Of each side, around the shoe."))
    output_size = forms.IntegerField(label=_("Shorter side"), required=False, help_text=_("Pixels; 0 keeps the size."))
    seed = forms.IntegerField(label=_("Seed"), required=False, help_text=_("The same seed makes the same variants."))

    def product_fields(self) -> list[Any]:
        return [self[name] for name in PRODUCT]

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if self.errors:
            return data
        given = {name: value for name, value in data.items() if value not in (None, "", [])}
        if given["recipe"] == "rotations":
            given["angles"] = [angle for angle in DEFAULT.angles if f"{angle:g}" in data["angles"]]
            given.setdefault("variants", len(given["angles"]) or 1)
        else:
            given.pop("angles", None)
        try:
            data["spec"] = AugmentSpec.from_dict(given)
        except SpecError as error:
            words = said(error.message)
            self.add_error(error.field_name.partition("[")[0], f"{words[0].upper()}{words[1:]}.")
        return data

    def spec(self) -> AugmentSpec | None:
        """None where something is wrong."""
        return self.cleaned_data.get("spec") if self.is_valid() else None


def as_form_values(spec: AugmentSpec) -> dict[str, Any]:
    return {**spec.to_dict(), "angles": [f"{angle:g}" for angle in spec.angles]}
