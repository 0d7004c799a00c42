"""A whole Stable Diffusion in one safetensors file, as CompVis' latent-diffusion names its tensors.

Which name is which follows diffusers' `convert_diffusers_to_original_stable_diffusion.py` and is proven against its
loader in the tests. Only names and places are looked at here: tensors are copied byte by byte, without torch.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from shoesai.engine import tensor_file
from shoesai.engine.base_folder import PICKLES, BaseModelProblem
from shoesai.engine.lora_header import FAMILY_OF_DIM
from shoesai.engine.tensor_file import Entry, NewTensor, TensorFileProblem

PREFIXES = {
    "unet": "model.diffusion_model.",
    "vae": "first_stage_model.",
    "text_encoder": "cond_stage_model.transformer.",
}
FLOATS = ("F32", "F16", "BF16")
FIRST_CONVOLUTION = PREFIXES["unet"] + "input_blocks.0.0.weight"
ATTENTION_TO_TEXT = re.compile(re.escape(PREFIXES["unet"]) + r".*\.attn2\.to_k\.weight")
TEXT_MODEL = "text_model."  # what the original's names have, and today's transformers does without
Shapes = Mapping[str, tuple[int, ...]]


# --- which file it is ---------------------------------------------------------------------------------------
def read_checkpoint(path: Path, family: str) -> dict[str, Entry]:
    """Its tensors by name. Raises BaseModelProblem, with what it is instead, unless it is one of that family."""
    if path.suffix.lower() in PICKLES:
        raise BaseModelProblem(
            f"{path.name} is a pickle, which could run code and is never read; take the model as .safetensors"
        )
    try:
        entries = tensor_file.read_entries(path)
    except TensorFileProblem as problem:
        raise BaseModelProblem(str(problem)) from problem
    _refuse_others(path.name, entries)
    _check_family(path.name, entries, family)
    return entries


def _refuse_others(name: str, entries: Mapping[str, Entry]) -> None:
    if any("lora_" in key or key.endswith(".alpha") for key in entries):
        raise BaseModelProblem(f"{name} is a LoRA, not a base model; `manage.py import_lora` takes it")
    if any(key.startswith("conditioner.embedders.") for key in entries):
        raise BaseModelProblem(f"{name} is a Stable Diffusion XL, which this engine does not run")
    if FIRST_CONVOLUTION not in entries:
        raise BaseModelProblem(
            f"{name} is not a whole Stable Diffusion checkpoint: it has no {FIRST_CONVOLUTION}."
            " A single part of a model is not enough; give the folder that it belongs to"
        )
    channels = entries[FIRST_CONVOLUTION].shape[1:2]
    if channels != (4,):
        raise BaseModelProblem(f"{name} is made for inpainting or editing, not for text to image")
    for part in ("vae", "text_encoder"):
        if not any(key.startswith(PREFIXES[part]) for key in entries):
            raise BaseModelProblem(f"{name} comes without its {part}; take the full checkpoint")


def _check_family(name: str, entries: Mapping[str, Entry], family: str) -> None:
    widths = {entry.shape[-1] for key, entry in entries.items() if ATTENTION_TO_TEXT.fullmatch(key) and entry.shape}
    found = FAMILY_OF_DIM.get(widths.pop()) if len(widths) == 1 else None
    if found != family:
        raise BaseModelProblem(f"{name} is not {family}: it is {found or 'of no family that is known here'}")


# --- taking it apart ----------------------------------------------------------------------------------------
def tensors_of(
    path: Path, entries: Mapping[str, Entry], part: str, shapes: Shapes, config: Mapping[str, Any]
) -> list[NewTensor]:
    """The part's tensors under diffusers' names, to be copied out of the file as they are.

    `shapes` is what the architecture asks for. Raises BaseModelProblem unless the file has exactly that.
    """
    tensors, wanted = [], set()
    for name, shape in shapes.items():
        key, entry = _find(path.name, entries, PREFIXES[part] + original_name(part, name, config))
        wanted.add(key)
        if _essential(entry.shape) != _essential(shape):
            raise BaseModelProblem(f"{path.name}: {key} has the shape {entry.shape} instead of {tuple(shape)}")
        if entry.dtype not in FLOATS:
            raise BaseModelProblem(f"{path.name}: {key} is {entry.dtype}; {', '.join(FLOATS)} are read")
        tensors.append(NewTensor(name, entry.dtype, tuple(shape), partial(tensor_file.read_bytes, path, entry)))
    _refuse_strangers(path.name, entries, part, wanted)
    return tensors


def _find(file: str, entries: Mapping[str, Entry], key: str) -> tuple[str, Entry]:
    """Some tools wrote the text encoder without its `text_model.`"""
    for name in (key, key.replace(TEXT_MODEL, "", 1)):
        if name in entries:
            return name, entries[name]
    raise BaseModelProblem(f"{file} has no {key}; it is not complete, or not a Stable Diffusion of this architecture")


def _essential(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A 1 x 1 convolution is a matrix: the same numbers in the same order."""
    return shape[:-2] if len(shape) == 4 and shape[-2:] == (1, 1) else tuple(shape)


def _refuse_strangers(file: str, entries: Mapping[str, Entry], part: str, wanted: Collection[str]) -> None:
    """A UNet with more than the architecture has is another architecture; elsewhere it is what tools leave behind."""
    strangers = [key for key in entries if key.startswith(PREFIXES[part]) and key not in wanted]
    if part == "unet" and strangers:
        raise BaseModelProblem(f"{file} is another architecture: its UNet has {strangers[0][:120]}")


# --- names --------------------------------------------------------------------------------------------------
Rules = tuple[tuple[str, str], ...]
RESNET_OF_UNET: Rules = (
    ("norm1", "in_layers.0"), ("conv1", "in_layers.2"), ("time_emb_proj", "emb_layers.1"),
    ("norm2", "out_layers.0"), ("conv2", "out_layers.3"), ("conv_shortcut", "skip_connection"),
)  # fmt: skip
TOP_OF_UNET: Rules = (
    ("time_embedding.linear_1.", "time_embed.0."), ("time_embedding.linear_2.", "time_embed.2."),
    ("conv_in.", "input_blocks.0.0."), ("conv_norm_out.", "out.0."), ("conv_out.", "out.2."),
)  # fmt: skip
ATTENTION_OF_VAE: Rules = (
    ("group_norm.", "norm."), ("to_q.", "q."), ("to_k.", "k."), ("to_v.", "v."), ("to_out.0.", "proj_out."),
)  # fmt: skip
BLOCK = re.compile(r"(down|up)_blocks\.(\d+)\.(resnets|attentions|downsamplers|upsamplers)\.(\d+)\.(.+)")
MIDDLE = re.compile(r"mid_block\.(resnets|attentions)\.(\d+)\.(.+)")
HALF_OF_VAE = re.compile(r"(encoder|decoder)\.(.+)")


def original_name(part: str, name: str, config: Mapping[str, Any]) -> str:
    """What the original calls a tensor that diffusers calls `name`, without the part's prefix."""
    if part == "unet":
        return _unet_name(name, config)
    if part == "vae":
        return _vae_name(name, config)
    return name if name.startswith(TEXT_MODEL) else TEXT_MODEL + name


def _unet_name(name: str, config: Mapping[str, Any]) -> str:
    """The original numbers resnets and what follows them through; diffusers groups them into blocks."""
    each = config["layers_per_block"] + 1
    if match := BLOCK.fullmatch(name):
        way, kind, rest = match[1], match[3], match[5]
        block, layer = int(match[2]), int(match[4])
        if kind == "downsamplers":
            return f"input_blocks.{each * (block + 1)}.0.op.{rest.removeprefix('conv.')}"
        if kind == "upsamplers":
            last = 2 if "CrossAttn" in config["up_block_types"][block] else 1
            return f"output_blocks.{each * block + each - 1}.{last}.{rest}"
        number = each * block + layer
        place = f"input_blocks.{number + 1}" if way == "down" else f"output_blocks.{number}"
        return f"{place}.0.{_replace(rest, RESNET_OF_UNET)}" if kind == "resnets" else f"{place}.1.{rest}"
    if match := MIDDLE.fullmatch(name):
        if match[1] == "resnets":
            return f"middle_block.{2 * int(match[2])}.{_replace(match[3], RESNET_OF_UNET)}"
        return f"middle_block.1.{match[3]}"
    return _replace(name, TOP_OF_UNET)


def _vae_name(name: str, config: Mapping[str, Any]) -> str:
    """The original counts the decoder's levels from the finest one; diffusers in the order they are run."""
    half = HALF_OF_VAE.fullmatch(name)
    if half is None:
        return name  # quant_conv and post_quant_conv
    return f"{half[1]}.{_name_in_half(half[2], len(config['block_out_channels']))}"


def _name_in_half(name: str, levels: int) -> str:
    if match := BLOCK.fullmatch(name):
        way, block, kind, layer, rest = match.groups()
        level = f"down.{block}" if way == "down" else f"up.{levels - 1 - int(block)}"
        if kind == "resnets":
            return f"{level}.block.{layer}.{rest.replace('conv_shortcut', 'nin_shortcut')}"
        return f"{level}.{kind.removesuffix('rs')}.{rest}"  # downsamplers → downsample
    if match := MIDDLE.fullmatch(name):
        if match[1] == "resnets":
            return f"mid.block_{int(match[2]) + 1}.{match[3]}"
        return f"mid.attn_1.{_replace(match[3], ATTENTION_OF_VAE)}"
    return name.replace("conv_norm_out.", "norm_out.")


def _replace(text: str, rules: Rules) -> str:
    for old, new in rules:
        if text.startswith(old):
            return new + text[len(old) :]
    return text
