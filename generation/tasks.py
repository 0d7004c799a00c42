"""The queue's side of making pictures: spec from the row, engine, pictures to the service."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from django.conf import settings
from PIL import Image

from generation.metadata import LORAS
from generation.models import Generation
from generation.schedulers import SCHEDULERS
from generation.services import keep_engine, keep_image
from shoesai import files
from shoesai.engine.specs import GenerateInputs, GenerateSpec, ImageUnit
from shoesai.jobs.engine_child import Event
from shoesai.jobs.queue import Claim
from shoesai.jobs.runner import Handlers, drive_engine

PREVIEW_EVERY = 5


def generate_images(claim: Claim) -> dict[str, Any]:
    """Makes the images of the request that are still missing; a restart never makes one twice."""
    generations = Generation.objects.select_related("base_model", "owner", "team").prefetch_related(LORAS)
    generation = generations.get(job=claim.job)
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
