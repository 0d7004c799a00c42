"""What travels inside a picture: A1111-style `parameters`, our recipe as JSON, and the mark of AI origin.

`parameters` is what AUTOMATIC1111 writes and most tools read back. The mark is IPTC's DigitalSourceType in XMP, asked
for by Google Merchant and by article 50 of the EU AI Act.
"""

from __future__ import annotations

import json
from io import BytesIO
from typing import Any
from xml.sax.saxutils import escape

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from generation.models import GeneratedImage, Generation
from generation.schedulers import SCHEDULERS

AI_ORIGIN = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
XMP = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/">
<Iptc4xmpExt:DigitalSourceType>{origin}</Iptc4xmpExt:DigitalSourceType>
</rdf:Description>{recipe}</rdf:RDF></x:xmpmeta>
<?xpacket end="w"?>"""
RECIPE_XMP = """
<rdf:Description rdf:about="" xmlns:shoesai="urn:shoesai:recipe:1">
<shoesai:recipe>{recipe}</shoesai:recipe>
</rdf:Description>"""


LORAS = "loras__checkpoint__run"


def recipe_of(generation: Generation, seed: int) -> dict[str, Any]:
    """Everything needed to make the picture again, with the hashes of the weights and of what it started from."""
    recipe = {
        "shoesai": 1,
        "generation": str(generation.id),
        "model": generation.model_name,
        "base_model": generation.base_model.name,
        "family": generation.base_model.family,
        "loras": [
            {"name": lora.checkpoint.name, "weight": lora.weight, "sha256": lora.checkpoint.blob_id}
            for lora in generation.loras.all()  # callers of many prefetch LORAS
        ],
        "prompt": generation.prompt,
        "negative_prompt": generation.negative_prompt,
        "seed": seed,
        "steps": generation.num_inference_steps,
        "guidance_scale": generation.guidance_scale,
        "width": generation.width,
        "height": generation.height,
        "scheduler": generation.scheduler,
    }
    if generation.reference_id:
        recipe |= {"strength": generation.strength, "reference": generation.reference_id}
    if generation.reference_image_id:
        recipe["reference_image"] = str(generation.reference_image_id)
    return recipe


def recipe_of_image(image: GeneratedImage) -> dict[str, Any]:
    """The generation's recipe, and what was done to the picture afterwards."""
    recipe = recipe_of(image.generation, image.seed_number)
    return recipe | {"mending": image.mending} if image.mending else recipe


def a1111_parameters(recipe: dict[str, Any]) -> str:
    lines = [recipe["prompt"]]
    if recipe["negative_prompt"]:
        lines.append(f"Negative prompt: {recipe['negative_prompt']}")
    lines.append(
        f"Steps: {recipe['steps']}, Sampler: {SCHEDULERS[recipe['scheduler']].label}, "
        f"CFG scale: {recipe['guidance_scale']:g}, Seed: {recipe['seed']}, "
        f"Size: {recipe['width']}x{recipe['height']}, Model: {recipe['base_model']}"
        + (f", Denoising strength: {recipe['strength']:g}" if "strength" in recipe else "")
        + (f", Mended: {' + '.join(recipe['mending']['steps'])}" if "mending" in recipe else "")
        + "".join(f", Lora: {lora['name']}:{lora['weight']:g}" for lora in recipe["loras"])
    )
    return "\n".join(lines)


def xmp_of(recipe: str = "") -> str:
    """The mark of AI origin, and the recipe's JSON where the format has no better place for it."""
    inside = RECIPE_XMP.format(recipe=escape(_ascii(recipe))) if recipe else ""
    return XMP.format(origin=AI_ORIGIN, recipe=inside)


def _ascii(text: str) -> str:
    """The same JSON, without what XML does not allow."""
    return json.dumps(json.loads(text))


def png_with_recipe(picture: Image.Image, recipe: dict[str, Any]) -> bytes:
    info = PngInfo()
    info.add_itxt("parameters", a1111_parameters(recipe))
    info.add_itxt("shoesai", json.dumps(recipe, ensure_ascii=False))
    info.add_itxt("XML:com.adobe.xmp", xmp_of())
    out = BytesIO()
    picture.save(out, "PNG", pnginfo=info)
    return out.getvalue()
