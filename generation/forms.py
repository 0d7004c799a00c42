"""The Generate form. It checks only shape; what is allowed is said by `generation.services`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, cast

from django import forms
from django.utils.translation import gettext_lazy as _

from generation import limits
from generation.limits import Limit
from generation.models import GeneratedImage
from generation.schedulers import CHOICES, DEFAULT
from generation.services import GenerationRequest, LoraChoice
from shoesai.models import User
from training.models import BaseModel, Checkpoint

CUSTOM = "custom"
# Width and height as fractions of the base model's resolution.
SHAPES: dict[str, tuple[Any, float, float]] = {
    "square": (_("Square"), 1.0, 1.0),
    "landscape": (_("Landscape 4:3"), 1.0, 0.75),
    "portrait": (_("Portrait 3:4"), 0.75, 1.0),
}


def size_of(shape: str, resolution: int) -> tuple[int, int]:
    _label, width, height = SHAPES[shape]
    return int(resolution * width) // 8 * 8, int(resolution * height) // 8 * 8


def shape_of(width: int, height: int, resolution: int) -> str:
    return next((shape for shape in SHAPES if size_of(shape, resolution) == (width, height)), CUSTOM)


@dataclass(frozen=True)
class Range:
    """What is allowed, and the everyday range `low` to `high` that the slider spans."""

    limit: Limit
    low: int
    high: int
    slide: float = 1
    step: str = "1"


def _bounds(limit: Limit) -> dict[str, int]:
    return {"min": limit.low, "max": limit.high, "step": limit.step}


class ModelSelect(forms.Select):
    """Options know their base model, so that the page can name sizes in pixels and follow its guidance."""

    bases: dict[str, BaseModel]

    def create_option(self, name: str, value: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        option = super().create_option(name, value, *args, **kwargs)
        base = self.bases.get(str(value))
        if base:
            option["attrs"] |= {"data-resolution": base.resolution, "data-guidance": f"{base.guidance_scale:g}"}
        return option


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

    RANGES = {
        "num_images": Range(limits.NUM_IMAGES, low=1, high=10),
        "num_inference_steps": Range(limits.NUM_INFERENCE_STEPS, low=25, high=100),
        "guidance_scale": Range(limits.GUIDANCE_SCALE, low=1, high=15, slide=0.5, step="any"),
    }

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.bases = list(BaseModel.objects.all())
        self.checkpoints = list(
            Checkpoint.objects.visible_to(user).select_related("run__base_model").order_by("-run__created_at", "-step")
        )
        self._offer_models()
        base = self.base()
        self.fields["guidance_scale"].initial = base.guidance_scale if base else None
        self._offer_sizes()
        self._mark_ranges()
        self._add_loras()

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

    def _add_loras(self) -> None:
        choices = [("", _("none")), *((checkpoint.name, checkpoint.name) for checkpoint in self.checkpoints)]
        for index in range(limits.LORAS):
            self.fields[f"lora_{index}"] = forms.CharField(
                label=_("LoRA"), required=False, widget=forms.Select(choices=choices)
            )
            self.fields[f"weight_{index}"] = forms.FloatField(
                label=_("Weight"),
                required=False,
                initial=1.0,
                widget=forms.NumberInput(attrs={**_bounds(limits.LORA_WEIGHT), "step": "any"}),
            )

    def lora_rows(self) -> list[tuple[forms.BoundField, forms.BoundField]]:
        return [(self[f"lora_{index}"], self[f"weight_{index}"]) for index in range(limits.LORAS)]

    def uses_loras(self) -> bool:
        return any(name.value() for name, _weight in self.lora_rows()) or bool(self.errors.get("lora_0"))

    def slider(self, name: str) -> dict[str, Any]:
        """Field and slider of a number, for the template."""
        return {"field": self[name], **asdict(self.RANGES[name])}

    def sliders(self) -> list[dict[str, Any]]:
        return [self.slider(name) for name in self.RANGES]

    def to_request(self) -> GenerationRequest:
        data = self.cleaned_data
        width, height = self._chosen_size()
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
        )

    def _chosen_size(self) -> tuple[int | None, int | None]:
        shape = self.cleaned_data["size"] or "square"
        if shape == CUSTOM:
            return self.cleaned_data["width"], self.cleaned_data["height"]
        return size_of(shape, self.resolution())

    def _chosen_loras(self) -> list[LoraChoice]:
        chosen = []
        for index in range(limits.LORAS):
            weight = self.cleaned_data[f"weight_{index}"]
            if self.cleaned_data[f"lora_{index}"]:
                chosen.append(LoraChoice(self.cleaned_data[f"lora_{index}"], 1.0 if weight is None else weight))
        return chosen

    def show_problems(self, errors: dict[str, str]) -> None:
        """Puts what the service refused beside the fields that said it."""
        for name, text in errors.items():
            field = "lora_0" if name == "loras" else name
            if name in ("width", "height") and self.cleaned_data.get("size") != CUSTOM:
                field = "size"
            words = text[0].upper() + text[1:]
            if field in self.fields:
                self.add_error(field, words)
            else:
                self.add_error(None, f"{name}: {text}")


def settings_of(image: GeneratedImage) -> dict[str, Any]:
    """What the form must hold to make this picture again."""
    generation = image.generation
    loras = list(generation.loras.select_related("checkpoint__run"))
    names = [lora.checkpoint.name for lora in loras]
    if names and names[0] == generation.model_name:
        loras = loras[1:]  # the model's own checkpoint is not an extra
    shape = shape_of(generation.width, generation.height, generation.base_model.resolution)
    initial: dict[str, Any] = {
        "prompt": generation.prompt,
        "negative_prompt": generation.negative_prompt,
        "model_name": generation.model_name,
        "num_images": 1,
        "num_inference_steps": generation.num_inference_steps,
        "guidance_scale": f"{generation.guidance_scale:g}",
        "seed": image.seed_number,
        "size": shape,
        "scheduler": generation.scheduler,
    }
    if shape == CUSTOM:
        initial |= {"width": generation.width, "height": generation.height}
    for index, lora in enumerate(loras):
        initial |= {f"lora_{index}": lora.checkpoint.name, f"weight_{index}": f"{lora.weight:g}"}
    return initial
