"""Asking for pictures, and keeping them. Portal, API and terminal all come through here."""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import asdict, dataclass, field
from io import BytesIO
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Max
from django.utils.translation import gettext as _
from PIL import Image

from generation import limits, references, shelves, storage
from generation.metadata import png_with_recipe, recipe_of
from generation.models import GeneratedImage, Generation, GenerationLora
from generation.schedulers import DEFAULT, SCHEDULERS
from shoesai import files
from shoesai.engine.specs import GenerateSpec
from shoesai.jobs import queue
from shoesai.models import Blob, User
from shoesai.numbers import grouped
from training.catalogue import NamedModel, UnknownModel, find_checkpoint, find_model
from training.models import Checkpoint


class InvalidRequest(Exception):
    """A request that cannot be meant: for each field what is wrong and what is allowed."""

    def __init__(self, errors: dict[str, str]) -> None:
        super().__init__("; ".join(f"{name}: {text}" for name, text in errors.items()))
        self.errors = errors


@dataclass(frozen=True)
class LoraChoice:
    name: str
    weight: float = 1.0


@dataclass(frozen=True)
class GenerationRequest:
    """What a person or program asks for. `seed` None means: choose one. Sizes, guidance None: the base's own.

    It may start from a picture: `reference` is what `keep_reference` has stored, `reference_image` one of the gallery.
    `strength` says how far it may go from there (1 ignores it). `template` is the prompt as typed, with {a|b}.
    """

    prompt: str
    model_name: str = "starter"
    negative_prompt: str = ""
    num_images: int = 1
    num_inference_steps: int = 50
    guidance_scale: float | None = None
    seed: int | None = None
    width: int | None = None
    height: int | None = None
    scheduler: str = DEFAULT
    loras: tuple[LoraChoice, ...] = field(default_factory=tuple)
    reference: str | None = None
    reference_image: UUID | None = None
    strength: float | None = None
    template: str = ""

    def digest(self) -> str:
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True, default=str).encode()).hexdigest()


def request_generation(*, user: User, request: GenerationRequest, idempotency_key: str | None = None) -> Generation:
    """Checks the request, stores it and queues its job, all or nothing.

    Raises InvalidRequest (names each field), queue.QuotaReached and queue.KeyReused. The same idempotency key with the
    same request returns the generation that it made the first time.
    """
    digest = request.digest()
    with queue.accepting(user):
        earlier = queue.job_for_key(user, idempotency_key, digest)
        if earlier:
            return earlier.generation
        storage.require_room(user)
        return _create(user, request, idempotency_key, digest)


def _create(user: User, request: GenerationRequest, idempotency_key: str | None, digest: str) -> Generation:
    errors = check_numbers(request)
    model, loras = resolve_models(user, request, errors)
    start = _resolve_reference(user, request, errors)
    if errors or model is None:
        raise InvalidRequest(errors)
    team = user.home_team() if user.shares_new_pictures else None
    generation = Generation.objects.create(
        owner=user,
        team=team,
        job=queue.enqueue(
            owner=user, team=team, kind="generate", idempotency_key=idempotency_key, request_digest=digest
        ),
        base_model=model.base,
        model_name=model.name,
        prompt=request.prompt.strip(),
        negative_prompt=request.negative_prompt.strip(),
        num_images=request.num_images,
        num_inference_steps=request.num_inference_steps,
        guidance_scale=model.base.guidance_scale if request.guidance_scale is None else request.guidance_scale,
        seed=secrets.randbelow(2**32) if request.seed is None else request.seed,
        width=request.width or model.base.resolution,
        height=request.height or model.base.resolution,
        scheduler=request.scheduler,
        template=request.template,
        reference=start.blob,
        reference_image=start.image,
        strength=start.strength,
        spec_version=GenerateSpec.version,
    )
    GenerationLora.objects.bulk_create(
        GenerationLora(generation=generation, checkpoint=checkpoint, weight=weight, position=position)
        for position, (checkpoint, weight) in enumerate(loras)
    )
    return generation


def check_numbers(request: GenerationRequest) -> dict[str, str]:
    """Everything that can be said without the database; field → what is allowed."""
    errors: dict[str, str] = {}
    _check_text(errors, "prompt", request.prompt, required=True)
    _check_text(errors, "negative_prompt", request.negative_prompt, required=False)
    for name, limit in _NUMBERS.items():
        value = getattr(request, name)
        if value is not None and value not in limit:
            errors[name] = limit.refusal()
    if request.template:
        _check_text(errors, "template", request.template, required=False)
    if request.scheduler not in SCHEDULERS:
        errors["scheduler"] = _("must be one of %(names)s.") % {"names": ", ".join(SCHEDULERS)}
    if len(request.loras) > limits.LORAS:
        errors["loras"] = _("takes at most %(most)d LoRAs.") % {"most": limits.LORAS}
    if any(lora.weight not in limits.LORA_WEIGHT for lora in request.loras):
        bounds = {"low": limits.LORA_WEIGHT.low, "high": limits.LORA_WEIGHT.high}
        errors["loras"] = _("each weight must be between %(low)d and %(high)d.") % bounds
    return errors


_NUMBERS: dict[str, limits.Limit] = {
    "num_images": limits.NUM_IMAGES,
    "num_inference_steps": limits.NUM_INFERENCE_STEPS,
    "guidance_scale": limits.GUIDANCE_SCALE,
    "seed": limits.SEED,
    "width": limits.SIDE,
    "height": limits.SIDE,
    "strength": limits.STRENGTH,
}


def _check_text(errors: dict[str, str], name: str, text: str, *, required: bool) -> None:
    if required and not text.strip():
        errors[name] = _("must not be empty; describe the shoe you want.")
    elif len(text) > limits.PROMPT_CHARACTERS:
        words = _("has %(count)s characters; at most %(most)s are allowed.")
        errors[name] = words % {"count": grouped(len(text)), "most": grouped(limits.PROMPT_CHARACTERS)}
    elif "\x00" in text or any("\ud800" <= character <= "\udfff" for character in text):
        errors[name] = _("contains characters that are not text (NUL or half a surrogate pair).")


def resolve_models(
    user: User, request: GenerationRequest, errors: dict[str, str]
) -> tuple[NamedModel | None, list[tuple[Checkpoint, float]]]:
    """The named model's own checkpoint goes first with weight 1, then the LoRAs of the request."""
    try:
        model = find_model(user, request.model_name)
    except UnknownModel as error:
        errors["model_name"] = str(error)
        return None, []
    loras = [(model.checkpoint, 1.0)] if model.checkpoint else []
    for choice in request.loras:
        try:
            checkpoint = find_checkpoint(user, choice.name)
        except UnknownModel as error:
            errors["loras"] = str(error)
            continue
        if checkpoint.family != model.base.family:
            words = _("%(checkpoint)s fits %(family)s models; %(base)s is %(other)s.")
            errors["loras"] = words % {
                "checkpoint": checkpoint.name, "family": checkpoint.family,
                "base": model.base.name, "other": model.base.family,
            }  # fmt: skip
        loras.append((checkpoint, choice.weight))
    return model, loras


@dataclass(frozen=True)
class _Start:
    """What a picture starts from; nothing where it starts from noise."""

    blob: Blob | None = None
    image: GeneratedImage | None = None
    strength: float | None = None


def _resolve_reference(user: User, request: GenerationRequest, errors: dict[str, str]) -> _Start:
    """Its rows, found among what this user may name; what is wrong goes into `errors`."""
    if request.reference is None and request.reference_image is None:
        if request.strength is not None:
            errors["strength"] = _("says how far to go from a reference; name one, or leave it out.")
        return _Start()
    if request.reference is not None and request.reference_image is not None:
        errors["reference"] = _("stands beside reference_image; give one of them.")
        return _Start()
    strength = limits.DEFAULT_STRENGTH if request.strength is None else request.strength
    if request.reference_image is not None:
        image = GeneratedImage.objects.visible_to(user).filter(pk=request.reference_image).first()
        if image is None:
            errors["reference_image"] = _("is not among the pictures that you can see.")
            return _Start()
        return _Start(image.blob, image, strength)
    blob = references.hold_reference(user, request.reference or "")
    if blob is None:
        errors["reference"] = _("is not there any more; upload the picture again.")
        return _Start()
    return _Start(blob, strength=strength)


# --- keeping what came out --------------------------------------------------------------------------------------
THUMBNAIL_SIDE = 384


def keep_image(*, generation: Generation, seq: int, seed: int, picture: Image.Image, seconds: float) -> GeneratedImage:
    """Publishes one picture with its recipe inside, and its thumbnail; a second call for a seq changes nothing.

    Call it inside `claim.committing()`.
    """
    picture = picture.convert("RGB")
    original = files.publish(png_with_recipe(picture, recipe_of(generation, seed)), "image/png")
    thumbnail = files.publish(_thumbnail(picture), "image/webp")
    image, is_new = GeneratedImage.objects.get_or_create(
        generation=generation,
        seq=seq,
        defaults={
            "owner": generation.owner,
            "team": generation.team,
            "seed": seed,
            "blob": original,
            "thumbnail": thumbnail,
            "width": picture.width,
            "height": picture.height,
            "colour": _mean_colour(picture),
            "seconds": seconds,
            "shelf": shelves.shelf_for(generation, generation.team, picture.width, picture.height),
        },
    )
    if is_new:
        shelves.counted(image)
    return image


def keep_mended(
    parent: GeneratedImage, picture: Image.Image, mending: dict[str, Any], seconds: float
) -> GeneratedImage:
    """A new picture beside the one that it was mended from, its owner's and for whom that one is."""
    picture = picture.convert("RGB")
    generation = parent.generation
    with transaction.atomic():
        Generation.objects.select_for_update().get(pk=generation.pk)  # so that two do not take the same place
        last = generation.images.aggregate(last=Max("seq"))["last"]
        recipe = recipe_of(generation, parent.seed_number) | {"mending": mending}
        image = GeneratedImage.objects.create(
            generation=generation,
            seq=max(last or 0, generation.num_images - 1) + 1,
            owner=parent.owner,
            team=parent.team,
            seed=parent.seed,
            blob=files.publish(png_with_recipe(picture, recipe), "image/png"),
            thumbnail=files.publish(_thumbnail(picture), "image/webp"),
            width=picture.width,
            height=picture.height,
            colour=_mean_colour(picture),
            seconds=seconds,
            shelf=shelves.shelf_for(generation, parent.team, picture.width, picture.height),
            parent=parent,
            mending=mending,
            sku=parent.sku,
            view=parent.view,
        )
        shelves.counted(image)
    return image


def _mean_colour(picture: Image.Image) -> str:
    return "#" + picture.resize((1, 1), Image.Resampling.BOX).tobytes().hex()


def keep_engine(generation: Generation, event: dict[str, Any]) -> None:
    """What makes the pictures, for the record: device, precision, versions."""
    generation.engine = {key: value for key, value in event.items() if key not in ("event", "job")}
    generation.save(update_fields=["engine"])


def _thumbnail(picture: Image.Image) -> bytes:
    small = picture.copy()
    small.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.LANCZOS)
    out = BytesIO()
    small.save(out, "WEBP", quality=88, method=4)
    return out.getvalue()
