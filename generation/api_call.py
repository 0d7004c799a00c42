"""The API call that makes one picture again, ready to paste into a shell or a Python program."""

from __future__ import annotations

import json
import shlex
from pprint import pformat
from typing import Any

from generation.limits import SEED
from generation.models import GeneratedImage, Generation
from shoesai.models import User

WAIT_SECONDS = 300

CURL = """\
curl -sX POST {address} \\
  -H "Authorization: Token $TOKEN" \\
  -H 'Content-Type: application/json' \\
  -d {body}
"""
PYTHON = """\
import base64
import json
import os
import urllib.request

body = {body}
request = urllib.request.Request(
    {address!r},
    json.dumps(body).encode(),
    {{"Authorization": f"Token {{os.environ['TOKEN']}}", "Content-Type": "application/json"}},
)
with urllib.request.urlopen(request) as reply:
    answer = json.load(reply)
for picture in answer.get("images", []):  # none after `wait` seconds: answer["job"]["url"] tells more
    with open(f"{{picture['seed']}}.png", "wb") as file:
        file.write(base64.b64decode(picture["image"]))
"""


def body_of(image: GeneratedImage, user: User) -> dict[str, Any]:
    """As this user would ask. Everything is said, nothing is left to a default that may change."""
    generation = image.generation
    # The last seeds of all are reached only as later pictures of a request.
    seed = min(image.seed_number, SEED.high)
    body = {
        "model_name": generation.model_name,
        "prompt": generation.prompt,
        "negative_prompt": generation.negative_prompt,
        "num_images": image.seed_number - seed + 1,
        "num_inference_steps": generation.num_inference_steps,
        "guidance_scale": generation.guidance_scale,
        "seed": seed,
        "width": generation.width,
        "height": generation.height,
        "scheduler": generation.scheduler,
        "loras": [{"name": lora.checkpoint.name, "weight": lora.weight} for lora in generation.extra_loras()],
    }
    return {**body, **_reference_of(generation, user), "wait": WAIT_SECONDS}


def _reference_of(generation: Generation, user: User) -> dict[str, Any]:
    """A picture of the gallery where the user sees it; else its bytes, which all may name who see what came of them."""
    if generation.strength is None:
        return {}
    picture = GeneratedImage.objects.visible_to(user).filter(pk=generation.reference_image_id).first()
    start: dict[str, Any] = {"reference_image": str(picture.pk)} if picture else {"reference": generation.reference_id}
    return {**start, "strength": generation.strength}


def as_curl(body: dict[str, Any], address: str) -> str:
    """`$TOKEN` is left to the shell; everything else is quoted so that the shell leaves it alone."""
    return CURL.format(address=shlex.quote(address), body=shlex.quote(json.dumps(body, ensure_ascii=False, indent=2)))


def as_python(body: dict[str, Any], address: str) -> str:
    return PYTHON.format(address=address, body=pformat(body, sort_dicts=False, width=100))
