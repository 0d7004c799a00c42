"""The API call that makes one picture again, ready to paste into a shell or a Python program."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from typing import Any

from generation.limits import SEED
from generation.models import GeneratedImage, Generation
from shoesai.models import User

WAIT_SECONDS = 300
FILE = "reference.png"

CURL = """\
curl -sX POST {address} \\
  -H "Authorization: Token $TOKEN" \\
  -H 'Content-Type: application/json' \\
  -d {body}
"""
# Through a pipe, because a picture is longer than an argument may be.
CURL_WITH_FILE = """\
{{ printf %s '{{"reference": "'; base64 < {file} | tr -d '\\n'; printf %s {rest}; }} |
curl -sX POST {address} \\
  -H "Authorization: Token $TOKEN" \\
  -H 'Content-Type: application/json' \\
  -d @-
"""
PYTHON = """\
import base64
import json
import os
import urllib.request

body = {body}
{more}request = urllib.request.Request(
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
PYTHON_FILE = """\
with open({file!r}, "rb") as file:
    body["reference"] = base64.b64encode(file.read()).decode()
"""


@dataclass(frozen=True)
class ApiCall:
    """`needs_file`: what it starts from is no picture of the gallery and must lie beside, as `reference.png`."""

    address: str
    body: dict[str, Any]
    needs_file: bool = False

    def as_curl(self) -> str:
        """`$TOKEN` is left to the shell; everything else is quoted so that the shell leaves it alone."""
        text, address = json.dumps(self.body, ensure_ascii=False, indent=2), shlex.quote(self.address)
        if self.needs_file:
            return CURL_WITH_FILE.format(address=address, file=FILE, rest=shlex.quote(f'", {text[1:].lstrip()}'))
        return CURL.format(address=address, body=shlex.quote(text))

    def as_python(self) -> str:
        body = json.dumps(self.body, ensure_ascii=False, indent=4)  # no null, true or false in it: Python, too
        more = PYTHON_FILE.format(file=FILE) if self.needs_file else ""
        return PYTHON.format(address=self.address, body=body, more=more)


def call_of(image: GeneratedImage, user: User, address: str) -> ApiCall:
    """As this user would ask. Everything is said, nothing is left to a default that may change."""
    generation = image.generation
    # The last seeds of all are reached only as later pictures of a request.
    seed = min(image.seed_number, SEED.high)
    body: dict[str, Any] = {
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
        "wait": WAIT_SECONDS,
    }
    if generation.reference_id is None:
        return ApiCall(address, body)
    body["strength"] = generation.strength
    if not _sees_reference(generation, user):
        return ApiCall(address, body, needs_file=True)
    return ApiCall(address, {**body, "reference_image": str(generation.reference_image_id)})


def _sees_reference(generation: Generation, user: User) -> bool:
    return GeneratedImage.objects.visible_to(user).filter(pk=generation.reference_image_id).exists()
