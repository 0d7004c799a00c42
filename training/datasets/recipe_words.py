"""How a picture that nobody photographed was made, in words for its page. Programs read `Photo.recipe` itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from training.datasets.fixes import FIXES
from training.datasets.models import Photo

Row = tuple[str, str]

AUGMENTED: Final = {"product": gettext_lazy("Product pipeline"), "rotations": gettext_lazy("Subtle rotations")}
FACTORS: Final = {
    "brightness": gettext_lazy("brightness"),
    "contrast": gettext_lazy("contrast"),
    "saturation": gettext_lazy("saturation"),
}


def recipe_words(photo: Photo) -> list[Row]:
    """What it is called, and what it is."""
    recipe = photo.recipe
    rows: list[Row] = []
    if "drawn" in recipe:
        rows.append((_("Recipe"), str(AUGMENTED.get(recipe["recipe"], recipe["recipe"]))))
        rows.append((_("Changed"), ", ".join(_drawn(recipe["drawn"]))))
    if "prompt" in recipe:
        rows += _generated(recipe)
    if "seed" in recipe:
        rows.append((_("Seed"), str(recipe["seed"])))
    if mended := recipe.get("mended"):
        rows.append((_("Mended"), ", ".join(str(FIXES[step["fix"]].label) for step in mended if step["fix"] in FIXES)))
    return rows


def _generated(recipe: Mapping[str, Any]) -> Iterator[Row]:
    yield _("Prompt"), recipe["prompt"]
    yield _("Model"), recipe["model"]
    if loras := recipe.get("loras"):
        yield _("LoRAs"), ", ".join(f"{lora['name']} × {number_format(lora['weight'], 2)}" for lora in loras)
    yield _("Steps"), str(recipe["num_inference_steps"])
    yield _("Guidance"), number_format(recipe["guidance_scale"], 1)
    yield _("Scheduler"), recipe["scheduler"]
    if recipe.get("negative_prompt"):
        yield _("Negative prompt"), recipe["negative_prompt"]


def _drawn(drawn: Mapping[str, Any]) -> Iterator[str]:
    if angle := drawn.get("angle"):
        yield _("turned by %(angle)s°") % {"angle": number_format(angle, 1)}
    for name, label in FACTORS.items():
        if name in drawn:
            yield f"{label} × {number_format(drawn[name], 2)}"
    if hue := drawn.get("hue"):
        yield _("hue %(share)s %%") % {"share": number_format(100 * hue, 1)}
    if drawn.get("flip"):
        yield _("mirrored")
