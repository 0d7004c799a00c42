"""What the form holds before anybody has typed: a picture's settings, a preset's, or what the address names."""

from __future__ import annotations

from typing import Any

from django.http import Http404, QueryDict

from generation import limits
from generation.forms import CUSTOM, shape_of
from generation.media import visible_image
from generation.models import GeneratedImage, Generation
from generation.presets import find_preset
from generation.references import find_reference
from generation.variations import escape
from shoesai.models import User

VARY_STRENGTH = 0.5
# What a preset leaves out is empty with it, and nothing that stood in the form before.
PERSONAL = ("negative_prompt", "seed", "width", "height", *(f"lora_{index}" for index in range(limits.LORAS)))


def prefill(user: User, query: QueryDict) -> dict[str, Any]:
    """Field of the form → value, from the page's address; later rows win.

    `?preset=`, then of a picture `?from=` all, `?remix=` all but its seed, `?vary=` as a variation of it,
    `?reference=` the picture alone, `?seed_of=` its seed alone; `?no_reference`, `?model=` and `?prompt=` at last.
    """
    values: dict[str, Any] = {}
    if query.get("preset"):
        values |= dict.fromkeys(PERSONAL) | find_preset(user, query["preset"]).settings
    for name, settings in PICTURES.items():
        if name in query:
            values |= settings(user, visible_image(user, query[name]))
    if "no_reference" in query:
        values |= {"reference": None, "reference_image": None}
    named = {"model_name": query.get("model"), "prompt": query.get("prompt")}
    return values | {name: value for name, value in named.items() if value}


def settings_of(user: User, image: GeneratedImage) -> dict[str, Any]:
    """What the form must hold to make this picture again."""
    generation = image.generation
    shape = shape_of(generation.width, generation.height, generation.base_model.resolution)
    return {
        "prompt": escape(generation.prompt),
        "negative_prompt": generation.negative_prompt,
        "model_name": generation.model_name,
        "num_images": 1,
        "num_inference_steps": generation.num_inference_steps,
        "guidance_scale": f"{generation.guidance_scale:g}",
        "seed": image.seed_number,
        "size": shape,
        "width": generation.width if shape == CUSTOM else None,
        "height": generation.height if shape == CUSTOM else None,
        "scheduler": generation.scheduler,
        **_loras_of(generation),
        **_reference_of(user, generation),
    }


def _remix(user: User, image: GeneratedImage) -> dict[str, Any]:
    return settings_of(user, image) | {"seed": None, "num_images": image.generation.num_images}


def _vary(user: User, image: GeneratedImage) -> dict[str, Any]:
    return _remix(user, image) | _reference(user, image) | {"strength": VARY_STRENGTH}


def _reference(user: User, image: GeneratedImage) -> dict[str, Any]:
    return {"reference_image": str(image.pk), "reference": None}


def _seed_of(user: User, image: GeneratedImage) -> dict[str, Any]:
    return {"seed": image.seed_number}


PICTURES = {"from": settings_of, "remix": _remix, "vary": _vary, "reference": _reference, "seed_of": _seed_of}


def _loras_of(generation: Generation) -> dict[str, Any]:
    """Without the model's own checkpoint, which is no extra."""
    loras = list(generation.loras.select_related("checkpoint__run"))
    if loras and loras[0].checkpoint.name == generation.model_name:
        loras = loras[1:]
    values: dict[str, Any] = {}
    for index, lora in enumerate(loras):
        values |= {f"lora_{index}": lora.checkpoint.name, f"weight_{index}": f"{lora.weight:g}"}
    return values


def _reference_of(user: User, generation: Generation) -> dict[str, Any]:
    """The picture of the gallery where this user sees it, else the bytes, which go with the recipe."""
    if generation.reference_id is None:
        return {}
    strength = {"strength": f"{generation.strength:g}"}
    try:
        return _reference(user, visible_image(user, generation.reference_image_id)) | strength
    except Http404:
        blob = find_reference(user, generation.reference_id)
        return {"reference": blob.sha256, **strength} if blob else {}
