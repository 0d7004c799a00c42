"""What goes into the engine: frozen, versioned, torch-free dataclasses, JSON both ways.

A *spec* says what is wanted and is saved with the run or the picture, so that it can be made again; it holds no path.
*Inputs* say where the bytes lie on this machine at this moment, and are never saved.
"""

from __future__ import annotations

import dataclasses
import json
import math
import types
import typing
from dataclasses import dataclass, field
from typing import Any, Self

MAX_SEED = 2**64 - 1


class SpecError(ValueError):
    """A spec that cannot be meant: names the field and what is allowed."""

    def __init__(self, field_name: str, message: str) -> None:
        super().__init__(f"{field_name}: {message}")
        self.field_name = field_name
        self.message = message


class Spec:
    """JSON both ways for the dataclasses below; unknown keys are refused, so a typo never trains with defaults."""

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)  # type: ignore[call-overload]

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), sort_keys=True, allow_nan=False)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Raises SpecError for an unknown key, a missing one, or a value of another type."""
        hints = typing.get_type_hints(cls)
        known = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
        for key in data:
            if key not in known:
                raise SpecError(key, f"is not a setting of {cls.__name__}; known are {', '.join(sorted(known))}")
        try:
            return cls(**{key: _coerce(key, value, hints[key]) for key, value in data.items()})
        except TypeError as error:
            raise SpecError(cls.__name__, str(error)) from error


def _coerce(name: str, value: Any, hint: Any) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise SpecError(name, "must be a list")
        return tuple(_coerce(f"{name}[{i}]", item, arguments[0]) for i, item in enumerate(value))
    if origin in (typing.Union, types.UnionType):
        if value is None:
            return None
        return _coerce(name, value, next(a for a in arguments if a is not type(None)))
    if dataclasses.is_dataclass(hint):
        return hint.from_dict(value) if isinstance(value, dict) else value  # type: ignore[union-attr]
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    expected = origin or hint
    if not isinstance(value, expected) or (isinstance(value, bool) and expected is not bool):
        raise SpecError(name, f"must be of type {expected.__name__}, not {type(value).__name__}")
    return value


def _require(name: str, condition: bool, allowed: str) -> None:
    if not condition:
        raise SpecError(name, f"must be {allowed}")


@dataclass(frozen=True)
class ImageUnit(Spec):
    """One picture of a request. A restart makes only the units that are still missing."""

    seq: int
    seed: int

    def __post_init__(self) -> None:
        _require("seed", 0 <= self.seed <= MAX_SEED, f"between 0 and {MAX_SEED}")


@dataclass(frozen=True)
class GenerateSpec(Spec):
    """One generation request. `scheduler` is a diffusers class name with the keyword arguments of its row.

    `strength` (0 < strength <= 1) is None unless the pictures start from the reference of the inputs.
    """

    prompt: str
    width: int
    height: int
    images: tuple[ImageUnit, ...]
    negative_prompt: str = ""
    num_inference_steps: int = 50
    guidance_scale: float = 7.5
    scheduler: str = "DDIMScheduler"
    scheduler_options: dict[str, Any] = field(default_factory=dict)
    lora_weights: tuple[float, ...] = ()
    strength: float | None = None
    preview_every: int = 0
    version: int = 2

    def __post_init__(self) -> None:
        _require("num_inference_steps", 1 <= self.num_inference_steps <= 150, "between 1 and 150")
        _require("guidance_scale", math.isfinite(self.guidance_scale) and 0 <= self.guidance_scale <= 30,
                 "between 0 and 30")
        for name in ("width", "height"):
            size = getattr(self, name)
            _require(name, 64 <= size <= 2048 and size % 8 == 0, "a multiple of 8 between 64 and 2048")
        for weight in self.lora_weights:
            _require("lora_weights", math.isfinite(weight) and -4 <= weight <= 4, "between -4 and 4")
        if self.strength is not None:
            _require("strength", 0 < self.strength <= 1, "above 0 and at most 1")

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """A spec of version 1 knew no reference, so it starts from noise."""
        if data.get("version") == 1:
            data = {**data, "strength": None, "version": 2}
        return super().from_dict(data)


@dataclass(frozen=True)
class GenerateInputs(Spec):
    """Where the base model (a diffusers folder), the LoRA files (one per weight of the spec) and the output lie.

    `reference` is the picture to start from, given exactly where the spec has a strength.
    """

    base_model: str
    output_dir: str
    loras: tuple[str, ...] = ()
    reference: str = ""


# What a LoRA may change in each attention block of the UNet; the first four are the seed's.
ATTENTION_TARGETS = ("to_q", "to_k", "to_v", "to_out.0")
LORA_TARGETS = (*ATTENTION_TARGETS, "proj_in", "proj_out", "ff.net.0.proj", "ff.net.2")
LR_SCHEDULERS = ("constant", "linear", "cosine")
MAX_RANK = 256
# Beyond these a number is a slip of the keyboard, and would overflow or exhaust something long after it was accepted.
MAX_TRAIN_STEPS = 1_000_000
MAX_CHECKPOINTS = 1_000
MAX_BATCH_SIZE = 1_024
MAX_VALIDATION_PROMPTS = 20
MAX_PROMPT_CHARACTERS = 2_000
MAX_MINUTES = 60 * 24 * 365


@dataclass(frozen=True)
class TrainSpec(Spec):
    """The LoRA recipe; names and defaults are those of the diffusers training script that the seed grew from.

    The LoRA paper is arXiv 2106.09685: W' = W + (lora_alpha / rank) B A, on the attention projections of the UNet.
    A 0 in `snr_gamma` (arXiv 2303.09556), `noise_offset`, `max_train_minutes` or `milestone_steps` is "off".
    """

    resolution: int = 512
    train_batch_size: int = 2
    gradient_accumulation_steps: int = 8
    learning_rate: float = 1e-4
    lr_scheduler: str = "constant"
    lr_warmup_steps: int = 500
    max_train_steps: int = 3000
    max_train_minutes: float = 0.0
    checkpointing_steps: int = 500
    milestone_steps: int = 500
    validation_steps: int = 500
    validation_prompts: tuple[str, ...] = ()
    validation_seeds: tuple[int, ...] = ()
    validation_guidance_scale: float = 7.5
    validation_fraction: float = 0.05
    rank: int = 8
    lora_alpha: int = 16
    lora_targets: tuple[str, ...] = ATTENTION_TARGETS
    gradient_checkpointing: bool = True
    max_grad_norm: float = 1.0
    adam_beta1: float = 0.9
    adam_beta2: float = 0.999
    adam_epsilon: float = 1e-8
    adam_weight_decay: float = 1e-2
    noise_offset: float = 0.0
    snr_gamma: float = 0.0
    caption_dropout: float = 0.0
    masked_loss: bool = False
    unmasked_weight: float = 0.1
    trigger_words: str = ""
    seed: int = 42
    version: int = 2

    def __post_init__(self) -> None:
        for name in ("resolution", "train_batch_size", "gradient_accumulation_steps", "max_train_steps",
                     "checkpointing_steps", "rank", "lora_alpha"):
            _require(name, getattr(self, name) >= 1, "1 or more")
        for name in ("lr_warmup_steps", "validation_steps", "milestone_steps"):
            _require(name, getattr(self, name) >= 0, "0 or more")
        for name in ("max_train_steps", "checkpointing_steps", "validation_steps", "milestone_steps",
                     "lr_warmup_steps"):
            _require(name, getattr(self, name) <= MAX_TRAIN_STEPS, f"at most {MAX_TRAIN_STEPS:,}")
        for name in ("train_batch_size", "gradient_accumulation_steps", "lora_alpha"):
            _require(name, getattr(self, name) <= MAX_BATCH_SIZE, f"at most {MAX_BATCH_SIZE:,}")
        _require("max_grad_norm", self.max_grad_norm >= 1e-6, "at least 0.000001")
        _require("adam_epsilon", self.adam_epsilon <= 1e-2, "at most 0.01")
        _require("trigger_words", self.trigger_words.isprintable(), "one line of printable characters")
        _require("lora_targets", len(set(self.lora_targets)) == len(self.lora_targets), "named once each")
        _require("max_train_minutes", self.max_train_minutes <= MAX_MINUTES, "at most a year")
        _require("validation_prompts", len(self.validation_prompts) <= MAX_VALIDATION_PROMPTS,
                 f"at most {MAX_VALIDATION_PROMPTS}")
        for name, texts in (("validation_prompts", self.validation_prompts), ("trigger_words", (self.trigger_words,))):
            for text in texts:
                _require(name, len(text) <= MAX_PROMPT_CHARACTERS, f"at most {MAX_PROMPT_CHARACTERS:,} characters long")
        for name in ("validation_fraction", "caption_dropout", "unmasked_weight", "adam_weight_decay", "noise_offset"):
            _require(name, 0 <= getattr(self, name) <= 1, "between 0 and 1")
        for name in ("adam_beta1", "adam_beta2"):
            _require(name, 0 <= getattr(self, name) < 1, "at least 0 and below 1")
        _require("validation_guidance_scale", 0 <= self.validation_guidance_scale <= 30, "between 0 and 30")
        for name in ("snr_gamma", "max_train_minutes"):
            _require(name, math.isfinite(getattr(self, name)) and getattr(self, name) >= 0, "0 (off) or more")
        for name in ("max_grad_norm", "adam_epsilon"):
            _require(name, math.isfinite(getattr(self, name)) and getattr(self, name) > 0, "above 0")
        _require("resolution", 64 <= self.resolution <= 2048 and self.resolution % 8 == 0,
                 "a multiple of 8 between 64 and 2048")
        _require("learning_rate", 0 < self.learning_rate <= 1, "above 0 and at most 1")
        _require("lr_scheduler", self.lr_scheduler in LR_SCHEDULERS, f"one of {', '.join(LR_SCHEDULERS)}")
        _require("rank", self.rank <= MAX_RANK, f"at most {MAX_RANK}")
        _require("caption_dropout", self.caption_dropout < 1, "below 1")
        _require("validation_fraction", self.validation_fraction <= 0.5, "at most 0.5")
        targets = set(self.lora_targets)
        _require("lora_targets", bool(targets) and targets <= set(LORA_TARGETS), f"some of {', '.join(LORA_TARGETS)}")
        for seed in (self.seed, *self.validation_seeds):
            _require("seed", 0 <= seed <= MAX_SEED, f"between 0 and {MAX_SEED}")
        self._refuse_contradictions()

    def _refuse_contradictions(self) -> None:
        """Each names the two settings that disagree: one of them would silently do nothing."""
        if self.lr_warmup_steps > self.max_train_steps:
            raise SpecError("lr_warmup_steps", f"{self.lr_warmup_steps} is more than max_train_steps"
                            f" {self.max_train_steps}: the learning rate would never be reached")
        if self.max_train_steps > self.checkpointing_steps * MAX_CHECKPOINTS:
            raise SpecError("checkpointing_steps", f"{self.checkpointing_steps} would make more than"
                            f" {MAX_CHECKPOINTS:,} checkpoints in max_train_steps {self.max_train_steps}")
        if self.validation_steps and self.max_train_steps > self.validation_steps * MAX_CHECKPOINTS:
            raise SpecError("validation_steps", f"{self.validation_steps} would look more than"
                            f" {MAX_CHECKPOINTS:,} times in max_train_steps {self.max_train_steps}")
        if self.validation_prompts and not self.validation_steps:
            raise SpecError("validation_prompts", "are given, but validation_steps is 0, so none would be drawn")
        if self.validation_seeds and len(self.validation_seeds) != len(self.validation_prompts):
            raise SpecError("validation_seeds", f"{len(self.validation_seeds)} are given for"
                            f" {len(self.validation_prompts)} validation_prompts; give one for each, or none")
        if self.masked_loss and self.unmasked_weight == 1:
            raise SpecError("masked_loss", "is on, but unmasked_weight 1 weighs the background like the shoe")

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """A spec of version 1 knew no held-out photos, so it goes on without."""
        if data.get("version") == 1:
            data = {"validation_fraction": 0.0, **data, "version": 2}
        return super().from_dict(data)

    @staticmethod
    def usual_warmup(max_train_steps: int) -> int:
        """The seed's 500 steps for its 3,000, and the same share of a shorter run."""
        return max(0, min(500, max_train_steps // 6))

    @property
    def effective_batch_size(self) -> int:
        """Photos that one optimizer step sees, in one process."""
        return self.train_batch_size * self.gradient_accumulation_steps


@dataclass(frozen=True)
class PhotoInput(Spec):
    """`sha256` is that of the file, so that what was computed from it can be found again; `held_out` photos are
    never learned from, only measured on."""

    path: str
    caption: str
    sha256: str = ""
    held_out: bool = False


@dataclass(frozen=True)
class StateInput(Spec):
    """A kept training state: file, and the SHA-256 that it must have."""

    path: str
    sha256: str


@dataclass(frozen=True)
class TrainInputs(Spec):
    """`resume_from` are the kept training states, newest first: a damaged one is passed over.

    `dataset_hash` goes into the state, and a state of other photos is refused. Encodings outlive the job in
    `cache_dir`. `seconds_before` is what earlier stretches took, for `max_train_minutes`.
    """

    base_model: str
    photos: tuple[PhotoInput, ...]
    output_dir: str
    resume_from: tuple[StateInput, ...] = ()
    dataset_hash: str = ""
    cache_dir: str = ""
    seconds_before: float = 0.0


BASE_FAMILIES = ("sd15",)
PRECISIONS = ("fp16", "fp32")


@dataclass(frozen=True)
class BaseSpec(Spec):
    """A base model that is copied, converted or checked: of what family it must be."""

    family: str = "sd15"
    version: int = 1

    def __post_init__(self) -> None:
        _require("family", self.family in BASE_FAMILIES, f"one of {', '.join(BASE_FAMILIES)}")


@dataclass(frozen=True)
class RandomBaseSpec(Spec):
    """A base model of true size with random weights: the same seed gives the same bytes."""

    family: str = "sd15"
    seed: int = 0
    precision: str = "fp16"
    version: int = 1

    def __post_init__(self) -> None:
        _require("family", self.family in BASE_FAMILIES, f"one of {', '.join(BASE_FAMILIES)}")
        _require("seed", 0 <= self.seed <= MAX_SEED, f"between 0 and {MAX_SEED}")
        _require("precision", self.precision in PRECISIONS, f"one of {', '.join(PRECISIONS)}")


@dataclass(frozen=True)
class BaseFolder(Spec):
    """A base model that is there already, as a diffusers folder."""

    base_model: str


@dataclass(frozen=True)
class NewBaseInputs(Spec):
    """Where a new diffusers folder goes, and what it is made from: a folder, or a file with a tokenizer beside it."""

    output_dir: str
    source: str = ""
    tokenizer: str = ""


@dataclass(frozen=True)
class MergeSpec(Spec):
    """A LoRA fused into its base model, as a pipeline of its own."""

    precision: str = "fp16"
    version: int = 1

    def __post_init__(self) -> None:
        _require("precision", self.precision in PRECISIONS, f"one of {', '.join(PRECISIONS)}")


@dataclass(frozen=True)
class MergeInputs(Spec):
    """A diffusers folder, a LoRA file, and an empty folder for the result."""

    base_model: str
    lora: str
    output_dir: str


@dataclass(frozen=True)
class CheckLoraSpec(Spec):
    """Does the LoRA load on the base, and does it change what the UNet says?"""

    version: int = 1


@dataclass(frozen=True)
class CheckLoraInputs(Spec):
    base_model: str
    lora: str


@dataclass(frozen=True)
class Attribute(Spec):
    """What a CLIP is asked: which of `choices` it sees, each put into every of `templates` for {}."""

    name: str
    choices: tuple[str, ...]
    templates: tuple[str, ...]


@dataclass(frozen=True)
class CaptionSpec(Spec):
    """How pictures are described: in words by `model`, a captioning model of transformers (a folder, or a hub id whose
    files are on this machine); without it, attribute by attribute by the CLIP in the folder `clip`.
    """

    model: str = ""
    clip: str = ""
    attributes: tuple[Attribute, ...] = ()
    max_new_tokens: int = 60
    version: int = 1


@dataclass(frozen=True)
class PictureInput(Spec):
    """`key` is what the answer calls it."""

    path: str
    key: str


@dataclass(frozen=True)
class CaptionInputs(Spec):
    pictures: tuple[PictureInput, ...]


EXTRACTORS = ("auto", "starter", "clip", "inception")


@dataclass(frozen=True)
class EvaluateSpec(Spec):
    """How pictures are measured. "auto" takes the standard extractors where their weights are named, and the starter's
    CLIP else; `samples` and `seed` are the bootstrap's.
    """

    extractors: tuple[str, ...] = ("auto",)
    samples: int = 1000
    seed: int = 0
    version: int = 1

    def __post_init__(self) -> None:
        for name in self.extractors:
            _require("extractors", name in EXTRACTORS, f"some of {', '.join(EXTRACTORS)}")
        _require("extractors", bool(self.extractors), "at least one")
        _require("samples", 10 <= self.samples <= 100_000, "between 10 and 100,000")


@dataclass(frozen=True)
class EvaluatePicture(Spec):
    """`key` is what answers call it; a reference needs no prompt."""

    key: str
    path: str
    prompt: str = ""


@dataclass(frozen=True)
class EvaluateInputs(Spec):
    """`references` are photos that were never learned from, `training` those that may have been copied; the others are
    folders and files of weights with the beginning of the hash that they must have, empty where they are not here.
    """

    pictures: tuple[EvaluatePicture, ...]
    references: tuple[EvaluatePicture, ...] = ()
    training: tuple[EvaluatePicture, ...] = ()
    cache_dir: str = ""
    starter_clip: str = ""
    clip: str = ""
    clip_sha256: str = ""
    inception: str = ""
    inception_sha256: str = ""


AUGMENT_RECIPES = ("rotations", "product")
# What a photo of a product bears: beyond these a variant is another photo, or none.
MAX_ROTATION = 30.0
MAX_JITTER = 0.2
MAX_HUE = 0.05
MAX_CROP = 0.1
MAX_VARIANTS = 20
MAX_ANGLES = 20


@dataclass(frozen=True)
class AugmentSpec(Spec):
    """How photos are varied. A spec that is there bears a product photo: everything else was refused with the reason.

    "rotations" turns each photo by `angles` in degrees, the first `variants` of them. "product" draws for each variant
    a rotation in ±`rotation` degrees, factors for brightness, contrast and saturation in 1 ± their settings, a shift of
    the hue in ±`hue` of the colour circle, whether to mirror (probability `flip`), and a part of each side, up to
    `crop`, that is cut away around the shoe. `output_size` is the shorter side in pixels, 0 keeps the photo's own.
    """

    recipe: str = "product"
    variants: int = 5
    angles: tuple[float, ...] = (-5.0, 5.0, -10.0, 10.0, -15.0, 15.0)
    rotation: float = 15.0
    brightness: float = 0.1
    contrast: float = 0.1
    saturation: float = 0.1
    hue: float = 0.02
    flip: float = 0.5
    crop: float = 0.0
    output_size: int = 0
    seed: int = 42
    version: int = 1

    def __post_init__(self) -> None:
        _require("recipe", self.recipe in AUGMENT_RECIPES, f"one of {', '.join(AUGMENT_RECIPES)}")
        _require("variants", 1 <= self.variants <= MAX_VARIANTS, f"between 1 and {MAX_VARIANTS}")
        _require("seed", 0 <= self.seed <= MAX_SEED, f"between 0 and {MAX_SEED}")
        _require("flip", 0 <= self.flip <= 1, "between 0 and 1")
        size = self.output_size
        _require("output_size", size == 0 or (64 <= size <= 2048 and size % 8 == 0),
                 "0 (as the photo is) or a multiple of 8 between 64 and 2048")
        self._refuse_what_spoils_a_product_photo()
        if self.recipe == "rotations":
            self._refuse_impossible_rotations()

    def _refuse_what_spoils_a_product_photo(self) -> None:
        for name, value in (("rotation", self.rotation), *(("angles", abs(angle)) for angle in self.angles)):
            if not 0 <= value <= MAX_ROTATION:
                raise SpecError(name, f"must be between 0 and {MAX_ROTATION:g} degrees: beyond them a shoe does not"
                                " stand on its sole any more, and it is no product photo")
        for name in ("brightness", "contrast", "saturation"):
            if not 0 <= getattr(self, name) <= MAX_JITTER:
                raise SpecError(name, f"must be between 0 and {MAX_JITTER:g}: beyond that the light is not a studio's,"
                                " and the material looks like another one")
        if not 0 <= self.hue <= MAX_HUE:
            raise SpecError("hue", f"must be between 0 and {MAX_HUE:g}: beyond that the shoe has another colour than"
                            " its caption says")
        if not 0 <= self.crop <= MAX_CROP:
            raise SpecError("crop", f"must be between 0 and {MAX_CROP:g}: beyond that it cuts into the shoe")

    def _refuse_impossible_rotations(self) -> None:
        _require("angles", 1 <= len(self.angles) <= MAX_ANGLES, f"1 to {MAX_ANGLES} angles")
        _require("angles", 0 not in self.angles and len(set(self.angles)) == len(self.angles),
                 "different from each other and from 0")
        if self.variants > len(self.angles):
            raise SpecError("variants", f"{self.variants} are asked for, but there are {len(self.angles)} angles; ask"
                            " for fewer, or give more angles")


@dataclass(frozen=True)
class AugmentUnit(Spec):
    """One variant to be made: of which file, whose SHA-256 seeds it, and which one of it (from 1).

    `may_flip` is False where the caption names a side.
    """

    path: str
    sha256: str
    variant: int
    may_flip: bool = True

    def __post_init__(self) -> None:
        _require("variant", 1 <= self.variant <= MAX_VARIANTS, f"between 1 and {MAX_VARIANTS}")


@dataclass(frozen=True)
class AugmentInputs(Spec):
    units: tuple[AugmentUnit, ...]
    output_dir: str
