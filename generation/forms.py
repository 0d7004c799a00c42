"""The Generate form. It checks only shape; what is allowed is said by `generation.services`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, cast
from uuid import UUID

from django import forms
from django.forms.utils import flatatt
from django.urls import NoReverseMatch, reverse
from django.utils.functional import Promise
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from generation import limits
from generation.limits import Limit
from generation.model_cards import ModelCard, card_of
from generation.presets import FIELDS as PRESET_FIELDS
from generation.schedulers import CHOICES, DEFAULT
from generation.services import GenerationRequest, LoraChoice
from generation.variations import BadTemplate, expand
from shoesai.models import User
from training.models import BaseModel, Checkpoint, Family

CUSTOM = "custom"
# Width and height as fractions of the base model's resolution.
SHAPES: dict[str, tuple[Any, float, float]] = {
    "square": (_("Square"), 1.0, 1.0),
    "landscape": (_("Landscape 4:3"), 1.0, 0.75),
    "portrait": (_("Portrait 3:4"), 0.75, 1.0),
    "wide": (_("Wide 3:2"), 1.0, 2 / 3),
    "tall": (_("Tall 2:3"), 2 / 3, 1.0),
}


def size_of(shape: str, resolution: int) -> tuple[int, int]:
    _label, width, height = SHAPES[shape]
    return int(resolution * width) // 8 * 8, int(resolution * height) // 8 * 8


def shape_of(width: int, height: int, resolution: int) -> str:
    return next((shape for shape in SHAPES if size_of(shape, resolution) == (width, height)), CUSTOM)


@dataclass(frozen=True)
class Range:
    """What is allowed, and the everyday range `low` to `high` that the slider spans until somebody wants more."""

    limit: Limit
    low: float
    high: float
    slide: float = 1
    step: str = "1"


def _bounds(limit: Limit) -> dict[str, float]:
    return {"min": limit.low, "max": limit.high, "step": limit.step}


class ModelSelect(forms.Select):
    """Options know their base model, so that the page can name sizes in pixels and follow its guidance.

    Written without a template per option: five of these with hundreds of checkpoints stand on the page.
    """

    bases: Mapping[str, BaseModel] = {}

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        own = self.build_attrs(self.attrs, {**(attrs or {}), "name": name})
        chosen = "" if value is None else str(value)
        return format_html("<select{}>{}</select>", flatatt(own), mark_safe("".join(self._parts(chosen))))  # noqa: S308

    def _parts(self, chosen: str) -> Iterator[str]:
        for key, label in self.choices:
            if isinstance(label, str | Promise):
                yield self._option(str(key), label, chosen)
            else:
                options = "".join(self._option(str(key), label, chosen) for key, label in label)
                yield format_html('<optgroup label="{}">{}</optgroup>', key, mark_safe(options))  # noqa: S308

    def _option(self, value: str, label: Any, chosen: str) -> str:
        base = self.bases.get(value)
        data = {"value": value, "selected": value == chosen}
        if base:
            data |= {"data-resolution": base.resolution, "data-guidance": f"{base.guidance_scale:g}"}
        return format_html("<option{}>{}</option>", flatatt(data), label)


@dataclass(frozen=True)
class LoraRow:
    name: forms.BoundField
    weight: forms.BoundField
    card: ModelCard | None

    @property
    def is_used(self) -> bool:
        return bool(self.name.value()) or bool(self.name.errors) or bool(self.weight.errors)


class GenerateForm(forms.Form):
    prompt = forms.CharField(
        label=_("Prompt"),
        strip=False,
        required=False,
        widget=forms.Textarea(attrs={"rows": 3, "placeholder": _("red leather sneakers with white soles, side view")}),
    )
    negative_prompt = forms.CharField(
        label=_("Negative prompt"),
        strip=False,
        required=False,
        widget=forms.Textarea(attrs={"rows": 1, "placeholder": _("what should not be there")}),
    )
    model_name = forms.CharField(label=_("Model"), initial="starter", widget=ModelSelect)
    num_images = forms.IntegerField(label=_("Images"), initial=4)
    num_inference_steps = forms.IntegerField(label=_("Steps"), initial=50)
    guidance_scale = forms.FloatField(label=_("Guidance"), required=False)
    seed = forms.IntegerField(label=_("Seed"), required=False)
    size = forms.ChoiceField(label=_("Size"), required=False, initial="square")
    width = forms.IntegerField(label=_("Width"), required=False)
    height = forms.IntegerField(label=_("Height"), required=False)
    scheduler = forms.ChoiceField(label=_("Scheduler"), choices=CHOICES, initial=DEFAULT)
    reference_file = forms.FileField(
        label=_("Reference picture"),
        required=False,
        widget=forms.FileInput(attrs={"accept": "image/png, image/jpeg, image/webp"}),
    )
    reference = forms.CharField(required=False, widget=forms.HiddenInput)
    reference_image = forms.UUIDField(required=False, widget=forms.HiddenInput)
    strength = forms.FloatField(label=_("Strength"), required=False, initial=limits.DEFAULT_STRENGTH)

    RANGES = {
        "num_images": Range(limits.NUM_IMAGES, low=1, high=10),
        "num_inference_steps": Range(limits.NUM_INFERENCE_STEPS, low=25, high=100),
        "guidance_scale": Range(limits.GUIDANCE_SCALE, low=5, high=15, slide=0.5, step="any"),
        "strength": Range(limits.STRENGTH, low=0.1, high=1, slide=0.05, step="any"),
    }
    SLIDERS = ("num_images", "num_inference_steps", "guidance_scale")

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user = user
        self.prompts: list[str] = []
        self.notes: list[str] = []
        self.bases = list(BaseModel.objects.all())
        self.checkpoints = list(
            Checkpoint.objects.visible_to(user).select_related("run__base_model").order_by("-run__created_at", "-step")
        )
        self._offer_models()
        self._add_loras()
        self._leave_out_what_is_gone()
        base = self.base()
        self.fields["guidance_scale"].initial = f"{base.guidance_scale:g}" if base else None
        self._offer_sizes()
        self._mark_ranges()

    # --- what is offered --------------------------------------------------------------------------------------------
    def _offer_models(self) -> None:
        groups: dict[str, list[tuple[str, str]]] = {}
        for checkpoint in self.checkpoints:
            run = checkpoint.run.name
            groups.setdefault(run, []).append((checkpoint.name, f"{run} · {checkpoint.step}"))
        bases = [(base.name, str(base)) for base in self.bases]
        widget = self.fields["model_name"].widget
        widget.choices = [(_("Base models"), bases), *groups.items()]
        widget.bases = {base.name: base for base in self.bases} | {
            checkpoint.name: checkpoint.run.base_model for checkpoint in self.checkpoints
        }

    def _add_loras(self) -> None:
        families = dict(Family.choices)
        choices = [("", _("none"))] + [
            (checkpoint.name, f"{checkpoint.name} ({families[checkpoint.family]})") for checkpoint in self.checkpoints
        ]
        for index in range(limits.LORAS):
            select = ModelSelect(choices=choices)
            select.bases = self.fields["model_name"].widget.bases
            self.fields[f"lora_{index}"] = forms.CharField(label=_("LoRA"), required=False, widget=select)
            weight = forms.NumberInput(attrs={**_bounds(limits.LORA_WEIGHT), "step": "any"})
            self.fields[f"weight_{index}"] = forms.FloatField(
                label=_("Weight"), required=False, initial=1.0, widget=weight
            )

    def _leave_out_what_is_gone(self) -> None:
        """A preset or a recipe may name a model that this user does not have; say so and go on without it."""
        known = self.fields["model_name"].widget.bases
        for name in ("model_name", *(f"lora_{index}" for index in range(limits.LORAS))):
            wanted = self.initial.get(name)
            if wanted and wanted not in known:
                del self.initial[name]
                self.notes.append(gettext("%(name)s is not there for you; it was left out.") % {"name": wanted})

    def base(self) -> BaseModel | None:
        """Of the model that the form shows now."""
        bases: dict[str, BaseModel] = self.fields["model_name"].widget.bases
        return bases.get(str(self["model_name"].value()))

    def resolution(self) -> int:
        base = self.base()
        return base.resolution if base else 512

    def _offer_sizes(self) -> None:
        resolution = self.resolution()
        offered = [(shape, "{} {} × {}".format(row[0], *size_of(shape, resolution))) for shape, row in SHAPES.items()]
        cast(forms.ChoiceField, self.fields["size"]).choices = [*offered, (CUSTOM, _("Custom"))]

    def _mark_ranges(self) -> None:
        for name, row in self.RANGES.items():
            self.fields[name].widget.attrs.update({**_bounds(row.limit), "step": row.step})
        for name in ("width", "height"):
            self.fields[name].widget.attrs.update(_bounds(limits.SIDE))
        self.fields["seed"].widget = forms.TextInput(
            attrs={"inputmode": "numeric", "placeholder": _("random"), "autocomplete": "off", "maxlength": 20}
        )

    # --- for the template -------------------------------------------------------------------------------------------
    @cached_property
    def lora_rows(self) -> list[LoraRow]:
        base = self.base()
        rows = []
        for index in range(limits.LORAS):
            name = self[f"lora_{index}"]
            card = card_of(self.user, name.value(), base) if name.value() else None
            rows.append(LoraRow(name, self[f"weight_{index}"], card))
        return rows

    def loras_used(self) -> int:
        return sum(row.is_used for row in self.lora_rows)

    def model_card(self) -> ModelCard | None:
        return card_of(self.user, str(self["model_name"].value()))

    def has_reference(self) -> bool:
        return bool(self["reference"].value() or self["reference_image"].value())

    def reference_address(self) -> str:
        """Of a preview; the address itself decides who sees it."""
        image, sha256 = self["reference_image"].value(), self["reference"].value()
        try:
            return reverse("image-thumbnail", args=[image]) if image else reverse("reference-file", args=[sha256])
        except NoReverseMatch:
            return ""

    def reference_errors(self) -> list[str]:
        return [str(error) for name in REFERENCE_FIELDS for error in self[name].errors]

    def slider(self, name: str) -> dict[str, Any]:
        """Field and slider of a number, for the template."""
        return {"field": self[name], **asdict(self.RANGES[name])}

    def sliders(self) -> Iterator[dict[str, Any]]:
        return map(self.slider, self.SLIDERS)

    def strength_slider(self) -> dict[str, Any]:
        return self.slider("strength")

    # --- what was asked ---------------------------------------------------------------------------------------------
    def clean_prompt(self) -> str:
        typed: str = self.cleaned_data["prompt"]
        try:
            self.prompts = expand(typed)
        except BadTemplate as problem:
            raise forms.ValidationError(str(problem)) from problem
        return typed

    def to_request(self) -> GenerationRequest:
        """Its prompt is the template as typed; `prompts` are what it stands for."""
        data = self.cleaned_data
        width, height = self._chosen_size()
        reference_image: UUID | None = data["reference_image"]
        reference = None if reference_image else data["reference"] or None
        return GenerationRequest(
            prompt=data["prompt"],
            negative_prompt=data["negative_prompt"],
            model_name=data["model_name"],
            num_images=data["num_images"],
            num_inference_steps=data["num_inference_steps"],
            guidance_scale=data["guidance_scale"],
            seed=data["seed"],
            width=width,
            height=height,
            scheduler=data["scheduler"],
            loras=tuple(self._chosen_loras()),
            reference=reference,
            reference_image=reference_image,
            strength=data["strength"] if reference or reference_image else None,
        )

    def _chosen_size(self) -> tuple[int | None, int | None]:
        shape = self.cleaned_data["size"] or "square"
        if shape == CUSTOM:
            return self.cleaned_data["width"], self.cleaned_data["height"]
        return size_of(shape, self.resolution())

    def _chosen_loras(self) -> Iterator[LoraChoice]:
        for index in range(limits.LORAS):
            weight = self.cleaned_data[f"weight_{index}"]
            if self.cleaned_data[f"lora_{index}"]:
                yield LoraChoice(self.cleaned_data[f"lora_{index}"], 1.0 if weight is None else weight)

    def to_preset(self, *, with_prompt: bool) -> dict[str, Any]:
        """Of a valid form: what its fields hold, without what is empty."""
        names = (*PRESET_FIELDS, "prompt") if with_prompt else PRESET_FIELDS
        data = {name: self.cleaned_data[name] for name in names}
        for index in range(limits.LORAS):
            if not data[f"lora_{index}"]:
                del data[f"lora_{index}"], data[f"weight_{index}"]
        return {name: value for name, value in data.items() if value not in (None, "")}

    def show_problems(self, errors: dict[str, str]) -> None:
        """Puts what the service refused beside the fields that said it."""
        for name, text in errors.items():
            field = {"loras": "lora_0", "template": "prompt"}.get(name, name)
            if name in ("width", "height") and self.cleaned_data.get("size") != CUSTOM:
                field = "size"
            words = text[0].upper() + text[1:]
            if field in self.fields:
                self.add_error(field, words)
            else:
                self.add_error(None, f"{name}: {text}")


REFERENCE_FIELDS = ("reference_file", "reference", "reference_image")
