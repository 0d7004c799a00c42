"""Says what pictures show: a captioning model in a sentence, or a CLIP attribute by attribute.

The zero-shot way is that of "Learning Transferable Visual Models From Natural Language Supervision" (arXiv 2103.00020),
section 3.1: each choice is put into several templates, and their mean is compared with the picture.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional
from transformers import AutoModelForImageTextToText, AutoProcessor, CLIPModel, CLIPProcessor

from shoesai.engine.base_folder import BaseModelProblem
from shoesai.engine.device import current, to_device
from shoesai.engine.progress import Emit, ShouldStop, check_stop
from shoesai.engine.specs import Attribute, CaptionInputs, CaptionSpec

Describe = Callable[[list[Image.Image]], list[dict[str, Any]]]
BATCH = 8


def caption(spec: CaptionSpec, inputs: CaptionInputs, emit: Emit, should_stop: ShouldStop) -> dict[str, Any]:
    """Emits `caption` per picture: `key`, and `text` or `attributes` (name → [choice, probability 0..1]).

    Raises BaseModelProblem where the model's files are not here, and Stopped.
    """
    describe = _words(spec) if spec.model else _attributes(spec)
    total = len(inputs.pictures)
    for begin in range(0, total, BATCH):
        check_stop(should_stop)
        some = inputs.pictures[begin : begin + BATCH]
        emit("step", step=begin, total=total, message=f"Looking at photo {begin + 1} of {total}")
        for picture, told in zip(some, describe([_opened(picture.path) for picture in some]), strict=True):
            emit("caption", key=picture.key, **told)
    emit("step", step=total, total=total)
    return {"pictures": total, "model": spec.model or "starter"}


def _opened(path: str) -> Image.Image:
    with Image.open(path) as picture:
        return picture.convert("RGB")


# --- in a sentence ----------------------------------------------------------------------------------------------------
def _words(spec: CaptionSpec) -> Describe:
    """Only safetensors, only from this machine, and never with code of theirs."""
    options: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        processor = AutoProcessor.from_pretrained(spec.model, **options)
        model = AutoModelForImageTextToText.from_pretrained(spec.model, use_safetensors=True, **options)
    except (OSError, ValueError) as error:
        raise BaseModelProblem(
            f"the captioning model {spec.model} is not on this machine, or not one: download its safetensors files"
            " first, or leave SHOESAI_CAPTION_MODEL empty"
        ) from error
    model = to_device(model.eval())

    def describe(pictures: list[Image.Image]) -> list[dict[str, Any]]:
        pixels = to_device(processor(images=pictures, return_tensors="pt")["pixel_values"])
        with torch.inference_mode():
            tokens = model.generate(pixel_values=pixels, max_new_tokens=spec.max_new_tokens, do_sample=False)
        return [{"text": text.strip()} for text in processor.batch_decode(tokens, skip_special_tokens=True)]

    return describe


# --- attribute by attribute -------------------------------------------------------------------------------------------
def _attributes(spec: CaptionSpec) -> Describe:
    clip, processor = CLIPModel.from_pretrained(spec.clip).eval(), CLIPProcessor.from_pretrained(spec.clip)
    clip = clip.to(current().torch_device)
    choices = {each.name: (each, _choice_vectors(clip, processor, each)) for each in spec.attributes}

    def describe(pictures: list[Image.Image]) -> list[dict[str, Any]]:
        pixels = to_device(processor(images=pictures, return_tensors="pt")["pixel_values"])
        with torch.inference_mode():
            pooled = clip.vision_model(pixel_values=pixels).pooler_output
            seen = functional.normalize(clip.visual_projection(pooled), dim=-1)
            scale = clip.logit_scale.exp()
            shares = {name: (scale * seen @ vectors.T).softmax(-1).cpu() for name, (_, vectors) in choices.items()}
        return [
            {"attributes": {name: _likeliest(choices[name][0], share[row]) for name, share in shares.items()}}
            for row in range(len(pictures))
        ]

    return describe


def _likeliest(attribute: Attribute, shares: Tensor) -> tuple[str, float]:
    best = int(shares.argmax())
    return attribute.choices[best], round(float(shares[best]), 4)


@torch.inference_mode()
def _choice_vectors(clip: CLIPModel, processor: CLIPProcessor, attribute: Attribute) -> Tensor:
    """Unit vectors [choices, width]: the mean over the templates."""
    vectors = []
    for template in attribute.templates:
        texts = [template.format(choice) for choice in attribute.choices]
        tokens = to_device(processor.tokenizer(texts, padding=True, return_tensors="pt").input_ids)
        pooled = clip.text_model(input_ids=tokens).pooler_output
        vectors.append(functional.normalize(clip.text_projection(pooled), dim=-1))
    return functional.normalize(torch.stack(vectors).mean(0), dim=-1)
