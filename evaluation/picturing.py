"""Making the pictures of a suite: each once, however often it is asked for."""

from __future__ import annotations

from functools import partial
from io import BytesIO
from pathlib import Path

from PIL import Image

from evaluation.run_models import Subject, SuiteImage
from evaluation.suite import Suite, Unit
from generation.expansion_checks import faults_of
from generation.schedulers import SCHEDULERS
from shoesai import files
from shoesai.engine.specs import GenerateInputs, GenerateSpec, ImageUnit
from shoesai.jobs.engine_child import Event
from shoesai.jobs.queue import Claim
from shoesai.jobs.runner import Handlers, Part, drive_engine, may_go_on
from shoesai.photo_checks import measure
from shoesai.pictures import read_picture


def missing_of(subject: Subject, suite: Suite) -> dict[str, list[Unit]]:
    """What nobody has made yet, by prompt: the engine makes one prompt's pictures at once."""
    there = set(SuiteImage.objects.filter(made_by=subject.made_by).values_list("seq", flat=True))
    missing: dict[str, list[Unit]] = {}
    for unit in suite.units():
        if unit.seq not in there:
            missing.setdefault(unit.prompt, []).append(unit)
    return missing


def make_pictures(claim: Claim, subject: Subject, suite: Suite, folder: Path, part_of: PartOf) -> None:
    """Between two prompts it steps aside for generations that people wait for."""
    for units in missing_of(subject, suite).values():
        may_go_on(claim)
        spec = spec_of(suite, units, 1 if subject.checkpoint else 0)
        loras = (str(files.path_of(subject.checkpoint.blob_id)),) if subject.checkpoint else ()
        assert subject.base_model
        inputs = GenerateInputs(base_model=str(subject.base_model.path), output_dir=str(folder), loras=loras)
        of_seq = {unit.seq: unit for unit in units}
        handlers: Handlers = {"image": partial(_keep, claim, subject, of_seq)}
        drive_engine(claim, spec, inputs, handlers, operation="generate", part=part_of(len(units)))


class PartOf:
    """Where some pictures stand in the progress of the whole job."""

    def __init__(self, total: int, done: int = 0) -> None:
        self.total, self.done = total, done

    def __call__(self, units: int) -> Part:
        part = Part(self.done, units, self.total)
        self.done += units
        return part


def spec_of(suite: Suite, units: list[Unit], loras: int) -> GenerateSpec:
    scheduler = SCHEDULERS[suite.scheduler]
    return GenerateSpec(
        prompt=units[0].prompt,
        images=tuple(ImageUnit(unit.seq, unit.seed) for unit in units),
        width=suite.width,
        height=suite.height,
        num_inference_steps=suite.num_inference_steps,
        guidance_scale=suite.guidance_scale,
        scheduler=scheduler.class_name,
        scheduler_options=scheduler.options,
        lora_weights=(1.0,) * loras,
        preview_every=0,  # nobody watches
    )


def _keep(claim: Claim, subject: Subject, of_seq: dict[int, Unit], event: Event) -> None:
    unit, path = of_seq[event["seq"]], Path(event["path"])
    png = read_picture(path.read_bytes()).png
    path.unlink()
    checks = checks_of(png)
    with claim.committing():
        SuiteImage.objects.get_or_create(
            made_by=subject.made_by,
            seq=unit.seq,
            defaults={
                "prompt": unit.prompt,
                "seed": unit.seed,
                "blob": files.publish(png, "image/png"),
                "checks": checks,
            },
        )


def checks_of(png: bytes) -> list[str]:
    with Image.open(BytesIO(png)) as picture:
        return faults_of(measure(picture.convert("RGB")))
