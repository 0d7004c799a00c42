"""Operations that bring a base model in: made at random, taken out of a single file, copied, and checked.

Each writes into a folder that nobody uses yet; whoever asked publishes it when `check` has agreed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel

from shoesai.engine import base_folder, random_base, single_file, tensor_file
from shoesai.engine.base_folder import CONFIGURATION, PARTS, TOKENIZER_FILES, BaseModelProblem, ByteCount
from shoesai.engine.base_model import Base, forget_base, load_base
from shoesai.engine.device import to_device
from shoesai.engine.progress import Emit, ShouldStop, check_stop
from shoesai.engine.single_file import TEXT_MODEL
from shoesai.engine.specs import BaseFolder, BaseSpec, NewBaseInputs, RandomBaseSpec
from shoesai.engine.tensor_file import NewTensor

ARCHITECTURES = Path(__file__).parent  # a folder of configurations by family, written by us
# What diffusers called the attention of a VAE until 2023, and still reads.
FORMER_NAMES = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
Shapes = dict[str, tuple[int, ...]]


# --- operations ---------------------------------------------------------------------------------------------
def make_random(spec: RandomBaseSpec, inputs: NewBaseInputs, emit: Emit, should_stop: ShouldStop) -> dict[str, Any]:
    """Writes the family's full-size architecture with random weights."""
    folder = Path(inputs.output_dir)
    _write_configuration(ARCHITECTURES / spec.family, folder)
    shapes = shapes_in(folder)
    random_base.write_vocabulary(folder / "tokenizer", _vocabulary_size(folder))
    tensors = {
        part: random_base.tensors_of(part, shapes[part], spec.seed, spec.precision) for part in PARTS
    }
    _write_weights(folder, tensors, emit, should_stop)
    return {}


def convert(spec: BaseSpec, inputs: NewBaseInputs, emit: Emit, should_stop: ShouldStop) -> dict[str, Any]:
    """Takes a single file in the original layout apart; `source` is the file. The configuration is ours."""
    folder, file = Path(inputs.output_dir), Path(inputs.source)
    entries = single_file.read_checkpoint(file, spec.family)
    tokenizer = base_folder.find_tokenizer(Path(inputs.tokenizer))
    _write_configuration(ARCHITECTURES / spec.family, folder)
    there = [name for name in TOKENIZER_FILES if (tokenizer / name).is_file()]
    base_folder.copy(tokenizer, folder / "tokenizer", there, lambda done: check_stop(should_stop))
    shapes = shapes_in(folder)
    tensors = {
        part: single_file.tensors_of(
            file, entries, part, shapes[part], base_folder.read_json(folder, f"{part}/config.json")
        )
        for part in PARTS
    }
    _write_weights(folder, tensors, emit, should_stop)
    return {}


def copy(spec: BaseSpec, inputs: NewBaseInputs, emit: Emit, should_stop: ShouldStop) -> dict[str, Any]:
    """Copies what a diffusers folder needs, and nothing else of it."""
    source = Path(inputs.source)
    files = base_folder.check_folder(source, spec.family)
    count = ByteCount(base_folder.size_of(source, files), "copying", emit, should_stop)
    base_folder.copy(source, Path(inputs.output_dir), files, count)
    return {}


def check(spec: BaseSpec, inputs: BaseFolder, emit: Emit, should_stop: ShouldStop) -> dict[str, Any]:
    """Loads it and takes one small step with every part; returns its hash, its parameters and its size.

    Raises BaseModelProblem when a tensor is missing, the tokenizer does not fit, or anything is not finite.
    """
    folder = Path(inputs.base_model)
    files = base_folder.check_folder(folder, spec.family)
    refuse_missing_tensors(folder)
    size = base_folder.size_of(folder, files)
    sha256 = base_folder.content_hash(folder, ByteCount(size, "hashing", emit, should_stop))
    check_stop(should_stop)
    emit("step", step=0, total=0, message="loading")
    forget_base()
    try:
        base = load_base(inputs.base_model)
        _check_tokenizer(base)
        _take_one_step(base)
        parameters = {part: _count(getattr(base.pipeline, part)) for part in PARTS}
    finally:
        forget_base()  # gigabytes that nobody may ask for again
    return {"sha256": sha256, "parameters": parameters, "bytes": size}


# --- what the architecture asks for -------------------------------------------------------------------------
def shapes_in(folder: Path) -> dict[str, Shapes]:
    """Part → name → shape, from the folder's configurations alone: no weight is made or read."""
    try:
        with torch.device("meta"):
            unet = UNet2DConditionModel.from_config(base_folder.read_json(folder, "unet/config.json"))
            vae = AutoencoderKL.from_config(base_folder.read_json(folder, "vae/config.json"))
            text_encoder = CLIPTextModel(
                CLIPTextConfig.from_dict(base_folder.read_json(folder, "text_encoder/config.json"))
            )
    except (TypeError, ValueError, KeyError, IndexError) as error:
        reason = f"({type(error).__name__}): one of its config.json describes no such model"
        raise BaseModelProblem(f"the base model {folder.name!r} cannot be built {reason}") from error
    return {
        "unet": _shapes(unet),
        "vae": _shapes(vae),
        "text_encoder": {f"{TEXT_MODEL}{name}": shape for name, shape in _shapes(text_encoder).items()},
    }


def _shapes(model: torch.nn.Module) -> Shapes:
    return {name.removeprefix(TEXT_MODEL): tuple(tensor.shape) for name, tensor in model.state_dict().items()}


def refuse_missing_tensors(folder: Path) -> None:
    """A loader fills what is missing with random numbers and only warns; here it is a problem."""
    shapes = shapes_in(folder)
    for part, file in base_folder.weights_in(base_folder.files_in(folder), folder.name).items():
        there = {_today(name) for name in tensor_file.read_entries(folder / file)}
        missing = sorted({_today(name) for name in shapes[part]} - there)
        if missing:
            raise BaseModelProblem(
                f"the base model {folder.name!r} is not complete: {file} lacks {len(missing)} tensors,"
                f" {missing[0]} among them"
            )


def _today(name: str) -> str:
    words = name.removeprefix(TEXT_MODEL).split(".")
    return ".".join(FORMER_NAMES.get(word, word) for word in words)


def _vocabulary_size(folder: Path) -> int:
    return int(base_folder.read_json(folder, "text_encoder/config.json")["vocab_size"])


# --- writing ------------------------------------------------------------------------------------------------
def _write_configuration(architecture: Path, folder: Path) -> None:
    for name in (*CONFIGURATION, "tokenizer/tokenizer_config.json"):
        content = json.loads((architecture / name).read_text("utf-8"))
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(json.dumps(content, indent=2) + "\n", "utf-8")


def _write_weights(
    folder: Path, tensors: Mapping[str, list[NewTensor]], emit: Emit, should_stop: ShouldStop
) -> None:
    count = ByteCount(sum(t.size for part in tensors.values() for t in part), "writing", emit, should_stop)
    for part, row in PARTS.items():
        tensor_file.write(folder / part / row.weights(), tensors[part], count)


# --- trying it ----------------------------------------------------------------------------------------------
def _check_tokenizer(base: Base) -> None:
    """A vocabulary of another size would turn every prompt into other words, without a sound."""
    knows, reads = len(base.pipeline.tokenizer), base.pipeline.text_encoder.config.vocab_size
    if knows != reads:
        raise BaseModelProblem(
            f"its tokenizer knows {knows} words and its text encoder {reads}; they do not belong together"
        )


@torch.inference_mode()
def _take_one_step(base: Base) -> None:
    """A prompt encoded, one step of denoising, the latents decoded and encoded again, all at a few pixels."""
    pipeline = base.pipeline
    tokens = pipeline.tokenizer("a photo of a shoe", padding="max_length", max_length=77, truncation=True)
    text = pipeline.text_encoder(to_device(torch.tensor([tokens.input_ids])))[0]
    side = 2 ** (len(pipeline.unet.config.block_out_channels) - 1)
    noise = torch.randn(1, pipeline.unet.config.in_channels, side, side, generator=torch.Generator().manual_seed(0))
    latents = to_device(noise, pipeline.unet.dtype)
    scheduler = DDIMScheduler.from_config(pipeline.scheduler.config)
    scheduler.set_timesteps(1)
    step = scheduler.timesteps[0]
    denoised = scheduler.step(pipeline.unet(latents, step, text).sample, step, latents).prev_sample
    picture = pipeline.vae.decode(denoised / base.latent_scale).sample
    again = pipeline.vae.encode(picture.clamp(-1, 1)).latent_dist.mean
    for what, tensor in {"text encoder": text, "UNet": denoised, "VAE": picture, "VAE's encoder": again}.items():
        _require_finite(what, tensor)


def _require_finite(what: str, tensor: Tensor) -> None:
    if not bool(torch.isfinite(tensor).all()):
        raise BaseModelProblem(f"its {what} gives numbers that are not finite: the weights are broken")


def _count(model: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())
