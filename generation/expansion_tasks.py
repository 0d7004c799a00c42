"""The queue's side of expanding a dataset: pictures of the prompts, judged one by one, and variants of those taken."""

from __future__ import annotations

from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from generation.expansion import (
    PictureUnit,
    augment_spec,
    missing_units,
    pictures_of,
    statistics,
)
from generation.expansion_checks import KnownPhotos
from generation.models import Expansion, ExpansionTry
from generation.schedulers import SCHEDULERS
from shoesai import files
from shoesai.engine.specs import GenerateInputs, GenerateSpec, ImageUnit
from shoesai.jobs.engine_child import Event
from shoesai.jobs.queue import Claim, JobFailed
from shoesai.jobs.runner import Handlers, Part, advance, drive_engine, may_go_on
from shoesai.pictures import read_picture
from training.augment_tasks import DRAFT_IS_GONE, make_variants
from training.datasets.augmenting import plan_for
from training.datasets.drafts import DraftProblem, Source, add_photos
from training.models import Checkpoint, DatasetVersion, Photo
from training.work import of_claim

PREVIEW_EVERY = 5
SMALL = 160


def expand_dataset(claim: Claim) -> dict[str, Any]:
    """Makes the pictures and variants that are still missing; a restart never makes one twice.

    Between two prompts, and after any picture, it steps aside for generations that people wait for.
    """
    expansion = Expansion.objects.select_related("dataset", "draft__dataset", "base_model").get(job=claim.job)
    if expansion.draft is None or not expansion.draft.is_draft:
        raise JobFailed("no_draft", DRAFT_IS_GONE)
    loras = _loras(expansion)
    looking = partial(advance, claim, message="Looking at photos")
    known = KnownPhotos.of([expansion.draft, *_learned_from(loras)], looking)
    with of_claim(claim) as folder:
        work = _Work(claim, expansion, expansion.draft, known, loras, folder)
        for prompt in range(len(expansion.prompts)):
            work.generate(prompt)
            work.augment(prompt)
    return statistics(expansion)


class _Work:
    def __init__(
        self, claim: Claim, expansion: Expansion, draft: DatasetVersion, known: KnownPhotos,
        loras: list[Checkpoint], folder: Path,
    ) -> None:  # fmt: skip
        self._claim, self._expansion, self._draft = claim, expansion, draft
        self._known, self._loras, self._folder = known, loras, folder
        self._engine: Event = {}

    # --- pictures -----------------------------------------------------------------------------------------------
    def generate(self, prompt: int) -> None:
        """Until each picture was taken or has been tried often enough."""
        while units := missing_units(self._expansion, prompt):
            may_go_on(self._claim)
            of_seq = {unit.seq: unit for unit in units}
            handlers: Handlers = {
                "begun": self._engine.update,
                "image": partial(self._judge, prompt, of_seq),
            }
            inputs = GenerateInputs(
                base_model=str(self._expansion.base_model.path),
                output_dir=str(self._folder),
                loras=tuple(str(files.path_of(lora.blob_id)) for lora in self._loras),
            )
            spec = self._spec(prompt, units)
            drive_engine(self._claim, spec, inputs, handlers, operation="generate", part=self._part(len(units)))

    def _spec(self, prompt: int, units: list[PictureUnit]) -> GenerateSpec:
        settings = self._expansion.settings
        scheduler = SCHEDULERS[settings["scheduler"]]
        names = ("negative_prompt", "num_inference_steps", "guidance_scale", "width", "height")
        return GenerateSpec(
            prompt=self._expansion.prompts[prompt],
            images=tuple(ImageUnit(unit.seq, unit.seed) for unit in units),
            scheduler=scheduler.class_name,
            scheduler_options=scheduler.options,
            lora_weights=tuple(told["weight"] for told in self._expansion.loras),
            preview_every=PREVIEW_EVERY,
            **{name: settings[name] for name in names},
        )

    def _judge(self, prompt: int, of_seq: dict[int, PictureUnit], event: Event) -> None:
        unit = of_seq[event["seq"]]
        path = Path(event["path"])
        png = read_picture(path.read_bytes()).png
        path.unlink()
        with Image.open(BytesIO(png)) as picture:
            reasons = self._known.faults_of(picture)
            preview = _small(picture) if reasons else None
        try:
            with self._claim.committing():
                sha256 = "" if reasons else files.publish(png, "image/png").pk
                if sha256 and self._draft.photos.filter(blob=sha256).exists():
                    reasons, sha256 = ["copy"], ""
                _tried, is_new = ExpansionTry.objects.get_or_create(
                    expansion=self._expansion,
                    seq=unit.seq,
                    attempt=unit.attempt,
                    defaults={"seed": unit.seed, "accepted": not reasons, "reasons": reasons, "sha256": sha256,
                              "preview": preview},
                )  # fmt: skip
                if sha256 and is_new:
                    add_photos(self._draft, [self._source(prompt, unit, event, sha256)])
        except DraftProblem as error:
            raise JobFailed("no_draft", DRAFT_IS_GONE) from error

    def _source(self, prompt: int, unit: PictureUnit, event: Event, sha256: str) -> Source:
        expansion = self._expansion
        return Source(
            file_name=f"prompt{prompt:04d}_gen{unit.seq % expansion.images_per_prompt}.png",
            blob_id=sha256,
            width=event["width"],
            height=event["height"],
            caption=expansion.prompts[prompt],
            origin=Photo.Origin.GENERATED,
            depth=expansion.depth,
            recipe={
                "expansion": str(expansion.pk),
                "prompt": expansion.prompts[prompt],
                "seed": unit.seed,
                "attempt": unit.attempt,
                "model": expansion.model_name,
                "base_model": expansion.base_model.name,
                "base_model_sha256": expansion.base_model.sha256,
                "loras": expansion.loras,
                **expansion.settings,
                "engine": {name: self._engine[name] for name in self._engine if name not in ("event", "job")},
            },
        )

    # --- variants -----------------------------------------------------------------------------------------------
    def augment(self, prompt: int) -> None:
        spec = augment_spec(self._expansion)
        if spec is None:
            return
        pictures = pictures_of(self._expansion).filter(recipe__prompt=self._expansion.prompts[prompt])
        plan = plan_for(self._draft, spec, pictures.present().filter(held_out=False))
        if plan.missing:
            may_go_on(self._claim)
            make_variants(self._claim, self._draft, plan, self._folder, self._part(len(plan.missing)))

    # --- progress -----------------------------------------------------------------------------------------------
    def _part(self, units: int) -> Part:
        """A picture that was tried in vain counts with the variants that it will not have."""
        told = statistics(self._expansion)
        each = 1 + self._expansion.augmentations_per_image
        done = told["total_images"] + each * told["images_missing"]
        total = each * self._expansion.units
        return Part(min(done, total - units), units, total)


def _loras(expansion: Expansion) -> list[Checkpoint]:
    rows = Checkpoint.objects.select_related("run__dataset_version")
    found = {str(row.pk): row for row in rows.filter(pk__in=[told["checkpoint"] for told in expansion.loras])}
    for told in expansion.loras:
        if told["checkpoint"] not in found:
            raise JobFailed("weights_gone", f"The checkpoint {told['name']} is gone: its file is missing or damaged.")
    return [found[told["checkpoint"]] for told in expansion.loras]


def _learned_from(loras: list[Checkpoint]) -> list[DatasetVersion]:
    """What a model has learned it may know by heart."""
    return [lora.run.dataset_version for lora in loras if lora.run.dataset_version]


def _small(picture: Image.Image) -> bytes:
    small = picture.convert("RGB")
    small.thumbnail((SMALL, SMALL), Image.Resampling.LANCZOS)
    out = BytesIO()
    small.save(out, "WEBP", quality=80)
    return out.getvalue()
