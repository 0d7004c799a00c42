"""What the tensors of a LoRA are called, in the three forms that the world uses; read and written.

| form      | a name                                                    | where its alpha is                      |
|-----------|-----------------------------------------------------------|-----------------------------------------|
| diffusers | unet.down_blocks.0.….attn1.to_q.lora_A.weight             | metadata `lora_adapter_metadata`        |
| kohya     | lora_unet_down_blocks_0_…_attn1_to_q.lora_down.weight     | a number beside it: `lora_unet_….alpha` |
| peft      | base_model.model.down_blocks.0.….attn1.to_q.lora_A.weight | `adapter_config.json`                   |

A module is named as the base model names it, with dots; the text encoder's without the `text_model.` in front that
transformers 5 has dropped.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

FORMS = ("diffusers", "kohya", "peft")
UNET, TEXT_ENCODER = PARTS = ("unet", "text_encoder")

_PLAIN = re.compile(r"[A-Za-z0-9_.]+")
_DIFFUSERS_SIDES = {
    "lora_A.weight": "down", "lora.down.weight": "down", "lora_linear_layer.down.weight": "down",
    "lora_B.weight": "up", "lora.up.weight": "up", "lora_linear_layer.up.weight": "up",
    "alpha": "alpha",
}  # fmt: skip
_KOHYA_SIDES = {"lora_down.weight": "down", "lora_up.weight": "up", "alpha": "alpha"}
_PEFT_SIDES = {"lora_A.weight": "down", "lora_B.weight": "up"}

# What is written with an underscore in the models themselves, so that it is no dot in a kohya name.
_COMPOUND = (
    "down_blocks", "up_blocks", "mid_block", "transformer_blocks", "to_q", "to_k", "to_v", "to_out", "proj_in",
    "proj_out", "conv_in", "conv_out", "conv_shortcut", "time_emb_proj", "time_embedding", "add_embedding", "linear_1",
    "linear_2", "text_model", "self_attn", "q_proj", "k_proj", "v_proj", "out_proj", "text_projection",
)  # fmt: skip
# Blocks as the original Stable Diffusion code calls them; only SDXL LoRAs are written so.
_ORIGINAL_BLOCKS = ("input_blocks_", "middle_block_", "output_blocks_")
_RELATIVES = {
    "hada_w": "a LoHa", "lokr_w": "a LoKr", "dora_scale": "a DoRA", "lora_magnitude_vector": "a DoRA",
    "lora_mid": "a LoCon in CP form", "oft_": "an OFT", "glora_": "a GLoRA", "lora_te1_": "an SDXL LoRA",
    "lora_te2_": "an SDXL LoRA", "text_encoder_2": "an SDXL LoRA", "lora_transformer_": "a LoRA of a transformer",
}  # fmt: skip


class LoraProblem(ValueError):
    """The file is not a LoRA that we load; the words are for the user."""


@dataclass(frozen=True)
class LoraKey:
    """Which weight a tensor is: `down` is A [rank, in], `up` is B [out, rank], `alpha` a number."""

    form: str
    part: str  # unet | text_encoder
    module: str
    side: str  # down | up | alpha


def _any_of(words: Iterable[str]) -> str:
    return "|".join(map(re.escape, words))


_DIFFUSERS = re.compile(rf"(?P<part>unet|text_encoder)\.(?P<module>.+?)\.(?P<side>{_any_of(_DIFFUSERS_SIDES)})")
_PROCESSOR = re.compile(  # what diffusers wrote until 2023
    r"unet\.(?P<module>.+?)\.processor\.to_(?P<to>q|k|v|out)_lora\.(?P<side>down|up)\.weight"
)
_KOHYA = re.compile(rf"lora_(?P<part>unet|te)_(?P<module>[A-Za-z0-9_]+)\.(?P<side>{_any_of(_KOHYA_SIDES)})")
_PEFT = re.compile(rf"base_model\.model\.(?P<module>.+?)\.(?P<side>{_any_of(_PEFT_SIDES)})")
_TEXT_MODULE = re.compile(r"(text_model\.)?(encoder\.layers\.|text_projection$)")
_KOHYA_WORD = re.compile(rf"(?:{_any_of(_COMPOUND)})(?=_|$)|[^_]+")


def parse_key(name: str) -> LoraKey:
    """Raises LoraProblem for a name that is no part of a LoRA in one of the three forms."""
    if not _PLAIN.fullmatch(name) or "__" in name:
        raise LoraProblem(f"the tensor name {name[:80]!r} is not a plain name")
    for words, what in _RELATIVES.items():
        if words in name:
            raise LoraProblem(f"the tensor {name[:80]!r} belongs to {what}; only plain LoRAs of SD 1.5's kind are read")
    if match := _KOHYA.fullmatch(name):
        part = UNET if match["part"] == "unet" else TEXT_ENCODER
        return LoraKey("kohya", part, _plain_module(part, _dotted(match["module"])), _KOHYA_SIDES[match["side"]])
    if match := _PROCESSOR.fullmatch(name):
        to = "to_out.0" if match["to"] == "out" else f"to_{match['to']}"
        return LoraKey("diffusers", UNET, f"{match['module']}.{to}", match["side"])
    if match := _DIFFUSERS.fullmatch(name):
        module = _plain_module(match["part"], match["module"])
        return LoraKey("diffusers", match["part"], module, _DIFFUSERS_SIDES[match["side"]])
    if match := _PEFT.fullmatch(name):
        part = TEXT_ENCODER if _TEXT_MODULE.match(match["module"]) else UNET
        return LoraKey("peft", part, _plain_module(part, match["module"]), _PEFT_SIDES[match["side"]])
    raise LoraProblem(f"the tensor {name[:80]!r} is not part of a LoRA in diffusers, kohya or PEFT form")


def key_name(form: str, part: str, module: str, side: str) -> str:
    """The name of one tensor; `parse_key` reads it back. Only kohya has alphas among its tensors."""
    if form == "kohya":
        prefix = "lora_unet" if part == UNET else "lora_te_text_model"
        side_name = {"down": "lora_down.weight", "up": "lora_up.weight", "alpha": "alpha"}[side]
        return f"{prefix}_{module.replace('.', '_')}.{side_name}"
    side_name = {"down": "lora_A.weight", "up": "lora_B.weight"}[side]
    if form == "peft":
        return f"base_model.model.{module}.{side_name}"
    # older diffusers need `text_model.`, newer ones take it off
    return f"{part}.{'text_model.' if part == TEXT_ENCODER else ''}{module}.{side_name}"


def _dotted(flat: str) -> str:
    """`mid_block_attentions_0_proj_in` is `mid_block.attentions.0.proj_in`."""
    if flat.startswith(_ORIGINAL_BLOCKS):
        raise LoraProblem(
            f"it names the UNet's blocks as the original code does ({flat[:60]!r}); only SDXL LoRAs are written so"
        )
    words = _KOHYA_WORD.findall(flat)
    if "_".join(words) != flat:
        raise LoraProblem(f"the module {flat[:80]!r} is not named as kohya does")
    return ".".join(words)


def _plain_module(part: str, module: str) -> str:
    return module.removeprefix("text_model.") if part == TEXT_ENCODER else module
