"""The queue's side of making pictures: spec from the row, engine, pictures to the service."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from PIL import Image

from generation.metadata import LORAS
from generation.models import GeneratedImage, Generation, Recreation
from generation.recreating import (
    BASE_CHANGED,
    FILE_CHANGED,
    Reason,
    difference_of,
    engine_changes,
    keep_verdict,
    size_change,
)
from generation.schedulers import SCHEDULERS
from generation.services import keep_engine, keep_image
from shoesai import files
from shoesai.engine.specs import BaseFolder, BaseSpec, GenerateInputs, GenerateSpec, ImageUnit
from shoesai.jobs.engine_child import Event
from shoesai.jobs.queue import Claim, JobFailed
from shoesai.jobs.runner import Handlers, drive_engine
from training.models import BaseModel
from training.work import of_claim

PREVIEW_EVERY = 5


def generate_images(claim: Claim) -> dict[str, Any]:
    """Makes the images of the request that are still missing; a restart never makes one twice."""
    generation = _generations().get(job=claim.job)
    missing = missing_units(generation)
    if not missing:
        return {}
    output = Path(settings.WORK_DIR) / str(claim.job.pk)
    output.mkdir(parents=True, exist_ok=True)

    def on_begun(event: Event) -> None:
        with claim.committing():
            keep_engine(generation, event)

    def on_image(event: Event) -> None:
        with Image.open(event["path"]) as picture, claim.committing():
            keep_image(
                generation=generation, seq=event["seq"], seed=event["seed"], picture=picture, seconds=event["seconds"]
            )

    try:
        handlers: Handlers = {"begun": on_begun, "image": on_image}
        done = drive_engine(claim, spec_of(generation, missing), inputs_of(generation, output), handlers)
    finally:
        shutil.rmtree(output, ignore_errors=True)
    return {"seconds": done["seconds"], "device": done.get("device", "")}


def _generations() -> QuerySet[Generation]:
    return Generation.objects.select_related("base_model", "owner", "team").prefetch_related(LORAS)


def missing_units(generation: Generation) -> tuple[ImageUnit, ...]:
    made = set(generation.images.values_list("seq", flat=True))
    return tuple(
        ImageUnit(seq=seq, seed=generation.first_seed + seq) for seq in range(generation.num_images) if seq not in made
    )


def spec_of(generation: Generation, units: tuple[ImageUnit, ...]) -> GenerateSpec:
    scheduler = SCHEDULERS[generation.scheduler]
    return GenerateSpec(
        prompt=generation.prompt,
        negative_prompt=generation.negative_prompt,
        width=generation.width,
        height=generation.height,
        images=units,
        num_inference_steps=generation.num_inference_steps,
        guidance_scale=generation.guidance_scale,
        scheduler=scheduler.class_name,
        scheduler_options=scheduler.options,
        lora_weights=tuple(lora.weight for lora in generation.loras.all()),
        strength=generation.strength,
        preview_every=PREVIEW_EVERY,
    )


def inputs_of(generation: Generation, output: Path) -> GenerateInputs:
    loras = generation.loras.all()
    return GenerateInputs(
        base_model=str(generation.base_model.path),
        output_dir=str(output),
        loras=tuple(str(files.path_of(lora.checkpoint.blob_id)) for lora in loras),
        reference=str(files.path_of(generation.reference_id)) if generation.reference_id else "",
    )


# --- making a picture again ------------------------------------------------------------------------------------
def recreate_image(claim: Claim) -> dict[str, Any]:
    """Runs exactly this picture's recipe and compares what comes out with what is stored."""
    recreation = Recreation.objects.select_related("image__blob").filter(job=claim.job).first()
    if recreation is None:
        raise JobFailed("no_picture", "The picture was deleted before its turn came.")
    image = recreation.image
    image.generation = generation = _generations().get(pk=image.generation_id)
    _require_parts(generation)
    stored = _stored_picture(image)
    now: Event = {}
    with of_claim(claim) as folder:
        spec = spec_of(generation, _batch_of(image))
        drive_engine(claim, spec, inputs_of(generation, folder), {"begun": now.update}, operation="generate")
        with Image.open(folder / f"{image.seq}.png") as again:
            again.load()
    difference = difference_of(stored, again)
    reasons = size_change(stored, again) + engine_changes(generation.engine, now)
    if difference.verdict == Recreation.Verdict.DIFFERENT:
        reasons += _damages(claim, image)
    with claim.committing():
        keep_verdict(recreation, again, difference, reasons)
    return {"verdict": str(recreation.verdict)}


def _batch_of(image: GeneratedImage) -> tuple[ImageUnit, ...]:
    """The picture among those that it was made with at once: alone, its last bit may be rounded otherwise."""
    generation = image.generation
    at_once = int(generation.engine.get("at_once", 1))
    first = image.seq - image.seq % at_once
    seeds = {seq: generation.first_seed + seq for seq in range(first, min(first + at_once, generation.num_images))}
    return tuple(ImageUnit(seq=seq, seed=seed) for seq, seed in {**seeds, image.seq: image.seed_number}.items())


def _require_parts(generation: Generation) -> None:
    """Raises JobFailed that names what is gone: a picture made without it would prove nothing."""
    base = generation.base_model
    if not base.path.is_dir():
        raise JobFailed("weights_gone", f"The base model {base.name} is gone: its folder is not there any more.")
    for lora in generation.loras.all():
        if not files.is_whole(lora.checkpoint.blob_id):
            name = lora.checkpoint.name
            raise JobFailed("weights_gone", f"The checkpoint {name} is gone: its file is missing or damaged.")
    if generation.reference_id and not files.is_whole(generation.reference_id):
        raise JobFailed("reference_gone", "The reference is gone: its file is missing or damaged.")


def _stored_picture(image: GeneratedImage) -> Image.Image:
    try:
        with Image.open(files.path_of(image.blob_id), formats=["PNG"]) as stored:
            return stored.convert("RGB")
    except (OSError, SyntaxError, ValueError) as error:  # Pillow calls a broken PNG a SyntaxError
        raise JobFailed("picture_gone", "The file of the picture is missing or cannot be decoded.") from error


def _damages(claim: Claim, image: GeneratedImage) -> list[Reason]:
    """What costs time to find out, and is worth it only now."""
    reasons = [] if files.is_whole(image.blob_id) else [FILE_CHANGED]
    base = image.generation.base_model
    if base.sha256 and base.sha256 != _hash_of(claim, base):
        reasons.append(BASE_CHANGED)
    return reasons


def _hash_of(claim: Claim, base: BaseModel) -> str:
    """Empty for a folder that is no base model any more."""
    spec, folder = BaseSpec(base.family), BaseFolder(str(base.path))
    try:
        return str(drive_engine(claim, spec, folder, {}, operation="check_base")["sha256"])
    except JobFailed:
        return ""
